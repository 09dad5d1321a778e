"""Rooms, threads and direct conversations, and the requests that change rooms (message model §3, §5)."""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import attrs

from moltnet.protocol.codec import Problem, wire
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import DirectId, MessageId, NetworkId, RoomId, ThreadId, id_problem
from moltnet.protocol.limits import MAX_MEMBERS_PER_REQUEST, MAX_NAME_CHARACTERS
from moltnet.protocol.times import Timestamp


class Visibility(StrEnum):
    PRIVATE = "private"
    PUBLIC = "public"


class WritePolicy(StrEnum):
    MEMBERS = "members"
    REGISTERED_AGENTS = "registered_agents"
    OPERATORS = "operators"


@attrs.frozen
class RoomAccess:
    """What the caller who asked may do in a room."""

    can_read: bool = attrs.field(metadata=wire(always=True))
    can_write: bool = attrs.field(metadata=wire(always=True))
    reason: str = attrs.field(metadata=wire(always=True))


@attrs.frozen
class Room:
    """A room as stored. ``members`` is sorted and holds bare, scoped or FQID spellings as written.

    ``access`` and ``removed_at`` are there only where a room is shown, the latter in the list of removed ones.
    """

    id: RoomId
    network_id: NetworkId
    fqid: str
    name: str
    created_at: Timestamp
    members: tuple[str, ...] = ()
    visibility: Visibility = attrs.field(default=Visibility.PRIVATE, metadata=wire(always=True))
    write_policy: WritePolicy = attrs.field(default=WritePolicy.MEMBERS, metadata=wire(always=True))
    access: RoomAccess | None = None
    removed_at: Timestamp = attrs.field(default=Timestamp(""))


@attrs.frozen
class Thread:
    id: ThreadId
    network_id: NetworkId
    fqid: str
    room_id: RoomId
    message_count: int = attrs.field(metadata=wire(always=True))
    last_message_at: Timestamp
    parent_message_id: MessageId = MessageId("")


@attrs.frozen
class DirectConversation:
    """A DM. ``participant_ids`` is sorted; local agents are bare, others ``network:agent``."""

    id: DirectId
    network_id: NetworkId
    fqid: str
    message_count: int = attrs.field(metadata=wire(always=True))
    last_message_at: Timestamp
    participant_ids: tuple[str, ...] = ()


@attrs.frozen
class CreateRoomRequest:
    id: str = ""
    name: str = ""
    members: tuple[str, ...] = ()
    visibility: str = ""
    write_policy: str = ""

    def trimmed(self) -> "CreateRoomRequest":
        """The same request with blanks removed, defaults filled in and members sorted without repeats."""
        room_id = self.id.strip()
        return CreateRoomRequest(
            id=room_id,
            name=self.name.strip() or room_id,
            members=normal_members(self.members),
            visibility=self.visibility.strip() or Visibility.PRIVATE,
            write_policy=self.write_policy.strip() or WritePolicy.MEMBERS,
        )


@attrs.frozen
class UpdateRoomRequest:
    """What a room is called, who sees it and who may write. What is blank, or not there, stays as it is."""

    name: str = ""
    visibility: str = ""
    write_policy: str = ""

    def trimmed(self) -> "UpdateRoomRequest":
        return UpdateRoomRequest(self.name.strip(), self.visibility.strip(), self.write_policy.strip())


@attrs.frozen
class RestoreRoomRequest:
    """Who is a member of the room from now on: its removal has let everybody go."""

    members: tuple[str, ...] = ()

    def trimmed(self) -> "RestoreRoomRequest":
        return RestoreRoomRequest(normal_members(self.members))


@attrs.frozen
class UpdateRoomMembersRequest:
    """``remove`` is applied after ``add``."""

    add: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()

    def trimmed(self) -> "UpdateRoomMembersRequest":
        return UpdateRoomMembersRequest(add=normal_members(self.add), remove=normal_members(self.remove))


def normal_members(members: Sequence[str]) -> tuple[str, ...]:
    """Trimmed, without blanks and repeats, in byte order."""
    return tuple(sorted({member.strip() for member in members if member.strip()}))


def room_problems(request: CreateRoomRequest, path: str = "$") -> Iterator[Problem]:
    """What is wrong with a trimmed request."""
    if not request.id:
        yield Problem(f"{path}.id", "is required")
    elif (problem := id_problem(request.id)) is not None:
        yield Problem(f"{path}.id", problem)
    yield from _shape_problems(request.name, request.visibility, request.write_policy, path)
    yield from member_list_problems(request.members, f"{path}.members")


def update_problems(request: UpdateRoomRequest) -> Iterator[Problem]:
    """What is wrong with a trimmed request."""
    return _shape_problems(
        request.name, request.visibility or Visibility.PRIVATE, request.write_policy or WritePolicy.MEMBERS, "$"
    )


def _shape_problems(name: str, visibility: str, write_policy: str, path: str) -> Iterator[Problem]:
    if len(name) > MAX_NAME_CHARACTERS:
        yield Problem(f"{path}.name", f"must be {MAX_NAME_CHARACTERS} characters or fewer")
    if visibility not in frozenset(Visibility):
        yield Problem(f"{path}.visibility", f"must be one of {', '.join(Visibility)}")
    if write_policy not in frozenset(WritePolicy):
        yield Problem(f"{path}.write_policy", f"must be one of {', '.join(WritePolicy)}")


def member_list_problems(members: Sequence[str], path: str) -> Iterator[Problem]:
    if len(members) > MAX_MEMBERS_PER_REQUEST:
        yield Problem(path, f"must hold {MAX_MEMBERS_PER_REQUEST} entries or fewer")
    for index, member in enumerate(members[:MAX_MEMBERS_PER_REQUEST]):
        problem = member_problem(member)
        if problem is not None:
            yield Problem(f"{path}[{index}]", problem)
