"""The store without a server: group commit, one transaction for each message, SQLite alone, reads beside a writer."""

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import attrs
import trio

from moltnet.protocol.pages import PageRequest
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.bench.benchmark import Benchmark, Case
from tests.bench.ceilings.sqlite import blocks, commits_of, sqlite_alone
from tests.bench.contestants import SQLITE_ALONE, STORE_ALONE, Contestant
from tests.bench.measurement import Load
from tests.bench.servers import new_directory
from tests.bench.settings import Settings
from tests.storage.examples import NETWORK, create_room, room_history

BATCHES: Final = (1, 8, 64, 512)
# Of the messages of a batch: one at a time takes long.
PARTS: Final = {1: 8, 8: 2}
EVENTS: Final = 256
PREPARED: Final = 2048


@attrs.frozen
class _Disk:
    """``without`` what is ours, or with the store."""

    directory: str
    settings: Settings
    without: bool
    prepared: Path


@asynccontextmanager
async def _open(contestant: Contestant, settings: Settings) -> AsyncIterator[_Disk]:
    with new_directory() as directory:
        prepared = Path(directory) / "prepared.db"
        async with open_sqlite(prepared, NETWORK) as store:
            await store.commit([create_room()])
            for block in blocks(min(PREPARED, settings.stored_messages), 512):
                await store.commit(block)
        yield _Disk(directory, settings, contestant is SQLITE_ALONE, prepared)


async def _commits(stage: _Disk, size: int) -> Load:
    count = max(2, stage.settings.stored_messages // PARTS.get(size, 1) // size)
    waiting = blocks(count * size, size)
    with tempfile.TemporaryDirectory(dir=stage.directory) as inner:
        if stage.without:
            return sqlite_alone(Path(inner, "alone.db"), waiting)
        async with open_sqlite(Path(inner, "store.db"), NETWORK) as store:
            await store.commit([create_room()])
            seconds = []
            before = time.process_time()
            for block in waiting:
                start = time.perf_counter()
                await store.commit(block)
                seconds.append(time.perf_counter() - start)
            return commits_of(waiting, seconds, time.process_time() - before)


async def _pages(store: Store) -> int:
    return len((await store.message_page(room_history(), PageRequest())).items)


async def _replay(store: Store) -> int:
    middle = (await store.event_bounds()).newest_seq // 2
    return len(await store.events_after(middle, EVENTS))


async def _reads(stage: _Disk, read: Callable[[Store], Awaitable[int]], *, beside_a_writer: bool) -> Load:
    async with open_sqlite(stage.prepared, NETWORK) as store, trio.open_nursery() as nursery:
        if beside_a_writer:
            nursery.start_soon(_write_until_cancelled, store)
        amount, seconds = 0, []
        for _ in range(stage.settings.reads):
            start = time.perf_counter()
            amount += await read(store)
            seconds.append(time.perf_counter() - start)
        nursery.cancel_scope.cancel(reason="measured")
    return Load(amount, sum(seconds), tuple(1000 * each for each in seconds))


async def _write_until_cancelled(store: Store) -> None:
    while True:
        (block,) = blocks(64, 64)
        await store.commit(block)


def _cases(settings: Settings) -> Sequence[Case[_Disk]]:
    return [Case(f"commits of {size}", "messages", partial(_commits, size=size)) for size in BATCHES]


def _read_cases(settings: Settings) -> Sequence[Case[_Disk]]:
    return [
        Case(f"{name}{' beside a writer' * beside}", "items", partial(_reads, read=read, beside_a_writer=beside))
        for name, read in (("page of 100 messages", _pages), (f"replay of {EVENTS} events", _replay))
        for beside in (False, True)
    ]


COMMITS: Final = Benchmark("commits", "group commit", _open, _cases, ceilings=(STORE_ALONE, SQLITE_ALONE), alone=True)
READS: Final = Benchmark("reads", "reads beside a writer", _open, _read_cases, ceilings=(STORE_ALONE,), alone=True)
