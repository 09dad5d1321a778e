"""`moltnet restore` and `moltnet backup`, killed at random moments: all of it is there, or nothing."""

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from moltnet.storage.records import DirectoryContents, EventBounds
from moltnet.storage.sql.sqlite import open_sqlite
from tests.storage.backup.places import Place, back_up, restore
from tests.storage.examples import NETWORK, create_room, post

MESSAGES = 4000
ROUNDS = 12

pytestmark = pytest.mark.slow


def killed_after(seconds: float, arguments: Sequence[str], directory: Path) -> int:
    """Run `moltnet` and kill it then, unless it has ended. Its exit code."""
    command = [sys.executable, "-m", "moltnet.cli.main", *arguments]
    environment = {**os.environ, "MOLTNET_SQLITE_PATH": "new.db" if arguments[0] == "restore" else "moltnet.db"}
    with subprocess.Popen(
        command, cwd=directory, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as child:
        time.sleep(seconds)
        child.kill()
        return child.wait()


async def test_a_killed_restore_leaves_nothing_or_everything_and_a_killed_backup_no_half_file(tmp_path: Path) -> None:
    (tmp_path / "Moltnet").write_text(f"network: {{id: {NETWORK}}}\n")
    before, after = Place("sqlite", tmp_path / "moltnet.db"), Place("sqlite", tmp_path / "new.db")
    async with before.open() as store:
        await store.commit([create_room()])
        for start in range(0, MESSAGES, 500):
            await store.commit([post(f"m{start + number}", text="x" * 500) for number in range(500)])
    whole = tmp_path / "whole.backup"
    await back_up(before, whole)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    ends = []
    for number in range(ROUNDS):
        file = tmp_path / f"{number}.backup"
        killed_after(chance.uniform(0.3, 1.2), ["backup", file.name], tmp_path)
        if file.exists():
            await restore(file, Place("sqlite", tmp_path / f"{number}.db"))
        killed_after(chance.uniform(0.3, 2.0), ["restore", whole.name], tmp_path)
        async with open_sqlite(after.at, NETWORK) as store:
            bounds = await store.event_bounds()
            if bounds == EventBounds(0, 0):
                assert await store.load_directory() == DirectoryContents((), ())
            else:
                assert (bounds.oldest_seq, bounds.newest_seq) == (1, MESSAGES + 1)
            ends.append(bounds.newest_seq)
        for left in tmp_path.glob("new.db*"):
            left.unlink()
    print(f"{ROUNDS} kills, {sum(map(bool, ends))} restored before")
