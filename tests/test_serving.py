"""The runner around the application: what it asks of the system, and how it ends."""

import resource
import socket
from functools import partial

import pytest
import trio
import trio.testing

from moltnet.config.urls import ListenAddress
from moltnet.protocol import limits
from moltnet.serving import allow_many_connections, open_sockets, serve
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import open_test_app, open_test_server, post_texts, room_message

EVENTS = b"GET /v1/events/stream HTTP/1.1\r\nHost: lab.test\r\n\r\n"


def test_the_limit_of_open_files_is_raised_as_far_as_allowed() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    _, most = before
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, most))
        assert allow_many_connections() == most
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (most, most)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_a_drain_answers_what_has_begun_and_lets_nobody_in() -> None:
    store = FaultyStore()
    async with open_test_server(store=store) as server, trio.open_nursery() as nursery:
        store.hold()
        committed = len(store.batches)
        statuses: list[int] = []

        async def send() -> None:
            answer = await http_client(server).post("/v1/messages", room_message())
            statuses.append(answer.status)

        nursery.start_soon(send)
        while len(store.batches) == committed:
            await trio.testing.wait_all_tasks_blocked(0.01)
        server.stop.set()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(OSError, match="all attempts to connect"):
            async with open_connection(server.url):
                pass
        store.release()
        with trio.fail_after(10):
            await server.ended.wait()
    assert statuses == [202]


async def test_cancelled_it_waits_for_nobody_who_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.1)
    sockets = open_sockets(ListenAddress("127.0.0.1", 0))
    stuck = socket.create_connection(sockets[0].getsockname())
    with stuck:
        stuck.sendall(EVENTS)
        with trio.fail_after(limits.WRITE_SECONDS / 2):  # what frees a writer otherwise
            async with open_test_app() as app, trio.open_nursery() as nursery:
                await nursery.start(partial(serve, app, sockets, stop=trio.Event()))
                await trio.testing.wait_all_tasks_blocked(0.05)
                await post_texts(app, *["x" * 100_000] * 200)  # more than the buffers of two sockets hold
                await trio.testing.wait_all_tasks_blocked(0.05)
                nursery.cancel_scope.cancel()
