"""The JSON store on disks that fail or are full, and beside programs that write to its file: nothing half is kept."""

import errno
import os
import resource
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import orjson
import pytest

from moltnet.protocol.pages import PageRequest
from moltnet.storage import limits, snapshot_file
from moltnet.storage.snapshot import open_json
from moltnet.storage.store import StorageError, StorageFull, Store
from tests.fakes.http_client import http_client
from tests.fakes.network import open_test_server, room_message
from tests.storage.examples import NETWORK, create_room, post, room_history

LARGE = "x" * 100_000


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """What a quota does: the kernel refuses to let a file grow."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "moltnet.json"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[Store]:
    async with open_json(path, NETWORK) as opened:
        await opened.commit([create_room(), post("before")])
        yield opened


async def assert_unchanged_and_working(store: Store, path: Path) -> None:
    """A failed commit left nothing, neither here nor on the disk, and the next one goes on."""
    assert (await store.event_bounds()).newest_seq == 2
    assert (await store.message_page(room_history(), PageRequest())).last_id == "before"
    assert [record["seq"] for record in orjson.loads(path.read_bytes())["messages"]] == [2]
    assert sorted(file.name for file in path.parent.iterdir()) == ["moltnet.json", "moltnet.json.lock"]
    committed = await store.commit([post("after", text=LARGE)])
    assert [record.seq for record in committed.records] == [3]
    assert b'"after"' in path.read_bytes()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, StorageFull),
        (errno.EDQUOT, StorageFull),
        (errno.EROFS, StorageFull),
        (errno.EACCES, StorageFull),
        (errno.EIO, StorageError),
    ],
)
@pytest.mark.parametrize("step", ["mkstemp", "fsync", "replace"])
async def test_a_step_that_fails_loses_nothing(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch, code: int, kind: type[StorageError], step: str
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(tempfile if step == "mkstemp" else os, step, fail)
        with pytest.raises(StorageError, match=os.strerror(code)) as refused:
            await store.commit([post("lost")])
    assert refused.type is kind
    await assert_unchanged_and_working(store, path)


async def test_a_quota_refuses_and_the_store_works_again_without_it(store: Store, path: Path) -> None:
    with largest_file(64 * 1024), pytest.raises(StorageFull, match="File too large"):
        await store.commit([post("large", text=LARGE)])
    await assert_unchanged_and_working(store, path)


async def test_a_crash_of_the_planner_changes_nothing(store: Store, path: Path) -> None:
    broken = attrs.evolve(post("broken"), body="not bytes")  # type: ignore[arg-type]  # the bug that is acted out
    with pytest.raises(TypeError):
        await store.commit([post("neighbour"), broken])
    await assert_unchanged_and_working(store, path)


async def test_a_commit_whose_directory_could_not_be_synced_is_not_acknowledged(
    store: Store, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is on the disk and yet refused, which a crash could show; the next commit settles it."""

    def fail(directory: Path) -> None:
        raise OSError(errno.EIO, "I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(snapshot_file, "sync_directory", fail)
        with pytest.raises(StorageError, match="I/O error"):
            await store.commit([post("unsure")])
    assert (await store.event_bounds()).newest_seq == 2
    await store.commit([post("after")])
    assert b'"unsure"' not in path.read_bytes()
    await store.check_writable()


async def test_a_file_that_another_program_wrote_is_not_overwritten(store: Store, path: Path) -> None:
    edited = path.read_bytes().replace(b"hello", b"hallo")
    path.write_bytes(edited)
    for _ in range(2):  # it does not come to terms with that either
        with pytest.raises(StorageError, match="was changed by another program"):
            await store.commit([post("lost")])
    with pytest.raises(StorageError, match="was changed by another program"):
        await store.commit([post("before")])
    with pytest.raises(StorageError, match="was changed by another program"):
        await store.check_writable()
    assert path.read_bytes() == edited


async def test_a_file_that_was_removed_is_not_made_again_until_a_restart(store: Store, path: Path) -> None:
    moved = path.rename(path.with_name("elsewhere.json"))
    with pytest.raises(StorageError, match="is gone"):
        await store.commit([post("lost")])
    with pytest.raises(StorageError, match="is gone"):
        await store.check_writable()
    assert not path.exists()
    moved.rename(path)
    await assert_unchanged_and_working(store, path)


async def test_a_disk_without_room_for_a_second_copy_is_not_ready(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MIN_FREE_BYTES", 2**62)
    with pytest.raises(StorageFull, match="bytes are free"):
        await store.check_writable()


async def test_a_server_without_room_says_so_and_serves_again_when_there_is_some(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with open_json(path, NETWORK) as store, open_test_server(store=store) as server:
        client = http_client(server)
        assert (await client.post("/v1/messages", room_message(message_id="before"))).status == 202
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            sent, ready = (
                await client.post("/v1/messages", room_message(message_id="lost")),
                await client.get("/readyz"),
            )
            assert (sent.status, ready.status) == (507, 503)
            assert sent.code == ready.code == "storage_full"
        assert (await client.get("/readyz")).status == 200
        assert (await client.post("/v1/messages", room_message(message_id="after"))).status == 202
        page = (await client.get("/v1/rooms/general/messages")).json()
        assert [message["id"] for message in page["messages"]] == ["before", "after"]
