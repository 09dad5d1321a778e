"""What the process that keeps the workers does about those that are stuck, and what it makes of their counts."""

import attrs
import trio
from trio.testing import MockClock, memory_stream_pair

from moltnet.storage.hosted.link import Link
from moltnet.workers.crew import ALIVE_EVERY_SECONDS, ALIVE_SECONDS, end_if_stuck
from moltnet.workers.metrics import merged_metrics


@attrs.define
class Process:
    pid: int = 1
    killed_at: float | None = None

    def kill(self) -> None:
        self.killed_at = trio.current_time()


async def test_a_worker_that_gives_no_sign_of_life_is_killed(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    link, worker, process = Link(ours), Link(theirs), Process()
    stuck_at = 100.0

    async def alive() -> None:
        if trio.current_time() >= stuck_at:
            await trio.sleep_forever()

    worker.answers = {"alive": alive}
    began_at = trio.current_time()
    stuck_at += began_at
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        nursery.start_soon(worker.run)
        await end_if_stuck(link, process)
        nursery.cancel_scope.cancel()
    assert process.killed_at is not None
    assert 0 <= process.killed_at - stuck_at - ALIVE_SECONDS <= ALIVE_EVERY_SECONDS


async def test_a_worker_whose_link_is_gone_has_a_while_to_end_by_itself(autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    link, process = Link(ours), Process()
    began_at = trio.current_time()
    await trio.aclose_forcefully(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        await end_if_stuck(link, process)
    assert process.killed_at is not None
    assert process.killed_at - began_at >= ALIVE_SECONDS


ONE = """\
# HELP moltnet_things_total Things.
# TYPE moltnet_things_total counter
moltnet_things_total{kind="a"} 1.0
# HELP moltnet_seconds Time.
# TYPE moltnet_seconds histogram
moltnet_seconds_bucket{le="1.0"} 1.0
moltnet_seconds_bucket{le="+Inf"} 2.0
moltnet_seconds_count 2.0
moltnet_seconds_sum 3.0
"""


def test_counts_of_all_workers_are_one_text_with_each_family_once() -> None:
    text = merged_metrics({"1": ONE, "2": ONE.replace("1.0\n", "5.0\n")})
    assert text.count("# TYPE moltnet_things_total counter") == 1
    assert text.count("# TYPE moltnet_seconds histogram") == 1
    assert 'moltnet_things_total{kind="a",worker="1"} 1.0' in text
    assert 'moltnet_things_total{kind="a",worker="2"} 5.0' in text
    assert 'moltnet_seconds_bucket{le="+Inf",worker="2"} 2.0' in text
    assert 'moltnet_seconds_sum{worker="1"} 3.0' in text
