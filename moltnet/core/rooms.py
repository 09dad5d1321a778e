"""Use cases of rooms: create, change members, remove and restore, list, look at one."""

import attrs

from moltnet.auth.claims import Claims
from moltnet.core.access import Viewer, can_read_room, room_access
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound
from moltnet.core.network import NetworkContext
from moltnet.directory import key_window
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import room_fqid
from moltnet.protocol.ids import NetworkId, RoomId, id_problem
from moltnet.protocol.pages import PageInfo, PageRequest, RoomPage
from moltnet.protocol.rooms import (
    CreateRoomRequest,
    RestoreRoomRequest,
    Room,
    UpdateRoomMembersRequest,
    Visibility,
    WritePolicy,
    member_list_problems,
    room_problems,
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
)


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
    outcome = await context.journal.commit(
        UpdateMembers(RoomId(room_id), add=request.add, remove=request.remove, at=context.now())
    )
    if isinstance(outcome, RoomMissing):
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
    return outcome.room


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


def list_rooms(context: NetworkContext, claims: Claims, viewer: Viewer, page: PageRequest) -> RoomPage:
    """Readable rooms by id."""
    readable = {room.id: room for room in context.directory.rooms() if can_read_room(viewer, room, context.directory)}
    ids, has_more = key_window(list(readable), before=page.before, after=page.after, limit=page.limit)
    rooms = tuple(with_access(context, readable[room_id], claims, viewer) for room_id in ids)
    return RoomPage(rooms, page_info(ids[0] if ids else "", ids[-1] if ids else "", page, has_more=has_more))


def page_info(first: str, last: str, page: PageRequest, *, has_more: bool) -> PageInfo:
    """Cursors of a page that is read forwards unless ``before`` was given."""
    if page.before:
        return PageInfo(has_more, next_before=first if has_more else "")
    return PageInfo(has_more, next_after=last if has_more else "")
