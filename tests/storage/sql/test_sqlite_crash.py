"""What was acknowledged is on disk: after SIGKILL at any moment, and before the answer is given."""

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby, pairwise
from pathlib import Path

import pytest

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import event_id_of_message
from moltnet.storage.records import EventRecord
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.storage.examples import NETWORK, post
from tests.storage.sql.raw import raw_value

ROUNDS = 25
MAX_BATCHES_BEFORE_KILL = 60

pytestmark = pytest.mark.slow


def command_for(path: Path, name: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.storage.sql.committing_child", str(path), name, *more]


@contextmanager
def committing(path: Path, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command_for(path, name), stdout=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def acknowledged_until_killed(path: Path, name: str, batches: int, bytes_of_next: int) -> Sequence[str]:
    """Ids on whole lines. The kill comes while the child is in the middle of some later commit."""
    with committing(path, name) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(batches + 1)]
        # Part of a line more: how far the child gets meanwhile is anybody's guess, and that is the point.
        child.stdout.read(bytes_of_next)
        child.kill()
        rest = child.stdout.read()
    assert lines[0] == b"\n", "the child did not start"
    text = b"".join(lines[1:]).decode()
    assert text.count("\n") == batches
    later = [line for line in rest.decode().split("\n")[1:-1] if line]
    return [*text.split(), *(each for line in later for each in line.split())]


async def whole_log(store: Store) -> Sequence[EventRecord]:
    records: list[EventRecord] = []
    while page := await store.events_after(records[-1].seq if records else 0, 1000):
        records.extend(page)
    return records


def batch_of(message_id: str) -> tuple[str, str, int]:
    name, batch, _, size = message_id.split("-")
    return name, batch, int(size)


async def check(path: Path, acknowledged: Sequence[str]) -> int:
    """Every acknowledged message is there with its event, nothing is there in part. Returns the number of events."""
    async with open_sqlite(path, NETWORK) as store:
        records = await whole_log(store)
        assert [record.seq for record in records] == list(range(1, len(records) + 1))
        stored = [record.message_id for record in records if record.type == "message.created"]
        assert set(acknowledged) <= set(stored)
        for message_id in acknowledged[-3:]:
            assert await store.event_seq(event_id_of_message(message_id)) is not None
        for record in records:
            event = decode(record.wire, Event)
            assert event.id == record.id
            assert event.message is None or event.message.id == record.message_id
        for (_, _, size), batch in groupby(stored, batch_of):
            assert len(list(batch)) == size
    assert raw_value(path, "PRAGMA integrity_check") == "ok"
    assert raw_value(path, "SELECT count(*) FROM pragma_foreign_key_check") == 0
    assert raw_value(path, "SELECT count(*) FROM messages") == len(stored)
    return len(records)


async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(path: Path) -> None:
    """The reference keeps its events in memory: a commit followed by a crash never produces its event."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: list[str] = []
    events = 0
    for number in range(ROUNDS):
        batches = chance.randrange(MAX_BATCHES_BEFORE_KILL)
        acknowledged += acknowledged_until_killed(path, f"r{number}", batches, chance.randrange(1, 12))
        events_before, events = events, await check(path, acknowledged)
        assert events > events_before
    print(f"{ROUNDS} kills, {len(acknowledged)} messages acknowledged, {events} events stored, none lost")


@pytest.mark.skipif(
    shutil.which("strace") is None and "CI" not in os.environ, reason="strace shows what reaches the disk"
)
def test_every_commit_reaches_the_disk_before_it_is_acknowledged(tmp_path: Path) -> None:
    """`synchronous = FULL`: between two acknowledgements lies a sync of the log; new directories are synced too."""
    path = tmp_path / "made" / "here" / "moltnet.db"
    trace, batches = tmp_path / "trace", 20
    command = [
        "strace",
        "-f",
        "-o",
        str(trace),
        "-y",
        "-e",
        "trace=fdatasync,fsync,write",
        *command_for(path, "r", str(batches)),
    ]
    finished = subprocess.run(command, capture_output=True, check=False)
    if b"ptrace" in finished.stderr.lower():
        pytest.skip("strace may not trace here")
    assert finished.returncode == 0, finished.stderr
    for parent in (tmp_path, tmp_path / "made", tmp_path / "made" / "here"):
        assert re.search(rf"f(data)?sync\(\d+<{parent}>\)", trace.read_text())
    steps = re.findall(r"(fdatasync|fsync)\(\d+<[^>]*moltnet\.db-wal>|(write)\(1<[^>]*>, \"r-", trace.read_text())
    kinds = ["sync" if synced else "acknowledged" for synced, _ in steps]
    assert kinds.count("acknowledged") == batches
    first = kinds.index("acknowledged")
    assert kinds[first - 1] == "sync"
    assert all(pair != ("acknowledged", "acknowledged") for pair in pairwise(kinds))


async def test_a_killed_server_leaves_a_store_that_takes_the_same_messages_again(path: Path) -> None:
    """A client that saw no answer sends again: the id tells what was stored and what was not."""
    acknowledged = acknowledged_until_killed(path, "r", 5, 1)
    async with open_sqlite(path, NETWORK) as store:
        before = await store.event_bounds()
        await store.commit([post(each) for each in acknowledged])
        assert await store.event_bounds() == before
