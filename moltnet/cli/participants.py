"""`moltnet participants`: who is in a conversation."""

import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.output import columns, is_for_people, print_json, print_lines
from moltnet.cli.target import FORMS, TargetType
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered
from moltnet.client.listing import all_agents
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.rooms import DirectConversation, Room


@click.command(
    epilog=examples("moltnet participants --target room:general", "moltnet participants --target dm:alpha-beta --json")
)
@click.option("--target", type=TargetType(), required=True, help=f"Which conversation: {FORMS}.")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def participants(flags: CallerFlags, target: Target, as_json: bool) -> None:
    """Show who is in a conversation; in a thread, everybody in its room.

    Lines for people on a terminal; otherwise the server's JSON of the room or the DM.
    """
    caller = flags.caller()
    caller.check_may_read(target)
    people = is_for_people(as_json)

    async def ask(client: MoltnetClient) -> tuple[Room | DirectConversation, list[str]]:
        where = await (client.dm(target.dm_id) if target.kind == TargetKind.DM else client.room(target.room_id))
        members = where.members if isinstance(where, Room) else where.participant_ids
        return where, await _people(client, members, caller.attachment.network_id) if people else []

    where, lines = caller.call(ask)
    if people:
        print_lines(lines)
    else:
        print_json(where)


async def _people(client: MoltnetClient, members: tuple[str, ...], network_id: NetworkId) -> list[str]:
    """A line for each member: id, name, and whether it is connected, as far as this credential may know."""
    try:
        agents = await all_agents(client)
    except ServerAnswered:
        return list(members)
    known = {parse_address(agent.id, agent.network_id): agent for agent in agents}
    rows = []
    for member in members:
        agent = known.get(parse_address(member, network_id))
        connected = "connected" if agent is not None and agent.connected else ""
        rows.append((member, agent.name if agent is not None else "", connected))
    return columns(rows)
