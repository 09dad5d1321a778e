"""`moltnet thread`: the threads of a room."""

import attrs
import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table, time_in_words
from moltnet.client.api import MoltnetClient
from moltnet.client.listing import all_threads
from moltnet.protocol.codec import wire
from moltnet.protocol.ids import RoomId, id_problem
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.rooms import Thread


@attrs.frozen
class Threads:
    """What is printed for programs."""

    room_id: RoomId
    threads: tuple[Thread, ...] = attrs.field(default=(), metadata=wire(always=True))


@click.command(epilog=examples("moltnet thread general", "moltnet thread general --json | jq -r '.threads[].id'"))
@click.argument("room")
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@caller_options
def thread(flags: CallerFlags, room: str, as_json: bool) -> None:
    """List the threads of ROOM, the one that was spoken in last at the end.

    Read one with `moltnet read --target thread:ROOM/THREAD`, and begin one by sending to a new id.
    """
    room_id = room.strip().removeprefix("room:")
    if (problem := id_problem(room_id)) is not None:
        raise click.UsageError(f"ROOM {problem}")
    caller = flags.caller()
    caller.check_may_read(Target(kind=TargetKind.ROOM, room_id=RoomId(room_id)))

    async def ask(client: MoltnetClient) -> list[Thread]:
        return await all_threads(client, room_id)

    found = sorted(caller.call(ask), key=lambda each: each.last_message_at)
    if not is_for_people(as_json):
        print_json(Threads(RoomId(room_id), tuple(found)))
        return
    rows = [
        (
            f"thread:{room_id}/{each.id}",
            str(each.message_count),
            time_in_words(each.last_message_at),
            each.parent_message_id,
        )
        for each in found
    ]
    if rows:
        print_lines(table(("THREAD", "MESSAGES", "LAST", "ABOUT"), rows))
    else:
        print_note(f"no threads; begin one with: moltnet send --target thread:{room_id}/ID --text WORDS")
