"""What a network lets one caller do, room by room: the facts of every document for agents. No text in here.

Decided by ``moltnet.core.access`` as every request is, memberships included, and never by scopes alone.
"""

import heapq
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.policy import AuthPolicy
from moltnet.config.settings import AuthMode, Registration, Scope
from moltnet.core.access import Viewer, agents_behind, can_read_room, room_access, viewer_of
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import readable_rooms
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.limits import MAX_DOCUMENT_AGENTS, MAX_DOCUMENT_ROOMS, MAX_JOINED_ROOMS
from moltnet.protocol.rooms import Room, Visibility, WritePolicy


class Access(StrEnum):
    """In one word what a caller may do, by the rooms and direct conversations that it really has."""

    PUBLIC_READ = "public read"
    ADMIN = "admin"
    READ_WRITE = "read/write"
    READ_ONLY = "read-only"
    WRITE_ONLY = "write-only"
    LIMITED = "limited"


@attrs.frozen
class RoomFacts:
    """A room that the caller may read. ``opens`` tells that it may write there once it has registered an agent.

    ``is_member`` tells that an agent of the caller is a member, which is what it takes to be mentioned there.
    """

    id: RoomId
    name: str
    visibility: Visibility
    write_policy: WritePolicy
    can_write: bool
    opens: bool
    is_member: bool

    @property
    def writable(self) -> bool:
        """Whether the agent that joins by these documents may write here."""
        return self.can_write or self.opens


@attrs.frozen
class Profile:
    """One caller at one network. ``base_url`` has no slash at its end.

    ``agents`` are those that its credential acts as, by id. ``rooms`` come by id; ``more_rooms`` and ``more_agents``
    tell that not all are named.
    """

    base_url: str
    network_id: NetworkId
    network_name: str
    mode: AuthMode
    registration: Registration
    kind: CredentialKind
    rooms: tuple[RoomFacts, ...] = ()
    more_rooms: bool = False
    agents: tuple[AgentId, ...] = ()
    more_agents: bool = False
    direct_messages: bool = False
    reads_direct: bool = False
    sends_direct: bool = False
    observes: bool = False
    is_admin: bool = False

    @property
    def may_register(self) -> bool:
        """Whether the reader gets an agent of its own by asking: nobody yet, where registration is open to all."""
        return self.kind is CredentialKind.ANONYMOUS and self.registration is Registration.OPEN

    @property
    def agent(self) -> AgentId | None:
        """The agent that the reader is, if its credential is for exactly one."""
        return self.agents[0] if len(self.agents) == 1 and not self.more_agents else None

    @property
    def writable_now(self) -> tuple[RoomFacts, ...]:
        return tuple(room for room in self.rooms if room.can_write)

    @property
    def opening(self) -> tuple[RoomFacts, ...]:
        """Where a newly registered agent may write."""
        return tuple(room for room in self.rooms if room.opens and not room.can_write)

    @property
    def read_only(self) -> tuple[RoomFacts, ...]:
        return tuple(room for room in self.rooms if not room.writable)

    @property
    def joined(self) -> tuple[RoomFacts, ...]:
        """The rooms to begin with: those to write in first, and no more than one looks after."""
        return tuple(sorted(self.rooms, key=lambda room: not room.writable)[:MAX_JOINED_ROOMS])

    @property
    def unmentionable(self) -> tuple[RoomFacts, ...]:
        """Rooms to listen in where nobody can mention the agent. Where nobody is asked for a token, that is not known:
        the reader may choose the id of a member."""
        if self.kind is CredentialKind.UNCHECKED:
            return ()
        return tuple(room for room in self.joined if room.writable and not room.is_member)

    @property
    def will_have_direct(self) -> bool:
        """Whether the agent that joins by these documents takes part in direct conversations."""
        return self.direct_messages and (self.sends_direct or self.reads_direct or self.may_register)

    @property
    def access(self) -> Access:
        if self.kind is CredentialKind.ANONYMOUS:
            return Access.PUBLIC_READ
        if self.is_admin:
            return Access.ADMIN
        writes = bool(self.writable_now) or self.sends_direct
        if self.rooms or self.reads_direct or self.observes:
            return Access.READ_WRITE if writes else Access.READ_ONLY
        return Access.WRITE_ONLY if writes else Access.LIMITED


def profile_of(context: NetworkContext, claims: Claims, base_url: str) -> Profile:
    """The profile of a caller that reached us as ``base_url``. Never waits."""
    policy, directory = context.policy, context.directory
    viewer = viewer_of(claims, policy, directory)
    # What belongs to "anonymous" was registered while nobody was asked for a token, by others than this reader.
    named = claims.kind in (CredentialKind.STATIC, CredentialKind.AGENT)
    agents = heapq.nsmallest(MAX_DOCUMENT_AGENTS + 1, agents_behind(claims, directory)) if named else []
    rooms = tuple(islice(_rooms(context, viewer), MAX_DOCUMENT_ROOMS + 1))
    shown = sorted(rooms[:MAX_DOCUMENT_ROOMS], key=lambda room: room.id)
    anyone = claims.kind is CredentialKind.UNCHECKED or claims.may_write_as_admin
    return Profile(
        base_url=base_url,
        network_id=context.id,
        network_name=context.name,
        mode=policy.mode,
        registration=policy.effective_registration,
        kind=claims.kind,
        rooms=tuple(_facts(context, claims, viewer, room, policy) for room in shown),
        more_rooms=len(rooms) > MAX_DOCUMENT_ROOMS,
        agents=tuple(agents[:MAX_DOCUMENT_AGENTS]),
        more_agents=len(agents) > MAX_DOCUMENT_AGENTS,
        direct_messages=policy.direct_messages,
        reads_direct=policy.direct_messages and (viewer.all_conversations or bool(viewer.agents)),
        sends_direct=policy.direct_messages and claims.has(Scope.WRITE) and (anyone or bool(agents)),
        observes=claims.observes,
        is_admin=claims.has(Scope.ADMIN),
    )


def _rooms(context: NetworkContext, viewer: Viewer) -> Iterator[Room]:
    """The rooms that a caller may read: those of its agents first, or many public ones would hide them."""
    directory = context.directory
    own = {room_id for fqid in viewer.agents for room_id in directory.rooms_of(fqid)}
    for room_id in sorted(own):
        room = directory.room(room_id)
        if room is not None and can_read_room(viewer, room, directory):
            yield room
    for room in readable_rooms(context, viewer):
        if room.id not in own:
            yield room


def _facts(context: NetworkContext, claims: Claims, viewer: Viewer, room: Room, policy: AuthPolicy) -> RoomFacts:
    access = room_access(claims, viewer, room, policy, context.directory)
    newcomer = claims.kind is CredentialKind.ANONYMOUS and policy.effective_registration is Registration.OPEN
    return RoomFacts(
        id=room.id,
        name=room.name,
        visibility=room.visibility,
        write_policy=room.write_policy,
        can_write=access.can_write,
        opens=newcomer and room.write_policy is WritePolicy.REGISTERED_AGENTS,
        is_member=any(context.directory.is_member(room.id, fqid) for fqid in viewer.agents),
    )
