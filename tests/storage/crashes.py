"""Killing a process that commits to a store, and looking at what it left."""

import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from itertools import groupby
from pathlib import Path

import attrs

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


GROUP_ROUNDS = 50
"""Kills of one store: then it begins anew, because looking at all of it takes longer each time."""


def groups_of_rounds(default_rounds: int, setting: str = "MOLTNET_CRASH_ROUNDS") -> list[int]:
    """How often each of some stores is killed: as `make crash ROUNDS=…` says, or by default."""
    rounds = int(os.environ.get(setting, default_rounds))
    return [GROUP_ROUNDS] * (rounds // GROUP_ROUNDS) + ([rounds % GROUP_ROUNDS] if rounds % GROUP_ROUNDS else [])


@attrs.define(eq=False)
class Witness:
    """Has seen the log up to some place, and looks at what came since: as a reader with a cursor does."""

    _newest_seq: int = 0
    _messages: set[str] = attrs.field(factory=set)

    async def look(self, store: Store, acknowledged: Sequence[str]) -> None:
        """The log goes on without a hole, holds what was acknowledged, and no message twice and no batch in part."""
        new: list[str] = []
        while page := await store.events_after(self._newest_seq, 1000):
            for record in page:
                assert record.seq == self._newest_seq + 1
                self._newest_seq = record.seq
                event = decode(record.wire, Event)
                assert event.id == record.id
                assert event.message is None or event.message.id == record.message_id
            new += messages_in(page)
        assert len(new) == len(set(new))
        assert self._messages.isdisjoint(new)
        self._messages.update(new)
        assert self._messages.issuperset(acknowledged)
        for (_, _, size), batch in groupby(new, batch_of):
            assert len(list(batch)) == size


async def survive_kills(
    place: Path | str,
    rounds: int,
    most_batches: int,
    open_store: Callable[[], AbstractAsyncContextManager[Store]],
    look: Callable[[], None] = lambda: None,
) -> Sequence[EventRecord]:
    """Kill a writer at random moments; after each kill a reader goes on where it was. Returns the whole log.

    `look` is called before anybody opens the store again.
    """
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    acknowledged: list[str] = []
    witness = Witness()
    for number in range(rounds):
        batches = chance.randrange(most_batches)
        new = acknowledged_until_killed(place, f"r{number}", batches, chance.randrange(1, 12))
        acknowledged += new
        look()
        async with open_store() as store:
            await witness.look(store, new)
    async with open_store() as store:
        records = await checked_log(store, acknowledged)
    print(f"{rounds} kills, {len(acknowledged)} messages acknowledged, {len(records)} events stored, none lost")
    return records
