"""`moltnet version`."""

import click

from moltnet import __version__


@click.command
def version() -> None:
    """Show the version."""
    click.echo(__version__)
