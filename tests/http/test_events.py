"""The event stream: what it carries, how it is resumed, and what a slow reader costs (HTTP API §5)."""

from collections.abc import Sequence
from pathlib import Path

import orjson
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.config.settings import AuthMode
from moltnet.core.rooms import update_members
from moltnet.protocol import limits
from moltnet.protocol.ids import GAP_PREFIX, gap_event_id
from moltnet.protocol.rooms import UpdateRoomMembersRequest, Visibility
from moltnet.storage.store import StorageError
from tests.fakes.asgi_client import open_exchange
from tests.fakes.credentials import static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import EventSource, http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_app,
    open_test_server,
    post,
    post_texts,
    room,
    room_message,
    thread_message,
    token,
)

pytestmark = pytest.mark.usefixtures("either_path")


async def texts_of(source: EventSource, count: int) -> list[str]:
    return [(await source.next_of("message.created")).text for _ in range(count)]


class TestTheFormat:
    async def test_headers_and_first_words(self) -> None:
        async with open_test_server() as server, http_client(server).stream_events() as source:
            assert source.head is not None
            headers = {name.decode(): value.decode() for name, value in source.head.headers}
            assert headers["content-type"] == "text/event-stream"
            assert headers["cache-control"] == "no-cache"

    async def test_an_event_is_its_id_its_type_and_one_line_of_json(self) -> None:
        async with open_test_server() as server, http_client(server).stream_events() as source:
            sent = await http_client(server).post("/v1/messages", room_message("line one\nline two\r\u2028"))
            block = await source.next_block()
            assert block is not None
            first, second, third = block.split("\n")
            assert first == f"id: {sent.json()['event_id']}"
            assert second == "event: message.created"
            event = orjson.loads(third.removeprefix("data: "))
            assert event["message"]["parts"][0]["text"] == "line one\nline two\r\u2028"

    async def test_silence_is_filled_with_a_comment(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_exchange(app, "GET", "/v1/events/stream") as exchange:
            assert await exchange.receive_status() == 200
            assert await exchange.receive_chunk() == b": stream-open\n\n"
            began = trio.current_time()
            for count in range(1, 5):
                assert await exchange.receive_chunk() == b": keep-alive\n\n"
                assert trio.current_time() - began == count * limits.SSE_KEEP_ALIVE_SECONDS

    async def test_events_for_others_do_not_keep_it_alive_by_themselves(self, autojump_clock: MockClock) -> None:
        config = network_config(mode=AuthMode.OPEN)
        async with open_test_app(config) as app, open_exchange(app, "GET", "/v1/events/stream") as exchange:
            await exchange.receive_status()
            await exchange.receive_chunk()

            async def chat() -> None:
                for _ in range(100):
                    await trio.sleep(1)
                    await post(app, room_message(), static("admin write"))

            async with trio.open_nursery() as nursery:
                nursery.start_soon(chat)
                assert await exchange.receive_chunk() == b": keep-alive\n\n"
                assert trio.current_time() == pytest.approx(limits.SSE_KEEP_ALIVE_SECONDS, abs=1)
                nursery.cancel_scope.cancel()


class TestChunks:
    async def test_small_events_are_written_together_and_large_ones_in_pieces_of_bounded_size(self) -> None:
        texts = ["x"] * 20 + ["y" * 100_000] * 20 + ["z" * 400_000] * 2
        async with open_test_app() as app, open_exchange(app, "GET", "/v1/events/stream", chunks=2) as exchange:
            await exchange.receive_status()
            await exchange.receive_chunk()
            await post_texts(app, *texts)
            chunks: list[bytes] = []
            while sum(chunk.count(b"event: message.created\n") for chunk in chunks) < len(texts):
                chunks.append(await exchange.receive_chunk())
        found = [orjson.loads(line[6:]) for line in b"".join(chunks).splitlines() if line.startswith(b"data: ")]
        assert [event["message"]["parts"][0]["text"] for event in found if "message" in event] == texts
        together = [chunk for chunk in chunks if chunk.count(b"data: ") > 1]
        assert max(map(len, together)) <= limits.SSE_CHUNK_BYTES
        assert len(chunks) < len(texts)


class TestResuming:
    async def test_without_a_cursor_only_what_comes_is_sent(self) -> None:
        async with open_test_server() as server:
            await post_texts(server.app, "before")
            async with http_client(server).stream_events() as source:
                await post_texts(server.app, "after")
                assert await texts_of(source, 1) == ["after"]

    async def test_by_header_by_query_and_the_header_first(self) -> None:
        async with open_test_server() as server:
            await post_texts(server.app, "one", "two", "three")
            records = await server.app.context.store.events_after(1, 10)
            first, second = records[0].id, records[1].id
            client = http_client(server)
            async with client.stream_events(last_event_id=first) as source:
                assert await texts_of(source, 2) == ["two", "three"]
            async with client.stream_events(f"/v1/events/stream?last_event_id={second}") as source:
                assert await texts_of(source, 1) == ["three"]
            async with client.stream_events(f"/v1/events/stream?last_event_id={first}", last_event_id=second) as source:
                assert await texts_of(source, 1) == ["three"]
            async with client.stream_events(
                f"/v1/events/stream?last_event_id={second}", last_event_id="not an id"
            ) as source:
                assert await texts_of(source, 1) == ["three"]

    async def test_across_a_restart_without_loss_or_repeats(self, tmp_path: Path) -> None:
        config = network_config(sqlite_path=tmp_path / "moltnet.db")
        received: list[str] = []
        cursor = ""
        for start in range(3):
            async with open_test_server(config) as server:
                cursor = cursor or (await server.app.context.store.event_bounds()).newest_id
                async with http_client(server).stream_events(last_event_id=cursor) as source:
                    await post_texts(server.app, f"{start}a", f"{start}b")
                    while len(received) < 3 * start + 2:
                        event = await source.next_of("message.created")
                        received.append(event.text)
                        cursor = event.id
                await post_texts(server.app, f"{start}c")  # while nobody reads
        assert received == ["0a", "0b", "0c", "1a", "1b", "1c", "2a", "2b"]

    async def test_an_unknown_cursor_brings_a_gap_and_then_everything(self) -> None:
        async with open_test_server() as server:
            await post_texts(server.app, "one")
            async with http_client(server).stream_events(last_event_id="evt_forgotten") as source:
                gap = await source.next_event()
                assert gap is not None
                assert (gap.id, gap.type) == (gap_event_id("evt_forgotten"), "stream.replay_gap")
                assert gap.event["replay_gap"]["requested_event_id"] == "evt_forgotten"
                assert await texts_of(source, 1) == ["one"]

    async def test_the_cursor_of_a_gap_brings_everything_without_another(self) -> None:
        async with open_test_server() as server:
            await post_texts(server.app, "one")
            async with http_client(server).stream_events(last_event_id=f"{GAP_PREFIX}{'0' * 64}") as source:
                first = await source.next_event()
                assert first is not None
                assert first.type == "room.created"


# What is said → and what of it each caller's stream carries.
SAID = {
    "mine": room_message("mine", sender="beta", room="mine"),
    "theirs": room_message("theirs", sender="beta", room="theirs"),
    "public": room_message("public", sender="beta", room="public"),
    "thread in public": thread_message("t1", "thread in public", sender="beta", room="public"),
    "to alpha": direct_message("d1", "alpha", "beta", text="to alpha", sender="beta"),
    "to others": direct_message("d2", "beta", "gamma", text="to others", sender="beta"),
}
TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("observer", "observe"),
    token("admin", "admin write"),
    token("pair", "pair"),
]
ROOMS = [room("mine", "alpha", "beta"), room("theirs", "beta"), room("public", "beta", visibility=Visibility.PUBLIC)]
STREAMS = [
    (AuthMode.NONE, "", list(SAID)),
    (AuthMode.BEARER, "observer", list(SAID)),
    (AuthMode.BEARER, "admin", list(SAID)),
    (AuthMode.BEARER, "alpha", ["mine", "to alpha"]),
    (AuthMode.OPEN, "alpha", ["mine", "public", "thread in public", "to alpha"]),
    (AuthMode.OPEN, "", ["public", "thread in public"]),
    (AuthMode.OPEN, "pair", ["public", "thread in public"]),
]


