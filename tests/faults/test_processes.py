"""What befalls the processes themselves: stopped and continued, out of files, out of memory, and a clock that jumps.

A kill is in `tests/e2e/test_killed_server.py` and `test_relay_crashes.py`, a full disk in `test_full_disks.py`.
"""

import os
import resource
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.docs.pages import ROOT
from tests.e2e.running import Program
from tests.fakes.http_client import HttpClient, open_connection
from tests.faults.world import CUT, World

pytestmark = pytest.mark.slow

# Longer than both halves of an attachment wait for a sign of life.
STOPPED_SECONDS: Final = 13.0
FAKETIME: Final = Path(os.environ.get("MOLTNET_TEST_TOOLS", ROOT / ".cache" / "tools")) / "lib" / "libfaketime.so.1"
DAY_SECONDS: Final = 86_400
MIB: Final = 1024 * 1024


@asynccontextmanager
async def stopped(program: Program) -> AsyncIterator[None]:
    """The program does nothing while the block lasts, as one whose machine sleeps or swaps."""
    program.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        program.process.send_signal(signal.SIGCONT)


async def test_a_server_that_is_stopped_for_a_while_goes_on_where_it_was(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.run() as (server, node):
        await world.say(3)
        async with trio.open_nursery() as nursery, stopped(server):
            nursery.start_soon(world.say, 3)  # it waits, and is sent again
            await trio.sleep(STOPPED_SECONDS)
        await world.say(3)
        await world.check()
        assert (await node.stop(), await server.stop()) == (0, 0)


async def test_a_node_that_is_stopped_for_a_while_reads_what_it_missed(tmp_path: Path) -> None:
    world = World(tmp_path)
    async with world.run() as (server, node):
        await world.say(3)
        await world.wait_done()
        async with stopped(node):
            await world.say(6)
            await trio.sleep(STOPPED_SECONDS)
            await world.say(3)
        await world.check()
        assert (await node.stop(), await server.stop()) == (0, 0)


async def test_a_server_that_has_no_files_left_says_so_and_goes_on_when_it_has(tmp_path: Path) -> None:
    """The system gives it no descriptor any more, as when others use them up: who is connected stays."""
    world = World(tmp_path)
    async with world.run() as (server, node):
        await world.say(3)
        await world.wait_done()
        soft, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        # What it has open it keeps; there is no room for anything else.
        used = len(os.listdir(f"/proc/{server.process.pid}/fd"))
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (used, hard))
        async with AsyncExitStack() as held:
            for _ in range(50):
                with suppress(*CUT):
                    await held.enter_async_context(open_connection(world.url))
            await trio.sleep(3)
            assert server.process.returncode is None
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (soft, hard))
        await world.say(6)
        await world.check("too many open files", "Too many open files")
        assert "open files" in server.log().lower(), server.log()[-2000:]
        assert (await node.stop(), await server.stop()) == (0, 0)


async def test_more_connections_than_files_are_refused_and_those_that_are_there_are_served(tmp_path: Path) -> None:
    """With a low limit from the start, the server keeps some descriptors for itself and turns callers away."""
    script = 'ulimit -n 300; exec "$@"'
    world = World(tmp_path, server_under=("/bin/sh", "-c", script, "sh"))
    async with world.run() as (server, node):
        await world.say(3)
        async with AsyncExitStack() as held:
            refused = 0
            for _ in range(300):
                try:
                    connection = await held.enter_async_context(open_connection(world.url))
                    with trio.move_on_after(0.02):
                        refused += b" 503 " in await connection.stream.receive_some(1000)
                except CUT:
                    refused += 1
            assert refused > 50
            assert server.process.returncode is None
        await world.say(3)
        await world.check()
        assert (await node.stop(), await server.stop()) == (0, 0)


async def test_a_server_that_gets_no_more_memory_loses_nothing_that_it_accepted(tmp_path: Path) -> None:
    """Refused memory, it refuses or even ends; then it is started again, as a service manager does."""
    world = World(tmp_path)
    world.write()
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(world.run_server())
        node = await stack.enter_async_context(world.run_node())
        await world.wait_attached()
        nursery = await stack.enter_async_context(trio.open_nursery())
        nursery.start_soon(world.read)
        await world.say(5)
        await world.wait_done()
        limit = address_space(server) + 16 * MIB
        resource.prlimit(server.process.pid, resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
        with trio.move_on_after(10):
            async with trio.open_nursery() as flood:
                for _ in range(60):
                    flood.start_soon(_flood, world.client)
        if server.process.returncode is None:
            infinite = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
            resource.prlimit(server.process.pid, resource.RLIMIT_AS, infinite)
            await world.say(3)
        else:
            server = await stack.enter_async_context(world.run_server())
            await world.say(3)
        await world.check("MemoryError", "request crashed", "Traceback", "no memory")
        assert (await node.stop(), await server.stop()) == (0, 0)
        nursery.cancel_scope.cancel()


def address_space(program: Program) -> int:
    """What a program has mapped, in bytes."""
    pages = Path(f"/proc/{program.process.pid}/statm").read_text().split()[0]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def _flood(client: HttpClient) -> None:
    """Bodies of 1 MiB that are no message."""
    while True:
        with suppress(*CUT):
            await client.post("/v1/messages", b'{"parts":[' + b"0," * (MIB // 2 - 100) + b"0]}")
        await trio.sleep(0.01)


@pytest.mark.parametrize("days", [1, 30, -1])
async def test_a_clock_that_jumps_changes_times_and_nothing_else(days: int, tmp_path: Path) -> None:
    """Wall clocks of both jump while they talk, and back again. What the log forgot in between comes by history."""
    assert FAKETIME.exists(), f"there is no {FAKETIME}: scripts/install-test-tools (make tools) fetches it"
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    environment = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        # The clock that waits are measured by goes on, as it does on a real machine.
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    world = World(tmp_path, server_environment=environment, node_environment=environment)
    async with world.run() as (server, node):
        await world.say(3)
        await world.wait_done()
        for jump in (days * DAY_SECONDS, 0):
            offset.write_text(f"{jump:+d}\n")
            await world.say(3)
            await world.wait_done()
        await world.check()
        assert len({line[:10] for line in server.log().splitlines() if line[:2] == "20"}) > 1  # it did jump
        assert (await node.stop(), await server.stop()) == (0, 0)
