"""The JSON store: what stands in the file, who may read it, and which files are refused."""

import os
from collections.abc import Iterator
from pathlib import Path

import attrs
import orjson
import pytest
import trio
import trio.testing

from moltnet.protocol.ids import NetworkId, RoomId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.changes import Changes
from moltnet.storage.commands import BindPairNetwork, CloseSessions, DeclareRoom, OpenSession, RecordEvents
from moltnet.storage.records import ApprovalFilter, History, PairNetwork, StoredRoom, StoredSession
from moltnet.storage.snapshot import open_json
from moltnet.storage.snapshot_format import SnapshotLines
from moltnet.storage.store import SchemaUnsupported, StorageError, Store, StoreInUse, WrongNetwork
from tests.contracts.store_approvals import approval, ask
from tests.contracts.store_messages import wake
from tests.storage.examples import (
    GENERAL,
    NETWORK,
    agent,
    at,
    create_room,
    direct_post,
    link,
    post,
    register,
    remove_agent,
    remove_room,
    room,
    room_history,
    thread_post,
    with_parts,
)

LARGE = "x" * 100_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "moltnet.json"


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o7777


async def write_everything(path: Path) -> None:
    """A file with at least one line in every list."""
    async with open_json(path, NETWORK) as store:
        await store.commit(
            [DeclareRoom(room(GENERAL, "alpha"), "digest"), create_room("gone"), register("alpha", "key1")]
        )
        await store.commit(
            [
                post("m1", addressed=["molt://net_a/agents/beta"]),
                thread_post("m2", "t1", parent="m1"),
                direct_post("m3", "d1", ("alpha", "net_b:beta")),
                with_parts(post("m4"), link("http://a.test")),
                post("m5", "gone"),
                remove_room("gone"),
                RecordEvents((wake("evt_wake"),)),
                OpenSession(StoredSession("abc", "key1", at(1), at(2))),
                BindPairNetwork(PairNetwork("pair", NetworkId("net_b"))),
                ask(attrs.evolve(approval("m1"), target=None)),
            ]
        )


async def whole_state(store: Store) -> list[object]:
    conversations = [
        History(kind, RoomId(name))
        for kind, name in (
            (TargetKind.ROOM, GENERAL),
            (TargetKind.ROOM, "gone"),
            (TargetKind.THREAD, "t1"),
            (TargetKind.DM, "d1"),
        )
    ]
    return [
        await store.load_directory(),
        [attrs.asdict(record) for record in await store.events_after(0, 1000)],
        [await store.message_page(history, PageRequest()) for history in conversations],
        [await store.artifact_page(history, PageRequest()) for history in conversations],
        await store.threads(GENERAL, PageRequest()),
        await store.directs(PageRequest(), None),
        await store.approval_page(ApprovalFilter(), PageRequest()),
    ]


