"""Limits of a network on several servers, which tell each other what was used up."""

import math
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.auth.claims import ANONYMOUS
from moltnet.config.server_limits import NO_LIMITS, Rate
from moltnet.core.admission import Admission
from moltnet.core.errors import RateLimited
from moltnet.core.sharing import open_sharing
from moltnet.protocol.limits import MAX_SHARED_BUCKETS, SHARE_SPENT_SECONDS
from moltnet.storage.spending import Spent
from moltnet.storage.store import StorageError
from tests.core.test_admission import admitted
from tests.fakes.credentials import static

HERE = "192.0.2.1"
ALPHA = static("attach write", "alpha")


@attrs.define(eq=False)
class SharedBuckets:
    """What a database keeps. While `failing`, it can't be reached."""

    failing: bool = False
    calls: list[int] = attrs.field(factory=list)
    _full_at: defaultdict[str, float] = attrs.field(factory=lambda: defaultdict(lambda: -math.inf))

    async def spend(self, spent: Sequence[Spent]) -> Sequence[float]:
        await trio.lowlevel.checkpoint()
        if self.failing:
            raise StorageError("away")
        self.calls.append(len(spent))
        for each in spent:
            self._full_at[each.bucket] = max(
                self._full_at[each.bucket] + each.seconds, trio.current_time() + each.missing_seconds
            )
        return [self._full_at[each.bucket] - trio.current_time() for each in spent]

    async def take(self, bucket: str, *, seconds: float, most_seconds: float) -> float:
        await trio.lowlevel.checkpoint()
        if self.failing:
            raise StorageError("away")
        missing_seconds = self._full_at[bucket] - trio.current_time()
        if missing_seconds <= most_seconds:
            self._full_at[bucket] = max(self._full_at[bucket], trio.current_time()) + seconds
        return max(0.0, missing_seconds - most_seconds)


@pytest.fixture
def buckets() -> SharedBuckets:
    return SharedBuckets()


@asynccontextmanager
async def open_servers(buckets: SharedBuckets, count: int = 2, **limits: Any) -> AsyncIterator[list[Admission]]:
    async with AsyncExitStack() as opened:
        servers = []
        for _ in range(count):
            server = Admission(attrs.evolve(NO_LIMITS, **limits), spending=buckets)
            await opened.enter_async_context(open_sharing(server))
            servers.append(server)
        yield servers


async def test_what_is_used_up_at_one_server_is_so_at_the_others(
    buckets: SharedBuckets, autojump_clock: MockClock
) -> None:
    async with open_servers(buckets, messages_per_credential=Rate(0.001, 10)) as (one, other):
        assert admitted(lambda: one.admit_message(ALPHA, HERE)) == 10
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        # The other one hears of it when the caller comes there.
        other.admit_message(ALPHA, HERE)
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        assert admitted(lambda: other.admit_message(ALPHA, HERE)) == 0


@pytest.mark.parametrize("count", [2, 5])
async def test_a_caller_of_all_servers_gets_its_rate_once_and_a_burst_from_each(
    count: int, buckets: SharedBuckets, autojump_clock: MockClock
) -> None:
    rate, seconds, total = Rate(2, 10), 100.0, 0
    async with open_servers(buckets, count, requests_per_credential=rate) as servers:
        began = trio.current_time()
        while trio.current_time() < began + seconds:
            for server in servers:
                total += admitted(lambda server=server: server.admit_request(ALPHA, HERE))  # type: ignore[misc]  # bound
            await trio.sleep(0.05)
    assert rate.per_second * seconds <= total <= rate.per_second * seconds + count * rate.burst


async def test_a_caller_of_one_server_gets_what_it_would_get_from_a_single_one(
    buckets: SharedBuckets, autojump_clock: MockClock
) -> None:
    rate, total = Rate(2, 10), 0
    async with open_servers(buckets, requests_per_credential=rate) as (one, _):
        for _ in range(200):
            total += admitted(lambda: one.admit_request(ALPHA, HERE))
            await trio.sleep(0.25)
    assert total == rate.burst + 99


async def test_a_failed_sign_in_is_told_at_once(buckets: SharedBuckets, autojump_clock: MockClock) -> None:
    async with open_servers(buckets, 3, failed_authentications_per_address=Rate(1 / 3600, 5)) as servers:
        guesses = 0
        began = trio.current_time()
        for number in range(30):
            server = servers[number % 3]
            try:
                server.check_guesses(HERE)
            except RateLimited:
                continue
            server.note_failed_authentication(HERE)
            guesses += 1
            await trio.testing.wait_all_tasks_blocked()
        assert trio.current_time() == began
        # One more at each further server, which learns from its own that there were too many.
        assert 5 <= guesses <= 5 + 2


async def test_registrations_are_counted_to_the_last_one(buckets: SharedBuckets, autojump_clock: MockClock) -> None:
    async with open_servers(buckets, 3, registrations_per_address=Rate(1 / 3600, 7)) as servers:
        claimed, refusals = 0, list[float]()

        async def claim(server: Admission) -> None:
            nonlocal claimed
            try:
                server.admit_registration(ANONYMOUS, HERE)
                await server.confirm_registration(ANONYMOUS, HERE)
            except RateLimited as refused:
                refusals.append(refused.retry_after_seconds)
            else:
                claimed += 1

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(claim, servers[number % 3])
        assert claimed == 7
        assert len(refusals) == 23
        assert all(0 < seconds <= 3600 for seconds in refusals)
        # With a credential it is the operator's business.
        await servers[0].confirm_registration(ALPHA, HERE)


async def test_what_could_not_be_told_is_told_later(buckets: SharedBuckets, autojump_clock: MockClock) -> None:
    async with open_servers(buckets, messages_per_credential=Rate(0.001, 10)) as (one, other):
        buckets.failing = True
        assert admitted(lambda: one.admit_message(ALPHA, HERE), 6) == 6
        await trio.sleep(10)
        buckets.failing = False
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        other.admit_message(ALPHA, HERE)
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        assert admitted(lambda: other.admit_message(ALPHA, HERE)) == 3


async def test_what_is_told_at_once_is_bounded(buckets: SharedBuckets, autojump_clock: MockClock) -> None:
    async with open_servers(buckets, 1, requests_per_address=Rate(1, 10)) as (server,):
        for number in range(2 * MAX_SHARED_BUCKETS + 1):
            server.admit_request(ANONYMOUS, f"source {number}")
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        assert buckets.calls == [MAX_SHARED_BUCKETS, MAX_SHARED_BUCKETS, 1]


async def test_a_rate_that_changes_goes_on_being_shared(buckets: SharedBuckets, autojump_clock: MockClock) -> None:
    async with open_servers(buckets, messages_per_credential=Rate(1, 10)) as (one, other):
        for server in (one, other):
            server.adopt(attrs.evolve(NO_LIMITS, messages_per_credential=Rate(0.001, 4)))
        assert admitted(lambda: one.admit_message(ALPHA, HERE)) == 4
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        other.admit_message(ALPHA, HERE)
        await trio.sleep(2 * SHARE_SPENT_SECONDS)
        assert admitted(lambda: other.admit_message(ALPHA, HERE)) == 0


def test_a_single_server_keeps_note_of_nothing() -> None:
    alone = Admission(attrs.evolve(NO_LIMITS, messages_per_credential=Rate(1, 10)), clock=lambda: 0.0)
    assert admitted(lambda: alone.admit_message(ALPHA, HERE)) == 10
    assert all(limiter.take_spent(10, 0.0) == {} for limiter in alone.shared_rates().values())