@pytest.mark.parametrize(("mode", "caller", "expected"), STREAMS)
async def test_a_stream_carries_what_its_caller_may_read(mode: AuthMode, caller: str, expected: Sequence[str]) -> None:
    config = network_config(mode=mode, tokens=TOKENS if mode is not AuthMode.NONE else (), rooms=ROOMS)
    async with open_test_server(config) as server, http_client(server, caller).stream_events() as source:
        await _say_everything(server)
        assert await texts_of(source, len(expected)) == expected
        # Nothing else comes before what everybody may read.
        await post(server.app, room_message("the end", sender="beta", room="public"), static("admin write"))
        if "public" in expected:
            assert await texts_of(source, 1) == ["the end"]


@pytest.mark.parametrize(("caller", "status"), [("", 401), ("pair", 403)])
async def test_who_may_read_nothing_gets_no_stream(caller: str, status: int) -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
    async with open_test_server(config) as server:
        assert (await http_client(server, caller).get("/v1/events/stream")).status == status


async def test_who_loses_a_room_loses_its_events_at_once() -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
    async with open_test_server(config) as server, http_client(server, "alpha").stream_events() as source:
        await _say_everything(server)
        assert await texts_of(source, 2) == ["mine", "to alpha"]
        await update_members(server.app.context, "mine", UpdateRoomMembersRequest(remove=("alpha",)))
        await _say_everything(server)
        assert await texts_of(source, 1) == ["to alpha"]


