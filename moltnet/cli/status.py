"""`moltnet status`: how the agents of this workspace stand with their networks, each in one line."""

from collections.abc import Sequence
from http import HTTPStatus

import attrs
import click
import trio

from moltnet.cli.caller import Caller, CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.failures import explain
from moltnet.cli.output import is_for_people, print_json, print_lines, table
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ClientError, ServerAnswered
from moltnet.config.client import ClientAttachment, matching_attachments
from moltnet.config.secrets import TokenUnavailable
from moltnet.protocol.codec import wire
from moltnet.protocol.ids import NetworkId


@attrs.frozen
class AttachmentStatus:
    """What is printed for programs. ``connected`` tells whether a node or a bridge is attached as the agent."""

    member_id: str
    network_id: NetworkId
    base_url: str
    reachable: bool = attrs.field(default=False, metadata=wire(always=True))
    registered: bool = attrs.field(default=False, metadata=wire(always=True))
    connected: bool = attrs.field(default=False, metadata=wire(always=True))
    network_name: str = ""
    server_version: str = ""
    rooms: tuple[str, ...] = ()
    error: str = ""
    exit_code: ExitCode = ExitCode.OK


@attrs.frozen
class Status:
    attachments: tuple[AttachmentStatus, ...] = attrs.field(default=(), metadata=wire(always=True))


@click.command(epilog=examples("moltnet status", "moltnet status --json | jq '.attachments[] | select(.connected)'"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def status(flags: CallerFlags, as_json: bool) -> int:
    """Show how the agents of this workspace stand with their networks. `moltnet doctor` says more about one."""
    chosen = matching_attachments(flags.load(), network=flags.network, member=flags.member)
    found = Status(tuple(trio.run(_ask_all, flags, chosen)))
    if is_for_people(as_json):
        rows = [(each.member_id, each.network_id, each.base_url, _state(each)) for each in found.attachments]
        print_lines(table(("AGENT", "NETWORK", "SERVER", "STATE"), rows))
    else:
        print_json(found)
    return next((each.exit_code for each in found.attachments if each.exit_code is not ExitCode.OK), ExitCode.OK)


async def _ask_all(flags: CallerFlags, attachments: Sequence[ClientAttachment]) -> list[AttachmentStatus]:
    """All at once, so that a server that does not answer holds up no other. In the order of the file."""
    found: dict[int, AttachmentStatus] = {}

    async def ask(index: int, attachment: ClientAttachment) -> None:
        found[index] = await _ask(flags, attachment)

    async with trio.open_nursery() as nursery:
        for index, attachment in enumerate(attachments):
            nursery.start_soon(ask, index, attachment)
    return [found[index] for index in range(len(attachments))]


async def _ask(flags: CallerFlags, attachment: ClientAttachment) -> AttachmentStatus:
    silent = AttachmentStatus(
        attachment.member_id,
        attachment.network_id,
        attachment.base_url,
        rooms=tuple(room.id for room in attachment.rooms),
    )
    try:
        caller = flags.caller_of(attachment)
        return await caller.asked(lambda client: _from_server(client, caller, silent))
    except (ClientError, CommandFailed, TokenUnavailable) as error:
        failure = explain(error)
        return attrs.evolve(silent, error=failure.text, exit_code=failure.exit_code)


async def _from_server(client: MoltnetClient, caller: Caller, silent: AttachmentStatus) -> AttachmentStatus:
    network = await client.network()
    answered = attrs.evolve(silent, reachable=True, network_name=network.name, server_version=network.version)
    if network.id != silent.network_id:
        text = f"the server's network is {network.id!r}"
        return attrs.evolve(answered, error=text, exit_code=ExitCode.USAGE)
    try:
        agent = await client.agent(caller.member_id)
    except ServerAnswered as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return answered
        failure = explain(answer)
        return attrs.evolve(answered, error=failure.text, exit_code=failure.exit_code)
    return attrs.evolve(answered, registered=True, connected=agent.connected)


def _state(status: AttachmentStatus) -> str:
    if status.error:
        return status.error
    if not status.registered:
        return "not registered; claim the id with: moltnet register-agent"
    return "connected" if status.connected else "registered, not connected"
