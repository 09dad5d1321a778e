"""The `moltnet` command: one module per subcommand."""
