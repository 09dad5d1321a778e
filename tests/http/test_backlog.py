"""Peers that ask for much and take none of it: together they hold a bounded amount, and the slowest are cut off."""

from contextlib import AsyncExitStack, ExitStack
from functools import partial

import pytest
import trio
from trio.testing import MockClock

from moltnet.http.backlog import Backlog
from moltnet.protocol import limits
from tests.fakes.http_client import HttpConnection, http_client, open_narrow_connection
from tests.fakes.network import network_config, open_test_server, post_texts

MIB = limits.MIB


@pytest.fixture
def room_for_three(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_UNWRITTEN_BYTES", 3 * MIB)


@pytest.mark.usefixtures("room_for_three")
async def test_who_took_nothing_for_longest_is_cut_first(mock_clock: MockClock) -> None:
    backlog, cut = Backlog(), list[str]()

    with ExitStack() as writes:
        took = {name: writes.enter_context(backlog.held(MIB, partial(cut.append, name))) for name in "abc"}
        mock_clock.jump(limits.SLOW_PEER_SECONDS)
        took["a"]()
        writes.enter_context(backlog.held(MIB, partial(cut.append, "d")))
        assert cut == ["b"]
        writes.enter_context(backlog.held(MIB, partial(cut.append, "e")))
        assert cut == ["b", "c"]
        assert backlog.held_bytes == 3 * MIB
        took["b"]()  # it has not noticed yet
        assert backlog.held_bytes == 3 * MIB
    assert backlog.held_bytes == 0


@pytest.mark.usefixtures("room_for_three")
async def test_in_a_burst_nobody_is_cut(mock_clock: MockClock) -> None:
    backlog, cut = Backlog(), list[str]()
    with ExitStack() as writes:
        for number in range(10):
            writes.enter_context(backlog.held(MIB, partial(cut.append, str(number))))
        assert (cut, backlog.held_bytes) == ([], 10 * MIB)
        mock_clock.jump(limits.SLOW_PEER_SECONDS)
        writes.enter_context(backlog.held(MIB, partial(cut.append, "last")))
        assert (cut, backlog.held_bytes) == ([str(number) for number in range(8)], 3 * MIB)


@pytest.mark.usefixtures("room_for_three")
async def test_peers_that_take_nothing_do_not_fill_the_servers_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SLOW_PEER_SECONDS", 0.0)
    target = "/v1/rooms/general/messages?limit=500"
    async with open_test_server(network_config()) as server, AsyncExitStack() as peers:
        await post_texts(server.app, *["x" * 100_000] * 10)
        silent: list[HttpConnection] = []
        for _ in range(8):
            silent.append(await peers.enter_async_context(open_narrow_connection(server.url)))
            await silent[-1].send_request("GET", target, {})
            assert len((await http_client(server).get(target)).json()["messages"]) == 10
        ends = [await _end_of(peer) for peer in silent]
    # Who came last is served when it reads at last. A place among three was needed for those who read at once.
    assert ends == [*["cut"] * 6, *["whole"] * 2]


async def _end_of(peer: HttpConnection) -> str:
    data = b""
    try:
        while not data.endswith(b"}\n"):
            piece = bytes(await peer.stream.receive_some())
            if not piece:
                return "cut"
            data += piece
    except trio.BrokenResourceError:
        return "cut"
    return "whole"
