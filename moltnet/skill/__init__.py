"""The texts that agents read: how to join this network, what they may do in it, and how to behave."""
