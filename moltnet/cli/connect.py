"""`moltnet connect`: make a workspace the home of an agent of a network.

It adds to what is there and never takes away: rooms, DM settings and tokens of earlier runs stay unless an option
names them.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import attrs
import click

from moltnet.cli.caller import call_within, timeout_option
from moltnet.cli.credentials import Credential, CredentialFlags, credential_for, credential_options
from moltnet.cli.enrolment import (
    check_network,
    is_silent_about_itself,
    option_address,
    prove_writable,
    record_identity,
    show_unkept_token,
)
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.names import split_names
from moltnet.cli.output import print_note
from moltnet.cli.skill_source import install_with_connect, paths_for
from moltnet.client.address import parse_server_address
from moltnet.client.api import open_client
from moltnet.client.errors import ClientError
from moltnet.config.client import ClientAttachment, load_client_config
from moltnet.config.problems import ConfigError
from moltnet.config.secrets import TokenUnavailable
from moltnet.config.wake import WakePolicy, WakeRule
from moltnet.config.workspace import (
    AttachmentChange,
    DirectChange,
    RoomChange,
    client_config_path,
    upsert_attachment,
)
from moltnet.protocol.agents import AgentRegistration, RegisterAgentRequest
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import id_problem

RUNTIMES: Final = ("openclaw", "picoclaw", "tinyclaw", "codex", "claude-code", "pi", "command")
# A check that may fail must not hold up who only wants a file written.
CHECK_SECONDS: Final = 5.0


@attrs.frozen
class Wanted:
    """What the options ask for. `None` and empty leave what is there."""

    base_url: str
    network_id: str
    member_id: str
    agent_name: str | None
    runtime: str | None
    rooms: tuple[str, ...]
    dms: bool | None


@click.command(
    epilog=examples(
        "moltnet connect --base-url http://127.0.0.1:8787 --network-id local --member-id alpha --rooms general",
        "moltnet connect … --token-env MOLTNET_TOKEN --enable-dms",
        "moltnet connect … --registration open --token-path .moltnet/alpha.token",
    )
)
@click.option("--base-url", required=True, metavar="URL", help="The server's address.")
@click.option("--network-id", required=True, metavar="ID", help="The network's id; the server must have the same.")
@click.option("--member-id", required=True, metavar="ID", help="The agent's id.")
@click.option("--agent-name", metavar="NAME", help="The agent's name for people.")
@click.option("--runtime", type=click.Choice(RUNTIMES), help="The agent's program.")
@click.option("--workspace", type=click.Path(path_type=Path), default=".", help="The agent's directory.")
@click.option("--rooms", multiple=True, metavar="ROOM,…", help="Attach these rooms, besides those attached before.")
@click.option("--enable-dms", type=bool, is_flag=False, flag_value=True, help="Allow DMs; =false forbids them.")
@click.option(
    "--install-skill",
    type=bool,
    is_flag=False,
    flag_value=True,
    help="Install the network's skill where --runtime looks for it. [default: yes, but replace none; =false for no]",
)
@timeout_option
@credential_options
def connect(
    flags: CredentialFlags,
    base_url: str,
    network_id: str,
    member_id: str,
    agent_name: str | None,
    runtime: str | None,
    workspace: Path,
    rooms: tuple[str, ...],
    enable_dms: bool | None,
    install_skill: bool | None,
    timeout_seconds: float,
) -> None:
    """Write the client configuration of a workspace, and claim the agent's id if registration is open."""
    wanted = Wanted(
        base_url=str(option_address(base_url)),
        network_id=_valid("--network-id", network_id.strip(), id_problem(network_id.strip())),
        member_id=_valid("--member-id", member_id.strip(), member_problem(member_id)),
        agent_name=agent_name,
        runtime=runtime,
        rooms=tuple(_valid("--rooms", id, id_problem(id)) for id in split_names(*rooms)),
        dms=enable_dms,
    )
    path = client_config_path(workspace)
    existing = _existing(path, wanted)
    skill_runtime = _skill_runtime(install_skill, wanted, existing)
    credential = credential_for(flags, existing)
    _check_same_server(wanted, flags, existing)
    registration = _enrol(wanted, credential, path, timeout_seconds)
    try:
        if registration is not None and registration.agent_token:
            credential = credential.keep(registration.agent_token)
        else:
            credential.store_given()
        upsert_attachment(path, _change(wanted, credential, flags, existing, path))
    except (ConfigError, TokenUnavailable) as error:
        if registration is not None and registration.agent_token:
            raise show_unkept_token(registration, error) from error
        raise
    if registration is not None:
        record_identity(workspace, registration)
        click.echo(f"registered {registration.actor_uri}")
    click.echo(f"wrote Moltnet client config {path}")
    if skill_runtime:
        _install_skill(workspace, skill_runtime, wanted.base_url, credential, install_skill, timeout_seconds)


