"""The live rooms and registered agents of a network, in memory, as of the last published commit; sessions too.

Rules ask it on every send and readers on every event, so it answers without waiting. It changes only when the journal
publishes a commit, in the same step in which readers learn of the events. Threads, direct conversations and messages
are too many for memory and stay in the store.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import attrs

from moltnet.protocol.agents import About, Mute
from moltnet.protocol.identity import agent_fqid, parse_address
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.mentions import Addressees
from moltnet.protocol.rooms import Room, Visibility
from moltnet.protocol.times import Timestamp
from moltnet.storage.marks import Mark, MarkKind, Switch, about_of, mute_of, seen_of, switch_of
from moltnet.storage.records import DirectoryContents, PairNetwork, StoredAgent, StoredRoom, StoredSession

Key = TypeVar("Key", bound=str)


@attrs.define(eq=False)
class Directory:
    """Rooms and agents by id, memberships by agent. All methods are synchronous."""

    network_id: NetworkId
    # How often rooms and agents have changed: what was worked out from them holds as long as these do.
    room_changes: int = attrs.field(init=False, default=0)
    agent_changes: int = attrs.field(init=False, default=0)
    _rooms: dict[RoomId, Room] = attrs.field(init=False, factory=dict)
    _room_ids: "_Roll[RoomId]" = attrs.field(init=False, factory=lambda: _Roll[RoomId]())
    _public_room_ids: "_Roll[RoomId]" = attrs.field(init=False, factory=lambda: _Roll[RoomId]())
    _members: dict[RoomId, frozenset[str]] = attrs.field(init=False, factory=dict)
    _addressees: dict[RoomId, Addressees] = attrs.field(init=False, factory=dict)
    _rooms_of: dict[str, set[RoomId]] = attrs.field(init=False, factory=dict)
    _agents: dict[AgentId, StoredAgent] = attrs.field(init=False, factory=dict)
    _agents_of: dict[str, set[AgentId]] = attrs.field(init=False, factory=dict)
    _known_ids: "_Roll[str]" = attrs.field(init=False, factory=lambda: _Roll[str]())
    _publicly_known_ids: "_Roll[str]" = attrs.field(init=False, factory=lambda: _Roll[str]())
    _sessions: dict[str, StoredSession] = attrs.field(init=False, factory=dict)
    _mutes: dict[str, Mute] = attrs.field(init=False, factory=dict)
    _seen: dict[str, Timestamp] = attrs.field(init=False, factory=dict)
    _about: dict[str, About] = attrs.field(init=False, factory=dict)
    _switches: dict[str, Switch] = attrs.field(init=False, factory=dict)
    _pair_networks: dict[str, NetworkId] = attrs.field(init=False, factory=dict)

    def load(self, contents: DirectoryContents) -> None:
        """Take over what the store holds; called once, before anything is published."""
        self.apply(contents.rooms, contents.agents)
        self.apply_credentials(contents.sessions, contents.pair_networks)
        self.apply_marks(contents.marks)

    def apply(
        self, rooms: Iterable[StoredRoom], agents: Iterable[StoredAgent], removed_agents: Iterable[AgentId] = ()
    ) -> None:
        """Take over what a commit changed."""
        for stored in rooms:
            self.room_changes += 1
            if stored.removed_at:
                self._drop_room(stored.room.id)
            else:
                self._put_room(stored.room)
        for agent_id in removed_agents:
            self.agent_changes += 1
            self._drop_agent(agent_id)
        for agent in agents:
            self.agent_changes += 1
            self._put_agent(agent)

    def apply_credentials(
        self,
        sessions: Iterable[StoredSession],
        pair_networks: Iterable[PairNetwork],
        closed_sessions: Iterable[str] = (),
    ) -> None:
        """Take over what a commit changed of the console's sessions and the networks of pair tokens."""
        for digest in closed_sessions:
            self._sessions.pop(digest, None)
        for session in sessions:
            self._sessions[session.digest] = session
        for pair in pair_networks:
            self._pair_networks[pair.credential_key] = pair.network_id

    def apply_marks(self, marks: Iterable[Mark], removed_marks: Iterable[str] = ()) -> None:
        """Take over what a commit changed of what is noted of agents and pairings."""
        noted: dict[str, dict[str, Any]] = {
            MarkKind.MUTE: self._mutes,
            MarkKind.SEEN: self._seen,
            MarkKind.ABOUT: self._about,
            MarkKind.PAIRING: self._switches,
        }
        for id in removed_marks:
            kind, _, key = id.partition(" ")
            noted.get(kind, {}).pop(key, None)
        for mark in marks:
            match mark.kind:
                case MarkKind.MUTE if (mute := mute_of(mark)) is not None:
                    self._mutes[mark.key] = mute
                case MarkKind.SEEN:
                    self._seen[mark.key] = seen_of(mark)
                case MarkKind.ABOUT:
                    self._about[mark.key] = about_of(mark)
                case MarkKind.PAIRING if (switch := switch_of(mark)) is not None:
                    self._switches[mark.key] = switch

    def mute(self, agent_id: str) -> Mute | None:
        """How an agent is muted, whether that is over or not."""
        return self._mutes.get(agent_id)

    def last_seen_at(self, agent_id: str) -> Timestamp:
        """When the store last noted that an agent was there; empty if it did not."""
        return self._seen.get(agent_id, Timestamp(""))

    def about(self, agent_id: str) -> About:
        """What the store has noted of what is said of an agent."""
        return self._about.get(agent_id, About())

    def is_at_work(self, pairing_id: str, *, declared: bool) -> bool:
        """Whether a pairing is to be used, of which the config file says ``declared``."""
        switch = self._switches.get(pairing_id)
        return declared if switch is None else switch.over(declared)

    def session(self, digest: str) -> StoredSession | None:
        """A session by the hash of its id, expired or not."""
        return self._sessions.get(digest)

    def sessions(self) -> Iterable[StoredSession]:
        """All sessions, in no order."""
        return self._sessions.values()

    def pair_network(self, credential_key: str) -> NetworkId | None:
        """The network that a pair token has spoken for, if it has."""
        return self._pair_networks.get(credential_key)

    def room(self, room_id: str) -> Room | None:
        return self._rooms.get(RoomId(room_id))

    def room_ids(self) -> Sequence[RoomId]:
        """The ids of all rooms, in order. Not a copy: the next commit changes it."""
        return self._room_ids.keys

    def public_room_ids(self) -> Sequence[RoomId]:
        """The same of public rooms only."""
        return self._public_room_ids.keys

    def is_member(self, room_id: str, fqid: str) -> bool:
        """Whether an agent, named by its FQID, is a member. A bare member id is a local agent and nobody else."""
        return fqid in self.members(room_id)

    def rooms_of(self, fqid: str) -> Sequence[RoomId]:
        """The rooms that an agent is a member of, by id."""
        return sorted(self._rooms_of.get(fqid, ()))

    def rooms_of_network(self, network_id: str) -> set[RoomId]:
        """The rooms that an agent of this network is a member of."""
        prefix = agent_fqid(network_id, "")
        return {room_id for fqid, room_ids in self._rooms_of.items() if fqid.startswith(prefix) for room_id in room_ids}

    def members(self, room_id: str) -> frozenset[str]:
        """The members of a room, as FQIDs."""
        return self._members.get(RoomId(room_id), frozenset())

    def addressees(self, room_id: str) -> Addressees:
        """Whom mentions in a room may mean. Made when the first message after a change of its members asks for it."""
        found = self._addressees.get(RoomId(room_id))
        if found is None:
            room = self._rooms.get(RoomId(room_id))
            found = Addressees.of(() if room is None else room.members, self.network_id)
            if room is not None:
                self._addressees[room.id] = found
        return found

    def agent(self, agent_id: str) -> StoredAgent | None:
        return self._agents.get(AgentId(agent_id))

    def known_ids(self) -> Sequence[str]:
        """Every registered agent and every member of a room, each once and as a list of members names it, in order.

        Not a copy: the next commit changes it.
        """
        return self._known_ids.keys

    def publicly_known_ids(self) -> Sequence[str]:
        """The same of members of public rooms only."""
        return self._publicly_known_ids.keys

    def is_known(self, fqid: str) -> bool:
        """Whether an agent is registered, or a member of some room."""
        return self._id_of(fqid) in self._known_ids

    def agents_of(self, credential_key: str) -> frozenset[AgentId]:
        """The agents that a credential owns."""
        return frozenset(self._agents_of.get(credential_key, ()))

    def fqid(self, agent_id: str) -> str:
        """The FQID of a local agent."""
        return agent_fqid(self.network_id, agent_id)

    def _put_room(self, room: Room) -> None:
        before, before_in_public = self.members(room.id), self._members_in_public(room.id)
        self._rooms[room.id] = room
        self._members[room.id] = frozenset(parse_address(member, self.network_id).fqid for member in room.members)
        self._tell_indexes(room.id, before, before_in_public)

    def _drop_room(self, room_id: RoomId) -> None:
        before, before_in_public = self.members(room_id), self._members_in_public(room_id)
        if self._rooms.pop(room_id, None) is not None:
            del self._members[room_id]
            self._tell_indexes(room_id, before, before_in_public)

    def _tell_indexes(self, room_id: RoomId, before: frozenset[str], before_in_public: frozenset[str]) -> None:
        """A room was put or dropped that had these members before; in public only if the room was public."""
        self._addressees.pop(room_id, None)
        members, room = self.members(room_id), self._rooms.get(room_id)
        self._room_ids.set(room_id, is_in=room is not None)
        self._public_room_ids.set(room_id, is_in=room is not None and room.visibility is Visibility.PUBLIC)
        for fqid in members - before:
            self._rooms_of.setdefault(fqid, set()).add(room_id)
        for fqid in before - members:
            _discard(self._rooms_of, fqid, room_id)
        for index, old, new in (
            (self._known_ids, before, members),
            (self._publicly_known_ids, before_in_public, self._members_in_public(room_id)),
        ):
            for fqid in new - old:
                index.add_reason(self._id_of(fqid))
            for fqid in old - new:
                index.drop_reason(self._id_of(fqid))

    def _members_in_public(self, room_id: RoomId) -> frozenset[str]:
        room = self._rooms.get(room_id)
        return self.members(room_id) if room is not None and room.visibility is Visibility.PUBLIC else frozenset()

    def _id_of(self, fqid: str) -> str:
        return parse_address(fqid, self.network_id).local_or_scoped(self.network_id)

    def _drop_agent(self, agent_id: AgentId) -> None:
        agent = self._agents.pop(agent_id, None)
        if agent is not None:
            _discard(self._agents_of, agent.credential_key, agent_id)
            self._known_ids.drop_reason(agent_id)

    def _put_agent(self, agent: StoredAgent) -> None:
        before = self._agents.get(agent.id)
        if before is None:
            self._known_ids.add_reason(agent.id)
        if before is not None and before.credential_key != agent.credential_key:
            _discard(self._agents_of, before.credential_key, agent.id)
        self._agents[agent.id] = agent
        self._agents_of.setdefault(agent.credential_key, set()).add(agent.id)


