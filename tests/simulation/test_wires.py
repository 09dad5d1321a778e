"""The simulated TCP keeps what TCP promises; otherwise the simulation would find bugs that nobody has."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.simulation.trace import Trace
from tests.simulation.wires import Weather, Wires


@asynccontextmanager
async def connected(
    weather: Weather | None = None, seed: int = 1
) -> AsyncIterator[tuple[Wires, trio.SocketStream, trio.SocketStream]]:
    """A client's and a server's end."""
    wires = Wires(random.Random(seed), Trace())
    wires.weather = weather or Weather()
    wires.install()
    listener = trio.SocketListener(wires.listener("server.sim", 80))
    client = await trio.open_tcp_stream("server.sim", 80)
    server = await listener.accept()
    async with listener, client, server:
        yield wires, client, server


async def read_to_the_end(stream: trio.SocketStream) -> bytes:
    return b"".join([piece async for piece in stream])


@pytest.mark.parametrize("seed", range(5))
async def test_bytes_arrive_once_and_in_order_however_they_are_cut(
    autojump_clock: trio.testing.MockClock, seed: int
) -> None:
    sent = random.Random(seed).randbytes(50_000)
    weather = Weather(longest_seconds=1.0, split_chance=0.5, kernel_bytes=700)
    async with connected(weather, seed) as (_, client, server), trio.open_nursery() as nursery:

        async def send() -> None:
            await client.send_all(sent)
            await client.send_eof()

        nursery.start_soon(send)
        assert await read_to_the_end(server) == sent


async def test_a_writer_waits_for_a_reader(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Weather(kernel_bytes=1_000)) as (_, client, server):
        with trio.move_on_after(5) as waiting:
            await client.send_all(b"x" * 2_000)
        assert waiting.cancelled_caught
        assert len(await server.receive_some(4_000)) == 1_000


async def test_a_half_closed_connection_goes_on_in_the_other_direction(
    autojump_clock: trio.testing.MockClock,
) -> None:
    async with connected() as (_, client, server):
        await client.send_all(b"last words")
        await client.send_eof()
        assert await read_to_the_end(server) == b"last words"
        await server.send_all(b"answer")
        assert await client.receive_some(100) == b"answer"


async def test_a_cut_connection_is_broken_at_both_ends(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (wires, client, server):
        wires.cut(wires.connections()[0])
        for end in (client, server):
            with pytest.raises(trio.BrokenResourceError):
                await end.receive_some(1)
            with pytest.raises(trio.BrokenResourceError):
                await end.send_all(b"x")


async def test_nothing_is_lost_while_a_connection_is_held_up(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (wires, client, server):
        wires.hold(wires.connections()[0], 7)
        await client.send_all(b"late")
        began = trio.current_time()
        assert await server.receive_some(100) == b"late"
        assert trio.current_time() - began == pytest.approx(7)


async def test_a_killed_host_takes_its_connections_with_it(autojump_clock: trio.testing.MockClock) -> None:
    async with connected() as (wires, client, server):
        wires.kill("server.sim")
        with pytest.raises(trio.BrokenResourceError):
            await client.receive_some(1)
        with pytest.raises(trio.ClosedResourceError):
            await server.receive_some(1)
        with pytest.raises(OSError, match="all attempts to connect"):
            await trio.open_tcp_stream("server.sim", 80)


async def test_who_waits_for_a_closed_end_hears_of_it(autojump_clock: trio.testing.MockClock) -> None:
    async with connected(Weather(kernel_bytes=1_000)) as (_, client, server), trio.open_nursery() as nursery:

        async def write_too_much() -> None:
            with pytest.raises(trio.BrokenResourceError):
                await client.send_all(b"x" * 60_000)

        nursery.start_soon(write_too_much)
        await trio.testing.wait_all_tasks_blocked()
        await server.aclose()
