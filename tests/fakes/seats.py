"""Seats of attachments that are there for as long as a block runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from moltnet.attach.registry import Registry, Seat
from moltnet.protocol.ids import AgentId


@contextmanager
def seated(registry: Registry, agent_id: AgentId, key: str) -> Iterator[Seat]:
    seat = registry.take(agent_id, key)
    try:
        yield seat
    finally:
        registry.release(agent_id, key, seat)
