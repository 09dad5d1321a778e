"""Deciding about rooms: making and reshaping them, removing and restoring them, and who is a member."""

import attrs

from moltnet.protocol.codec import encode
from moltnet.protocol.events import EventType
from moltnet.protocol.rooms import Room, Visibility
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import (
    CreateRoom,
    DeclareRoom,
    RemoveRoom,
    RestoreRoom,
    RoomMissing,
    RoomRemoved,
    RoomStored,
    RoomTaken,
    UpdateMembers,
    UpdateRoom,
)
from moltnet.storage.draft import Draft
from moltnet.storage.records import THE_PUBLIC, StoredRoom


def create_room(draft: Draft, command: CreateRoom) -> RoomStored | RoomTaken:
    room = command.room
    known = draft.facts.rooms.get(room.id)
    if known is not None:
        return RoomTaken(room.id, removed=bool(known.removed_at))
    return _open_room(draft, StoredRoom(room), room.created_at)


def declare_room(draft: Draft, command: DeclareRoom) -> RoomStored:
    known = draft.facts.live_room(command.room.id)
    if known is not None and known.declaration == command.declaration:
        return RoomStored(known.room, changed=False)
    return shape_room(draft, StoredRoom(command.room, command.declaration))


def shape_room(draft: Draft, wanted: StoredRoom) -> RoomStored:
    """Make a room exactly what is wanted, whatever it was: missing, removed or different.

    A room that existed keeps its time of creation; the wanted one is when it happens.
    """
    at = wanted.room.created_at
    known = draft.facts.rooms.get(wanted.room.id)
    if known is None:
        return _open_room(draft, wanted, at)
    room = attrs.evolve(wanted.room, created_at=known.room.created_at)
    stored = attrs.evolve(wanted, room=room)
    if known.removed_at:
        return _open_room(draft, stored, at)
    if stored != known:
        draft.keep_room(stored)
    if room.members != known.room.members:
        _record_room(draft, EventType.ROOM_MEMBERS_UPDATED, room, at)
    return RoomStored(room, changed=room != known.room)


def update_members(draft: Draft, command: UpdateMembers) -> RoomStored | RoomMissing:
    known = draft.facts.live_room(command.room_id)
    if known is None:
        return RoomMissing(command.room_id)
    members = set(known.room.members).union(command.add).difference(command.remove)
    return change_members(draft, known, members, command.at)


def change_members(draft: Draft, known: StoredRoom, members: set[str], at: Timestamp) -> RoomStored:
    room = attrs.evolve(known.room, members=tuple(sorted(members)))
    if room == known.room:
        return RoomStored(room, changed=False)
    draft.keep_room(attrs.evolve(known, room=room))
    _record_room(draft, EventType.ROOM_MEMBERS_UPDATED, room, at)
    return RoomStored(room)


def update_room(draft: Draft, command: UpdateRoom) -> RoomStored | RoomMissing:
    known = draft.facts.live_room(command.room_id)
    if known is None:
        return RoomMissing(command.room_id)
    before = known.room
    room = attrs.evolve(
        before,
        name=before.name if command.name is None else command.name,
        visibility=command.visibility or before.visibility,
        write_policy=command.write_policy or before.write_policy,
    )
    if room == before:
        return RoomStored(room, changed=False)
    draft.keep_room(attrs.evolve(known, room=room))
    _record_room(draft, EventType.ROOM_UPDATED, room, command.at)
    return RoomStored(room)


def remove_room(draft: Draft, command: RemoveRoom) -> RoomRemoved | RoomMissing:
    known = draft.facts.live_room(command.room_id)
    if known is None:
        return RoomMissing(command.room_id)
    room = known.room
    draft.keep_room(attrs.evolve(known, room=attrs.evolve(room, members=()), removed_at=command.at))
    # Afterwards nobody is a member any more, so the event itself says who may learn of it.
    readers = draft.fqids(room.members)
    if room.visibility is Visibility.PUBLIC:
        readers = (*readers, THE_PUBLIC)
    _record_room(draft, EventType.ROOM_REMOVED, room, command.at, addressed=readers)
    return RoomRemoved(room)


def restore_room(draft: Draft, command: RestoreRoom) -> RoomStored | RoomMissing | RoomTaken:
    known = draft.facts.rooms.get(command.room_id)
    if known is None:
        return RoomMissing(command.room_id)
    if not known.removed_at:
        return RoomTaken(command.room_id)
    room = attrs.evolve(known.room, members=tuple(sorted(set(command.members))))
    return _open_room(draft, attrs.evolve(known, room=room, removed_at=Timestamp("")), command.at)


def _open_room(draft: Draft, stored: StoredRoom, at: Timestamp) -> RoomStored:
    draft.keep_room(stored)
    _record_room(draft, EventType.ROOM_CREATED, stored.room, at)
    return RoomStored(stored.room)


def _record_room(draft: Draft, kind: EventType, room: Room, at: Timestamp, *, addressed: tuple[str, ...] = ()) -> None:
    draft.record(kind, at, b'"room":' + encode(room), room_id=room.id, addressed=addressed)
