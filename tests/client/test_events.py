"""The event stream: subscribed before the block begins, every event once, resumed after a loss."""

import orjson
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.client.api import open_client
from moltnet.client.errors import ServerAnswered, ServerMisbehaved, ServerUnreachable
from moltnet.client.events import EventStream
from tests.fakes.http_server import Reply, SeenRequest, answer, held, open_scripted_server, raw, silence

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
OPEN = b": stream-open\n\n"


def event(id: str) -> bytes:
    body = {"id": id, "type": "room.created", "network_id": "net_a", "created_at": "2025-01-02T03:04:05Z"}
    return f"id: {id}\nevent: room.created\ndata: {orjson.dumps(body).decode()}\n\n".encode()


def cursor(seen: SeenRequest) -> str | None:
    return seen.headers.get("last-event-id")


async def take(stream: EventStream, count: int) -> list[str]:
    return [(await stream.__anext__()).id for _ in range(count)]


async def test_events_arrive_in_order() -> None:
    async with (
        open_scripted_server(held(HEAD, OPEN, event("e1") + event("e2"), b": keep-alive\n\n", event("e3"))) as server,
        open_client(server.url, "secret", environ={}) as client,
    ):
        async with client.events() as stream:
            assert await take(stream, 3) == ["e1", "e2", "e3"]
        [seen] = server.requests
        assert (seen.target, seen.headers["accept"], cursor(seen)) == ("/v1/events/stream", "text/event-stream", None)
        assert seen.headers["authorization"] == "Bearer secret"


async def test_the_block_begins_when_the_server_has_subscribed_us() -> None:
    subscribed = trio.Event()

    async def reply(stream: trio.abc.Stream, request: SeenRequest) -> bool:
        await stream.send_all(HEAD)
        await trio.testing.wait_all_tasks_blocked(0.01)
        subscribed.set()
        return await held(OPEN)(stream, request)

    async with (
        open_scripted_server(reply) as server,
        open_client(server.url, environ={}) as client,
        client.events(),
    ):
        assert subscribed.is_set()


async def test_a_given_cursor_is_where_the_stream_begins() -> None:
    async with (
        open_scripted_server(held(HEAD, OPEN, event("e6"))) as server,
        open_client(server.url, environ={}) as client,
    ):
        async with client.events("e5") as stream:
            assert stream.last_event_id == "e5"
            assert await take(stream, 1) == ["e6"]
        assert cursor(server.requests[0]) == "e5"


@pytest.mark.parametrize(
    "loss",
    [
        [raw(HEAD, OPEN, event("e1"), close=True)],
        [raw(HEAD, OPEN, event("e1"), b"id: e2\ndata: {", close=True)],
        [raw(HEAD, OPEN, event("e1"), close=True), raw(close=True)],
        [raw(HEAD, OPEN, event("e1"), close=True), answer(503), answer(429, headers={"Retry-After": "1"})],
        [held(HEAD, OPEN, event("e1"))],
        [held(HEAD, OPEN, event("e1")), silence()],
    ],
    ids=["between-events", "in-an-event", "twice", "unwell", "silent", "silent-twice"],
)
async def test_a_lost_stream_is_resumed_after_the_last_event(loss: list[Reply], patient_clock: MockClock) -> None:
    del patient_clock  # delays and silences pass at once
    async with (
        open_scripted_server(*loss, held(HEAD, OPEN, event("e2"))) as server,
        open_client(server.url, environ={}) as client,
    ):
        async with client.events() as stream:
            assert await take(stream, 2) == ["e1", "e2"]
        assert [cursor(seen) for seen in server.requests] == [None, *["e1"] * len(loss)]


async def test_a_stream_lost_before_its_first_event_cannot_be_resumed() -> None:
    async with (
        open_scripted_server(raw(HEAD, OPEN, close=True)) as server,
        open_client(server.url, environ={}) as client,
        client.events() as stream,
    ):
        with pytest.raises(ServerUnreachable, match="ended the event stream"):
            await take(stream, 1)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (answer(401, {"code": "unauthorized", "error": "authorization required"}), ServerAnswered),
        (answer(503), ServerAnswered),
        (answer(200, {"not": "a stream"}), ServerMisbehaved),
        (answer(307, headers={"Location": "/console/"}), ServerMisbehaved),
        (raw(close=True), ServerUnreachable),
    ],
    ids=["unauthorized", "too-many", "json", "redirect", "cut"],
)
async def test_a_stream_that_is_refused_at_first_raises_at_once(reply: Reply, kind: type[Exception]) -> None:
    async with open_scripted_server(reply) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(kind):
            async with client.events():
                pass


async def test_a_refusal_to_resume_ends_the_iteration(patient_clock: MockClock) -> None:
    del patient_clock
    async with (
        open_scripted_server(raw(HEAD, OPEN, event("e1"), close=True), answer(401)) as server,
        open_client(server.url, environ={}) as client,
        client.events() as stream,
    ):
        with pytest.raises(ServerAnswered):
            await take(stream, 2)


@pytest.mark.parametrize("piece", [b"data: {}\n\n", b"data: no json\n\n", b"x" * 9_000_000])
async def test_an_event_that_is_none_is_misbehaviour(piece: bytes) -> None:
    async with open_scripted_server(held(HEAD, OPEN, piece)) as server, open_client(server.url, environ={}) as client:
        with pytest.raises(ServerMisbehaved, match="can't be read"):
            async with client.events() as stream:
                await take(stream, 1)


async def test_cancelling_a_wait_for_an_event_loses_nothing() -> None:
    go_on = trio.Event()

    async def reply(stream: trio.abc.Stream, request: SeenRequest) -> bool:
        one = event("e1")
        await raw(HEAD, OPEN, one[:10])(stream, request)
        await go_on.wait()
        return await held(one[10:], event("e2"))(stream, request)

    async with open_scripted_server(reply) as server, open_client(server.url, environ={}) as client:
        async with client.events() as stream:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(take, stream, 1)
                    await trio.testing.wait_all_tasks_blocked(0.01)
                    scope.cancel()
            assert scope.cancelled_caught
            go_on.set()
            assert await take(stream, 2) == ["e1", "e2"]
        assert len(server.requests) == 1


async def test_leaving_the_block_unsubscribes() -> None:
    left = trio.Event()

    async def reply(stream: trio.abc.Stream, request: SeenRequest) -> bool:
        await held(HEAD, OPEN)(stream, request)
        left.set()
        return False

    async with open_scripted_server(reply) as server, open_client(server.url, environ={}) as client:
        async with client.events():
            assert not left.is_set()
        with trio.fail_after(5):
            await left.wait()
