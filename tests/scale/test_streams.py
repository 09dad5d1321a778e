"""Event streams under load: long resumes, readers that do not read, rights that change while events are on the way."""

import gc
import tracemalloc
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from moltnet.broker import Broker
from moltnet.config.settings import AuthMode
from moltnet.core.rooms import update_members
from moltnet.protocol import limits
from moltnet.protocol.ids import EventId
from moltnet.protocol.rooms import UpdateRoomMembersRequest
from moltnet.storage.factory import MEMORY, SQLITE
from moltnet.storage.limits import MAX_REPLAY_BYTES
from moltnet.storage.records import EventRecord
from tests.fakes.credentials import static
from tests.fakes.faulty_store import memory_store
from tests.fakes.homes import Home
from tests.fakes.http_client import EventSource, http_client, open_silent_stream
from tests.fakes.network import (
    NETWORK,
    network_config,
    open_test_server,
    post,
    post_texts,
    room,
    room_message,
    token,
    wait_until,
)

EVENTS = 3_000


@pytest.fixture(params=[MEMORY, SQLITE])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    """Storage of kind JSON reads as memory does, and writes all of these megabytes anew with each message."""
    return Home(request.param, tmp_path)


async def texts_of(source: EventSource, count: int) -> list[str]:
    return [(await source.next_of("message.created")).text for _ in range(count)]


async def test_a_reader_comes_back_after_thousands_of_events_and_a_restart(home: Home) -> None:
    texts = [f"message {number}" for number in range(EVENTS)]
    async with home.serve() as server:
        cursor = (await server.app.context.store.event_bounds()).newest_id
        await post_texts(server.app, *texts[: EVENTS // 2])
    async with home.serve() as server:
        await post_texts(server.app, *texts[EVENTS // 2 :])
    async with home.serve() as server:
        async with http_client(server).stream_events(last_event_id=cursor) as source:
            heard = []
            for _ in range(EVENTS // 3):
                event = await source.next_of("message.created")
                heard.append(event.text)
        async with http_client(server).stream_events(last_event_id=event.id) as source, trio.open_nursery() as nursery:
            # What is said meanwhile comes behind what was missed.
            nursery.start_soon(post_texts, server.app, "live 1", "live 2")
            heard += await texts_of(source, EVENTS - len(heard) + 2)
        assert heard == [*texts, "live 1", "live 2"]


@contextmanager
def traced_bytes() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def held_bytes() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


async def test_a_reader_that_does_not_read_costs_bounded_memory(tmp_path: Path) -> None:
    """Each asks for all that the ring holds, and none takes it, while the ring goes on to other events."""
    readers, text = 6, "x" * 1_000_000
    round_of_events = [text] * (limits.RING_BYTES // 2 // len(text))
    config = network_config(sqlite_path=tmp_path / "moltnet.db")
    async with open_test_server(config) as server, AsyncExitStack() as streams:
        with traced_bytes():
            await post_texts(server.app, *round_of_events, *round_of_events)
            alone = held_bytes()
            for _ in range(readers):
                cursor = server.app.broker.newest_id
                await post_texts(server.app, *round_of_events)
                await streams.enter_async_context(open_silent_stream(server, cursor))
            await post_texts(server.app, *round_of_events, *round_of_events)
            await trio.testing.wait_all_tasks_blocked(0.05)
            grown = held_bytes() - alone
        # What one read returns; a frame on its way as the protocol has it, as h11 has it, and as the socket has it;
        # and that the ring may be half full or full. On the fast lane it is less than the ring's ups and downs.
        assert grown < readers * (MAX_REPLAY_BYTES + 3 * limits.MIB) + limits.RING_BYTES // 2, grown


def test_no_more_is_taken_from_the_ring_at_once_than_from_the_store() -> None:
    broker = Broker(NETWORK, memory_store(), newest_seq=0)
    size_bytes = limits.RING_BYTES // 20
    broker.publish([EventRecord(seq, EventId(f"evt_{seq}"), "any", b"x" * size_bytes) for seq in range(1, 20)])
    seq = 0
    while records := broker.recent_after(seq, limits.REPLAY_PAGE_EVENTS):
        assert [record.seq for record in records] == list(range(seq + 1, seq + len(records) + 1))
        assert sum(len(record.wire) for record in records) <= MAX_REPLAY_BYTES
        seq = records[-1].seq
    assert seq == 19


async def test_a_reader_that_does_not_read_is_closed_and_hurts_nobody(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_SECONDS", 2.0)
    texts = [f"{number} " + "x" * 100_000 for number in range(200)]  # 20 MB: more than the kernel takes for anybody
    async with (
        home.serve() as server,
        open_silent_stream(server) as silent,
        http_client(server).stream_events() as quick,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(post_texts, server.app, *texts)
        assert await texts_of(quick, len(texts)) == texts
        # Nothing is read before the server has let go: it would go on sending.
        await wait_until(lambda: server.app.metrics.http.streams == 1)
        ended = await read_to_the_end(silent)
        # It was cut in the middle: what had not been sent by then never comes, and no end of the answer either.
        assert len(ended) < sum(map(len, texts))
        assert not ended.endswith(b"\r\n0\r\n\r\n")
        await post_texts(server.app, "still here")
        assert await texts_of(quick, 1) == ["still here"]


async def read_to_the_end(source: EventSource) -> bytes:
    """Everything that the kernel still holds."""
    data = b""
    with suppress(trio.BrokenResourceError):
        while piece := bytes(await source.connection.stream.receive_some()):
            data += piece
    return data


async def test_who_loses_a_room_while_far_behind_gets_no_more_of_it(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is on its way to a slow reader is judged when it is written, not when it was said."""
    monkeypatch.setattr(limits, "WRITE_SECONDS", 60.0)  # this is not about when it is cut
    tokens = [token("alpha", "attach write", "alpha"), token("admin", "admin write")]
    config = network_config(
        mode=AuthMode.BEARER, tokens=tokens, rooms=[room("general", "alpha"), room("other", "alpha")]
    )
    texts = [f"{number} " + "x" * 50_000 for number in range(400)]  # 20 MB: more than the kernel takes for anybody
    admin = static("admin write")
    async with home.serve(config) as server, open_silent_stream(server, token_id="alpha") as behind:
        for text in texts:
            await post(server.app, room_message(text), admin)
        await update_members(server.app.context, "general", UpdateRoomMembersRequest(remove=("alpha",)))
        await post(server.app, room_message("among us"), admin)
        await post(server.app, room_message("to you too", room="other"), admin)
        heard = [(await behind.next_of("message.created")).text]
        while heard[-1] != "to you too":
            heard.append((await behind.next_of("message.created")).text)
    assert heard[:-1] == texts[: len(heard) - 1]
    assert 0 < len(heard) - 1 < len(texts)
