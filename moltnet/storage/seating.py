"""Which agents are attached at which of the servers on one database: the promise of a store that servers may share.

An agent has one seat at a server, whatever the number of its attachments there. Who may sit beside whom is said by the
caller; what a server does about news of its seats is the business of ``moltnet.attach``.
"""

from collections.abc import Sequence
from typing import Protocol

import attrs

from moltnet.protocol.ids import AgentId


class Occupied(Exception):
    """Another server has an attachment of the agent beside which there is no place. ``key`` is its credential's."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@attrs.frozen
class Departed:
    """What a server that died has left: for some of its agents, how many attachments each had."""

    server_id: str
    attachments: Sequence[tuple[AgentId, int]]


@attrs.frozen
class SeatNews:
    """What happened to seats of this server that its attachments must hear of.

    ``doubted`` are agents for which another server has somebody who waits for the seat. ``unseated`` lost theirs to
    somebody else while the database was out of reach, ``returned`` were taken for gone and are back. ``is_cut_off``:
    for so long that the other servers may have given away every seat of ours. ``departed``: a server is dead.
    """

    doubted: frozenset[AgentId] = frozenset()
    unseated: frozenset[AgentId] = frozenset()
    returned: frozenset[AgentId] = frozenset()
    is_cut_off: bool = False
    departed: bool = False

    def merged(self, later: "SeatNews") -> "SeatNews":
        """Both as one."""
        return SeatNews(
            self.doubted | later.doubted,
            self.unseated | later.unseated,
            self.returned | later.returned,
            self.is_cut_off or later.is_cut_off,
            self.departed or later.departed,
        )


class Seating(Protocol):
    """The seats of this server, and what it knows of those of the others."""

    def note(self, agent_id: AgentId, key: str, attachments: int, *, alone: bool) -> None:
        """Say how many attachments an agent has here now; the last one's end frees the seat. Never waits.

        ``alone``: there must be no other attachment of the agent, else they must have the same ``key``.
        """
        ...

    async def confirm(self, agent_id: AgentId) -> None:
        """Wait until the seat that was noted is ours as far as all servers are concerned.

        Raises ``Occupied``, and ``StorageError`` if the database can't be asked.
        """
        ...

    def is_attached_elsewhere(self, agent_id: AgentId) -> bool:
        """Whether another living server has the agent, as of a moment ago."""
        ...

    def attachments_elsewhere(self, key: str) -> int:
        """How many attachments other living servers have by a credential, as of a moment ago."""
        ...

    def doubt(self, agent_id: AgentId) -> None:
        """Ask the server that has the agent whether its attachment still lives. Never waits."""
        ...

    async def next_news(self) -> SeatNews:
        """Wait for something that happened to seats of ours; for one task."""
        ...

    async def departed(self) -> Departed | None:
        """What a dead server has left, in pieces; ``None`` if there is nothing. Asking again gives the same piece.

        For whoever owns that work. Raises ``StorageError``.
        """
        ...

    async def forget(self, left: Departed) -> None:
        """Remove a piece that was dealt with. Raises ``StorageError``."""
        ...
