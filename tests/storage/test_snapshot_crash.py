"""The JSON store: what was acknowledged is on disk, after SIGKILL at any moment and on a disk that was full."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import orjson
import pytest

from moltnet.protocol.pages import PageRequest
from moltnet.storage.snapshot import open_json
from moltnet.storage.store import StorageFull
from tests.storage.crashes import command_for, groups_of_rounds, survive_kills
from tests.storage.examples import NETWORK, create_room, post, room_history

MAX_BATCHES_BEFORE_KILL = 20

pytestmark = pytest.mark.slow


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "made" / "moltnet.json"


@pytest.mark.parametrize("rounds", groups_of_rounds(12))
async def test_a_kill_at_any_moment_loses_nothing_that_was_acknowledged(path: Path, rounds: int) -> None:
    """The reference renames without a sync, and its events are in memory only."""

    def look() -> None:
        orjson.loads(path.read_bytes())  # whole before anybody repairs anything

    await survive_kills(path, rounds, MAX_BATCHES_BEFORE_KILL, lambda: open_json(path, NETWORK), look)
    assert {file.name for file in path.parent.iterdir()} == {"moltnet.json", "moltnet.json.lock"}


@pytest.mark.skipif(
    shutil.which("strace") is None and "CI" not in os.environ, reason="strace shows what reaches the disk"
)
def test_every_commit_reaches_the_disk_before_it_is_acknowledged(tmp_path: Path, path: Path) -> None:
    """First the new content, then its name, then the directory that holds the name."""
    trace, batches = tmp_path / "trace", 10
    watched = "trace=fdatasync,fsync,rename,renameat,renameat2,write"
    command = ["strace", "-f", "-o", str(trace), "-y", "-e", watched, *command_for(path, "r", str(batches))]
    finished = subprocess.run(command, capture_output=True, check=False)
    if b"ptrace" in finished.stderr.lower():
        pytest.skip("strace may not trace here")
    assert finished.returncode == 0, finished.stderr
    directory = re.escape(str(path.parent))
    steps = re.findall(
        rf"(fsync)\(\d+<{directory}/\.moltnet\.json\.\w+\.tmp>|(rename)\w*\(.*moltnet\.json\"|(fsync)\(\d+<{directory}>|"
        r"(write)\(1<[^>]*>, \"r-",
        trace.read_text(),
    )
    names = ("content", "name", "directory", "acknowledged")
    kinds = [names[next(place for place, found in enumerate(step) if found)] for step in steps]
    assert kinds.count("acknowledged") == batches
    assert {after for before, after in pairwise(kinds) if before == "content"} == {"name"}
    assert {after for before, after in pairwise(kinds) if before == "name"} == {"directory"}
    assert {before for before, after in pairwise(kinds) if after == "acknowledged"} == {"directory"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", disk], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("mounting needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


async def test_a_full_disk_refuses_keeps_serving_reads_and_works_again_when_there_is_room(small_disk: Path) -> None:
    path = small_disk / "moltnet.json"
    async with open_json(path, NETWORK) as store:
        await store.commit([create_room(), post("before", text="x" * 1_000_000)])
        await store.check_writable()
        filler = small_disk / "filler"
        filler.write_bytes(b"x" * (22 * 1024 * 1024))
        with pytest.raises(StorageFull, match="bytes are free"):
            await store.check_writable()
        with pytest.raises(StorageFull, match="No space left"):
            await store.commit([post("lost", text="x" * 1_000_000)])
        assert (await store.message_page(room_history(), PageRequest())).last_id == "before"
        assert {file.name for file in small_disk.iterdir()} == {"filler", "moltnet.json", "moltnet.json.lock"}
        filler.unlink()
        await store.commit([post("after", text="x" * 1_000_000)])
    async with open_json(path, NETWORK) as store:
        assert (await store.event_bounds()).newest_seq == 3
        assert (await store.message_page(room_history(), PageRequest())).last_id == "after"
