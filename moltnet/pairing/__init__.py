"""Links to other networks: asking them, knowing how they are, relaying to them."""
