"""`moltnet apply`: make a running network have the rooms and agents that a file declares."""

import os
from collections.abc import Iterator
from pathlib import Path

import click

from moltnet.auth.tokens import static_key
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.operator import OperatorFlags, operator_options
from moltnet.cli.output import print_json, print_note
from moltnet.client.api import MoltnetClient
from moltnet.config.server import MoltnetConfig, find_server_config, load_server_config
from moltnet.protocol.administration import ApplyAgent, ApplyRequest, ApplyResult
from moltnet.protocol.rooms import CreateRoomRequest


@click.command(
    epilog=examples(
        "moltnet apply", "moltnet apply --preview", "moltnet apply lab/Moltnet --base-url https://moltnet.example.com"
    )
)
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.option("--dry-run", is_flag=True, help="Print what would be asked, and ask nothing.")
@click.option("--preview", is_flag=True, help="Ask the server what would change, and change nothing.")
@operator_options
def apply(flags: OperatorFlags, path: Path | None, dry_run: bool, preview: bool) -> None:
    """Create the rooms of the file, change those that differ, and give its agents to their tokens: all, or nothing.

    PATH is a server's file; without it the one that a server in this directory reads. What the file does not name
    stays. A server that reads the same file does this by itself at `moltnet reload`, its tokens included.
    """
    if find_server_config(path, os.environ, Path.cwd()) is None:
        raise CommandFailed(ExitCode.USAGE, "no Moltnet file here; name one, or write one with: moltnet init")
    config = load_server_config(path, os.environ, Path.cwd(), overrides=False)
    wanted = request_of(config)
    if dry_run:
        print_json(wanted)
        print_note("nothing was asked (--dry-run)")
        return

    async def ask(client: MoltnetClient) -> ApplyResult:
        return await (client.preview_apply(wanted) if preview else client.apply(wanted))

    print_json(flags.operator().call(ask))


def request_of(config: MoltnetConfig) -> ApplyRequest:
    """What a file declares, as a request. Raises `CommandFailed` for an agent of two tokens."""
    rooms = tuple(
        CreateRoomRequest(room.id, room.name, room.members, room.visibility, room.write_policy) for room in config.rooms
    )
    return ApplyRequest(config.network.id, rooms, tuple(_agents(config)))


def _agents(config: MoltnetConfig) -> Iterator[ApplyAgent]:
    owners: dict[str, str] = {}
    for token in config.auth.tokens:
        for agent_id in token.agents:
            if (owner := owners.setdefault(agent_id, token.id)) != token.id:
                raise CommandFailed(
                    ExitCode.USAGE,
                    f"{config.source}: agent {agent_id} is given to the tokens {owner} and {token.id}; keep one",
                )
            yield ApplyAgent(agent_id, credential_key=static_key(token.id))
