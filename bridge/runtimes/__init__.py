"""Agent runtimes: how each kind of agent program is run for one turn."""
