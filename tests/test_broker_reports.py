"""Whom the broker wakes: a report about an agent is nothing to the other agents."""

import attrs
import pytest
import trio
import trio.testing

from moltnet.broker import StreamEnded
from moltnet.protocol import limits
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.ids import AgentId, EventId, new_event_id
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import RecordEvents
from tests.fakes.network import NETWORK
from tests.test_broker import Log


class TestWaitingAsAnAgent:
    """Reports are of interest to the agent and to who observes; of everything else all are told."""

    async def waiting(self, log: Log, nursery: trio.Nursery, agent_id: str) -> list[int]:
        seqs: list[int] = []

        async def read() -> None:
            subscription = log.broker.subscribe(log.broker.newest_seq)
            while True:
                seqs.extend([record.seq for record in await subscription.receive(agent_id=agent_id)])

        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        return seqs

    async def report(self, log: Log, agent_id: str, count: int = 1) -> None:
        event = Event(
            EventId("evt"), EventType.AGENT_CONNECTED, NETWORK, Timestamp(""), agent=AgentEvent(AgentId(agent_id))
        )
        events = (attrs.evolve(event, id=EventId(new_event_id())) for _ in range(count))
        log.broker.publish((await log.store.commit([RecordEvents(tuple(events))])).records)
        await trio.testing.wait_all_tasks_blocked()

    async def test_a_report_wakes_its_agent_and_who_observes(self) -> None:
        log = Log()
        await log.publish(2)
        async with trio.open_nursery() as nursery:
            alpha, beta = [await self.waiting(log, nursery, agent_id) for agent_id in ("alpha", "beta")]
            observer = await self.waiting(log, nursery, "")
            log.broker._all_woken_seq = log.broker.newest_seq
            await self.report(log, "alpha")
            assert (alpha, beta, observer) == ([3], [], [3])
            await self.report(log, "beta", 2)
            assert (alpha, beta, observer) == ([3], [3, 4, 5], [3, 4, 5])
            await log.publish()
            await trio.testing.wait_all_tasks_blocked()
            assert alpha == beta == observer == [3, 4, 5, 6]
            nursery.cancel_scope.cancel()
        assert log.broker._waiting_as == {}

    async def test_nobody_is_left_behind_the_ring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """However many reports come and nothing else: to catch up from the store all at once would cost more."""
        monkeypatch.setattr(limits, "RING_EVENTS", 64)
        log = Log()
        await log.publish()
        async with trio.open_nursery() as nursery:
            beta = await self.waiting(log, nursery, "beta")
            for _ in range(200):
                await self.report(log, "alpha")
            await log.publish()
            await trio.testing.wait_all_tasks_blocked()
            assert beta == list(range(2, 203))
            assert log.store.reads == []
            nursery.cancel_scope.cancel()

    async def test_the_end_reaches_who_waits_as_an_agent(self) -> None:
        log = Log()
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                with pytest.raises(StreamEnded):
                    await log.broker.subscribe(0).receive(agent_id="alpha")

            nursery.start_soon(read)
            await trio.testing.wait_all_tasks_blocked()
            log.broker.end()
