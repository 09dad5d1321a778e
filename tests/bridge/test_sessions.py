"""The session store: what it remembers, what it survives, and who may use it at the same time."""

import fcntl
import json
import multiprocessing
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from bridge import limits
from bridge.sessions import VERSION, SessionStore, SessionStoreError


@attrs.define
class Clock:
    """A wall clock that goes on by a second with each look."""

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "sessions.json"


def sessions_in(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text())
    assert document["version"] == VERSION
    sessions: dict[str, Any] = document["sessions"]
    return sessions


async def test_a_session_is_found_again_by_the_next_process(path: Path) -> None:
    await SessionStore(path).remember("net:room:general", "thread-1")
    assert await SessionStore(path).find("net:room:general") == "thread-1"
    assert await SessionStore(path).find("net:room:other") is None


async def test_nothing_is_found_before_anything_was_remembered(path: Path) -> None:
    assert await SessionStore(path).find("net:room:general") is None
    assert not path.parent.exists()


async def test_the_file_is_private_and_has_the_documented_form(path: Path) -> None:
    store = SessionStore(path, Clock())
    await store.remember("a", "1")
    await store.remember("a", "1")
    await store.remember("b", "2")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert sessions_in(path) == {
        "a": {
            "runtime_session_id": "1",
            "created_at": "2026-01-01T00:00:01Z",
            "updated_at": "2026-01-01T00:00:02Z",
        },
        "b": {
            "runtime_session_id": "2",
            "created_at": "2026-01-01T00:00:03Z",
            "updated_at": "2026-01-01T00:00:03Z",
        },
    }


async def test_another_session_of_a_conversation_begins_its_own_life(path: Path) -> None:
    store = SessionStore(path, Clock())
    await store.remember("a", "1")
    await store.remember("a", "2")
    assert sessions_in(path)["a"]["created_at"] == "2026-01-01T00:00:02Z"


async def test_a_forgotten_session_is_gone_but_not_the_one_that_took_its_place(path: Path) -> None:
    store = SessionStore(path)
    await store.remember("a", "1")
    await store.forget("a", "other")
    assert await store.find("a") == "1"
    await store.forget("a", "1")
    await store.forget("a", "1")
    assert await store.find("a") is None


async def test_the_least_recently_used_sessions_are_dropped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_SESSIONS", 3)
    store = SessionStore(path)
    for key in ("a", "b", "c", "a", "d", "e"):
        await store.remember(key, f"of {key}")
    assert list(sessions_in(path)) == ["a", "d", "e"]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"version":"moltnet.cli-sessions.v2","sessions":{}}',
        b'{"sessions":{}}',
        b'{"version":"moltnet.cli-sessions.v1","sessions":[]}',
        b'{"version":"moltnet.cli-sessions.v1","sessions":{"a":{"runtime_session_id":5}}}',
        b'{"version":"moltnet.cli-sessions.v1","sessions":{"a":"thread"}}',
        b"[" * 100_000,
        b" " * (limits.MAX_SESSION_FILE_BYTES + 1),
    ],
    ids=lambda content: content[:20].decode(errors="replace"),
)
async def test_a_file_that_cannot_be_understood_is_set_aside(
    path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    store = SessionStore(path)
    assert await store.find("a") is None
    assert path.read_bytes() == content  # only a writer may move it
    await store.remember("a", "new")
    assert await store.find("a") == "new"
    assert path.with_name("sessions.json.corrupt").read_bytes() == content
    assert "session store set aside" in caplog.text


@pytest.mark.parametrize("kind", ["directory", "pipe", "symlink"])
async def test_something_else_than_a_file_is_set_aside(path: Path, kind: str) -> None:
    path.parent.mkdir()
    match kind:
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "symlink":
            path.symlink_to("/etc/passwd")
    store = SessionStore(path)
    assert await store.find("a") is None
    await store.remember("a", "new")
    assert await store.find("a") == "new"
    assert path.is_file()
    assert not path.is_symlink()


async def test_a_file_of_the_reference_is_understood(path: Path) -> None:
    path.parent.mkdir()
    record = {"runtime_session_id": "t", "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00.5Z"}
    path.write_text(json.dumps({"version": VERSION, "sessions": {"agent:a:net:room:r": record}}, indent=2))
    assert await SessionStore(path).find("agent:a:net:room:r") == "t"


async def test_stores_that_share_a_file_keep_each_others_sessions(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(SessionStore(path).remember, f"conversation {number}", str(number))
    assert set(sessions_in(path)) == {f"conversation {number}" for number in range(20)}


def remember_in_another_process(path: Path, process: int) -> None:
    async def remember() -> None:
        for number in range(10):
            await SessionStore(path).remember(f"{process}/{number}", "x")

    trio.run(remember)


@pytest.mark.slow
def test_nodes_that_share_a_file_keep_each_others_sessions(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    nodes = [context.Process(target=remember_in_another_process, args=(path, number)) for number in range(3)]
    for node in nodes:
        node.start()
    for node in nodes:
        node.join()
        node.close()
    assert len(sessions_in(path)) == 30


async def test_a_lock_that_is_never_released_is_given_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "SESSION_LOCK_TRIES", 2)
    store = SessionStore(path)
    await store.remember("a", "1")
    with path.with_name("sessions.json.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SessionStoreError, match="locked by another process"):
            await store.remember("a", "2")
        assert await store.find("a") == "1"
    await store.remember("a", "2")
    assert await store.find("a") == "2"


async def test_waiting_for_the_lock_can_be_cancelled(path: Path) -> None:
    store = SessionStore(path)
    await store.remember("a", "1")
    with path.with_name("sessions.json.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with trio.move_on_after(0.05) as scope:
            await store.remember("a", "2")
    assert scope.cancelled_caught
    assert await store.find("a") == "1"


async def test_a_place_that_cannot_be_written_is_a_named_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SessionStore(tmp_path / "file" / "sessions.json")
    with pytest.raises(SessionStoreError, match=r"file/sessions\.json: "):
        await store.remember("a", "1")
    with pytest.raises(SessionStoreError):
        await store.find("a")
