"""Becoming an agent of a network: the right network, the claimed id, and its token and identity kept.

Shared by `connect` and `register-agent`. A token that the server makes is shown by it once; nothing here loses it.
"""

import tempfile
from pathlib import Path

import attrs
import click

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import print_json, print_note
from moltnet.client.address import ServerAddress, parse_server_address
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import BadServerAddress, ClientError, ServerAnswered
from moltnet.config.files import create_directories
from moltnet.config.problems import ConfigError
from moltnet.config.secrets import TokenUnavailable
from moltnet.config.workspace import Identity, write_identity
from moltnet.protocol.agents import AgentRegistration


def option_address(base_url: str) -> ServerAddress:
    """What `--base-url` names. Raises `click.UsageError`."""
    try:
        return parse_server_address(base_url)
    except BadServerAddress as error:
        raise click.UsageError(f"--base-url: {error}") from error


async def check_network(client: MoltnetClient, network_id: str) -> None:
    """Ask the server which network it is.

    Raises:
        CommandFailed: it is another one: neither the id nor the token is meant for it.
        ClientError: it could not be asked.
    """
    reported = (await client.network()).id
    if reported != network_id:
        raise CommandFailed(
            ExitCode.CONFLICT,
            f"{client.server} is the network {reported!r}, not {network_id!r}; check the address and the network's id",
        )


def is_silent_about_itself(error: ClientError) -> bool:
    """Whether the server only does not tell this credential about its network, which says nothing against either."""
    return isinstance(error, ServerAnswered) and error.status in (401, 403, 404)


def prove_writable(directory: Path) -> None:
    """Show that a configuration can be written into `directory`, before a token that must go there is asked for.

    Raises `CommandFailed`.
    """
    try:
        create_directories(directory)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".moltnet-probe-"):
            pass
    except OSError as error:
        raise CommandFailed(
            ExitCode.INTERNAL, f"{directory} cannot be written, so nothing was registered: {error.strerror or error}"
        ) from error


def show_unkept_token(registration: AgentRegistration, error: ConfigError | TokenUnavailable) -> CommandFailed:
    """Print the registration with its token, because it could not be stored; the error to raise after that."""
    print_json(registration)
    return CommandFailed(
        ExitCode.INTERNAL,
        f"{error}; the token could not be stored: save agent_token from the output above, it comes only once",
    )


def without_token(registration: AgentRegistration) -> AgentRegistration:
    return attrs.evolve(registration, agent_token="")


def record_identity(workspace: Path, registration: AgentRegistration) -> None:
    """Write `.moltnet/identity.json`. Raises `ConfigError`."""
    path = write_identity(
        workspace,
        Identity(
            network_id=registration.network_id,
            agent_id=registration.agent_id,
            actor_uid=registration.actor_uid,
            actor_uri=registration.actor_uri,
            display_name=registration.display_name,
        ),
    )
    print_note(f"wrote {path}")
