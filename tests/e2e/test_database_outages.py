"""PostgreSQL goes away under load, in every way it can, and comes back: what people and agents notice of it.

By default it is away for a moment. `MOLTNET_TEST_OUTAGE_SECONDS=10` is a real outage, of which callers are told.
"""

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

import attrs
import pytest
import trio

from moltnet.config.secrets import Secret
from moltnet.config.settings import PostgresStorage, StorageKind, StorageSettings
from moltnet.protocol.ids import event_id_of_message
from moltnet.storage import limits
from tests.fakes.attach_client import AttachClient, attach, open_websocket_wire
from tests.fakes.http_client import EventSource, HttpAnswer, http_client
from tests.fakes.network import TestServer, network_config, open_test_server, room_message, wait_until
from tests.fakes.postgres import PostgresServer, running_postgres
from tests.fakes.tcp_proxy import Proxy, open_proxy
from tests.storage.crashes import messages_in, whole_log

OUTAGE_SECONDS = float(os.environ.get("MOLTNET_TEST_OUTAGE_SECONDS", "0.3"))
SENDERS = 6
# Of each sender, before the outage and after it.
MESSAGES = 8

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 4 * OUTAGE_SECONDS)]


@pytest.fixture(scope="module")
def database() -> Iterator[PostgresServer]:
    """A server that syncs, and that a test may stop."""
    with running_postgres("fsync=on") as server:
        yield server


@attrs.define(eq=False)
class Sender:
    """One who sends without a pause, and again under the same id what was refused."""

    name: str
    accepted: list[str] = attrs.field(factory=list)
    refused: list[tuple[int, str]] = attrs.field(factory=list)
    """Status and code."""
    refused_after_return: int = 0

    async def send(self, server: TestServer, load: "Load") -> None:
        while not load.ended:
            message_id = f"{self.name}-{len(self.accepted) + 1}"
            served_again = load.is_served(self)
            answer = await http_client(server).post("/v1/messages", room_message(message_id=message_id))
            if answer.status == 202:
                self.accepted.append(message_id)
            else:
                self.refused.append((answer.status, answer.code))
                self.refused_after_return += served_again
                await trio.sleep(0.05)


@attrs.define(eq=False)
class Load:
    """Senders, an event stream and an attachment, all of which stay connected for as long as the block lasts."""

    server: TestServer
    senders: list[Sender] = attrs.field(factory=lambda: [Sender(f"s{number}") for number in range(SENDERS)])
    streamed: list[str] = attrs.field(factory=list)
    delivered: list[str] = attrs.field(factory=list)
    ended: bool = False
    _returned: dict[str, int] | None = None

    @property
    def accepted(self) -> set[str]:
        return {message_id for sender in self.senders for message_id in sender.accepted}

    def note_return(self) -> None:
        """From here on the database is back."""
        self._returned = {sender.name: len(sender.accepted) for sender in self.senders}

    def is_served(self, sender: Sender) -> bool:
        """Whether one of its messages was accepted since."""
        return self._returned is not None and len(sender.accepted) > self._returned[sender.name]

    async def each_accepted(self, more: int) -> None:
        """Wait until each sender has sent so many more."""
        wanted = {sender.name: len(sender.accepted) + more for sender in self.senders}
        with trio.fail_after(60 + OUTAGE_SECONDS):
            while any(len(sender.accepted) < wanted[sender.name] for sender in self.senders):
                await trio.sleep(0.01)

    async def follow(self, source: EventSource) -> None:
        while (event := await source.next_event()) is not None:
            if event.type == "message.created":
                self.streamed.append(event.id)
        raise AssertionError("the event stream has ended")

    async def serve_agent(self, agent: AttachClient) -> None:
        while True:
            delivered = await agent.next()
            await agent.ack(delivered)
            if delivered.event.message is not None:
                self.delivered.append(delivered.event.id)


@asynccontextmanager
async def under_load(server: TestServer) -> AsyncIterator[Load]:
    load = Load(server)
    async with (
        http_client(server).stream_events() as source,
        open_websocket_wire(server.url) as wire,
        trio.open_nursery() as readers,
    ):
        readers.start_soon(load.follow, source)
        readers.start_soon(load.serve_agent, await attach(wire, "beta"))
        async with trio.open_nursery() as senders:
            for sender in load.senders:
                senders.start_soon(sender.send, server, load)
            await load.each_accepted(MESSAGES)
            yield load
            await load.each_accepted(MESSAGES)
            load.ended = True
        await wait_until(lambda: min(len(load.streamed), len(load.delivered)) >= len(load.accepted))
        readers.cancel_scope.cancel()


