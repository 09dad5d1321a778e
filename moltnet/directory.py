"""The live rooms and registered agents of a network, in memory, as of the last published commit; sessions too.

Rules ask it on every send and readers on every event, so it answers without waiting. It changes only when the journal
publishes a commit, in the same step in which readers learn of the events. Threads, direct conversations and messages
are too many for memory and stay in the store.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

import attrs

from moltnet.protocol.identity import agent_fqid, parse_address
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.rooms import Room
from moltnet.storage.records import DirectoryContents, PairNetwork, StoredAgent, StoredRoom, StoredSession

Key = TypeVar("Key", bound=str)


@attrs.define(eq=False)
class Directory:
    """Rooms and agents by id, memberships by agent. All methods are synchronous."""

    network_id: NetworkId
    _rooms: dict[RoomId, Room] = attrs.field(init=False, factory=dict)
    _room_ids: list[RoomId] = attrs.field(init=False, factory=list)
    _members: dict[RoomId, frozenset[str]] = attrs.field(init=False, factory=dict)
    _rooms_of: dict[str, set[RoomId]] = attrs.field(init=False, factory=dict)
    _agents: dict[AgentId, StoredAgent] = attrs.field(init=False, factory=dict)
    _agents_of: dict[str, set[AgentId]] = attrs.field(init=False, factory=dict)
    _sessions: dict[str, StoredSession] = attrs.field(init=False, factory=dict)
    _pair_networks: dict[str, NetworkId] = attrs.field(init=False, factory=dict)

    def load(self, contents: DirectoryContents) -> None:
        """Take over what the store holds; called once, before anything is published."""
        self.apply(contents.rooms, contents.agents)
        self.apply_credentials(contents.sessions, contents.pair_networks)

    def apply(
        self, rooms: Iterable[StoredRoom], agents: Iterable[StoredAgent], removed_agents: Iterable[AgentId] = ()
    ) -> None:
        """Take over what a commit changed."""
        for stored in rooms:
            if stored.removed_at:
                self._drop_room(stored.room.id)
            else:
                self._put_room(stored.room)
        for agent_id in removed_agents:
            self._drop_agent(agent_id)
        for agent in agents:
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

    def rooms(self) -> Iterator[Room]:
        """All rooms by id."""
        return (self._rooms[room_id] for room_id in self._room_ids)

    def is_member(self, room_id: str, fqid: str) -> bool:
        """Whether an agent, named by its FQID, is a member. A bare member id is a local agent and nobody else."""
        return fqid in self._members.get(RoomId(room_id), frozenset())

    def rooms_of(self, fqid: str) -> Sequence[RoomId]:
        """The rooms that an agent is a member of, by id."""
        return sorted(self._rooms_of.get(fqid, ()))

    def member_fqids(self) -> Iterable[str]:
        """Everybody who is a member of some room."""
        return self._rooms_of.keys()

    def agent(self, agent_id: str) -> StoredAgent | None:
        return self._agents.get(AgentId(agent_id))

    def agents(self) -> Iterable[StoredAgent]:
        """All registered agents, in no order."""
        return self._agents.values()

    def agents_of(self, credential_key: str) -> frozenset[AgentId]:
        """The agents that a credential owns."""
        return frozenset(self._agents_of.get(credential_key, ()))

    def fqid(self, agent_id: str) -> str:
        """The FQID of a local agent."""
        return agent_fqid(self.network_id, agent_id)

    def _put_room(self, room: Room) -> None:
        before = self._members.get(room.id, frozenset())
        members = frozenset(parse_address(member, self.network_id).fqid for member in room.members)
        if room.id not in self._rooms:
            insort(self._room_ids, room.id)
        self._rooms[room.id] = room
        self._members[room.id] = members
        for fqid in members - before:
            self._rooms_of.setdefault(fqid, set()).add(room.id)
        for fqid in before - members:
            _discard(self._rooms_of, fqid, room.id)

    def _drop_room(self, room_id: RoomId) -> None:
        if self._rooms.pop(room_id, None) is not None:
            self._room_ids.remove(room_id)
            for fqid in self._members.pop(room_id):
                _discard(self._rooms_of, fqid, room_id)

    def _drop_agent(self, agent_id: AgentId) -> None:
        agent = self._agents.pop(agent_id, None)
        if agent is not None:
            _discard(self._agents_of, agent.credential_key, agent_id)

    def _put_agent(self, agent: StoredAgent) -> None:
        before = self._agents.get(agent.id)
        if before is not None and before.credential_key != agent.credential_key:
            _discard(self._agents_of, before.credential_key, agent.id)
        self._agents[agent.id] = agent
        self._agents_of.setdefault(agent.credential_key, set()).add(agent.id)


def _discard(index: dict[str, set[Key]], key: str, item: Key) -> None:
    items = index[key]
    items.discard(item)
    if not items:
        del index[key]


def key_window(keys: Sequence[Key], *, before: str, after: str, limit: int) -> tuple[Sequence[Key], bool]:
    """A page of sorted keys, and whether more follow in the direction of reading (design §3.13).

    The keys after ``after``, else the last ones before ``before``, else the first ones.
    """
    if before:
        end = bisect_left(keys, before)
        start = max(0, end - limit)
        return keys[start:end], start > 0
    start = bisect_right(keys, after) if after else 0
    return keys[start : start + limit], start + limit < len(keys)
