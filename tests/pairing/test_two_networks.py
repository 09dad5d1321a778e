"""Two and three networks in one process, over real sockets: what is said in one arrives in the others."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from moltnet.app import App
from moltnet.config.server_limits import CAPS_ONLY, Rate
from moltnet.config.settings import FileStorage, StorageKind, StorageSettings
from moltnet.protocol.ids import DirectId, NetworkId, RoomId
from moltnet.protocol.messages import HUMAN, SendMessageRequest, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import AnyCommand
from moltnet.storage.memory import MemoryStore
from moltnet.storage.outbox import SettleRelays
from moltnet.storage.store import StorageError
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import direct_message, open_test_server, room, room_message, thread_message
from tests.fakes.paired import (
    depth,
    history,
    open_paired,
    paired_config,
    pairing_to,
    say,
    texts,
    wait_for_texts,
    wait_settled,
)


async def test_a_message_arrives_with_its_origin_its_sender_and_its_mentions() -> None:
    async with open_paired(paired_config("net_a", "net_b"), paired_config("net_b", "net_a")) as (a, b):
        await say(a.app, room_message("hello @net_b:beta", message_id="m1"))
        await wait_for_texts(b.app, "hello @net_b:beta")
        (message,) = await history(b.app)
        assert (message.id, message.network_id) == ("m1", "net_b")
        assert attrs.astuple(message.origin) == ("net_a", "m1")
        assert (message.sender.id, message.sender.network_id) == ("alpha", "net_a")
        assert message.sender.fqid == "molt://net_a/agents/alpha"
        assert message.mentions == ("molt://net_b/agents/beta",)
        await wait_settled(a.app, "to_net_b")
        # One hop: what came from A does not go back.
        assert (await depth(b.app, "to_net_a")).waiting == 0
        assert await texts(a.app) == ["hello @net_b:beta"]


async def test_both_sides_talk_in_rooms_and_threads() -> None:
    async with open_paired(paired_config("net_a", "net_b"), paired_config("net_b", "net_a")) as (a, b):
        await say(a.app, room_message("from a"))
        await wait_for_texts(b.app, "from a")
        await say(b.app, room_message("from b"))
        await wait_for_texts(a.app, "from a", "from b")
        await say(a.app, thread_message("topic", "in the thread"))
        await wait_for_texts(b.app, "in the thread", kind=TargetKind.THREAD, room="topic")
        (message,) = await history(b.app, TargetKind.THREAD, "topic")
        assert (message.target.room_id, message.target.parent_message_id) == ("general", "m1")


async def test_a_direct_conversation_has_the_same_people_on_both_sides() -> None:
    async with open_paired(paired_config("net_a", "net_b"), paired_config("net_b", "net_a")) as (a, b):
        await say(a.app, direct_message("d1", "alpha", "beta", "net_b:alpha", text="to b"))
        await wait_for_texts(b.app, "to b", kind=TargetKind.DM, room="d1")
        await say(b.app, direct_message("d1", "alpha", "net_a:alpha", text="to a"))
        await wait_for_texts(a.app, "to b", "to a", kind=TargetKind.DM, room="d1")
        direct_id = DirectId("d1")
        here, there = await a.app.context.store.direct(direct_id), await b.app.context.store.direct(direct_id)
        assert here is not None
        assert there is not None
        assert here.participant_ids == ("alpha", "beta", "net_b:alpha")
        assert there.participant_ids == ("alpha", "net_a:alpha", "net_a:beta")


async def test_three_networks_hear_each_message_once() -> None:
    ids = ("net_a", "net_b", "net_c")
    configs = [paired_config(own, *(each for each in ids if each != own)) for own in ids]
    async with open_paired(*configs) as servers:
        for server in servers:
            await say(server.app, room_message(f"from {server.app.context.id}"))
        for server in servers:
            for pairing in server.app.config.pairings:
                await wait_settled(server.app, pairing.id)
        for server in servers:
            assert sorted(await texts(server.app)) == [f"from {each}" for each in ids]


async def test_a_person_is_relayed_as_a_person() -> None:
    a = paired_config("net_a", "net_b")
    b = paired_config("net_b", "net_a", members=("alpha", "net_a:ada"))
    async with open_paired(a, b) as (server_a, server_b):
        await say(server_a.app, room_message("hi", sender="ada", sender_type=HUMAN))
        await wait_for_texts(server_b.app, "hi")
        (message,) = await history(server_b.app)
        assert (message.sender.type, message.sender.fqid) == (HUMAN, "molt://net_a/agents/ada")


async def test_a_refused_message_is_a_dead_letter_and_blocks_nothing() -> None:
    a = paired_config("net_a", "net_b", rooms=[room("only-here", "alpha"), room("closed", "alpha")])
    b = paired_config("net_b", "net_a", rooms=[room("closed", "beta")])
    async with open_paired(a, b) as (server_a, server_b):
        await say(server_a.app, room_message("nowhere", room="only-here", message_id="m1"))
        await say(server_a.app, room_message("forbidden", room="closed", message_id="m2"))
        await say(server_a.app, room_message("fine", message_id="m3"))
        await wait_for_texts(server_b.app, "fine")
        await wait_settled(server_a.app, "to_net_b", dead=2)
        store = server_a.app.context.store
        letters, _ = await store.dead_letters("to_net_b", PageRequest())
        assert [(each.message_id, each.status, each.code) for each in letters] == [
            ("m1", 404, "unknown_room"),
            ("m2", 403, "room_write_forbidden"),
        ]
        # The pairing is none the worse for it.
        assert [pairing.status for pairing in server_a.app.links.pairings()] == ["connected"]


async def test_an_id_that_means_another_message_there_is_a_dead_letter() -> None:
    """The reference answers 202 and lets the message vanish (pairing, weakness 3)."""
    async with open_paired(paired_config("net_a", "net_b"), paired_config("net_b", "net_a")) as (a, b):
        b.app.adopt(attrs.evolve(b.app.config, pairings=()))
        await say(b.app, room_message("of b", message_id="m1"))
        await say(a.app, room_message("of a", message_id="m1"))
        await wait_settled(a.app, "to_net_b", dead=1)
        (letter,), _ = await a.app.context.store.dead_letters("to_net_b", PageRequest())
        assert (letter.status, letter.code) == (409, "message_id_conflict")
        assert await texts(b.app) == ["of b"]


async def test_a_network_that_takes_so_much_in_a_second_gets_it_in_order_and_stays_connected() -> None:
    limited = attrs.evolve(CAPS_ONLY, messages_per_credential=Rate(50, 4))
    b = paired_config("net_b", "net_a")
    b = attrs.evolve(b, server=attrs.evolve(b.server, limits=limited))
    async with open_paired(paired_config("net_a", "net_b"), b, one_way=True) as (server_a, server_b):
        wanted = [f"text {number}" for number in range(12)]
        for text in wanted:
            await say(server_a.app, room_message(text))
        await wait_for_texts(server_b.app, *wanted)
        await wait_settled(server_a.app, "to_net_b")
        types = [record.type for record in await server_a.app.context.store.events_after(0, 1000)]
        assert types.count("pairing.updated") <= 1
        assert [pairing.status for pairing in server_a.app.links.pairings()] == ["connected"]


async def test_rooms_that_a_pairing_does_not_name_stay_at_home() -> None:
    """The reference relays every room to every pairing, private ones too (pairing, weakness 5)."""
    a = paired_config("net_a", "net_b", rooms=[room("secret", "alpha")])
    b = paired_config("net_b", "net_a", rooms=[room("secret", "net_a:alpha")])
    async with open_paired(a, b, one_way=True) as (server_a, server_b):
        (way,) = server_a.app.config.pairings
        limited = attrs.evolve(way, rooms=frozenset({RoomId("general")}))
        server_a.app.adopt(attrs.evolve(server_a.app.config, pairings=(limited,)))
        await say(server_a.app, room_message("for us", room="secret"))
        await say(server_a.app, thread_message("deep", "for us too", room="secret"))
        await say(server_a.app, room_message("for all"))
        await wait_for_texts(server_b.app, "for all")
        await wait_settled(server_a.app, "to_net_b")
        assert await texts(server_b.app, conversation="secret") == []


async def test_over_a_pairing_that_is_disabled_nothing_goes_until_it_is_enabled_again() -> None:
    async with open_paired(paired_config("net_a", "net_b"), paired_config("net_b", "net_a"), one_way=True) as (a, b):
        (way,) = a.app.config.pairings
        await say(a.app, room_message("before"))
        await wait_for_texts(b.app, "before")
        a.app.adopt(attrs.evolve(a.app.config, pairings=(attrs.evolve(way, enabled=False),)))
        await say(a.app, room_message("meanwhile"))
        a.app.adopt(attrs.evolve(a.app.config, pairings=(way,)))
        await say(a.app, room_message("after"))
        await wait_for_texts(b.app, "before", "after")


async def test_a_changed_pairing_goes_on_where_the_old_one_was() -> None:
    """The address was wrong; what was said meanwhile arrives at the right one."""
    async with open_paired(paired_config("net_a", "net_b"), paired_config("net_b", "net_a"), one_way=True) as (a, b):
        (way,) = a.app.config.pairings
        wrong = attrs.evolve(way, remote_base_url="http://127.0.0.1:9")
        a.app.adopt(attrs.evolve(a.app.config, pairings=(wrong,)))
        for number in range(5):
            await say(a.app, room_message(f"text {number}"))
        assert (await depth(a.app, "to_net_b")).waiting == 5
        a.app.adopt(attrs.evolve(a.app.config, pairings=(way,)))
        await wait_for_texts(b.app, *(f"text {number}" for number in range(5)))


async def test_a_server_that_begins_again_relays_what_waited(tmp_path: Path) -> None:
    sqlite = StorageSettings(StorageKind.SQLITE, FileStorage(tmp_path / "a.db"))
    a = attrs.evolve(paired_config("net_a", "net_b"), storage=sqlite)
    async with open_test_server(paired_config("net_b", "net_a")) as b:
        nowhere = pairing_to("net_b", "http://127.0.0.1:9", "net_a")
        async with open_test_server(attrs.evolve(a, pairings=(nowhere,))) as first:
            for number in range(40):
                await say(first.app, room_message(f"text {number}"))
        there = pairing_to("net_b", b.url, "net_a")
        async with open_test_server(attrs.evolve(a, pairings=(there,))) as second:
            await wait_settled(second.app, "to_net_b")
            assert await texts(b.app) == [f"text {number}" for number in range(40)]


async def insist(app: App, request: SendMessageRequest) -> None:
    """Send again what failed with the others of its commit."""
    while True:
        try:
            return await say(app, request)
        except StorageError:
            pass


async def test_what_a_crash_kept_from_being_noted_is_there_once() -> None:
    """The other network has accepted, and this one never learned of it."""

    def refuse(commands: Sequence[AnyCommand]) -> None:
        if any(isinstance(command, SettleRelays) for command in commands):
            raise StorageError("crashed")

    store = FaultyStore(MemoryStore(NetworkId("net_a")), refuse=refuse)
    async with open_test_server(paired_config("net_b", "net_a")) as b:
        a = attrs.evolve(paired_config("net_a", "net_b"), pairings=(pairing_to("net_b", b.url, "net_a"),))
        wanted = [f"text {number}" for number in range(10)]
        async with open_test_server(a, store=store) as first:
            for text in wanted:
                await insist(first.app, room_message(text, message_id=text.replace(" ", "-")))
            await wait_for_texts(b.app, *wanted)
        assert (await store.outbox("to_net_b", 0, 100))[0].message_id
        store.refuse = lambda commands: None
        async with open_test_server(a, store=store) as second:
            await say(second.app, room_message("one more"))
            await wait_settled(second.app, "to_net_b")
        assert await texts(b.app) == [*wanted, "one more"]
