"""`moltnet conversations`: the rooms and direct conversations of the agent of this workspace."""

import attrs
import click

from moltnet.cli.caller import Caller, CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.output import columns, is_for_people, print_json, print_lines, print_note
from moltnet.client.api import MoltnetClient
from moltnet.client.errors import ServerAnswered
from moltnet.client.listing import all_dms, all_rooms
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.rooms import DirectConversation, Room


@attrs.frozen
class Conversations:
    """What is printed. Keys without entries are left out."""

    member_id: str
    network_id: NetworkId
    rooms: tuple[Room, ...] = ()
    dms: tuple[DirectConversation, ...] = ()


@click.command(epilog=examples("moltnet conversations", "moltnet conversations --json | jq -r '.rooms[].id'"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def conversations(flags: CallerFlags, as_json: bool) -> None:
    """List the rooms that this workspace is attached to, and your direct conversations."""
    caller = flags.caller()

    async def ask(client: MoltnetClient) -> Conversations:
        return await _conversations(client, caller)

    found = caller.call(ask)
    if not is_for_people(as_json):
        print_json(found)
        return
    rows = [(f"room:{room.id}", room.name, _room_remark(room)) for room in found.rooms]
    rows += [(f"dm:{dm.id}", ", ".join(dm.participant_ids), _counted(dm.message_count)) for dm in found.dms]
    print_lines(columns(rows))
    if not rows:
        print_note("no conversations; moltnet connect … --rooms ROOM attaches one")


async def _conversations(client: MoltnetClient, caller: Caller) -> Conversations:
    attached = {room.id for room in caller.attachment.rooms}

    rooms = [room for room in await all_rooms(client) if room.id in attached]
    dms: list[DirectConversation] = []
    if caller.attachment.dms.enabled:
        try:
            dms = await all_dms(client)
        except ServerAnswered as error:
            # The rooms are worth showing also where this credential may not list DMs.
            print_note(f"no direct conversations: {error}")
    return Conversations(
        member_id=caller.member_id,
        network_id=caller.attachment.network_id,
        rooms=tuple(sorted(rooms, key=lambda room: room.id)),
        dms=tuple(sorted(dms, key=lambda dm: dm.id)),
    )


def _counted(messages: int) -> str:
    return f"{messages} message" if messages == 1 else f"{messages} messages"


def _room_remark(room: Room) -> str:
    return "" if room.access is None or room.access.can_write else "read-only"
