"""A whole network, or its conversations, in one file that every kind of store can write and read."""
