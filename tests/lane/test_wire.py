"""The way in and out of one socket on the fast lane: nothing is lost or comes in another order, all is bounded."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from moltnet.http.backlog import Backlog
from moltnet.lane.wire import Wire
from moltnet.protocol import limits

LARGE = bytes(range(256)) * 2048


@pytest.fixture
async def ends() -> AsyncIterator[tuple[Wire, trio.SocketStream]]:
    """A wire, and its peer."""
    ours, theirs = (trio.SocketStream(trio.socket.from_stdlib_socket(end)) for end in socket.socketpair())
    async with ours, theirs:
        yield Wire(ours, Backlog()), theirs


async def read(peer: trio.SocketStream, size_bytes: int) -> bytes:
    data = b""
    with trio.fail_after(10):
        while len(data) < size_bytes and (more := await peer.receive_some()):
            data += more
    return data


async def test_what_is_written_comes_in_its_order_however_slowly_it_is_taken(
    ends: tuple[Wire, trio.SocketStream],
) -> None:
    wire, peer = ends
    pieces = [LARGE, b"one", LARGE[::-1], b"two"]
    for piece in pieces:
        wire.write(piece)
    assert 0 < wire.unsent_bytes < sum(map(len, pieces))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.flush)
        assert await read(peer, sum(map(len, pieces))) == b"".join(pieces)
    assert wire.unsent_bytes == 0
    assert wire.backlog.held_bytes == 0


async def test_a_flush_that_is_cancelled_loses_nothing(ends: tuple[Wire, trio.SocketStream]) -> None:
    wire, peer = ends
    wire.write(LARGE * 2)
    with trio.move_on_after(0) as cut_short:
        await wire.flush()
    assert cut_short.cancelled_caught
    assert wire.backlog.held_bytes == 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(wire.flush)
        assert await read(peer, 2 * len(LARGE)) == LARGE * 2


async def test_who_would_keep_too_much_is_cut_off(ends: tuple[Wire, trio.SocketStream]) -> None:
    wire, _ = ends
    while not wire.is_broken:
        wire.write(LARGE)
        assert wire.unsent_bytes <= limits.MAX_WIRE_BACKLOG_BYTES
    await wire.flush()
    assert wire.unsent_bytes == 0


async def test_who_takes_nothing_in_time_is_gone(
    ends: tuple[Wire, trio.SocketStream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "WRITE_SECONDS", 0.05)
    wire, _ = ends
    wire.write(LARGE * 2)
    with trio.fail_after(10):
        await wire.flush()
    assert wire.is_broken


async def test_a_peer_that_has_gone_is_no_error(ends: tuple[Wire, trio.SocketStream]) -> None:
    wire, peer = ends
    wire.write(LARGE * 2)
    await peer.aclose()
    with trio.fail_after(10):
        await wire.flush()
        wire.write(b"more")
        assert wire.is_broken
        assert await wire.receive(1024) == 0


async def test_a_cut_ends_whoever_waits(ends: tuple[Wire, trio.SocketStream]) -> None:
    wire, _ = ends
    wire.write(LARGE * 2)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.flush)
            nursery.start_soon(wire.receive, 1024)
            await trio.testing.wait_all_tasks_blocked()
            wire.cut()
    assert wire.is_broken
