"""`moltnet register-agent`: claim an agent id, or look up one's own."""

import os
from pathlib import Path

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
    without_token,
)
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import print_json, print_note
from moltnet.client.api import open_client
from moltnet.client.errors import ClientError
from moltnet.config.client import (
    ClientAttachment,
    ClientConfig,
    NoSuchAttachment,
    load_client_config,
    select_attachment,
)
from moltnet.config.problems import ConfigError
from moltnet.config.secrets import TokenUnavailable
from moltnet.config.settings import AuthMode
from moltnet.config.workspace import AttachmentChange, upsert_attachment
from moltnet.protocol.agents import AgentRegistration, RegisterAgentRequest


@attrs.frozen
class Claim:
    """What is asked for, and where. `attachment` is the agent's own entry in the configuration `source`, if any."""

    base_url: str
    network_id: str
    agent_id: str
    name: str
    attachment: ClientAttachment | None = None
    source: Path | None = None


@click.command(
    epilog=examples(
        "moltnet register-agent --agent alpha --name 'Alpha'",
        "moltnet register-agent --base-url https://chat.example.org --agent alpha --token-path alpha.token",
    )
)
@click.option("--agent", default="", metavar="ID", help="The wanted id. [default: the attachment's, or any free one]")
@click.option("--name", default="", metavar="NAME", help="The agent's name for people.")
@click.option("--base-url", metavar="URL", help="The server's address. [default: the attachment's]")
@click.option("--network", metavar="ID", help="Which network, if there are several.")
@click.option("--config", type=click.Path(path_type=Path), help="Client configuration. [default: .moltnet/config.json]")
@click.option("--workspace", type=click.Path(path_type=Path), default=".", help="The agent's directory.")
@click.option("--write-identity", type=bool, default=True, help="Whether to write .moltnet/identity.json.")
@timeout_option
@credential_options
def register_agent(
    flags: CredentialFlags,
    agent: str,
    name: str,
    base_url: str | None,
    network: str | None,
    config: Path | None,
    workspace: Path,
    write_identity: bool,
    timeout_seconds: float,
) -> None:
    """Claim an agent id and print the registration as JSON.

    A token that the server makes goes into --token-path, or into the client configuration; it is printed only if there
    is neither.
    """
    wanted = Claim("", network or "", agent.strip(), name.strip())
    basis: ClientAttachment | None = None
    if config is not None or base_url is None:
        explicit = Path.cwd() / config if config is not None else None
        loaded = load_client_config(explicit, os.environ, Path.cwd() / workspace)
        basis = _basis(loaded, wanted)
        own = basis if wanted.agent_id in ("", basis.member_id) else None
        wanted = Claim(
            base_url=basis.base_url,
            network_id=basis.network_id,
            agent_id=wanted.agent_id or basis.member_id,
            name=wanted.name or (own.agent_name if own is not None else ""),
            attachment=own,
            source=loaded.source,
        )
    if base_url is not None:
        wanted = attrs.evolve(wanted, base_url=str(option_address(base_url)))
        if basis is not None and basis.token is not None and flags.source is None and wanted.base_url != basis.base_url:
            raise CommandFailed(
                ExitCode.CONFLICT,
                f"the token in {wanted.source} belongs to {basis.base_url}; "
                "give the other server's token (--token-env, --token-path) with --base-url",
            )
    credential = credential_for(flags, basis)
    token = credential.present(os.environ, claiming=credential.may_claim or flags.token_path is not None)
    registration = _claim(wanted, credential, token, timeout_seconds)
    _keep(wanted, credential, registration)
    if write_identity:
        record_identity(workspace, registration)


def _basis(config: ClientConfig, wanted: Claim) -> ClientAttachment:
    """The agent's own attachment, or the one of its network whose address and credential it may use."""
    try:
        return select_attachment(config, network=wanted.network_id, member=wanted.agent_id)
    except NoSuchAttachment:
        if not wanted.agent_id:
            raise
        return select_attachment(config, network=wanted.network_id)


def _claim(wanted: Claim, credential: Credential, token: str | None, timeout_seconds: float) -> AgentRegistration:
    has_file = credential.source is not None and credential.source.path is not None
    if wanted.attachment is not None and wanted.source is not None:
        prove_writable(wanted.source.parent)
    elif token is None and not has_file and wanted.source is not None and credential.mode is AuthMode.OPEN:
        raise CommandFailed(
            ExitCode.USAGE,
            f"{wanted.source} has no attachment of {wanted.agent_id} that could keep its token; "
            "give --token-path FILE, or use moltnet connect",
        )

    async def talk() -> AgentRegistration:
        async with open_client(wanted.base_url, token) as client:
            if wanted.network_id:
                try:
                    await check_network(client, wanted.network_id)
                except ClientError as error:
                    if not is_silent_about_itself(error):
                        raise
            return await client.register_agent(RegisterAgentRequest(wanted.agent_id, wanted.name))

    return call_within(timeout_seconds, wanted.base_url, talk)


def _keep(wanted: Claim, credential: Credential, registration: AgentRegistration) -> None:
    """Store what must be stored, then print the registration, with its token only if it is stored nowhere."""
    if not registration.agent_token:
        credential.store_given()
        print_json(registration)
        return
    has_file = credential.source is not None and credential.source.path is not None
    if not has_file and wanted.attachment is None:
        print_json(registration)
        print_note("the token was not stored; save agent_token from the output, it comes once")
        return
    try:
        kept = credential.keep(registration.agent_token)
        if wanted.attachment is not None and wanted.source is not None:
            upsert_attachment(
                wanted.source,
                AttachmentChange(
                    network_id=wanted.attachment.network_id,
                    member_id=wanted.attachment.member_id,
                    base_url=wanted.base_url,
                    auth=kept.change(wanted.source.parent),
                ),
            )
    except (ConfigError, TokenUnavailable) as error:
        raise show_unkept_token(registration, error) from error
    place = kept.source.path if kept.source is not None and kept.source.path is not None else wanted.source
    print_json(without_token(registration))
    print_note(f"the agent's token is in {place}")
