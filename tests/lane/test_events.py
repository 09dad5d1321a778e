"""The event stream on the fast lane, without a socket: the same words as elsewhere, and one chunk for all streams."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import attrs
import h11
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.config.settings import AuthMode
from moltnet.core.access import Viewer
from moltnet.core.errors import Refused
from moltnet.http.call import Call
from moltnet.http.client_address import ClientAddress
from moltnet.http.exchange import Exchange
from moltnet.http.request_headers import RequestHeaders
from moltnet.lane.events import serve_events_raw
from moltnet.protocol import limits
from moltnet.protocol.ids import gap_event_id
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError
from tests.expected_errors import ExpectedErrors
from tests.fakes.credentials import static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import bearer
from tests.fakes.lane_pipe import Pipe
from tests.fakes.network import network_config, open_test_app, post, post_texts, room, room_message, token

KEEP_ALIVE = ": keep-alive"


@attrs.define(eq=False)
class Stream:
    """The client's end. `exchange` is what the server knows of the request."""

    pipe: Pipe
    exchange: Exchange
    ended: trio.Event = attrs.field(factory=trio.Event)
    status: int = 0
    _client: h11.Connection = attrs.field(factory=lambda: h11.Connection(h11.CLIENT), init=False)
    _text: str = attrs.field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        self._client.send(h11.Request(method="GET", target="/v1/events/stream", headers=[("Host", "lab.test")]))
        self._client.send(h11.EndOfMessage())

    async def block(self) -> str | None:
        """The next block of lines; `None` at the end of the answer, which is a whole one."""
        while "\n\n" not in self._text:
            match event := self._client.next_event():
                case h11.Response():
                    self.status = event.status_code
                case h11.Data():
                    self._text += bytes(event.data).decode()
                case h11.EndOfMessage():
                    return None
                case _:
                    self._client.receive_data(await self.pipe.read())
        block, _, self._text = self._text.partition("\n\n")
        return block

    async def texts(self, count: int) -> list[str]:
        """Of the next messages, as they stand in their JSON."""
        found: list[str] = []
        while len(found) < count:
            block = await self.block()
            assert block is not None
            if "event: message.created" in block:
                found.append(block.partition('"text":"')[2].partition('"')[0])
        return found


@asynccontextmanager
async def streaming(
    app: App, *, query: str = "", capacity_bytes: int = 1 << 24, **headers: str
) -> AsyncIterator[Stream]:
    exchange = Exchange("GET", "/v1/events/stream", "req_1", ClientAddress("192.0.2.1"), app.metrics.http)
    fields = [(name.replace("_", "-").lower().encode(), value.encode()) for name, value in headers.items()]
    call = Call(app, exchange, "GET", "/v1/events/stream", query.encode(), RequestHeaders.of(fields))
    stream = Stream(Pipe(capacity_bytes), exchange)

    async def serve() -> None:
        try:
            with exchange:
                await serve_events_raw(call, stream.pipe)  # type: ignore[arg-type]  # it stands for a wire
        finally:
            stream.pipe.end()
            stream.ended.set()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve)
        yield stream
        stream.pipe.leave()


async def opened(stream: Stream) -> None:
    assert await stream.block() == ": stream-open"
    assert stream.status == 200


async def test_silence_is_filled_with_a_comment(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, streaming(app) as stream:
        await opened(stream)
        began = trio.current_time()
        for count in range(1, 5):
            assert await stream.block() == KEEP_ALIVE
            assert trio.current_time() - began == count * limits.SSE_KEEP_ALIVE_SECONDS


async def test_streams_share_the_bytes_of_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = Pipe.write

    def write(pipe: Pipe, data: bytes) -> None:
        written.append(data)
        real(pipe, data)

    monkeypatch.setattr(Pipe, "write", write)
    async with open_test_app() as app, streaming(app) as first, streaming(app) as second:
        await opened(first)
        await opened(second)
        await post_texts(app, "hello")
        assert [await stream.texts(1) for stream in (first, second)] == [["hello"]] * 2
        chunks = [data for data in written if b"message.created" in data]
        assert len(chunks) == 2
        assert chunks[0] is chunks[1]


async def test_it_is_resumed_by_header_or_query_and_tells_of_a_gap() -> None:
    async with open_test_app() as app:
        await post_texts(app, "one", "two", "three")
        second = (await app.context.store.events_after(0, 10))[-2].id
        for how in ({"query": f"last_event_id={second}"}, {"last_event_id": second}):
            async with streaming(app, **how) as stream:
                assert await stream.texts(1) == ["three"]
        async with streaming(app, last_event_id="evt_forgotten") as stream:
            await opened(stream)
            block = await stream.block()
            assert block is not None
            assert block.startswith(f"id: {gap_event_id('evt_forgotten')}\nevent: stream.replay_gap\n")
            assert await stream.texts(3) == ["one", "two", "three"]


async def test_a_reader_that_stalls_holds_a_bounded_amount_and_loses_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "RING_EVENTS", 16)
    texts = [f"{number:03} {'x' * 20_000}" for number in range(100)]
    store = FaultyStore()
    async with open_test_app(store=store) as app, streaming(app, capacity_bytes=1000) as stream:
        async with streaming(app) as other:
            await post_texts(app, *texts)
            assert await other.texts(len(texts)) == texts
        assert stream.pipe.most_unsent_bytes < limits.PASS_BYTES + 21_000
        assert await stream.texts(len(texts)) == texts
        assert store.reads


