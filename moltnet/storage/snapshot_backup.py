"""A JSON file as the source of a backup, beside a server that replaces it, and as the target of one."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import trio

from moltnet.protocol.ids import NetworkId
from moltnet.storage.backup.format import (
    BackupDamaged,
    Content,
    Counts,
    Header,
    Kind,
    Selection,
    Source,
    Target,
    blocks,
    line,
)
from moltnet.storage.backup.target import require_empty
from moltnet.storage.changes import Changes
from moltnet.storage.files import real_path
from moltnet.storage.outbox_memory import lines_in_order
from moltnet.storage.reference_snapshot import is_reference_snapshot
from moltnet.storage.snapshot import open_json_store, parsed
from moltnet.storage.snapshot_format import VERSION, SnapshotLines, check_consistent, read_snapshot
from moltnet.storage.store import SchemaUnsupported, StorageError


@asynccontextmanager
async def open_json_source(path: Path, network_id: NetworkId, selection: Selection) -> AsyncIterator[Source]:
    """The file at ``path`` as it is now: it is only ever replaced whole, so its lock is not asked for.

    Raises ``SchemaUnsupported``, ``WrongNetwork``, ``StorageError``.
    """
    yield await trio.to_thread.run_sync(_open_source, real_path(path), network_id, selection)


@asynccontextmanager
async def open_json_target(path: Path, network_id: NetworkId) -> AsyncIterator[Target]:
    """An empty or new file, which is written when the block ends well. Raises what ``open_json`` raises.

    Raises ``StoreNotEmpty`` too. All of it is in memory, as it is in the server that will open it.
    """
    async with open_json_store(path, network_id) as store:
        await require_empty(store, f"the file at {path}")
        target = JsonTarget()
        yield target
        try:
            check_consistent(target.changes)
        except StorageError as error:
            raise BackupDamaged(str(error)) from error
        await store.fill(target.changes)


@attrs.define(eq=False)
class JsonSource:
    """A ``Source`` in memory."""

    header: Header
    _blocks: Iterator[Sequence[bytes]]

    async def next_block(self) -> Sequence[bytes]:
        await trio.lowlevel.checkpoint()
        return next(self._blocks, ())


@attrs.frozen(eq=False)
class JsonTarget:
    """A ``Target`` in memory."""

    changes: Changes = attrs.field(factory=Changes)

    async def write(self, changes: Changes) -> None:
        await trio.lowlevel.checkpoint()
        mine = self.changes
        mine.events_pruned_to = changes.events_pruned_to
        for name in ("records", "messages", "artifacts"):
            getattr(mine, name).extend(getattr(changes, name))
        for name in (*_LISTS, "outbox_added"):
            known, new = getattr(mine, name), getattr(changes, name)
            if not known.keys().isdisjoint(new):
                raise BackupDamaged(f'it is damaged: "{(known.keys() & new.keys()).pop()}" stands in it twice')
            known.update(new)


def _open_source(path: Path, network_id: NetworkId, selection: Selection) -> JsonSource:
    try:
        document = parsed(path.read_bytes())
    except OSError as error:
        raise StorageError(f"can't read {path}: {error.strerror}") from error
    except StorageError as error:
        raise type(error)(f"can't read {path}: {error}") from error
    if is_reference_snapshot(document):
        raise SchemaUnsupported(
            f"{path} was written by the first implementation: start its server once, which converts it"
        )
    changes = read_snapshot(document, network_id)
    lines = SnapshotLines().changed(changes)
    counts = Counts(*(len(getattr(lines, name)) for name in _SECTIONS))
    newest_message = changes.messages[-1].seq if changes.messages else 0
    first_event = changes.records[0].seq if changes.records else 1
    header = Header(
        content=selection.content,
        network_id=network_id,
        counts=selection.counts(counts),
        pruned_to=selection.pruned_to(first_event - 1, newest_message),
        store="json",
        schema=VERSION,
    )
    return JsonSource(header, blocks(_lines(lines, selection)))


# As `Counts` has them.
_LISTS = ("rooms", "agents", "sessions", "pair_networks", "approvals", "marks", "threads", "directs")
_SECTIONS = (*_LISTS, "messages", "events", "outbox")


def _lines(lines: SnapshotLines, selection: Selection) -> Iterator[bytes]:
    is_whole = selection.content is Content.NETWORK
    yield from (line(Kind.ROOM, body) for body in lines.rooms.values())
    if is_whole:
        yield from (line(Kind.AGENT, body) for body in lines.agents.values())
        if selection.sessions:
            yield from (line(Kind.SESSION, body) for body in lines.sessions.values())
        yield from (line(Kind.PAIR_NETWORK, body) for body in lines.pair_networks.values())
        yield from (line(Kind.APPROVAL, body) for body in lines.approvals.values())
        yield from (line(Kind.MARK, body) for body in lines.marks.values())
    yield from (line(Kind.THREAD, body) for body in lines.threads.values())
    yield from (line(Kind.DIRECT, body) for body in lines.directs.values())
    log = [(seq, Kind.MESSAGE, body) for seq, body in lines.messages.items()]
    if is_whole:
        log += [(seq, Kind.EVENT, body) for seq, body in lines.events.items()]
    yield from (line(kind, body) for _, kind, body in sorted(log))
    if is_whole:
        yield from (line(Kind.RELAY, body) for body in lines_in_order(lines.outbox))
