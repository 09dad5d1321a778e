"""What attachments have to do with those at other servers on the same database.

Other servers ask whether a silent attachment still lives; a server that was cut off gives up what others may have by
now; and what a dead one can't say any more, one of the living says for it. Which seats are whose is settled by the
store (``moltnet.storage.seating``); with a store for one server nothing here runs.
"""

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import trio

from moltnet.attach.delivery import AttachedAgent, Reporter
from moltnet.attach.registry import CUT_OFF, UNSEATED, Registry
from moltnet.attach.reports import Reports
from moltnet.auth.claims import ANONYMOUS_KEY
from moltnet.core.network import NetworkContext
from moltnet.journal import JournalClosed
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.events import Event
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, EventId
from moltnet.storage.commands import RecordEvents
from moltnet.storage.seating import Departed, Seating, SeatNews
from moltnet.storage.store import StorageError

log = get_logger("attach")

# Of one server at a time: the reports of the dead.
_OWNED: Final = "reports of departed servers"
_SERVER_LOST: Final = "server_lost"
# Of ids that are made twice if the work is done twice.
_NAMESPACE: Final = uuid.UUID("6f1d5a52-5d0c-4c6e-9a6f-6d6f6c746e65")


@asynccontextmanager
async def open_neighbours(context: NetworkContext, registry: Registry, reports: Reports) -> AsyncIterator[None]:
    """Keep ``registry`` right among other servers, for as long as the block runs."""
    seating = context.store.seating
    if seating is None:
        yield
        return
    running = trio.CancelScope()
    neighbours = _Neighbours(context, registry, reports, seating)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(neighbours.run, running)
        try:
            yield
        finally:
            running.cancel(reason="the server ends")


@attrs.define(eq=False)
class _Neighbours:
    """Hears the news. ``_somebody_departed`` is set when there may be something to report for the dead."""

    context: NetworkContext
    registry: Registry
    reports: Reports
    seating: Seating
    _doubted: set[AgentId] = attrs.field(init=False, factory=set)
    _somebody_departed: trio.Event = attrs.field(init=False, factory=trio.Event)

    async def run(self, scope: trio.CancelScope) -> None:
        with scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._report_departures)
                while True:
                    news = await self.seating.next_news()
                    for agent_id in news.doubted - self._doubted:
                        self._doubted.add(agent_id)
                        nursery.start_soon(self._doubt, agent_id)
                    self._apply(news)

    def _apply(self, news: SeatNews) -> None:
        if news.departed:
            self._somebody_departed.set()
        if news.is_cut_off and len(self.registry):
            log.warning("cut off from the database: letting go of all attachments", attachments=len(self.registry))
            self.registry.dismiss_all(CUT_OFF)
        for agent_id in news.unseated:
            self.registry.dismiss(agent_id, UNSEATED)
        # They were reported as gone, or will be, with what we had under the lease that ran out.
        for agent_id in news.returned:
            for _ in range(self.registry.count(agent_id)):
                self.reports.add(self._reporter(agent_id).connected())

    async def _doubt(self, agent_id: AgentId) -> None:
        try:
            await self.registry.doubt(agent_id, ANONYMOUS_KEY)
        finally:
            self._doubted.discard(agent_id)

    async def _report_departures(self) -> None:
        while True:
            await self._somebody_departed.wait()
            self._somebody_departed = trio.Event()
            try:
                async with self.context.store.owned(_OWNED):
                    while (left := await self.seating.departed()) is not None:
                        await self._report(left)
            except JournalClosed:
                return
            except StorageError as error:
                # As long as they are there, the store says so again and again.
                log.warning("can't report what a dead server has left", reason=str(error))

    async def _report(self, left: Departed) -> None:
        events = tuple(self._events(left))
        # Written together, so the first tells whether all are: by us, if we could not say so to the end, or by another.
        if events and await self.context.store.event_seq(events[0].id) is None:
            await self.context.journal.commit(RecordEvents(events))
            log.info("a server is gone", attachments=len(events))
        await self.seating.forget(left)

    def _events(self, left: Departed) -> Iterator[Event]:
        for agent_id, attachments in left.attachments:
            for number in range(min(attachments, limits.MAX_BATCH_COMMANDS)):
                unique = uuid.uuid5(_NAMESPACE, f"{left.server_id} {agent_id} {number}")
                event = self._reporter(agent_id).disconnected(_SERVER_LOST)
                yield attrs.evolve(event, id=EventId(f"evt_{unique}"))

    def _reporter(self, agent_id: AgentId) -> Reporter:
        known = self.context.directory.agent(agent_id)
        name = "" if known is None else known.registration.display_name
        agent = AttachedAgent(self.context.id, agent_id, agent_fqid(self.context.id, agent_id), name)
        return Reporter(agent, self.context.now, debug=self.context.debug_events)
