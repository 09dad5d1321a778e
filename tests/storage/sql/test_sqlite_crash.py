"""What was acknowledged is on disk: after SIGKILL at any moment, and before the answer is given."""

import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from moltnet.storage.sql.sqlite import open_sqlite
from tests.storage.crashes import acknowledged_until_killed, checked_log, command_for, messages_in
from tests.storage.examples import NETWORK, post
from tests.storage.sql.raw import raw_value

ROUNDS = 25
MAX_BATCHES_BEFORE_KILL = 60

pytestmark = pytest.mark.slow


async def check(path: Path, acknowledged: Sequence[str]) -> int:
    """Every acknowledged message is there with its event, nothing is there in part. Returns the number of events."""
    async with open_sqlite(path, NETWORK) as store:
        records = await checked_log(store, acknowledged)
    assert raw_value(path, "PRAGMA integrity_check") == "ok"
    assert raw_value(path, "SELECT count(*) FROM pragma_foreign_key_check") == 0
    assert raw_value(path, "SELECT count(*) FROM messages") == len(messages_in(records))
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
