"""What other servers have committed: the position that a server has seen, and everything since.

The log orders events by ``seq``; what servers keep in memory besides (rooms, agents, credentials) has a revision. Both
grow under one lock, so a position stands for everything up to it.
"""

import attrs

from moltnet.protocol.events import EventType
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.storage.limits import MAX_NEWS_EVENTS, MAX_REPLAY_BYTES
from moltnet.storage.marks import Mark
from moltnet.storage.merging import NOTHING
from moltnet.storage.outbox import ANY_PAIRING
from moltnet.storage.records import PairNetwork, StoredSession
from moltnet.storage.sql import rows
from moltnet.storage.sql.postgres import statements
from moltnet.storage.sql.postgres.database import Connection
from moltnet.storage.sql.postgres.names import stored_agent, stored_room
from moltnet.storage.store import Committed


@attrs.frozen
class Position:
    """The last event and the last change of the directory that somebody has seen."""

    seq: int = 0
    revision: int = 0


async def position_of(connection: Connection) -> Position:
    """Where log and directory end."""
    (found,) = await connection.fetch(statements.SELECT_POSITION)
    return Position(*found)


async def news_since(connection: Connection, seen: Position, newest: Position, network_id: NetworkId) -> Committed:
    """Everything after ``seen`` up to ``newest``, which nothing may overtake: in one snapshot, or under the lock.

    The newest events only, if they are too many to hold; then there is a gap before the first.
    """
    news = NOTHING
    if newest.seq > seen.seq:
        found = await connection.fetch(statements.SELECT_NEWEST_EVENTS, seen.seq, MAX_NEWS_EVENTS, MAX_REPLAY_BYTES)
        records = tuple(rows.event_record(row, network_id) for row in reversed(found))
        # Messages of others may wait to be relayed, and this may be the server that relays.
        told = len(records) < newest.seq - seen.seq or any(each.type == EventType.MESSAGE_CREATED for each in records)
        relayed = frozenset({ANY_PAIRING}) if told else frozenset[str]()
        news = attrs.evolve(news, records=records, relayed=relayed)
    if newest.revision > seen.revision:
        news = await _directory_news(connection, news, seen.revision, network_id)
    return news


async def _directory_news(connection: Connection, news: Committed, revision: int, network_id: NetworkId) -> Committed:
    keys: dict[str, list[str]] = {}
    for kind, key in await connection.fetch(statements.SELECT_CHANGES_AFTER, revision):
        keys.setdefault(kind, []).append(key)
    if "room" in keys:
        rooms = await connection.fetch(statements.SELECT_ROOMS, keys["room"])
        news = attrs.evolve(news, rooms=tuple(stored_room(row, network_id) for row in rooms))
    if "agent" in keys:
        agents = await connection.fetch(statements.SELECT_AGENTS, keys["agent"])
        news = attrs.evolve(news, agents=tuple(stored_agent(row, network_id) for row in agents))
    if "agent_removed" in keys:
        news = attrs.evolve(news, removed_agents=frozenset(map(AgentId, keys["agent_removed"])))
    if "session" in keys:
        sessions = tuple(
            StoredSession(*row) for row in await connection.fetch(statements.SELECT_SESSIONS, keys["session"])
        )
        closed = frozenset(keys["session"]).difference(session.digest for session in sessions)
        news = attrs.evolve(news, sessions=sessions, closed_sessions=closed)
    if "pair_network" in keys:
        pairs = await connection.fetch(statements.SELECT_PAIR_NETWORKS, keys["pair_network"])
        news = attrs.evolve(news, pair_networks=tuple(PairNetwork(*row) for row in pairs))
    if "mark" in keys:
        marks = tuple(Mark(*row) for row in await connection.fetch(statements.SELECT_MARKS, keys["mark"]))
        removed = frozenset(keys["mark"]).difference(mark.id for mark in marks)
        news = attrs.evolve(news, marks=marks, removed_marks=removed)
    if "relay" in keys:
        news = attrs.evolve(news, retried_relays=frozenset(keys["relay"]))
    return news
