"""The bridge: carries the wakes of one attachment to one agent runtime."""