async def test_who_loses_a_room_loses_its_events_at_once_and_new_agents_count() -> None:
    tokens = [token("alpha", "attach write", "alpha")]
    config = network_config(mode=AuthMode.BEARER, tokens=tokens, rooms=[room("mine", "alpha"), room("theirs", "beta")])
    operator = static("admin write")
    async with open_test_app(config) as app, streaming(app, authorization=bearer("alpha")["Authorization"]) as stream:
        await opened(stream)
        assert [reader.viewer for reader in app.hub._interest] == [
            Viewer(agents=frozenset({"molt://lab/agents/alpha"}))
        ]
        for room_id in ("theirs", "mine"):
            await post(app, room_message(f"in {room_id}", sender="beta", room=room_id), operator)
        assert await stream.texts(1) == ["in mine"]


async def test_who_may_read_nothing_gets_no_stream() -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=[token("alpha", "attach write", "alpha")])
    async with open_test_app(config) as app:
        with pytest.RaisesGroup(Refused):
            async with streaming(app) as stream:
                await stream.ended.wait()
        assert len(app.admission.streams) == 0


async def test_a_client_that_leaves_is_forgotten() -> None:
    async with open_test_app() as app:
        async with streaming(app) as stream:
            await opened(stream)
            assert len(app.admission.streams) == 1
        await stream.ended.wait()
        assert len(app.admission.streams) == 0
        assert list(app.hub._interest) == []
        assert (stream.exchange.status, stream.exchange.ending) == (200, "client_left")


async def test_a_drain_ends_it_as_a_whole_answer() -> None:
    async with open_test_app() as app, streaming(app) as stream:
        await opened(stream)
        app.drain()
        assert await stream.block() is None
        await stream.ended.wait()
        assert (stream.exchange.status, stream.exchange.ending) == (200, "")
        async with streaming(app) as late:
            await opened(late)
            assert await late.block() is None


@attrs.define(eq=False)
class LateStore(FaultyStore):
    """Answers what came after a place only when it may, and then not at all."""

    may: trio.Event = attrs.field(factory=trio.Event)

    async def events_after(self, seq: int, limit: int) -> Sequence[EventRecord]:
        await self.may.wait()
        raise StorageError("no disk")


async def test_a_store_that_fails_ends_it_so_that_the_reader_comes_back() -> None:
    store = LateStore()
    async with open_test_app(store=store) as app:
        await post_texts(app, "one", "two")
        oldest = (await store.event_bounds()).oldest_id
        app.broker._ring.clear()
        async with streaming(app, last_event_id=oldest) as stream:
            await opened(stream)
            store.may.set()
            assert await stream.block() is None


async def test_a_bug_ends_one_stream_and_is_logged(
    monkeypatch: pytest.MonkeyPatch, expected_errors: ExpectedErrors
) -> None:
    def broken(pipe: Pipe, data: bytes) -> None:
        if b"message.created" in data:
            raise RuntimeError("a bug")

    async with open_test_app() as app, streaming(app) as healthy, streaming(app) as stream:
        await opened(healthy)
        await opened(stream)
        real = Pipe.write
        monkeypatch.setattr(Pipe, "write", lambda pipe, data: (broken if pipe is stream.pipe else real)(pipe, data))
        await post_texts(app, "hello")
        await stream.ended.wait()
        expected_errors.take("stream crashed")
        assert await healthy.texts(1) == ["hello"]