class TestContent:
    async def test_the_file_is_json_with_one_record_on_each_line(self, path: Path) -> None:
        await write_everything(path)
        document = orjson.loads(path.read_bytes())
        assert (document["format"], document["version"], document["network_id"]) == ("moltnet.network", 1, NETWORK)
        records = sum(len(value) for value in document.values() if isinstance(value, list))
        lines = path.read_text().splitlines()
        assert records == 20
        for line in lines:
            assert line.startswith(("{", "}", "]", '"'))
        assert len([line for line in lines if line.startswith('{"')]) == records
        (message,) = [kept for kept in document["messages"] if kept["message"]["id"] == "m1"]
        assert message["message"]["parts"] == [{"kind": "text", "text": "hello"}]
        assert message["addressed"] == ["molt://net_a/agents/beta"]

    def test_every_kind_of_change_has_its_lines(self) -> None:
        """A new kind of record must be written too. What a message's artifacts and event are follows from it."""
        kept = {field.name for field in attrs.fields(SnapshotLines)}
        changed = {field.name for field in attrs.fields(Changes)}
        gone = {"removed_agents", "removed_marks", "closed_sessions", "forgotten_approvals"}
        gone |= {"events_pruned_to", "messages_pruned_to"}
        outbox = {"outbox_added", "outbox_changed", "outbox_removed", "relays_retried"}
        assert changed - kept == {"records", "artifacts", *gone, *outbox}
        assert kept - changed == {"events", "pruned_to", "outbox"}

    async def test_what_was_removed_is_gone_after_a_restart(self, path: Path) -> None:
        await write_everything(path)
        async with open_json(path, NETWORK) as store:
            await store.commit([remove_agent("alpha"), CloseSessions(("abc",))])
        async with open_json(path, NETWORK) as store:
            contents = await store.load_directory()
            assert (contents.agents, contents.sessions) == ((), ())
            assert [stored.room.members for stored in contents.rooms] == [()]

    async def test_everything_is_there_after_a_restart_and_the_next_event_goes_on(self, path: Path) -> None:
        await write_everything(path)
        before = path.read_bytes()
        async with open_json(path, NETWORK) as store:
            first = await whole_state(store)
        assert path.read_bytes() == before
        async with open_json(path, NETWORK) as store:
            assert await whole_state(store) == first
            contents = await store.load_directory()
            assert contents.rooms == (StoredRoom(room(GENERAL, "alpha"), "digest"),)
            assert contents.agents == (agent("alpha", "key1"),)
            assert [session.digest for session in contents.sessions] == ["abc"]
            assert contents.pair_networks == (PairNetwork("pair", NetworkId("net_b")),)
            newest = (await store.event_bounds()).newest_seq
            (record,) = (await store.commit([post("next")])).records
            assert record.seq == newest + 1

    async def test_a_file_that_was_laid_out_by_hand_is_read_all_the_same(self, path: Path) -> None:
        await write_everything(path)
        async with open_json(path, NETWORK) as store:
            before = await whole_state(store)
        document = orjson.loads(path.read_bytes())
        document["messages"].reverse()
        path.write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
        async with open_json(path, NETWORK) as store:
            assert await whole_state(store) == before

    async def test_keys_that_this_version_does_not_know_stay_in_messages(self, path: Path) -> None:
        await write_everything(path)
        path.write_bytes(path.read_bytes().replace(b'{"id":"m1",', b'{"id":"m1","new":{"a":[1.50,"\\u00e9"]},', 1))
        async with open_json(path, NETWORK) as store:
            (body, *_) = (await store.message_page(room_history(), PageRequest())).items
            assert '{"id":"m1","new":{"a":[1.5,"é"]},'.encode() in body

    async def test_a_commit_that_changes_nothing_writes_nothing(self, path: Path) -> None:
        await write_everything(path)
        async with open_json(path, NETWORK) as store:
            inode = path.stat().st_ino
            await store.commit([post("m1", addressed=["molt://net_a/agents/beta"]), create_room()])
            assert path.stat().st_ino == inode

    async def test_reads_go_on_while_a_commit_waits_for_the_disk(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And they see the state before it: a commit shows when it is durable."""
        on_disk = trio.Event()

        def slow_fsync(descriptor: int) -> None:
            trio.from_thread.run(on_disk.wait)

        async with open_json(path, NETWORK) as store, trio.open_nursery() as nursery:
            await store.commit([create_room(), post("m1")])
            monkeypatch.setattr(os, "fsync", slow_fsync)
            nursery.start_soon(store.commit, [post("m2")])
            await trio.testing.wait_all_tasks_blocked()
            assert (await store.message_page(room_history(), PageRequest())).last_id == "m1"
            on_disk.set()
        async with open_json(path, NETWORK) as store:
            assert (await store.message_page(room_history(), PageRequest())).last_id == "m2"


class TestFiles:
    @pytest.fixture(autouse=True)
    def generous_umask(self) -> Iterator[None]:
        before = os.umask(0)
        yield
        os.umask(before)

    async def test_all_files_are_private_whatever_the_umask(self, path: Path) -> None:
        await write_everything(path)
        assert {file.name: mode_of(file) for file in path.parent.iterdir()} == {
            "moltnet.json": 0o600,
            "moltnet.json.lock": 0o600,
        }

    async def test_a_file_that_others_could_read_becomes_private(self, path: Path) -> None:
        await write_everything(path)
        path.chmod(0o644)
        async with open_json(path, NETWORK):
            assert mode_of(path) == 0o600

    @pytest.mark.parametrize("mode", [0o755, 0o777, 0o1777])
    async def test_an_existing_directory_keeps_its_mode(self, tmp_path: Path, mode: int) -> None:
        """The reference made the parent 0700, whatever it was."""
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(mode)
        await write_everything(shared / "moltnet.json")
        assert mode_of(shared) == mode

    async def test_missing_directories_are_made_for_the_owner_only(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o755)
        await write_everything(tmp_path / "a" / "b" / "moltnet.json")
        assert [mode_of(each) for each in (tmp_path, tmp_path / "a", tmp_path / "a" / "b")] == [0o755, 0o700, 0o700]

    async def test_a_second_server_on_the_same_file_is_refused_and_told_who_has_it(self, path: Path) -> None:
        (path.parent / "link.json").symlink_to(path)
        async with open_json(path, NETWORK) as store:
            for name in (path, path.parent / "link.json"):
                with pytest.raises(StoreInUse, match=f"in use by process {os.getpid()}: a JSON file serves one"):
                    async with open_json(name, NETWORK):
                        pass
            await store.commit([create_room()])
        async with open_json(path.parent / "link.json", NETWORK) as store:
            await store.commit([post("m1")])
        assert (path.parent / "link.json").is_symlink()
        assert b'"m1"' in path.read_bytes()

    async def test_what_a_killed_writer_left_is_removed_and_nothing_else(self, path: Path) -> None:
        leftover = path.with_name(".moltnet.json.k2j3h4.tmp")
        others = [path.with_name(name) for name in ("moltnet.json.tmp", ".other.json.k2j3h4.tmp", "notes")]
        for each in (leftover, *others):
            each.write_text("half a network")
        await write_everything(path)
        assert not leftover.exists()
        assert all(each.exists() for each in others)

    @pytest.mark.parametrize("obstacle", ["file", "directory"])
    async def test_a_path_that_cannot_be_opened_is_named(self, tmp_path: Path, obstacle: str) -> None:
        path = tmp_path / "obstacle"
        if obstacle == "file":
            path.write_text("in the way")
            path = path / "moltnet.json"
        else:
            path.mkdir()
        with pytest.raises(StorageError, match=str(path)):
            async with open_json(path, NETWORK):
                pass


class TestRefusals:
    """Whatever is refused is left as it is."""

    async def assert_refused(self, path: Path, kind: type[StorageError], text: str, network: str = NETWORK) -> None:
        before, mode = path.read_bytes(), mode_of(path)
        for _ in range(2):  # the lock is free again afterwards
            with pytest.raises(kind, match=f"can't open {path}: .*{text}"):
                async with open_json(path, NetworkId(network)):
                    pass
        assert (path.read_bytes(), mode_of(path)) == (before, mode)

    @pytest.mark.parametrize("kept", [0, 1, 100, -1, -3])
    async def test_a_truncated_file(self, path: Path, kept: int) -> None:
        """The reference's rename may survive a power loss as an empty file, which then is an empty network."""
        await write_everything(path)
        whole = path.read_bytes().rstrip()
        path.write_bytes(whole[:kept])
        path.chmod(0o640)
        await self.assert_refused(
            path, StorageError, "no valid JSON, damaged or cut off in line [0-9]+ .*put back a whole"
        )

    async def test_a_file_of_zeros(self, path: Path) -> None:
        path.write_bytes(b"\0" * 4096)
        await self.assert_refused(path, StorageError, "no valid JSON")

    @pytest.mark.parametrize(
        ("damaged", "by", "text"),
        [
            ('"seq":3,', '"seq":"3",', r"\$.messages\[0\].seq: must be an integer"),
            ('"seq":3,', "", r"\$.messages\[0\].seq: is required"),
            ('"seq":3,', '"seq":30,', "event 2 is followed by event 4"),
            ('"visibility":"private"', '"visibility":"secret"', r"\$.rooms\[0\].room.visibility: must be one of"),
            ('"credential_key":"key1"}', '"credential_key":5}', r"\$.agents\[0\].credential_key"),
            ('"id":"m4",', '"id":"m1",', "stands in it twice"),
            (
                '"room_id":"general","message_count"',
                '"room_id":"attic","message_count"',
                'room "attic", which is missing',
            ),
            (
                '"kind":"room","room_id":"general"',
                '"kind":"room","room_id":"attic"',
                'message "m1" is in a conversation',
            ),
            ('"thread_id":"t1","parent', '"thread_id":"t9","parent', 'message "m2" is in a conversation'),
            ('"dm_id":"d1"', '"dm_id":"d9"', 'message "m3" is in a conversation'),
            (',"digest":"', ',"digest":"zz', 'digest of message "m1" is not hexadecimal'),
            ('"agents": [', '"agent": [', r"\$.agents: is required"),
            ("agent.wake.delivered", "message.created", "has no message"),
        ],
    )
    async def test_a_file_that_contradicts_itself(self, path: Path, damaged: str, by: str, text: str) -> None:
        await write_everything(path)
        content = path.read_text()
        assert damaged in content
        path.write_text(content.replace(damaged, by, 1))
        await self.assert_refused(path, StorageError, f"damaged: .*{text}")

    async def test_a_file_of_a_newer_version(self, path: Path) -> None:
        await write_everything(path)
        path.write_bytes(path.read_bytes().replace(b'"version": 1', b'"version": 2'))
        await self.assert_refused(
            path, SchemaUnsupported, "version 2, this program knows versions up to 1: .* newer version"
        )

    async def test_a_file_of_another_network(self, path: Path) -> None:
        await write_everything(path)
        await self.assert_refused(path, WrongNetwork, '"net_a", but the configuration names "net_z"', "net_z")

    @pytest.mark.parametrize("content", ["{}", "[]", "5", '{"rooms": []}', '{"format": "moltnet.network"}', "null"])
    async def test_a_file_of_another_program(self, path: Path, content: str) -> None:
        path.write_text(content)
        await self.assert_refused(path, SchemaUnsupported, "no file of this program")
