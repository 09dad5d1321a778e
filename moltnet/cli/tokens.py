"""`moltnet tokens`: the tokens of a network: new values for its file, and those that its agents hold."""

import secrets
from pathlib import Path
from typing import Final

import click

from moltnet.cli.admin import list_agents, reset_token, revoke_token
from moltnet.cli.examples import examples
from moltnet.cli.output import print_note
from moltnet.config.secrets import prepare_token_file, write_token_file

# 256 bits: as long as the tokens that the server makes for agents.
_BYTES: Final = 32


@click.group
def tokens() -> None:
    """The tokens of a network."""


@tokens.command(epilog=examples("moltnet tokens new", "moltnet tokens new --to secrets/operator.token"))
@click.option("--to", type=click.Path(path_type=Path), help="Write it into this private file.")
def new(to: Path | None) -> None:
    """Make a random value for `auth.tokens` of a network's file. It is stored nowhere else.

    With --to it goes into a private file, for `value_file: FILE`; otherwise it is printed.
    """
    value = secrets.token_urlsafe(_BYTES)
    if to is None:
        click.echo(value)
        return
    path = Path.cwd() / to
    prepare_token_file(path)
    write_token_file(path, value)
    print_note(f"the new token is in {to}; name it with value_file in auth.tokens, then: moltnet reload")


# Who looks for them here finds them; what they do is the same.
tokens.add_command(list_agents, "list")
tokens.add_command(reset_token, "reset")
tokens.add_command(revoke_token, "revoke")
