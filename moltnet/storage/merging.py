"""Several commits as one report, for a server that hears of them together."""

from collections.abc import Mapping
from typing import TypeVar

from moltnet.storage.store import Committed

Key = TypeVar("Key", bound=str)
Value = TypeVar("Value")

NOTHING = Committed(())


def merged(news: Committed, own: Committed) -> Committed:
    """One result of two: what was committed first, mostly by others, then what came after it, and its outcomes."""
    if news is NOTHING:
        return own
    agents = {agent.id: agent for agent in news.agents if agent.id not in own.removed_agents}
    sessions = {session.digest: session for session in news.sessions if session.digest not in own.closed_sessions}
    marks = {mark.id: mark for mark in news.marks if mark.id not in own.removed_marks}
    return Committed(
        outcomes=own.outcomes,
        records=news.records + own.records,
        rooms=_latest(
            {stored.room.id: stored for stored in news.rooms}, {stored.room.id: stored for stored in own.rooms}
        ),
        agents=_latest(agents, {agent.id: agent for agent in own.agents}),
        removed_agents=news.removed_agents | own.removed_agents,
        sessions=_latest(sessions, {session.digest: session for session in own.sessions}),
        closed_sessions=news.closed_sessions | own.closed_sessions,
        pair_networks=news.pair_networks + own.pair_networks,
        marks=_latest(marks, {mark.id: mark for mark in own.marks}),
        removed_marks=news.removed_marks | own.removed_marks,
        relayed=news.relayed | own.relayed,
        retried_relays=news.retried_relays | own.retried_relays,
    )


def _latest(news: Mapping[Key, Value], own: Mapping[Key, Value]) -> tuple[Value, ...]:
    return tuple({**news, **own}.values())
