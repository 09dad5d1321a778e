"""`moltnet help`: the same text as `--help`, and all of them together as a manual page."""

import click

from moltnet.cli.examples import examples


@click.command(
    "help",
    epilog=examples("moltnet help send", "moltnet help --man > ~/.local/share/man/man1/moltnet.1"),
)
@click.argument("names", metavar="[COMMAND]...", nargs=-1)
@click.option("--man", is_flag=True, help="Print the manual page, with all commands.")
@click.pass_context
def show_help(ctx: click.Context, names: tuple[str, ...], man: bool) -> None:
    """Show how a command is used, or what commands there are."""
    shown = ctx.find_root()
    if man:
        from moltnet.cli.manual import manual_page

        if names:
            raise click.UsageError("the manual page has all commands; leave out their names")
        assert isinstance(shown.command, click.Group)
        click.echo(manual_page(shown.command), nl=False)
        return
    for name in names:
        command = shown.command.get_command(shown, name) if isinstance(shown.command, click.Group) else None
        if command is None:
            raise click.UsageError(f"{shown.command_path} has no command {name!r}", ctx=shown)
        shown = click.Context(command, parent=shown, info_name=name, **shown.command.context_settings)
    click.echo(shown.get_help())
