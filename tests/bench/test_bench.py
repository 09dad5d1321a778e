"""Each benchmark in a tiny configuration: it runs, and says what it should. No number is judged."""

import os
from collections.abc import Sequence

import attrs
import pytest

from tests.bench import __main__ as program
from tests.bench.measurement import Measurement
from tests.bench.processes import LoadFailed, open_generator
from tests.bench.servers import Target
from tests.bench.settings import TINY
from tests.fakes.network import open_test_server

pytestmark = pytest.mark.slow

SHOWN = {
    "send": ["bare ASGI ×1", "send ×1", "bare ASGI ×2", "send ×2"],
    "history": ["bare ASGI ×1", "history ×1", "bare ASGI ×8", "history ×8"],
    "fanout": [
        "bare ASGI, burst",
        "3 attachments, burst",
        "bare ASGI, one message to all",
        "3 attachments, one message to all",
    ],
    "sse": ["bare ASGI, burst", "3 streams, burst"],
    "attach": ["bare ASGI, burst of 4", "attach, burst of 4", "bare ASGI, idle", "attach, idle"],
    "crowd": [
        "3 in a room, one message to all",
        "the same beside 1 that do not read",
        "burst of 2",
        "burst of 4",
        "6 idle",
    ],
    "resume": ["resume of 10 events", "the same after a restart"],
    "relay": ["send ×1", "backlog of 1 room", "send ×8", "backlog of 16 rooms"],
}


def check(measurements: Sequence[Measurement], names: Sequence[str]) -> None:
    assert [each.name for each in measurements] == names
    for each in measurements:
        assert each.amount > 0
        assert each.seconds > 0
        # So little CPU time may be less than one tick of its clock.
        assert each.load_share is not None
        assert each.load_share >= 0
        assert each.compared_with in ("", *names)
        assert (each.ratio is None) == (not each.compared_with)
        if each.unit != "seconds attached":
            assert each.p50_ms is not None
            assert each.p99_ms is not None
            assert 0 < each.p50_ms <= each.p99_ms
    assert program.table("shown", measurements).row_count == len(program.as_json(measurements)) == len(names)


@pytest.mark.parametrize("name", SHOWN)
async def test_a_benchmark_measures_a_server_of_its_own(name: str) -> None:
    measurements: Sequence[Measurement] = await program.benchmark(name).run(TINY)
    check(measurements, SHOWN[name])
    assert all(each.server_us is not None and each.server_us >= 0 for each in measurements)


async def test_storage_is_measured_without_a_server() -> None:
    measurements: Sequence[Measurement] = await program.benchmark("storage").run(TINY)
    assert {"store by 1", "SQLite alone by 512", "replay beside a writer"} <= {each.name for each in measurements}
    assert all(each.amount > 0 and each.seconds > 0 for each in measurements)


@pytest.mark.parametrize("name", ["send", "history", "fanout", "sse", "attach"])
async def test_a_benchmark_measures_a_server_that_is_running(name: str) -> None:
    async with open_test_server() as server:
        foreign = attrs.evolve(TINY, url=server.url)
        unseen: Sequence[Measurement] = await program.benchmark(name).run(foreign)
        check(unseen, SHOWN[name])
        assert [each.server_us is None for each in unseen if "bare" not in each.name] == [True] * (len(unseen) // 2)
        seen: Sequence[Measurement] = await program.benchmark(name).run(attrs.evolve(foreign, server_pid=os.getpid()))
        assert all(each.server_us is not None for each in seen)


async def test_a_server_that_refuses_ends_the_benchmark(capfd: pytest.CaptureFixture[str]) -> None:
    async with open_test_server() as server:
        elsewhere = Target(server.url, room_id="nowhere")
        async with open_generator("callers") as callers:
            with pytest.raises(LoadFailed):
                await callers.ask("call", **elsewhere.address, request=elsewhere.post, clients=1, amount=1)
    assert 'unknown room \\"nowhere\\"' in capfd.readouterr().err


async def test_many_things_are_asked_of_one_generator() -> None:
    async with open_test_server() as server, open_generator("callers") as callers:
        target = Target(server.url)
        for clients, amount in ((1, 3), (4, 10), (2, 1)):
            reply = await callers.ask("call", **target.address, request=target.post, clients=clients, amount=amount)
            assert reply["amount"] == amount == len(reply["latencies_ms"])
