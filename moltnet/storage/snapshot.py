"""A store in memory with one readable JSON file, which is replaced whole with every commit.

For small networks, and for those that come from the reference implementation. What stands in the file is decided in
``snapshot_format``, how it gets to the disk in ``snapshot_file``.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage.changes import Changes
from moltnet.storage.commands import AnyCommand
from moltnet.storage.files import real_path
from moltnet.storage.memory import MemoryStore
from moltnet.storage.plan import Plan
from moltnet.storage.reference_snapshot import is_reference_snapshot, read_reference_snapshot
from moltnet.storage.snapshot_file import SnapshotFile, open_snapshot_file
from moltnet.storage.snapshot_format import SnapshotLines, read_snapshot, snapshot_text
from moltnet.storage.store import Committed, SchemaUnsupported, StorageError, Store

# What the original of a converted file is called from then on.
_ORIGINAL: Final = "reference"


@asynccontextmanager
async def open_json(path: Path, network_id: NetworkId) -> AsyncIterator[Store]:
    """The store of ``network_id`` in the file at ``path``, which is created if it is missing.

    A file of the reference implementation is converted; the original stays beside it under another name. Raises
    ``StoreInUse``, ``SchemaUnsupported``, ``WrongNetwork``, ``StorageError``.
    """
    async with open_json_store(path, network_id) as store:
        yield store


@asynccontextmanager
async def open_json_store(path: Path, network_id: NetworkId) -> AsyncIterator["JsonStore"]:
    """The same for whoever fills it."""
    with ExitStack() as opened:
        yield await trio.to_thread.run_sync(_open, real_path(path), network_id, opened)


@attrs.define(eq=False)
class JsonStore(MemoryStore):
    """Keeps a ``Store``'s promises. Reads never wait for the disk; a commit shows when its file is there."""

    _file: SnapshotFile
    _lines: SnapshotLines
    # A batch is decided on what the batch before it left, which is known only when that is on the disk.
    _writing: trio.Lock = attrs.field(init=False, factory=trio.Lock)

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        async with self._writing:
            if not commands:
                return Committed(())
            # Reads go on meanwhile: the thread looks at the state and changes none of it.
            planned, lines = await trio.to_thread.run_sync(self._write, commands)
            self._lines = lines
            self.apply(planned.changes)
            return Committed.of(planned)

    async def check_writable(self) -> None:
        async with self._writing:
            await trio.to_thread.run_sync(self._file.check_room)

    async def fill(self, changes: Changes) -> None:
        """Make an empty store what ``changes`` say. Raises ``StorageError``; then it is as empty as before."""
        async with self._writing:
            with trio.CancelScope(shield=True):
                lines = self._lines.changed(changes)
                await trio.to_thread.run_sync(self._file.replace, snapshot_text(lines, self.network_id))
                self._lines = lines
                self.apply(changes)

    def _write(self, commands: Sequence[AnyCommand]) -> tuple[Plan, SnapshotLines]:
        """What the commands change, and the lines that are now in the file."""
        planned = self.decide(commands)
        if planned.changes == Changes():
            self._file.check()
            return planned, self._lines
        lines = self._lines.changed(planned.changes)
        self._file.replace(snapshot_text(lines, self.network_id))
        return planned, lines


def _open(path: Path, network_id: NetworkId, opened: ExitStack) -> JsonStore:
    file = opened.enter_context(open_snapshot_file(path))
    text = file.read()
    document: dict[str, Any] = {}
    changes = Changes()
    if text is not None:
        try:
            document = parsed(text)
            read = read_reference_snapshot if is_reference_snapshot(document) else read_snapshot
            changes = read(document, network_id)
        except StorageError as error:
            raise type(error)(f"can't open {path}: {error}") from error
        file.shut_out_others()
    lines = SnapshotLines().changed(changes)
    store = JsonStore(network_id, file, lines)
    store.apply(changes)
    if is_reference_snapshot(document):
        file.keep_copy(_ORIGINAL)
    if text is None or is_reference_snapshot(document):
        file.replace(snapshot_text(lines, network_id))
    return store


def parsed(text: bytes) -> dict[str, Any]:
    """Raises ``StorageError``, ``SchemaUnsupported``."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise StorageError(
            f"it is no valid JSON, damaged or cut off in line {error.lineno} ({error.msg}); put back a whole copy of it"
        ) from error
    if not isinstance(document, dict):
        raise SchemaUnsupported("it is no file of this program; choose another path for this network")
    return document
