"""A JSON file of the reference implementation is opened, converted once, and the network goes on."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from moltnet.protocol.artifacts import Artifact
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event
from moltnet.protocol.ids import DirectId, NetworkId, ThreadId, event_id_of_message
from moltnet.protocol.messages import Message, MessageOrigin, PartKind, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import Visibility, WritePolicy
from moltnet.storage.commands import MessageRepeated, RoomStored, RoomTaken
from moltnet.storage.records import History
from moltnet.storage.snapshot import open_json
from moltnet.storage.store import SchemaUnsupported, StorageError, Store, WrongNetwork
from tests.storage.examples import (
    NETWORK,
    create_room,
    direct_history,
    direct_post,
    post,
    restore_room,
    room_history,
    thread_history,
)

REFERENCE = Path(__file__).parent / "reference_store.json"
"""Every key that the reference writes, with what its API let in. The ids of the messages tell their order."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "moltnet.json"
    path.write_bytes(REFERENCE.read_bytes())
    return path


async def messages_of(store: Store, history: History) -> list[Message]:
    return [decode(body, Message) for body in (await store.message_page(history, PageRequest())).items]


async def test_rooms_and_agents_are_found(path: Path) -> None:
    async with open_json(path, NETWORK) as store:
        contents = await store.load_directory()
        general, old = (stored.room for stored in contents.rooms)
        assert (general.name, general.members, general.created_at) == (
            "General",
            ("alpha", "net_b:beta"),
            "2026-01-02T03:04:05.123456Z",
        )
        assert (general.visibility, general.write_policy) == (Visibility.PUBLIC, WritePolicy.REGISTERED_AGENTS)
        assert (old.visibility, old.write_policy, old.members) == (Visibility.PRIVATE, WritePolicy.MEMBERS, ())
        (agent,) = contents.agents
        assert (agent.id, agent.credential_key, agent.registration.actor_uid) == ("alpha", "static:alpha", "actor_1")
        assert (agent.registration.display_name, agent.registration.updated_at) == ("Alpha", "2026-01-02T03:04:07.5Z")


async def test_a_removed_room_keeps_its_id_and_its_messages(path: Path) -> None:
    async with open_json(path, NETWORK) as store:
        committed = await store.commit([create_room("attic"), restore_room("attic", "alpha")])
        taken, restored = committed.outcomes
        assert taken == RoomTaken(create_room("attic").room.id, removed=True)
        assert isinstance(restored, RoomStored)
        assert [message.id for message in await messages_of(store, room_history("attic"))] == ["m2"]


async def test_messages_are_found_where_they_were_sent_in_the_order_in_which_they_came(path: Path) -> None:
    """Also those in a room with blanks around its name, which the reference took and never showed."""
    async with open_json(path, NETWORK) as store:
        room = await messages_of(store, room_history())
        thread = await messages_of(store, thread_history("t1"))
        direct = await messages_of(store, direct_history("d1"))
        assert [message.id for message in room] == ["m1", "m4", "m5", "m8"]
        assert [message.id for message in thread] == ["m3"]
        assert [message.id for message in direct] == ["m6", "m7"]
        first, relayed, human, padded = room
        assert (first.parts[0].text, first.mentions) == ("hello <beta>", ("molt://net_b/agents/beta",))
        assert (first.sender.name, first.created_at) == ("Alpha", "2026-01-02T03:05:00.12Z")
        assert relayed.origin == MessageOrigin("net_b", "m4")
        assert (relayed.parts[0].kind, relayed.parts[0].url) == (PartKind.URL, "http://a.test/4")
        assert (human.origin, human.sender.fqid) == (MessageOrigin(NETWORK, "m5"), "molt://net_a/agents/operator")
        assert padded.target.room_id == "general"
        assert direct[0].target.participant_ids == ("alpha", "net_b:beta")


async def test_conversations_are_counted_and_have_their_people(path: Path) -> None:
    async with open_json(path, NETWORK) as store:
        thread = await store.thread(ThreadId("t1"))
        direct = await store.direct(DirectId("d1"))
        assert thread is not None
        assert direct is not None
        assert (thread.room_id, thread.parent_message_id, thread.message_count) == ("general", "m1", 1)
        assert (direct.participant_ids, direct.message_count) == (("alpha", "net_b:beta"), 2)
        assert direct.last_message_at == "2026-01-02T03:05:07Z"


async def test_every_message_has_its_event_under_the_id_that_clients_know(path: Path) -> None:
    """So a cursor of the reference resumes here; messages of all conversations are merged by time."""
    async with open_json(path, NETWORK) as store:
        records = await store.events_after(0, 100)
        assert [record.message_id for record in records] == ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"]
        assert [record.seq for record in records] == list(range(1, 9))
        for record in records:
            event = decode(record.wire, Event)
            assert (event.id, event.type, event.network_id) == (record.id, "message.created", NETWORK)
            assert event.message is not None
            assert record.id == event_id_of_message(event.message.id)
            assert await store.event_seq(record.id) == record.seq
        assert records[0].addressed == ("molt://net_b/agents/beta",)
        assert records[5].addressed == ("molt://net_a/agents/alpha", "molt://net_b/agents/beta")


