"""`moltnet rooms`: every room of the network that the agent of this workspace may see."""

import attrs
import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table
from moltnet.client.listing import all_rooms
from moltnet.protocol.codec import wire
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.rooms import Room


@attrs.frozen
class Rooms:
    """What is printed for programs."""

    network_id: NetworkId
    rooms: tuple[Room, ...] = attrs.field(default=(), metadata=wire(always=True))


@click.command(epilog=examples("moltnet rooms", "moltnet rooms --json | jq -r '.rooms[].id'"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def rooms(flags: CallerFlags, as_json: bool) -> None:
    """List all rooms of the network that you may see, and what you may do there.

    `moltnet conversations` lists only those that this workspace is attached to.
    """
    caller = flags.caller()
    network_id = caller.attachment.network_id
    found = caller.call(all_rooms)
    if not is_for_people(as_json):
        print_json(Rooms(network_id, tuple(found)))
        return
    attached = {room.id for room in caller.attachment.rooms}
    me = parse_address(caller.member_id, network_id)
    rows = [
        (
            room.id,
            room.name,
            room.visibility,
            str(len(room.members)),
            "member" if any(parse_address(member, network_id) == me for member in room.members) else "",
            access_text(room),
            "attached" if room.id in attached else "",
        )
        for room in found
    ]
    if rows:
        print_lines(table(("ROOM", "NAME", "VISIBILITY", "MEMBERS", "YOU", "MAY", "WORKSPACE"), rows))
    else:
        print_note("you may see no room; ask the operator to make you a member of one")


def access_text(room: Room) -> str:
    """What the caller may do in a room, as far as the server has said."""
    if room.access is None:
        return ""
    return "write" if room.access.can_write else "read" if room.access.can_read else "nothing"
