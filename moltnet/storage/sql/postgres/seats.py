"""The seats of agents among servers on one database: rows that count as long as their server's lease.

What attachments come to is noted here and written by the task of ``servers``, everything that waits in one transaction:
a thousand that attach at once cost a few. What the others wrote is read by the same task, in the order of revisions.
"""

from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Final

import attrs
import trio

from moltnet.protocol.ids import AgentId
from moltnet.storage import limits
from moltnet.storage.bell import Bell
from moltnet.storage.seating import Departed, Occupied, SeatNews
from moltnet.storage.sql.postgres import server_statements as statements
from moltnet.storage.sql.postgres.batch import transaction
from moltnet.storage.sql.postgres.database import Connection, PostgresDatabase
from moltnet.storage.sql.postgres.lease import Lease
from moltnet.storage.sql.rows import Row
from moltnet.storage.store import StorageError

_BEGIN: Final = "BEGIN ISOLATION LEVEL READ COMMITTED"


@attrs.define(eq=False)
class _Seat:
    """What an agent's attachments here come to, and what the database says of it.

    ``is_ours``: it was given to us. ``had_place``: it was, before something happened. ``was_gone``: others took us for
    dead meanwhile. ``occupied_by`` is the key of who was in the way when we asked last. ``asked`` is set with each
    answer.
    """

    key: str
    attachments: int
    alone: bool
    is_ours: bool = attrs.field(init=False, default=False)
    had_place: bool = attrs.field(init=False, default=False)
    was_gone: bool = attrs.field(init=False, default=False)
    occupied_by: str = attrs.field(init=False, default="")
    asked: trio.Event = attrs.field(init=False, factory=trio.Event)

    def answer(self) -> None:
        self.asked.set()
        self.asked = trio.Event()


