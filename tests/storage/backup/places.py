"""Stores of each kind that can be backed up and filled, and everything that can be seen in one."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import attrs
import orjson

from moltnet.protocol.ids import AgentId, DirectId, NetworkId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.backup.format import Content, Header, Selection, Source, Target
from moltnet.storage.backup.transfer import Written, restore_backup, write_backup
from moltnet.storage.commands import BindPairNetwork, CreateRoom, OpenSession, Pruned, RecordEvents
from moltnet.storage.marks import NoteSeen
from moltnet.storage.outbox import RelayFailure, RelayState, SettleRelays
from moltnet.storage.records import ApprovalFilter, History, PairNetwork, StoredSession
from moltnet.storage.snapshot import open_json
from moltnet.storage.snapshot_backup import open_json_source, open_json_target
from moltnet.storage.sql.postgres.backup import open_postgres_source, open_postgres_target
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.sql.sqlite_backup import open_sqlite_source, open_sqlite_target
from moltnet.storage.store import Store
from tests.contracts.store_approvals import approval, ask, decide
from tests.contracts.store_marks import ALPHA, mute, switch
from tests.contracts.store_messages import EVERYTHING, wake
from tests.contracts.store_pruning import prune
from tests.fakes.postgres import PostgresServer
from tests.storage.examples import (
    GENERAL,
    NETWORK,
    at,
    create_room,
    direct_post,
    link,
    post,
    register,
    relayed,
    remove_room,
    room,
    thread_post,
    with_parts,
)

KINDS: Final = ("sqlite", "json", "postgres")
WHOLE: Final = Selection()
ROOMS: Final = (GENERAL, "gone", "room1", "room2", "room3")
THREADS: Final = ("t1", "t2", "t3", "room1")
DIRECTS: Final = ("d1", "d2", "d3", "room1")


@attrs.frozen
class Place:
    """Where a store is, or will be. `at` is a path, or a DSN."""

    kind: str
    at: Any
    network_id: NetworkId = NETWORK

    def open(self) -> AbstractAsyncContextManager[Store]:
        opening: dict[str, Callable[..., AbstractAsyncContextManager[Store]]] = {
            "sqlite": open_sqlite,
            "json": open_json,
            "postgres": open_postgres,
        }
        return opening[self.kind](self.at, self.network_id)

    def source(self, selection: Selection = WHOLE) -> AbstractAsyncContextManager[Source]:
        opening: dict[str, Callable[..., AbstractAsyncContextManager[Source]]]
        opening = {"sqlite": open_sqlite_source, "json": open_json_source, "postgres": open_postgres_source}
        return opening[self.kind](self.at, self.network_id, selection)

    def target(self) -> AbstractAsyncContextManager[Target]:
        opening: dict[str, Callable[..., AbstractAsyncContextManager[Target]]]
        opening = {"sqlite": open_sqlite_target, "json": open_json_target, "postgres": open_postgres_target}
        return opening[self.kind](self.at, self.network_id)


def place_in(directory: Path, kind: str, postgres: Callable[[], PostgresServer]) -> Place:
    """A place where nothing is yet."""
    if kind == "postgres":
        return Place(kind, postgres().dsn_of_new_schema())
    return Place(kind, directory / ("moltnet.db" if kind == "sqlite" else "moltnet.json"))


def silent(done: int, total: int) -> None:
    assert 0 <= done <= total


async def back_up(place: Place, path: Path, selection: Selection = WHOLE) -> Written:
    async with place.source(selection) as source:
        return await write_backup(source, path, silent)


async def restore(path: Path, place: Place, content: Content = Content.NETWORK) -> Header:
    return await restore_backup(path, place.target(), NETWORK, silent, content)


async def fill(store: Store) -> None:
    """Something of everything, some of it old and pruned."""
    await store.commit(
        [
            create_room(GENERAL, "alpha", "beta"),
            CreateRoom(room("gone", "alpha", name='"quoted" \0 🦞')),
            register("alpha", "agent:key", name="Alpha \\ \0"),
            post("old", seconds=-100),
            with_parts(thread_post("old-reply", "t1", parent="old", seconds=-100), link("http://a.test/0")),
            post("m1", addressed=["molt://net_a/agents/beta"], seconds=-50),
            direct_post("m3", "d1", ("alpha", "net_b:beta"), seconds=-50),
            with_parts(post("m4", seconds=-50), link("http://a.test/1"), link("http://a.test/2")),
            post("m5", "gone", seconds=-50),
            remove_room("gone"),
            RecordEvents((wake("evt_wake"),)),
            OpenSession(StoredSession("abc", "key1", at(1), at(2))),
            BindPairNetwork(PairNetwork("pair", NETWORK)),
            ask(approval("m1", seconds=5)),
            ask(approval("m4", seconds=5)),
            decide(approval("m4")),
        ]
    )
    # The oldest message is gone; the others have lost their events.
    pruned = [(await store.commit([command])).outcomes[0] for command in (prune(3, -60, 4), prune(3))]
    assert pruned == [Pruned(4, 1), Pruned(6, 0)]
    waiting = [relayed(post("m7"), "to_b", "to_c"), relayed(direct_post("m8", "d1", ()), "to_b")]
    seqs = [record.seq for record in (await store.commit(waiting)).records]
    failure = RelayFailure(403, "room_write_forbidden", 'not "here"', at(9))
    await store.commit([SettleRelays("to_b", changed=((seqs[0], RelayState(3, failure)),))])
    await store.commit([thread_post("m6", "t1"), mute(), NoteSeen(((ALPHA, at(9)),)), switch("to_b", enabled=False)])


async def outbox_of(store: Store, pairing_id: str) -> Sequence[Any]:
    """What waits for a pairing, with its body as JSON: it may be written otherwise; and its dead letters."""
    rows = await store.outbox(pairing_id, 0, EVERYTHING)
    letters, _ = await store.dead_letters(pairing_id, PageRequest(500))
    return [(attrs.evolve(row, body=b""), orjson.loads(row.body)) for row in rows], list(letters)


async def everything_in(store: Store) -> Sequence[Any]:
    """All that a store tells, sessions left out: they are not part of a backup."""
    contents = await store.load_directory()
    histories = [
        *(History(TargetKind.ROOM, RoomId(name)) for name in ROOMS),
        *(History(TargetKind.THREAD, ThreadId(name)) for name in THREADS),
        *(History(TargetKind.DM, DirectId(name)) for name in DIRECTS),
    ]
    whole = PageRequest(500)
    return [
        attrs.evolve(contents, sessions=()),
        await store.event_bounds(),
        [attrs.asdict(record) for record in await store.events_after(0, EVERYTHING)],
        [await store.message_page(history, whole) for history in histories],
        [await store.artifact_page(history, whole) for history in histories],
        [list((await store.threads(RoomId(name), whole))[0]) for name in ROOMS],
        list((await store.directs(whole, None))[0]),
        [
            *[await store.wake_page(AgentId(name), whole) for name in ("alpha", "beta")],
            await store.approval_page(ApprovalFilter(), whole),
            *[await outbox_of(store, name) for name in ("to_b", "to_c")],
        ],
    ]