@attrs.define(eq=False)
class _Roll(Generic[Key]):
    """Sorted keys, each of them there as long as there is a reason for it; the reasons are counted."""

    keys: list[Key] = attrs.field(init=False, factory=list)
    _reasons: dict[Key, int] = attrs.field(init=False, factory=dict)

    def __contains__(self, key: Key) -> bool:
        return key in self._reasons

    def add_reason(self, key: Key) -> None:
        if key not in self._reasons:
            insort(self.keys, key)
        self._reasons[key] = self._reasons.get(key, 0) + 1

    def drop_reason(self, key: Key) -> None:
        self._reasons[key] -= 1
        if not self._reasons[key]:
            del self._reasons[key]
            del self.keys[bisect_left(self.keys, key)]

    def set(self, key: Key, *, is_in: bool) -> None:
        """For keys with at most one reason."""
        if is_in and key not in self:
            self.add_reason(key)
        elif not is_in and key in self:
            self.drop_reason(key)


def _discard(index: dict[str, set[Key]], key: str, item: Key) -> None:
    items = index[key]
    items.discard(item)
    if not items:
        del index[key]


def keys_beyond(keys: Sequence[Key], before: str = "", after: str = "") -> Iterator[Key]:
    """Sorted keys in the direction of reading: those after ``after``, backwards those before ``before``, or all."""
    if before:
        return (keys[place] for place in range(bisect_left(keys, before) - 1, -1, -1))
    start = bisect_right(keys, after) if after else 0
    return (keys[place] for place in range(start, len(keys)))
