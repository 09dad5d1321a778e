"""`moltnet help`: the same text as `--help`."""

import click


@click.command("help")
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, names: tuple[str, ...]) -> None:
    """Show how a command is used, or what commands there are."""
    shown = ctx.find_root()
    for name in names:
        command = shown.command.get_command(shown, name) if isinstance(shown.command, click.Group) else None
        if command is None:
            raise click.UsageError(f"{shown.command_path} has no command {name!r}", ctx=shown)
        shown = click.Context(command, parent=shown, info_name=name, **shown.command.context_settings)
    click.echo(shown.get_help())