def _install_skill(
    workspace: Path,
    runtime: str,
    base_url: str,
    credential: Credential,
    install_skill: bool | None,
    timeout_seconds: float,
) -> None:
    """The agent has joined by now: a skill that nobody asked for by name may fail with a note."""
    try:
        for line in install_with_connect(
            workspace,
            runtime,
            base_url,
            _token_for_skill(credential),
            replace=install_skill is True,
            timeout_seconds=min(timeout_seconds, CHECK_SECONDS),
        ):
            click.echo(line)
    except (ConfigError, CommandFailed) as error:
        if install_skill:
            raise
        print_note(
            f"the skill was not installed: {error}; read it at {base_url}/skill.md, "
            "or install it outside of the runtime's sandbox with: moltnet skill update"
        )


def _skill_runtime(install_skill: bool | None, wanted: Wanted, existing: ClientAttachment | None) -> str:
    """For which runtime to install the skill; empty for none. Without the option only for one that is named now."""
    if install_skill is None:
        return wanted.runtime or ""
    runtime = wanted.runtime or (existing.runtime if existing is not None else "")
    if install_skill and not runtime:
        raise click.UsageError("--install-skill needs --runtime: each runtime looks for skills somewhere else")
    if install_skill:
        paths_for(runtime)
    return runtime if install_skill else ""


def _token_for_skill(credential: Credential) -> str | None:
    """Without a token that can be had, the network says what it says to anybody."""
    with suppress(TokenUnavailable):
        return credential.present(os.environ, claiming=False)
    return None


def _valid(option: str, text: str, problem: str | None) -> str:
    if not text or problem is not None:
        raise click.UsageError(f"{option} {problem or 'must not be empty'}")
    return text


def _existing(path: Path, wanted: Wanted) -> ClientAttachment | None:
    """The attachment as it is before. Raises `ConfigError` for a file that cannot be kept."""
    if not os.path.lexists(path):
        return None
    for attachment in load_client_config(path.absolute(), {}, Path.cwd()).attachments:
        if (attachment.network_id, attachment.member_id) == (wanted.network_id, wanted.member_id):
            return attachment
    return None


def _check_same_server(wanted: Wanted, flags: CredentialFlags, existing: ClientAttachment | None) -> None:
    """A kept token goes to the server that it was given for, and to no other."""
    if existing is None or existing.token is None or flags.source is not None:
        return
    before, now = parse_server_address(existing.base_url), parse_server_address(wanted.base_url)
    if before.host != now.host or (before.is_tls and not now.is_tls):
        raise CommandFailed(
            ExitCode.CONFLICT,
            f"the token of {existing.member_id} belongs to {before}, not to {now}; "
            "give the new server's token (--token-env, --token-path) with the new address",
        )


def _enrol(wanted: Wanted, credential: Credential, path: Path, timeout_seconds: float) -> AgentRegistration | None:
    """Ask the server who it is and claim the id if that is free to all. Without a claim, trouble is only a note."""
    must_claim = credential.may_claim
    try:
        token = credential.present(os.environ, claiming=must_claim)
        if must_claim:
            prove_writable(path.parent)

        async def talk() -> AgentRegistration | None:
            async with open_client(wanted.base_url, token) as client:
                try:
                    await check_network(client, wanted.network_id)
                except ClientError as error:
                    if not is_silent_about_itself(error):
                        raise
                    if token is None and not must_claim:
                        print_note(
                            "the network asks for a token; add --token-env NAME or --token-path FILE, "
                            "or --registration open to get one from it"
                        )
                if not must_claim:
                    return None
                return await client.register_agent(RegisterAgentRequest(wanted.member_id, wanted.agent_name or ""))

        bound_seconds = timeout_seconds if must_claim else min(timeout_seconds, CHECK_SECONDS)
        return call_within(bound_seconds, wanted.base_url, talk)
    except (ClientError, TokenUnavailable, CommandFailed) as error:
        if must_claim or (isinstance(error, CommandFailed) and error.exit_code is not ExitCode.NETWORK):
            raise
        print_note(f"the server was not checked: {error}")
        return None


def _change(
    wanted: Wanted, credential: Credential, flags: CredentialFlags, existing: ClientAttachment | None, path: Path
) -> AttachmentChange:
    before = credential_for(CredentialFlags(), existing)
    unchanged = existing is not None and flags == CredentialFlags() and credential == before
    kept = {room.id: RoomChange(room.id, room.wake) for room in existing.rooms} if existing is not None else {}
    added = {id: RoomChange(id, WakeRule(WakePolicy.NEVER)) for id in wanted.rooms if id not in kept}
    return AttachmentChange(
        network_id=wanted.network_id,
        member_id=wanted.member_id,
        base_url=wanted.base_url,
        agent_name=wanted.agent_name,
        runtime=wanted.runtime,
        auth=None if unchanged else credential.change(path.parent),
        rooms=(*kept.values(), *added.values()) if added else None,
        dms=DirectChange(wanted.dms) if wanted.dms is not None else None,
    )
