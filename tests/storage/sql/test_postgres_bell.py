"""Notifications make servers fast and nothing else: without them readers have the same events, in the same order."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

import attrs
import pytest
import trio

from moltnet.storage import limits
from tests.fakes.attach_client import AttachClient, attach, open_wire
from tests.fakes.http_client import EventSource, http_client
from tests.fakes.network import TestServer, network_config, room_message
from tests.fakes.postgres import PostgresServer
from tests.fakes.shared_network import open_servers
from tests.fakes.tcp_proxy import Proxy, open_proxy

SENDERS = 2
MESSAGES = 25
# All connections that listen: what they said last is that, or that they live.
LISTENERS = "FROM pg_stat_activity WHERE datname = '{}' AND query ~ '^LISTEN|^SELECT 1$'"


@attrs.define(eq=False)
class Trouble:
    """What is done to notifications, and how often it was."""

    postgres: PostgresServer
    database: str
    proxy: Proxy
    times: Callable[[], int] = lambda: 0


@asynccontextmanager
async def swallowed(trouble: Trouble) -> AsyncIterator[None]:
    """They come under a name that nobody listens to."""
    trouble.proxy.forgery = (b"moltnet\0\0", b"nothing\0\0")
    trouble.times = lambda: trouble.proxy.forged
    yield


@asynccontextmanager
async def cut(trouble: Trouble) -> AsyncIterator[None]:
    """Who listens is thrown out, again and again."""
    ended: list[int] = []
    trouble.times = lambda: sum(ended)

    async def keep_ending() -> None:
        text = f"SELECT count(pg_terminate_backend(pid)) {LISTENERS.format(trouble.database)}"
        while True:
            ended.append(int(await trio.to_thread.run_sync(trouble.postgres.sql, text)))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_ending)
        yield
        nursery.cancel_scope.cancel()


WAYS: Mapping[str, Callable[[Trouble], AbstractAsyncContextManager[None]]] = {"swallowed": swallowed, "cut": cut}


@pytest.mark.parametrize("way", WAYS)
async def test_readers_have_everything_in_one_order_though_notifications_are_lost(
    postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(limits, "POSTGRES_POLL_SECONDS", 0.05)
    monkeypatch.setattr(limits, "POSTGRES_LISTEN_AGAIN_SECONDS", 0.01)
    database = postgres_server.new_database()
    with trio.fail_after(60):
        async with open_proxy(postgres_server.port) as proxy:
            trouble = Trouble(postgres_server, database, proxy)
            dsn = postgres_server.tcp_dsn(database, port=proxy.port)
            async with open_servers(dsn, dsn, config=network_config()) as servers, WAYS[way](trouble):
                told = await told_while_all_send(servers)
            assert trouble.times() > 3
    assert len(told[0]) == len(set(told[0])) == len(servers) * SENDERS * MESSAGES
    assert all(each == told[0] for each in told)
    postgres_server.drop_database(database)


async def told_while_all_send(servers: tuple[TestServer, ...]) -> list[list[str]]:
    """What an event stream and an attachment at each server hear: the ids of the messages' events."""
    count = len(servers) * SENDERS * MESSAGES
    told: list[list[str]] = []

    async def send(server: TestServer, name: str) -> None:
        for number in range(MESSAGES):
            sent = await http_client(server).post("/v1/messages", room_message(message_id=f"{name}-{number}"))
            assert sent.status == 202

    async def stream(source: EventSource) -> None:
        told.append([(await source.next_of("message.created")).id for _ in range(count)])

    async def attached(agent: AttachClient) -> None:
        heard: list[str] = []
        while len(heard) < count:
            delivered = await agent.next_of("message.created")
            await agent.ack(delivered)
            heard.append(delivered.event.id)
        told.append(heard)

    async with AsyncExitStack() as opened:
        sources, agents = [], []
        for server, agent_id in zip(servers, ("alpha", "beta"), strict=True):
            sources.append(await opened.enter_async_context(http_client(server).stream_events()))
            agents.append(await attach(await opened.enter_async_context(open_wire(server.app)), agent_id))
        async with trio.open_nursery() as nursery:
            for source in sources:
                nursery.start_soon(stream, source)
            for agent in agents:
                nursery.start_soon(attached, agent)
            for server in servers:
                for number in range(SENDERS):
                    nursery.start_soon(send, server, f"{server.port}-{number}")
    return told
