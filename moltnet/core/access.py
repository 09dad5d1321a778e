"""Who may read and write what: pure decisions from claims, policy and the directory (auth §8, §9; design §3.1).

Every surface asks here: HTTP, events, attachments. A decision never waits and never changes anything.
"""

from collections.abc import Iterable

import attrs

from moltnet.auth.claims import Claims, CredentialKind
from moltnet.auth.policy import AuthPolicy
from moltnet.config.settings import AuthMode, Scope
from moltnet.core.errors import Forbidden, Unauthenticated
from moltnet.directory import Directory
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import AgentAddress
from moltnet.protocol.ids import AgentId, RoomId
from moltnet.protocol.rooms import Room, RoomAccess, Visibility, WritePolicy
from moltnet.storage.records import THE_PUBLIC, EventRecord


@attrs.frozen
class Viewer:
    """What a reader may see. ``agents`` holds the FQIDs that it reads as; ``shown_rooms`` are further rooms that a list
    shows it, with their members, which says nothing of what is said in them (``topology``).

    ``all_reports`` covers presence, wakes and pairings of others, which cost the square of the number of attachments
    if everybody gets them (design §3.1).
    """

    all_conversations: bool = False
    all_reports: bool = False
    public_rooms: bool = False
    agents: frozenset[str] = frozenset()
    shown_rooms: frozenset[RoomId] = frozenset()

    @property
    def sees_nothing(self) -> bool:
        return not (self.all_conversations or self.public_rooms or self.agents)


def agents_behind(claims: Claims, directory: Directory) -> frozenset[AgentId]:
    """The agents of a credential: those on its list, or those that it owns if it has no list."""
    return claims.agents or directory.agents_of(claims.key)


def viewer_of(claims: Claims, policy: AuthPolicy, directory: Directory) -> Viewer:
    """What a caller of the HTTP API may see: everything with ``observe``, else public rooms and those of its agents."""
    agents = agents_behind(claims, directory)
    acts = claims.kind in (CredentialKind.STATIC, CredentialKind.AGENT) and claims.has(Scope.WRITE, Scope.ATTACH)
    return Viewer(
        all_conversations=claims.observes,
        all_reports=claims.observes,
        public_rooms=policy.anonymous_reads,
        agents=frozenset(map(directory.fqid, agents)) if acts else frozenset(),
    )


def attached_viewer(claims: Claims, policy: AuthPolicy, address: AgentAddress) -> Viewer:
    """What an attachment of one agent receives (design §3.1)."""
    observes = claims.kind is not CredentialKind.UNCHECKED and claims.observes
    return Viewer(
        all_conversations=claims.kind is CredentialKind.UNCHECKED or observes,
        all_reports=observes,
        public_rooms=policy.anonymous_reads,
        agents=frozenset({address.fqid}),
    )


def can_read_room(viewer: Viewer, room: Room, directory: Directory) -> bool:
    if viewer.all_conversations or (viewer.public_rooms and room.visibility is Visibility.PUBLIC):
        return True
    return room.id in viewer.shown_rooms or any(directory.is_member(room.id, fqid) for fqid in viewer.agents)


def can_read_direct(viewer: Viewer, participants: Iterable[str]) -> bool:
    """``participants`` are FQIDs."""
    return viewer.all_conversations or not viewer.agents.isdisjoint(participants)


def can_see(viewer: Viewer, record: EventRecord, policy: AuthPolicy, directory: Directory) -> bool:
    """Whether an event is for this reader: what it may read at this moment, and reports about itself."""
    if record.direct_id:
        return policy.direct_messages and can_read_direct(viewer, record.addressed)
    if record.room_id:
        if viewer.all_conversations:
            return True
        if record.type == EventType.ROOM_REMOVED:
            # The directory knows nothing of the room by now; who could read it stands in the event.
            readers = viewer.agents | {THE_PUBLIC} if viewer.public_rooms else viewer.agents
            return not readers.isdisjoint(record.addressed)
        room = directory.room(record.room_id)
        return room is not None and can_read_room(viewer, room, directory)
    if record.agent_id:
        return viewer.all_reports or directory.fqid(record.agent_id) in viewer.agents
    return record.type == EventType.REPLAY_GAP or viewer.all_reports


def can_write_room(claims: Claims, sender: AgentAddress, room: Room, policy: AuthPolicy, directory: Directory) -> bool:
    """The room's write policy (auth §8). The sender's identity has been proved before."""
    if policy.mode is AuthMode.NONE or claims.may_write_as_admin:
        return True
    if room.write_policy is WritePolicy.OPERATORS:
        return claims.kind is CredentialKind.STATIC and claims.has(Scope.WRITE)
    if directory.is_member(room.id, sender.fqid):
        return True
    if room.write_policy is WritePolicy.REGISTERED_AGENTS and sender.network_id == directory.network_id:
        registered = directory.agent(sender.agent_id)
        return (
            claims.kind is CredentialKind.AGENT and registered is not None and registered.credential_key == claims.key
        )
    return False


def room_access(claims: Claims, viewer: Viewer, room: Room, policy: AuthPolicy, directory: Directory) -> RoomAccess:
    """What the caller may do in a room, as room documents show it (message model §3)."""
    public = policy.anonymous_reads and room.visibility is Visibility.PUBLIC
    return RoomAccess(
        can_read=can_read_room(viewer, room, directory),
        can_write=_could_write(claims, room, policy, directory),
        reason=f"{'public-read' if public else 'private'}/{room.write_policy}-write",
    )


def _could_write(claims: Claims, room: Room, policy: AuthPolicy, directory: Directory) -> bool:
    """Whether any sender that the caller may speak as is let in by the write policy."""
    if not claims.has(Scope.WRITE):
        return False
    senders = [
        AgentAddress(directory.network_id, agent_id) for agent_id in (*agents_behind(claims, directory), AgentId(""))
    ]
    return any(can_write_room(claims, sender, room, policy, directory) for sender in senders)


def require(claims: Claims, *any_of: Scope) -> None:
    """Refuse a caller that holds none of these scopes: 401 without a credential, 403 with one."""
    if claims.kind is CredentialKind.ANONYMOUS:
        raise Unauthenticated(
            ErrorCode.UNAUTHORIZED, 'this needs a token: send the header "Authorization: Bearer <token>"'
        )
    if not claims.has(*any_of):
        raise Forbidden(ErrorCode.MISSING_SCOPE, f"this needs a token with scope {' or '.join(any_of)}")