async def test_a_thread_is_read_only_by_those_who_may_read_its_own_room(path: Path) -> None:
    """The reference let a message of a thread name another room, and showed it to that room's readers."""
    async with open_json(path, NETWORK) as store:
        (message,) = await messages_of(store, thread_history("t1"))
        assert (message.target.kind, message.target.room_id) == (TargetKind.THREAD, "general")
        assert [record.room_id for record in await store.events_after(2, 1)] == ["general"]


async def test_artifacts_are_found(path: Path) -> None:
    async with open_json(path, NETWORK) as store:
        found = [decode(body, Artifact).id for body in (await store.artifact_page(room_history(), PageRequest())).items]
        assert found == ["art_m3_0", "art_m4_0"]
        (body,) = (await store.artifact_page(direct_history("d1"), PageRequest())).items
        assert decode(body, Artifact).id == "art_m6_0"


async def test_the_network_goes_on_and_is_ours_from_then_on(path: Path) -> None:
    original = hashlib.sha256(path.read_bytes()).digest()
    async with open_json(path, NETWORK) as store:
        committed = await store.commit([post("next"), direct_post("d-next", "d1", ("alpha", "net_b:beta"))])
        assert [record.seq for record in committed.records] == [9, 10]
        assert (await store.message_page(room_history(), PageRequest())).last_id == "next"
    assert orjson.loads(path.read_bytes())["format"] == "moltnet.network"
    async with open_json(path, NETWORK) as store:
        assert (await store.event_bounds()).newest_seq == 10
        assert [message.id for message in await messages_of(store, direct_history("d1"))] == ["m6", "m7", "d-next"]
    kept = path.with_name("moltnet.json.reference")
    assert hashlib.sha256(kept.read_bytes()).digest() == original
    assert {each.stat().st_mode & 0o777 for each in path.parent.iterdir()} == {0o600}


async def test_a_message_that_is_sent_again_after_the_conversion_is_the_same_message(path: Path) -> None:
    """The reference keeps no digest, and takes every repeat for the same message; so a retry stays harmless."""
    async with open_json(path, NETWORK) as store:
        committed = await store.commit([post("m1")])
        assert committed.outcomes == (MessageRepeated(event_id_of_message("m1"), same=True),)
    async with open_json(path, NETWORK) as store:
        committed = await store.commit([post("m1", text="again")])
        assert committed.outcomes == (MessageRepeated(event_id_of_message("m1"), same=True),)


async def test_originals_of_two_conversions_are_both_kept(path: Path) -> None:
    for _ in range(2):
        path.write_bytes(REFERENCE.read_bytes())
        async with open_json(path, NETWORK):
            pass
    assert {each.name for each in path.parent.iterdir()} == {
        "moltnet.json",
        "moltnet.json.lock",
        "moltnet.json.reference",
        "moltnet.json.reference-2",
    }


async def test_a_file_of_an_empty_network_is_converted(path: Path) -> None:
    names = ("rooms", "room_messages", "threads", "thread_messages", "direct_messages", "direct_members")
    path.write_bytes(orjson.dumps({name: {} for name in names}))
    async with open_json(path, NETWORK) as store:
        assert (await store.load_directory()).rooms == ()
        await store.commit([create_room()])


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        (lambda it: it["rooms"]["general"].update(network_id="net_z"), WrongNetwork, 'holds network "net_z"'),
        (lambda it: it["agents"]["alpha"].update(network_id="net_z"), WrongNetwork, 'holds network "net_z"'),
        (lambda it: it["direct_messages"]["d1"][0].update(network_id="net_z"), WrongNetwork, 'holds network "net_z"'),
        (lambda it: it.pop("threads"), SchemaUnsupported, "no file of this program"),
        (lambda it: it.update(rooms=[]), StorageError, "damaged: .*rooms must be an object"),
        (
            lambda it: it["room_messages"]["general"][0].pop("id"),
            StorageError,
            r'at "general": \$\[0\].id: is required',
        ),
        (lambda it: it["room_messages"]["attic"][0].update(id="m1"), StorageError, "stands in it twice"),
        (lambda it: it["rooms"]["general"].update(created_at="soon"), StorageError, "damaged: .*'soon'"),
        (lambda it: it["rooms"]["general"].update(visibility="secret"), StorageError, "damaged: 'secret'"),
    ],
)
async def test_what_cannot_be_converted_is_left_as_it_is(
    path: Path, change: Callable[[Any], object], kind: type[StorageError], text: str
) -> None:
    document = orjson.loads(path.read_bytes())
    change(document)
    path.write_bytes(orjson.dumps(document))
    path.chmod(0o644)
    before = path.read_bytes()
    with pytest.raises(kind, match=f"can't open {path}: .*{text}"):
        async with open_json(path, NetworkId(NETWORK)):
            pass
    assert path.read_bytes() == before
    assert path.stat().st_mode & 0o777 == 0o644
    assert {each.name for each in path.parent.iterdir()} == {"moltnet.json", "moltnet.json.lock"}
