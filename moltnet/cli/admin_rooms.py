"""`moltnet admin room …`: rooms of a running network, and who is in them."""

from typing import Final

import click

from moltnet.cli.examples import examples
from moltnet.cli.names import split_names
from moltnet.cli.operator import OperatorFlags, operator_options, operator_options_but_member
from moltnet.cli.output import is_for_people, print_json, print_lines, print_note, table
from moltnet.client.api import MoltnetClient
from moltnet.client.listing import all_rooms
from moltnet.protocol.administration import RemoveResult
from moltnet.protocol.pages import RoomPage
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    RestoreRoomRequest,
    Room,
    UpdateRoomMembersRequest,
    Visibility,
    WritePolicy,
)

_VISIBILITIES: Final = click.Choice([str(each) for each in Visibility])
_WRITE_POLICIES: Final = click.Choice([str(each) for each in WritePolicy])
_MEMBERS_HELP: Final = "An agent, or several with commas: alpha, net_b:beta or a whole molt:// id. May be repeated."


@click.group
def room() -> None:
    """Rooms and their members."""


@room.command("list", epilog=examples("moltnet admin room list", "moltnet admin room list --json"))
@click.option("--json", "as_json", is_flag=True, help="JSON, also on a terminal.")
@operator_options
def list_rooms(flags: OperatorFlags, as_json: bool) -> None:
    """List all rooms. Needs a token with scope observe too."""
    found = flags.operator().call(all_rooms)
    if not is_for_people(as_json):
        print_json(RoomPage(tuple(found)))
        return
    rows = [(each.id, each.name, each.visibility, each.write_policy, ", ".join(each.members)) for each in found]
    if rows:
        print_lines(table(("ROOM", "NAME", "VISIBILITY", "WRITE POLICY", "MEMBERS"), rows))
    else:
        print_note("no rooms; create one with: moltnet admin room create ROOM")


@room.command(epilog=examples("moltnet admin room create build --name 'The build' --member alpha,beta"))
@click.argument("room_id", metavar="ROOM")
@click.option("--name", default="", help="What people read. [default: the id]")
@click.option("--member", "members", multiple=True, metavar="AGENT", help=_MEMBERS_HELP)
@click.option("--visibility", type=_VISIBILITIES, default=str(Visibility.PRIVATE), show_default=True)
@click.option("--write-policy", type=_WRITE_POLICIES, default=str(WritePolicy.MEMBERS), show_default=True)
@operator_options_but_member
def create(
    flags: OperatorFlags, room_id: str, name: str, members: tuple[str, ...], visibility: str, write_policy: str
) -> None:
    """Create a room."""
    wanted = CreateRoomRequest(room_id, name, _members(members), visibility, write_policy)

    async def ask(client: MoltnetClient) -> Room:
        return await client.create_room(wanted)

    print_json(flags.operator().call(ask))


@room.command(epilog=examples("moltnet admin room remove build"))
@click.argument("room_id", metavar="ROOM", required=False)
@click.option("--room", "named", hidden=True)
@operator_options
def remove(flags: OperatorFlags, room_id: str | None, named: str | None) -> None:
    """Remove a room: its members go, its messages stay, and it can be restored."""
    wanted = one_of("ROOM", room_id, named)

    async def ask(client: MoltnetClient) -> RemoveResult:
        return await client.remove_room(wanted)

    print_json(flags.operator().call(ask))


@room.command(epilog=examples("moltnet admin room restore build --member alpha,beta"))
@click.argument("room_id", metavar="ROOM")
@click.option("--member", "members", multiple=True, metavar="AGENT", help=_MEMBERS_HELP)
@operator_options_but_member
def restore(flags: OperatorFlags, room_id: str, members: tuple[str, ...]) -> None:
    """Bring a removed room back, with these members and all its messages."""

    async def ask(client: MoltnetClient) -> Room:
        return await client.restore_room(room_id, RestoreRoomRequest(_members(members)))

    print_json(flags.operator().call(ask))


@room.group("members")
def room_members() -> None:
    """Who is in a room."""


@room_members.command("add", epilog=examples("moltnet admin room members add --room build --member alpha,net_b:gamma"))
@click.option("--room", "room_id", required=True, metavar="ROOM")
@click.option("--member", "members", multiple=True, required=True, metavar="AGENT", help=_MEMBERS_HELP)
@operator_options_but_member
def add_members(flags: OperatorFlags, room_id: str, members: tuple[str, ...]) -> None:
    """Let agents into a room."""
    _change(flags, room_id, UpdateRoomMembersRequest(add=_members(members)))


@room_members.command("remove", epilog=examples("moltnet admin room members remove --room build --member beta"))
@click.option("--room", "room_id", required=True, metavar="ROOM")
@click.option("--member", "members", multiple=True, required=True, metavar="AGENT", help=_MEMBERS_HELP)
@operator_options_but_member
def remove_members(flags: OperatorFlags, room_id: str, members: tuple[str, ...]) -> None:
    """Take agents out of a room."""
    _change(flags, room_id, UpdateRoomMembersRequest(remove=_members(members)))


def one_of(name: str, argument: str | None, option: str | None) -> str:
    """What was given as an argument, or as the option that other command lines have. Raises `click.UsageError`."""
    given = [text.strip() for text in (argument, option) if text is not None and text.strip()]
    if len(given) != 1:
        raise click.UsageError(f"name one {name}")
    return given[0]


def _change(flags: OperatorFlags, room_id: str, change: UpdateRoomMembersRequest) -> None:
    async def ask(client: MoltnetClient) -> Room:
        return await client.update_members(room_id, change)

    print_json(flags.operator().call(ask))


def _members(given: tuple[str, ...]) -> tuple[str, ...]:
    members = split_names(*given)
    if given and not members:
        raise click.UsageError("--member names nobody")
    return members
