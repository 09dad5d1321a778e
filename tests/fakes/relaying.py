"""A way to another network that a test steers, and a network in memory that relays over it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import attrs
import orjson
import trio

from moltnet.client.errors import ServerAnswered
from moltnet.journal import Journal, open_journal
from moltnet.metrics import RelayMetrics
from moltnet.pairing.relay import Relay
from moltnet.pairing.remote import Accepted, Refused, RemoteUnavailable
from moltnet.protocol.ids import EventId, MessageId
from moltnet.protocol.messages import MessageAccepted
from moltnet.protocol.times import utc_now
from moltnet.storage.commands import AnyCommand
from moltnet.storage.memory import MemoryStore
from moltnet.storage.outbox import OutboxDepth
from moltnet.storage.store import StorageError, Store
from tests.storage.examples import NETWORK


@attrs.define(eq=False)
class FakeStanding:
    """`relayable` says which kinds may go; a failure makes a check due."""

    is_off: bool = False
    relayable: Callable[[str], bool] = lambda kind: True
    due: bool = False
    failures: list[str] = attrs.field(factory=list)

    def may_relay(self, kind: str) -> bool:
        return not self.is_off and not self.due and self.relayable(kind)

    def refresh_due(self, now: float) -> bool:
        return self.due and not self.is_off

    def failed(self, reason: str) -> None:
        self.failures.append(reason)
        self.due = True


Answer = Accepted | Refused | Exception


@attrs.define(eq=False)
class FakeWay:
    """Takes every message, unless `answer` says something else; `arrived` holds each id as often as it came.

    `gate` holds up messages; `down` is a network that can't be reached.
    """

    id: str = "to_b"
    status: FakeStanding = attrs.field(factory=FakeStanding)
    answer: Callable[[str], Answer | None] = lambda message_id: None
    gate: Callable[[str], trio.Event | None] = lambda message_id: None
    down: bool = False
    tried: list[str] = attrs.field(factory=list)
    arrived: list[str] = attrs.field(factory=list)
    checks: int = 0
    under_way: int = 0
    most_under_way: int = 0
    times: list[float] = attrs.field(factory=list)

    async def send_message(self, body: bytes) -> Accepted | Refused:
        message_id = str(orjson.loads(body)["id"])
        self.tried.append(message_id)
        self.times.append(trio.current_time())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await trio.lowlevel.checkpoint()
            gate = self.gate(message_id)
            if gate is not None:
                await gate.wait()
        finally:
            self.under_way -= 1
        answer = unavailable() if self.down else self.answer(message_id)
        if isinstance(answer, Exception):
            self.status.failed(str(answer))
            raise answer
        if not isinstance(answer, Refused):
            self.arrived.append(message_id)
        return answer or Accepted(MessageAccepted(MessageId(message_id), EventId("evt")))

    async def check(self) -> object:
        await trio.lowlevel.checkpoint()
        self.checks += 1
        if self.down:
            self.status.due = True
            raise unavailable()
        self.status.due = False
        return None


def unavailable(status: int = 0, retry_after_seconds: float | None = None) -> RemoteUnavailable:
    """No answer, or one with this status."""
    error = RemoteUnavailable("unavailable", retry_after_seconds)
    if status:
        error.__cause__ = ServerAnswered("b.test", status, code="internal_error")
    return error


@attrs.frozen(eq=False)
class Relaying:
    """A journal and a relay over one way, as an app has them."""

    store: Store
    journal: Journal
    relay: Relay
    metrics: RelayMetrics

    async def say(self, *commands: AnyCommand) -> None:
        async with trio.open_nursery() as nursery:
            for command in commands:
                nursery.start_soon(self._commit, command)
                # In this order.
                await trio.lowlevel.checkpoint()

    async def _commit(self, command: AnyCommand) -> None:
        """Again, if it failed with the others of its batch."""
        while True:
            try:
                await self.journal.commit(command)
                return
            except StorageError:
                await trio.sleep(0.1)

    async def depth(self, pairing_id: str = "to_b") -> OutboxDepth:
        for each in await self.store.outbox_depths():
            if each.pairing_id == pairing_id:
                return each
        return OutboxDepth(pairing_id)

    def count(self, result: str) -> float:
        return float(self.metrics.relayed[result]._value.get())


@asynccontextmanager
async def open_relaying(*ways: FakeWay, store: Store | None = None) -> AsyncIterator[Relaying]:
    """Relays over these ways until the block is left, on a store that may have been used before."""
    store = MemoryStore(NETWORK) if store is None else store
    metrics = RelayMetrics.on()
    relay = Relay(store, utc_now, metrics)
    async with open_journal(store, relay.heard) as journal, trio.open_nursery() as nursery:
        for way in ways:
            nursery.start_soon(relay.serve, way, journal)
        try:
            yield Relaying(store, journal, relay, metrics)
        finally:
            nursery.cancel_scope.cancel()


def order_in(arrived: Sequence[str], prefix: str) -> list[str]:
    """Those of one conversation, each when it first came."""
    return list(dict.fromkeys(each for each in arrived if each.startswith(prefix)))
