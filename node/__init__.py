"""The node: supervises the bridges of many agents on one host."""
