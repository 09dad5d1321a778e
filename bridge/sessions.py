"""Which session of the runtime continues which conversation, kept in a file (runtimes §6.1).

The file is `moltnet.cli-sessions.v1`, the same as the reference's. Several attachments, also of several nodes, may
share one. What a session id looks like and when a session is given up is the business of `runtimes/cli_agent.py`.
"""

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from bridge import limits
from moltnet.config.files import create_directories, read_file, write_private
from moltnet.log import get_logger
from moltnet.protocol.codec import decode, encode, structure, wire
from moltnet.protocol.times import WallClock, format_timestamp, utc_now

log = get_logger("bridge.sessions")

VERSION: Final = "moltnet.cli-sessions.v1"

# A file that is not ours to understand: too large, or something else than a file.
_UNUSABLE: Final = frozenset({errno.EFBIG, errno.EISDIR, errno.EINVAL, errno.ELOOP, errno.ENXIO})


class SessionStoreError(Exception):
    """The file cannot be read or written now; the text says why."""


@attrs.frozen
class _Record:
    runtime_session_id: str
    created_at: str = attrs.field(default="", metadata=wire(always=True))
    updated_at: str = attrs.field(default="", metadata=wire(always=True))


@attrs.frozen
class _Document:
    version: str
    sessions: dict[str, Any] = attrs.field(factory=dict, metadata=wire(always=True))


_Records = dict[str, _Record]
_Change = Callable[[_Records], None]


@attrs.define(eq=False)
class SessionStore:
    """The sessions in the file at `path`, which need not exist yet.

    A change is on disk when its method returns, whole or not at all. The least recently used sessions beyond
    `limits.MAX_SESSIONS` are forgotten. A file that cannot be understood is renamed to `<name>.corrupt`, with a
    warning, and everything starts anew.
    """

    path: Path
    _clock: WallClock = utc_now

    async def find(self, key: str) -> str | None:
        """The runtime session of a conversation. Raises `SessionStoreError`."""
        try:
            records = await trio.to_thread.run_sync(self._read)
        except OSError as error:
            raise SessionStoreError(f"session store {self.path}: {error.strerror}") from error
        record = records.get(key)
        return None if record is None else record.runtime_session_id

    async def remember(self, key: str, session_id: str) -> None:
        """Note that `session_id` continues the conversation and was used now. Raises `SessionStoreError`.

        Cancelled, it has either happened or not.
        """

        def change(records: _Records) -> None:
            now = format_timestamp(self._clock())
            known = records.pop(key, None)  # put at the end again: the order of the file is the order of use
            created_at = known.created_at if known is not None and known.runtime_session_id == session_id else now
            records[key] = _Record(session_id, created_at, now)
            while len(records) > limits.MAX_SESSIONS:
                del records[next(iter(records))]

        await self._update(change)

    async def forget(self, key: str, session_id: str) -> None:
        """Drop a session that the runtime does not know any more, unless another has taken its place.

        Raises `SessionStoreError`.
        """

        def change(records: _Records) -> None:
            known = records.get(key)
            if known is not None and known.runtime_session_id == session_id:
                del records[key]

        await self._update(change)

    async def _update(self, change: _Change) -> None:
        """Read, change and write under the file's lock, waiting for it as long as the limits allow.

        Waiting is done here and not in the thread: an agent can reach the file in its workspace, hold the lock for
        ever, and must not be able to hold a thread with it.
        """
        try:
            for _ in range(limits.SESSION_LOCK_TRIES):
                if await trio.to_thread.run_sync(self._try_update, change):
                    return
                await trio.sleep(limits.SESSION_LOCK_RETRY_SECONDS)
        except OSError as error:
            raise SessionStoreError(f"session store {self.path}: {error.strerror}") from error
        raise SessionStoreError(f"session store {self.path}: locked by another process")

    def _try_update(self, change: _Change) -> bool:
        create_directories(self.path.parent)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(self.path.with_name(self.path.name + ".lock"), flags, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            records = self._read(may_set_aside=True)
            change(records)
            write_private(self.path, encode(_Document(VERSION, records)))
        except BlockingIOError:
            return False
        finally:
            os.close(descriptor)  # and with it the lock
        return True

    def _read(self, *, may_set_aside: bool = False) -> _Records:
        """What the file holds; empty if there is none or it cannot be understood. Raises `OSError`."""
        try:
            file = read_file(self.path, max_bytes=limits.MAX_SESSION_FILE_BYTES)
            if file.is_symlink:
                raise OSError(errno.ELOOP, "is a symlink", str(self.path))
            document = decode(file.data, _Document)
            if document.version != VERSION:
                raise ValueError(f"unknown version {document.version!r}")
            return {key: structure(record, _Record) for key, record in document.sessions.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in _UNUSABLE:
                raise
            if may_set_aside:
                aside = self.path.with_name(self.path.name + ".corrupt")
                self.path.rename(aside)
                log.warning("session store set aside, conversations start anew", file=str(aside), reason=str(error))
            return {}