async def _say_everything(server: TestServer) -> None:
    for message in SAID.values():
        await post(server.app, message, static("admin write"))


class TestSlowReaders:
    async def test_one_that_stalls_loses_nothing_and_does_not_hurt_others(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Weakness 9 of the HTTP API: 807 of 1200 messages dropped in silence."""
        monkeypatch.setattr(limits, "RING_EVENTS", 64)
        store = FaultyStore()
        names = [f"{number} " + "x" * 10_000 for number in range(1200)]  # 12 MB: more than any socket holds
        async with (
            open_test_server(store=store) as server,
            http_client(server).stream_events() as stalled,
            http_client(server).stream_events() as quick,
        ):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post_texts, server.app, *names)
                assert await texts_of(quick, len(names)) == names
            store.reads.clear()
            assert await texts_of(stalled, len(names)) == names
            assert store.reads  # it had fallen behind the ring

    async def test_a_reader_that_leaves_is_forgotten(self) -> None:
        async with open_test_server() as server:
            for _ in range(5):
                async with http_client(server).stream_events():
                    pass
            await post_texts(server.app, "one")
            async with http_client(server).stream_events() as source:
                await post_texts(server.app, "two")
                assert await texts_of(source, 1) == ["two"]


class TestTheEnd:
    async def test_a_drain_ends_it_as_a_whole_answer(self) -> None:
        async with open_test_server() as server, http_client(server).stream_events() as source:
            await post_texts(server.app, "one")
            assert await texts_of(source, 1) == ["one"]
            server.stop.set()
            assert await source.next_event() is None

    async def test_a_store_that_fails_ends_it_so_that_the_reader_comes_back(self, autojump_clock: MockClock) -> None:
        store = FaultyStore()
        async with open_test_app(store=store) as app:
            await post_texts(app, "one")
        async with open_test_app(store=store) as app:  # nothing is in memory now
            headers = {"Last-Event-ID": (await store.event_bounds()).oldest_id}
            async with open_exchange(app, "GET", "/v1/events/stream", headers=headers, chunks=0) as exchange:
                assert await exchange.receive_status() == 200
                store.read_failure = StorageError("no disk")
                assert await exchange.receive_chunk() == b": stream-open\n\n"
                assert await exchange.receive_chunk() == b""
                await exchange.ended.wait()

    async def test_a_store_that_fails_before_it_begins_is_answered_with_try_again(self) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            store.read_failure = StorageError("no disk")
            answer = await http_client(server).get("/v1/events/stream", Last_Event_ID="evt_1")
            assert (answer.status, answer.code) == (503, "storage_unavailable")
            store.read_failure = None
