"""What was acknowledged is on disk: after SIGKILL at any moment, and before the answer is given."""

import os
import re
import shutil
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest

from moltnet.storage.sql.sqlite import open_sqlite
from tests.storage.crashes import acknowledged_until_killed, command_for, groups_of_rounds, messages_in, survive_kills
from tests.storage.examples import NETWORK, post
from tests.storage.sql.raw import raw_value

MAX_BATCHES_BEFORE_KILL = 20

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("rounds", groups_of_rounds(200))
async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(path: Path, rounds: int) -> None:
    """The reference keeps its events in memory: a commit followed by a crash never produces its event."""
    records = await survive_kills(path, rounds, MAX_BATCHES_BEFORE_KILL, lambda: open_sqlite(path, NETWORK))
    assert raw_value(path, "PRAGMA integrity_check") == "ok"
    assert raw_value(path, "SELECT count(*) FROM pragma_foreign_key_check") == 0
    assert raw_value(path, "SELECT count(*) FROM messages") == len(messages_in(records))


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
