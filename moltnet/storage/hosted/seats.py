"""The seats of agents among the guests of one host: a table at the host, and at each guest what it knows of it.

The host decides, in the order in which it hears. A guest that dies takes its seats with it, at once.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import attrs
import trio

from moltnet.protocol.ids import AgentId
from moltnet.storage import limits
from moltnet.storage.hosted.link import Link
from moltnet.storage.seating import Departed, Occupied, SeatNews

Row = tuple[str, AgentId, str, int]


@attrs.define(eq=False)
class SeatTable:
    """Of all guests: which agent has how many attachments at which of them, by which credential."""

    _seats: dict[AgentId, dict[str, tuple[str, int]]] = attrs.field(init=False, factory=dict)
    _left: dict[str, dict[AgentId, int]] = attrs.field(init=False, factory=dict)

    def rows(self) -> Sequence[Row]:
        """All of it: guest, agent, key and number of attachments."""
        return [
            (guest_id, agent_id, key, attachments)
            for agent_id, seats in self._seats.items()
            for guest_id, (key, attachments) in seats.items()
        ]

    def take(self, guest_id: str, agent_id: AgentId, key: str, attachments: int, *, alone: bool) -> None:
        """Write down what an agent has at a guest now. Raises ``Occupied`` if somebody at another is in the way."""
        seats = self._seats.setdefault(agent_id, {})
        if attachments:
            for other_id, (present, _) in seats.items():
                if other_id != guest_id and (alone or present != key):
                    raise Occupied(present)
            seats[guest_id] = (key, attachments)
        else:
            seats.pop(guest_id, None)
            if not seats:
                del self._seats[agent_id]

    def guests_with(self, agent_id: AgentId) -> Iterator[str]:
        """Those at which an agent is attached."""
        return iter(self._seats.get(agent_id, {}))

    def lose(self, guest_id: str) -> Sequence[AgentId]:
        """A guest is dead: whose seats were lost with it. They wait to be reported."""
        lost = {agent_id: seats.pop(guest_id)[1] for agent_id, seats in tuple(self._seats.items()) if guest_id in seats}
        for agent_id in lost:
            if not self._seats[agent_id]:
                del self._seats[agent_id]
        if lost:
            self._left[guest_id] = lost
        return tuple(lost)

    def departed(self) -> Departed | None:
        """The next piece of what the dead have left."""
        for guest_id, lost in self._left.items():
            return Departed(guest_id, tuple(lost.items())[: limits.DEPARTED_SEATS])
        return None

    def forget(self, left: Departed) -> None:
        """A piece was dealt with."""
        lost = self._left.get(left.server_id, {})
        for agent_id, _ in left.attachments:
            lost.pop(agent_id, None)
        if not lost:
            self._left.pop(left.server_id, None)


@attrs.define(eq=False)
class GuestSeats:
    """What ``Seating`` promises, at a guest. ``hear`` and ``hear_doubt`` are told by the host."""

    _link: Link
    _noted: dict[AgentId, tuple[str, int, bool]] = attrs.field(init=False, factory=dict)
    _elsewhere: dict[AgentId, dict[str, tuple[str, int]]] = attrs.field(init=False, factory=dict)
    _by_key: Counter[str] = attrs.field(init=False, factory=Counter)
    _news: SeatNews = attrs.field(init=False, factory=SeatNews)
    _has_news: trio.Event = attrs.field(init=False, factory=trio.Event)

    def note(self, agent_id: AgentId, key: str, attachments: int, *, alone: bool) -> None:
        if attachments:
            self._noted[agent_id] = (key, attachments, alone)
        else:
            self._noted.pop(agent_id, None)
        self._link.tell("seat", agent_id, key, attachments, alone)

    async def confirm(self, agent_id: AgentId) -> None:
        if agent_id in self._noted:
            await self._link.call("confirm", agent_id, *self._noted[agent_id])
        else:
            await trio.lowlevel.checkpoint()  # it ended meanwhile

    def is_attached_elsewhere(self, agent_id: AgentId) -> bool:
        return agent_id in self._elsewhere

    def attachments_elsewhere(self, key: str) -> int:
        return self._by_key[key]

    def doubt(self, agent_id: AgentId) -> None:
        self._link.tell("doubt", agent_id)

    async def next_news(self) -> SeatNews:
        await self._has_news.wait()
        news, self._news, self._has_news = self._news, SeatNews(), trio.Event()
        return news

    async def departed(self) -> Departed | None:
        left: Departed | None = await self._link.call("departed")
        return left

    async def forget(self, left: Departed) -> None:
        await self._link.call("forget", left)

    def hear(self, guest_id: str, agent_id: AgentId, key: str, attachments: int) -> None:
        """What an agent has at another guest now."""
        seats = self._elsewhere.setdefault(agent_id, {})
        before_key, before = seats.pop(guest_id, ("", 0))
        self._by_key[before_key] -= before
        if not self._by_key[before_key]:
            del self._by_key[before_key]
        if attachments:
            seats[guest_id] = (key, attachments)
            self._by_key[key] += attachments
        elif not seats:
            del self._elsewhere[agent_id]

    def hear_doubt(self, agent_id: AgentId) -> None:
        """Somebody waits for the seat at another guest."""
        self._tell(SeatNews(doubted=frozenset({agent_id})))

    def hear_departure(self) -> None:
        """A guest is dead, and has left something to report."""
        self._tell(SeatNews(departed=True))

    def _tell(self, news: SeatNews) -> None:
        self._news = self._news.merged(news)
        self._has_news.set()