@asynccontextmanager
async def cut(_database: PostgresServer, proxy: Proxy) -> AsyncIterator[None]:
    """Every connection is cut, and new ones are too."""
    proxy.refusing = True
    proxy.cut_all()
    yield
    proxy.refusing = False


@asynccontextmanager
async def silent(_database: PostgresServer, proxy: Proxy) -> AsyncIterator[None]:
    """Nothing is heard of it any more."""
    proxy.hold()
    yield
    proxy.release()


@asynccontextmanager
async def stopped(database: PostgresServer, _proxy: Proxy, how: signal.Signals) -> AsyncIterator[None]:
    """It is stopped, and started again."""
    await trio.to_thread.run_sync(database.stop, how)
    yield
    database.launch()
    await trio.to_thread.run_sync(database.wait_ready)


WAYS: Mapping[str, Callable[[PostgresServer, Proxy], AbstractAsyncContextManager[None]]] = {
    "cut": cut,
    "silent": silent,
    "crashed": partial(stopped, how=signal.SIGQUIT),
    "shut down": partial(stopped, how=signal.SIGINT),
}


@pytest.mark.parametrize("way", WAYS)
async def test_nothing_is_lost_nobody_is_disconnected_and_service_resumes(database: PostgresServer, way: str) -> None:
    name = database.new_database()
    async with open_proxy(database.port) as proxy:
        dsn = Secret(database.tcp_dsn(name, port=proxy.port, query="?sslmode=disable"))
        storage = StorageSettings(StorageKind.POSTGRES, postgres=PostgresStorage(dsn))
        async with open_test_server(attrs.evolve(network_config(), storage=storage)) as server:
            async with under_load(server) as load:
                async with WAYS[way](database, proxy):
                    await trio.sleep(OUTAGE_SECONDS)
                    # The process lives, and what it knows by heart it still says.
                    assert (await http_client(server).get("/healthz")).status == 200
                    assert (await http_client(server).get("/v1/rooms")).status == 200
                load.note_return()
            assert (await http_client(server).get("/readyz")).status == 200
            records = await whole_log(server.app.context.store)
    stored = messages_in(records)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    assert len(stored) == len(set(stored))
    assert set(stored) == load.accepted
    assert load.streamed == load.delivered == [event_id_of_message(message_id) for message_id in stored]
    refused = [each for sender in load.senders for each in sender.refused]
    assert set(refused) <= {(503, "storage_unavailable")}
    assert [sender.refused_after_return for sender in load.senders] == [0] * SENDERS
    if OUTAGE_SECONDS < limits.POSTGRES_PATIENCE_SECONDS / 2:
        assert refused == []  # for so long everybody is kept waiting instead
    print(f"{way} for {OUTAGE_SECONDS} s: {len(stored)} accepted, {len(refused)} refused, none lost, none twice")
    database.drop_database(name)


async def test_a_server_whose_database_is_away_says_so_and_is_ready_again_without_being_asked(
    database: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "POSTGRES_PATIENCE_SECONDS", 0.2)
    name = database.new_database()
    async with open_proxy(database.port) as proxy:
        dsn = Secret(database.tcp_dsn(name, port=proxy.port, query="?sslmode=disable"))
        storage = StorageSettings(StorageKind.POSTGRES, postgres=PostgresStorage(dsn))
        async with open_test_server(attrs.evolve(network_config(), storage=storage)) as server:
            client = http_client(server)
            async with cut(database, proxy):
                for ask in asking(server):
                    answer = await ask()
                    assert (answer.status, answer.code) == (503, "storage_unavailable")
                assert (await client.get("/healthz")).status == 200
            for ask in asking(server):
                assert (await ask()).status in (200, 202)
    database.drop_database(name)


def asking(server: TestServer) -> list[Callable[[], Awaitable[HttpAnswer]]]:
    """A write, a read and the question whether it is ready."""
    client = http_client(server)
    return [
        partial(client.post, "/v1/messages", room_message(message_id="m1")),
        partial(client.get, "/v1/rooms/general/messages"),
        partial(client.get, "/readyz"),
    ]
