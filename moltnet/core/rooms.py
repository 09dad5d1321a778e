"""Use cases of rooms: create, change members, remove and restore, list, look at one."""

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from moltnet.auth.claims import Claims
from moltnet.core.access import Viewer, can_read_room, room_access
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, merged_keys, unknown_cursor
from moltnet.directory import Directory
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import room_fqid
from moltnet.protocol.ids import NetworkId, RoomId, id_problem, is_id
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    RestoreRoomRequest,
    Room,
    UpdateRoomMembersRequest,
    UpdateRoomRequest,
    Visibility,
    WritePolicy,
    member_list_problems,
    room_problems,
    update_problems,
)
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import (
    CreateRoom,
    RemoveRoom,
    RestoreRoom,
    RoomMissing,
    RoomStored,
    RoomTaken,
    UpdateMembers,
    UpdateRoom,
)
from moltnet.storage.store import UnknownCursor

FIRST_PAGE: Final = PageRequest()


def room_from(request: CreateRoomRequest, network_id: NetworkId, created_at: Timestamp) -> Room:
    """The room that a trimmed and checked request describes."""
    room_id = RoomId(request.id)
    return Room(
        id=room_id,
        network_id=network_id,
        fqid=room_fqid(network_id, room_id),
        name=request.name,
        created_at=created_at,
        members=request.members,
        visibility=Visibility(request.visibility),
        write_policy=WritePolicy(request.write_policy),
    )


async def create_room(context: NetworkContext, request: CreateRoomRequest) -> Room:
    """Raises ``Invalid``, ``Conflict`` if the id is or was in use."""
    request = request.trimmed()
    problems = list(room_problems(request))
    if problems:
        raise Invalid.from_problems(problems)
    outcome = await context.journal.commit(CreateRoom(room_from(request, context.id, context.now())))
    if isinstance(outcome, RoomTaken):
        if outcome.removed:
            raise Conflict(
                ErrorCode.ROOM_REMOVED,
                f'room "{request.id}" was removed and keeps its id and messages: restore it, or choose another id',
            )
        raise Conflict(ErrorCode.ROOM_EXISTS, f'room "{request.id}" already exists')
    return outcome.room


async def remove_room(context: NetworkContext, room_id: str) -> Room:
    """Hide a room; returns it as it was. Its messages stay, its members go. Raises ``Invalid``, ``NotFound``."""
    if (problem := id_problem(room_id)) is not None:
        raise Invalid.from_problems([Problem("$.room_id", problem)])
    outcome = await context.journal.commit(RemoveRoom(RoomId(room_id), context.now()))
    if isinstance(outcome, RoomMissing):
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
    return outcome.room


async def restore_room(context: NetworkContext, room_id: str, request: RestoreRoomRequest) -> Room:
    """Bring a removed room back, with the members of the request and nobody else.

    Raises ``Invalid``, ``NotFound`` for an id that never was a room's, ``Conflict`` for a room that is there.
    """
    request = request.trimmed()
    problems = list(member_list_problems(request.members, "$.members"))
    if problems:
        raise Invalid.from_problems(problems)
    _check_could_exist(room_id)
    outcome = await context.journal.commit(RestoreRoom(RoomId(room_id), request.members, context.now()))
    match outcome:
        case RoomMissing():
            raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
        case RoomTaken():
            raise Conflict(ErrorCode.ROOM_EXISTS, f'room "{room_id}" is not removed')
        case RoomStored(room=room):
            return room


async def update_members(context: NetworkContext, room_id: str, request: UpdateRoomMembersRequest) -> Room:
    """Add, then remove. Raises ``Invalid``, ``NotFound``."""
    request = request.trimmed()
    problems: list[Problem] = [
        *member_list_problems(request.add, "$.add"),
        *member_list_problems(request.remove, "$.remove"),
    ]
    if problems:
        raise Invalid.from_problems(problems)
    _check_could_exist(room_id)
    outcome = await context.journal.commit(
        UpdateMembers(RoomId(room_id), add=request.add, remove=request.remove, at=context.now())
    )
    if isinstance(outcome, RoomMissing):
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
    return outcome.room


async def update_room(context: NetworkContext, room_id: str, request: UpdateRoomRequest) -> Room:
    """Change name, visibility and write policy. Raises ``Invalid``, ``NotFound``."""
    request = request.trimmed()
    problems = list(update_problems(request))
    if problems:
        raise Invalid.from_problems(problems)
    _check_could_exist(room_id)
    outcome = await context.journal.commit(
        UpdateRoom(
            RoomId(room_id),
            name=request.name or None,
            visibility=Visibility(request.visibility) if request.visibility else None,
            write_policy=WritePolicy(request.write_policy) if request.write_policy else None,
            at=context.now(),
        )
    )
    if isinstance(outcome, RoomMissing):
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
    return outcome.room


async def list_removed_rooms(context: NetworkContext, page: PageRequest) -> bytes:
    """A page of removed rooms, by id, as JSON. Raises ``Invalid`` for a foreign cursor, ``StorageError``."""
    try:
        found, has_more = await context.store.removed_rooms(page)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    rooms = [attrs.evolve(stored.room, removed_at=stored.removed_at) for stored in found]
    return id_page_json("rooms", rooms[::-1] if page.before else rooms, page, more_follow=has_more)


def _check_could_exist(room_id: str) -> None:
    """No room has what is no id, and not every store takes it: PostgreSQL's text holds no NUL. Raises ``NotFound``."""
    if not is_id(room_id):
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')


def readable_room(context: NetworkContext, room_id: str, viewer: Viewer) -> Room:
    """A room that the viewer may read. Raises ``NotFound``, ``Forbidden``."""
    room = context.directory.room(room_id)
    if room is None:
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
    if not can_read_room(viewer, room, context.directory):
        raise Forbidden(ErrorCode.NOT_READABLE, f'room "{room_id}" is not readable with these credentials')
    return room


def with_access(context: NetworkContext, room: Room, claims: Claims, viewer: Viewer) -> Room:
    """The room as its document shows it to this caller."""
    return attrs.evolve(room, access=room_access(claims, viewer, room, context.policy, context.directory))


def readable_rooms(context: NetworkContext, viewer: Viewer, page: PageRequest = FIRST_PAGE) -> Iterator[Room]:
    """The rooms that the viewer may read, by id, from the page's cursor on in its direction, however many those are.

    To be read at once: the next commit changes what it walks along. Raises ``Invalid`` for a cursor that is not among
    them.
    """
    directory = context.directory
    cursor = directory.room(page.before or page.after)
    if (page.before or page.after) and (cursor is None or not can_read_room(viewer, cursor, directory)):
        raise unknown_cursor(page)
    found = (directory.room(room_id) for room_id in merged_keys(*_ids(directory, viewer), page=page))
    return (room for room in found if room is not None and can_read_room(viewer, room, directory))


def _ids(directory: Directory, viewer: Viewer) -> Iterator[Sequence[RoomId]]:
    """Sorted ids of all rooms that the viewer may read, so that a page costs what it shows."""
    if viewer.all_conversations:
        yield directory.room_ids()
        return
    yield sorted(viewer.shown_rooms.union(*map(directory.rooms_of, viewer.agents)))
    if viewer.public_rooms:
        yield directory.public_room_ids()


def list_rooms(context: NetworkContext, claims: Claims, viewer: Viewer, page: PageRequest) -> bytes:
    """A page of readable rooms, by id, as JSON. Raises ``Invalid`` for a foreign cursor."""
    rooms = (with_access(context, room, claims, viewer) for room in readable_rooms(context, viewer, page))
    return id_page_json("rooms", rooms, page)
