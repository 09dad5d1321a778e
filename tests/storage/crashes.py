"""Killing a process that commits to a store, and looking at what it left."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import event_id_of_message
from moltnet.storage.records import EventRecord
from moltnet.storage.store import Store


def command_for(place: Path | str, name: str, *more: str) -> list[str]:
    return [sys.executable, "-m", "tests.storage.sql.committing_child", str(place), name, *more]


@contextmanager
def committing(place: Path | str, name: str) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command_for(place, name), stdout=subprocess.PIPE) as child:
        try:
            yield child
        finally:
            child.kill()


def acknowledged_until_killed(place: Path | str, name: str, batches: int, bytes_of_next: int) -> Sequence[str]:
    """Ids on whole lines. The kill comes while the child is in the middle of some later commit."""
    with committing(place, name) as child:
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


def messages_in(records: Sequence[EventRecord]) -> list[str]:
    return [record.message_id for record in records if record.type == "message.created"]


async def checked_log(store: Store, acknowledged: Sequence[str]) -> Sequence[EventRecord]:
    """The whole log, which has no hole, holds every acknowledged message, and no batch in part."""
    records = await whole_log(store)
    assert [record.seq for record in records] == list(range(1, len(records) + 1))
    stored = messages_in(records)
    assert set(acknowledged) <= set(stored)
    for message_id in acknowledged[-3:]:
        assert await store.event_seq(event_id_of_message(message_id)) is not None
    for record in records:
        event = decode(record.wire, Event)
        assert event.id == record.id
        assert event.message is None or event.message.id == record.message_id
    for (_, _, size), batch in groupby(stored, batch_of):
        assert len(list(batch)) == size
    return records