@attrs.define(eq=False)
class Seats:
    """What ``Seating`` promises. ``settle`` and ``look`` are called by one task, which the bell wakes."""

    _database: PostgresDatabase
    _lease: Lease
    _bell: Bell
    _seats: dict[AgentId, _Seat] = attrs.field(init=False, factory=dict)
    # Not yet written, as far as we know.
    _unsaid: set[AgentId] = attrs.field(init=False, factory=set)
    _doubts: set[AgentId] = attrs.field(init=False, factory=set)
    # Of all servers, ours included: by agent, then by server.
    _rows: dict[AgentId, dict[str, tuple[str, int]]] = attrs.field(init=False, factory=dict)
    _elsewhere: Counter[str] = attrs.field(init=False, factory=Counter)
    _known_servers: frozenset[str] = attrs.field(init=False, factory=frozenset)
    _living: frozenset[str] = attrs.field(init=False, factory=frozenset)
    _seen: int = attrs.field(init=False, default=0)
    _news: SeatNews = attrs.field(init=False, factory=SeatNews)
    _has_news: trio.Event = attrs.field(init=False, factory=trio.Event)

    # For attachments

    def note(self, agent_id: AgentId, key: str, attachments: int, *, alone: bool) -> None:
        seat = self._seats.get(agent_id)
        if seat is None or (seat.key, seat.alone) != (key, alone):
            if seat is not None:
                seat.answer()
            seat = self._seats[agent_id] = _Seat(key, attachments, alone)
        seat.attachments = attachments
        if not attachments:
            seat.is_ours = seat.had_place = seat.was_gone = False
        self._unsaid.add(agent_id)
        self._bell.ring()

    async def confirm(self, agent_id: AgentId) -> None:
        seat = self._seats.get(agent_id)
        while seat is None or not seat.is_ours:
            if seat is None or not self._lease.is_held or self._seats.get(agent_id) is not seat:
                raise StorageError("the database does not tell which agents are attached elsewhere")
            seat.occupied_by = ""
            self._unsaid.add(agent_id)
            self._bell.ring()
            with trio.move_on_after(limits.POSTGRES_PATIENCE_SECONDS) as waiting:
                await seat.asked.wait()
            if waiting.cancelled_caught:
                raise StorageError("the database does not tell in time which agents are attached elsewhere")
            if seat.occupied_by:
                raise Occupied(seat.occupied_by)

    def is_attached_elsewhere(self, agent_id: AgentId) -> bool:
        rows = self._rows.get(agent_id)
        return rows is not None and any(server in self._living for server in rows if server != self._lease.id)

    def attachments_elsewhere(self, key: str) -> int:
        return self._elsewhere[key]

    def doubt(self, agent_id: AgentId) -> None:
        self._doubts.add(agent_id)
        self._bell.ring()

    async def next_news(self) -> SeatNews:
        await self._has_news.wait()
        news, self._news, self._has_news = self._news, SeatNews(), trio.Event()
        return news

    async def departed(self) -> Departed | None:
        return await self._database.read(partial(transaction, begin=_BEGIN, work=_departed))

    async def forget(self, left: Departed) -> None:
        agents = [agent_id for agent_id, _ in left.attachments]

        async def delete(connection: Connection) -> None:
            await connection.execute(statements.DELETE_SEATS_OF, left.server_id, agents)
            await connection.execute(statements.DELETE_DEAD_SERVER, left.server_id)

        await self._database.settle(partial(transaction, begin=_BEGIN, work=delete), self._lease.times.settle)

    # For the task that settles

    @property
    def is_alone(self) -> bool:
        """Whether no other server lived when we looked last."""
        return self._living <= {self._lease.id}

    def lose(self) -> None:
        """The lease had run out: what we had counts no more, and is taken again in another name."""
        for seat in self._seats.values():
            seat.was_gone = seat.was_gone or seat.is_ours
            seat.is_ours = False
        self.doubt_all()

    def cut_off(self) -> None:
        """The lease has run out, as far as we can know."""
        for seat in self._seats.values():
            seat.answer()
        if not self.is_alone:
            self._tell(SeatNews(is_cut_off=True))

    def doubt_all(self) -> None:
        """The database may have forgotten what it told us, and what we told it."""
        self._unsaid.update(self._seats)
        self._seen = 0

    async def settle(self) -> None:
        """Write what was noted, and answer who waits for it. Raises ``StorageError``."""
        said = {agent_id: self._seats[agent_id] for agent_id in self._unsaid if agent_id in self._seats}
        wanted = [(agent_id, seat.key, seat.attachments, seat.alone) for agent_id, seat in said.items()]
        doubts = list(self._doubts)
        if not wanted and not doubts:
            return
        self._unsaid, self._doubts = set(), set()
        server_id = self._lease.id

        async def write(connection: Connection) -> Collection[Row]:
            answers: Collection[Row] = ()
            if wanted:
                answers = await connection.fetch(statements.PUT_SEATS, server_id, *zip(*wanted, strict=True))
            if doubts:
                await connection.execute(statements.DOUBT_SEATS, server_id, doubts)
            return answers

        try:
            answers = await self._database.settle(
                partial(transaction, begin=statements.BEGIN_SEATS, work=write), self._lease.times.settle
            )
        except BaseException:
            self._unsaid.update(said)
            raise
        if server_id != self._lease.id:  # what was said in the old name counts no more, and all is to be said again
            return
        occupants = {AgentId(agent_id): key or "" for agent_id, key in answers}
        for agent_id, _, attachments, _ in wanted:
            if agent_id in occupants:
                self._answer(agent_id, said[agent_id], attachments, occupants[agent_id])
            else:  # we are taken for dead
                self._unsaid.add(agent_id)
                self._lease.doubt()

    def _answer(self, agent_id: AgentId, seat: _Seat, attachments: int, occupied_by: str) -> None:
        seat.is_ours, seat.occupied_by = attachments > 0 and not occupied_by, occupied_by
        if self._seats.get(agent_id) is seat:
            if not seat.attachments:
                seat.is_ours = False
                if not attachments:
                    del self._seats[agent_id]
            elif occupied_by and seat.had_place:
                self._tell(SeatNews(unseated=frozenset({agent_id})))
            elif seat.is_ours:
                if seat.was_gone:
                    self._tell(SeatNews(returned=frozenset({agent_id})))
                seat.had_place, seat.was_gone = True, False
        seat.answer()

    async def look(self) -> None:
        """Read who lives, and which seats have changed. Raises ``StorageError``."""
        seen = self._seen

        async def read(connection: Connection) -> tuple[Collection[Row], Collection[Row]]:
            # In this order: a server whose seats we read and that is not among the servers was forgotten meanwhile.
            seats = await connection.fetch(statements.SELECT_SEATS_AFTER, seen)
            return seats, await connection.fetch(statements.SELECT_SERVERS)

        seats, servers = await self._database.settle(read, self._lease.times.settle)
        known = frozenset(str(server_id) for server_id, _ in servers)
        living = frozenset(str(server_id) for server_id, lives in servers if lives)
        changed = bool(seats) or living != self._living
        self._living = living
        if not seen:
            self._rows = {}
        for agent_id, server_id, key, attachments, doubts, revision in seats:
            self._seen = max(self._seen, revision)
            self._take_over(agent_id, server_id, key, attachments if server_id in known else 0)
            if doubts and attachments and server_id == self._lease.id:
                self._tell(SeatNews(doubted=frozenset({agent_id})))
        if self._known_servers - known:
            self._rows = {
                agent_id: left
                for agent_id, rows in self._rows.items()
                if (left := {server_id: row for server_id, row in rows.items() if server_id in known})
            }
        self._known_servers = known
        if changed:
            self._count_elsewhere()
        if len(known) > len(self._living):
            self._tell(SeatNews(departed=True))

    def _count_elsewhere(self) -> None:
        others = self._living - {self._lease.id}
        self._elsewhere = Counter()
        for rows in self._rows.values():
            for server_id, (key, attachments) in rows.items():
                if server_id in others:
                    self._elsewhere[key] += attachments

    def _take_over(self, agent_id: AgentId, server_id: str, key: str, attachments: int) -> None:
        rows = self._rows.setdefault(agent_id, {})
        rows.pop(server_id, None)
        if attachments:
            rows[server_id] = (key, attachments)
        elif not rows:
            del self._rows[agent_id]

    def _tell(self, news: SeatNews) -> None:
        self._news = self._news.merged(news)
        self._has_news.set()


async def _departed(connection: Connection) -> Departed | None:
    server_id = await connection.fetchval(statements.SELECT_DEAD_SERVER)
    if server_id is None:
        return None
    seats = await connection.fetch(statements.SELECT_SEATS_OF, server_id, limits.DEPARTED_SEATS)
    return Departed(server_id, tuple((AgentId(agent_id), attachments) for agent_id, attachments in seats))
