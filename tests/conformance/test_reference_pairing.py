"""Paired with a network of the reference implementation, in both directions: what works, and what its limits cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from moltnet.config.settings import MoltnetConfig
from moltnet.protocol.messages import TargetKind
from tests.conformance.reference_pairing import (
    PAGE_ITEMS,
    RELAY_SLOTS,
    SILENT_SECONDS,
    ReferenceNetwork,
    ReferencePairing,
    open_reference,
)
from tests.fakes.http_client import http_client
from tests.fakes.http_server import Reply, SeenRequest, raw
from tests.fakes.network import (
    TestServer,
    direct_message,
    open_test_server,
    room,
    room_message,
    thread_message,
    wait_until,
)
from tests.fakes.paired import (
    depth,
    history,
    paired_config,
    pairing_to,
    say,
    texts,
    wait_for_texts,
    wait_settled,
)
from tests.fakes.ports import free_port

OURS, THEIRS = "ours", "reference"
GENERAL = {"kind": "room", "room_id": "general"}


@attrs.frozen
class Mixed:
    ours: TestServer
    theirs: ReferenceNetwork


def reference(**settings: Any) -> ReferenceNetwork:
    rooms = {"general": ["alpha", "beta", f"{OURS}:alpha"], "closed": ["alpha-only"]}
    return ReferenceNetwork(THEIRS, rooms, frozenset({f"of-{OURS}"}), **settings)


def our_config(url: str) -> MoltnetConfig:
    config = paired_config(OURS, THEIRS, rooms=[room("closed", "alpha"), room("nowhere", "alpha")])
    return attrs.evolve(config, pairings=(pairing_to(THEIRS, url, OURS),))


@asynccontextmanager
async def mixed(theirs: ReferenceNetwork | None = None) -> AsyncIterator[Mixed]:
    async with (
        open_reference(theirs or reference()) as there,
        open_test_server(our_config(there.url)) as ours,
    ):
        there.pairings.append(ReferencePairing(OURS, ours.url, f"of-{THEIRS}"))
        yield Mixed(ours, there)


# What we relay to it.


async def test_what_we_say_arrives_there_as_it_was_said() -> None:
    async with mixed() as networks:
        ours, theirs = networks.ours.app, networks.theirs
        await say(ours, room_message(f"hello @{THEIRS}:beta", message_id="m:1.a"))
        await say(ours, thread_message("topic", "in a thread"))
        await say(ours, direct_message("d1", "alpha", f"{THEIRS}:beta", text="to you"))
        await wait_settled(ours, f"to_{THEIRS}")
        message = theirs.messages["m:1.a"]
        assert message["origin"] == {"network_id": OURS, "message_id": "m:1.a"}
        assert message["from"]["fqid"] == f"molt://{OURS}/agents/alpha"
        assert message["mentions"] == [f"molt://{THEIRS}/agents/beta"]
        assert theirs.texts("thread", "topic") == ["in a thread"]
        (direct,) = [each for each in theirs.messages.values() if each["target"]["kind"] == "dm"]
        assert sorted(direct["target"]["participant_ids"]) == [f"{OURS}:alpha", f"{THEIRS}:beta"]
        assert [pairing.status for pairing in ours.links.pairings()] == ["connected"]


async def test_an_answer_that_was_lost_makes_no_second_message_there() -> None:
    theirs, cut = reference(), [2]

    def lose_answers(request: SeenRequest) -> Reply | None:
        if request.method != "POST" or not cut[0]:
            return None
        cut[0] -= 1
        theirs._reply(request)
        return raw(b"", close=True)

    theirs.misbehaves = lose_answers
    async with mixed(theirs) as networks:
        wanted = [f"text {number}" for number in range(10)]
        for text in wanted:
            await say(networks.ours.app, room_message(text))
        await wait_settled(networks.ours.app, f"to_{THEIRS}")
        assert theirs.texts("room", "general") == wanted
        assert theirs.repeats == 2


async def test_what_it_refuses_is_a_dead_letter_and_the_rest_arrives() -> None:
    async with mixed() as networks:
        for place in ("nowhere", "closed", "general"):
            await say(networks.ours.app, room_message(f"to {place}", room=place, message_id=f"m-{place}"))
        await wait_settled(networks.ours.app, f"to_{THEIRS}", dead=2)
        letters = (await http_client(networks.ours, "ops").get(f"/v1/pairings/to_{THEIRS}/dead-letters")).json()
        assert [(each["message_id"], each["status"], each["message"]) for each in letters["dead_letters"]] == [
            ("m-nowhere", 404, 'unknown room "nowhere"'),
            ("m-closed", 403, 'room "closed" write policy forbids sender'),
        ]
        assert networks.theirs.texts("room", "general") == ["to general"]
        assert [pairing.status for pairing in networks.ours.app.links.pairings()] == ["connected"]


@pytest.mark.parametrize(
    ("pair_tokens", "other_tokens"),
    [(frozenset[str](), frozenset({f"of-{OURS}"})), (frozenset({"another"}), frozenset[str]())],
)
async def test_a_token_that_it_does_not_take_keeps_everything_waiting(
    pair_tokens: frozenset[str], other_tokens: frozenset[str]
) -> None:
    """It says `forbidden` or `invalid token`, which is about none of the messages."""
    theirs = attrs.evolve(reference(), pair_tokens=pair_tokens, other_tokens=other_tokens)
    async with mixed(theirs) as networks:
        for number in range(3):
            await say(networks.ours.app, room_message(f"text {number}"))
        await wait_until(lambda: [each.status for each in networks.ours.app.links.pairings()] == ["error"])
        found = await depth(networks.ours.app, f"to_{THEIRS}")
        assert (found.waiting, found.dead, theirs.messages) == (3, 0, {})
        theirs.pair_tokens = frozenset({f"of-{OURS}"})
        await wait_settled(networks.ours.app, f"to_{THEIRS}")
        assert theirs.texts("room", "general") == [f"text {number}" for number in range(3)]


async def test_another_message_under_an_id_that_it_knows_vanishes_there() -> None:
    """Nobody here can tell: it says that it has taken it."""
    async with mixed() as networks:
        networks.theirs.pairings.clear()
        networks.theirs.say(GENERAL, "theirs", message_id="m1")
        await say(networks.ours.app, room_message("ours", message_id="m1"))
        await wait_settled(networks.ours.app, f"to_{THEIRS}")
        assert networks.theirs.texts("room", "general") == ["theirs"]
        assert networks.theirs.repeats == 1


async def test_without_direct_messages_there_ours_wait_and_rooms_go() -> None:
    async with mixed(reference(direct_messages=False)) as networks:
        ours = networks.ours.app
        await say(ours, direct_message("d1", "alpha", f"{THEIRS}:beta"))
        await say(ours, room_message("to all"))
        await wait_until(lambda: networks.theirs.texts("room", "general") == ["to all"])
        assert [pairing.status for pairing in ours.links.pairings()] == ["degraded"]
        await wait_settled(ours, f"to_{THEIRS}", waiting=1)


async def test_its_lists_are_read_page_by_page() -> None:
    theirs = reference(public_read=True)
    theirs.rooms |= {f"room-{number:03}": [] for number in range(PAGE_ITEMS + 20)}
    async with mixed(theirs) as networks:
        client, found, after = http_client(networks.ours, "ops"), list[str](), ""
        while True:
            page = (await client.get(f"/v1/pairings/to_{THEIRS}/rooms?limit=50{after}")).json()
            found += [each["id"] for each in page["rooms"]]
            if "next_after" not in page["page"]:
                break
            after = f"&after={page['page']['next_after']}"
        assert found == sorted(theirs.rooms)


# What it relays to us.


async def test_what_it_says_arrives_here_and_does_not_go_back() -> None:
    async with mixed() as networks:
        ours, theirs = networks.ours.app, networks.theirs
        first = theirs.say(GENERAL, f"hello <@molt://{OURS}/agents/beta>")
        await wait_for_texts(ours, f"hello <@molt://{OURS}/agents/beta>")
        theirs.say({"kind": "thread", "room_id": "general", "thread_id": "topic"}, "in a thread")
        await wait_for_texts(ours, "in a thread", kind=TargetKind.THREAD, room="topic")
        theirs.say({"kind": "dm", "dm_id": "d1", "participant_ids": ["alpha", f"{OURS}:beta"]}, "to you")
        await wait_for_texts(ours, "to you", kind=TargetKind.DM, room="d1")
        (message,) = await history(ours)
        assert (message.id, message.origin.network_id, message.sender.fqid) == (
            first,
            THEIRS,
            f"molt://{THEIRS}/agents/alpha",
        )
        assert message.mentions == (f"molt://{OURS}/agents/beta",)
        assert (await depth(ours, f"to_{THEIRS}")).waiting == 0
        await wait_until(lambda: theirs.results == ["success"] * 3)
        assert len(theirs.messages) == 3


@pytest.mark.parametrize("message_id", ["a", "m:1", "MSG.2_x-y", "x" * 128])
async def test_its_ids_are_taken(message_id: str) -> None:
    async with mixed() as networks:
        networks.theirs.say(GENERAL, "text", message_id=message_id)
        await wait_for_texts(networks.ours.app, "text")
        assert [message.id for message in await history(networks.ours.app)] == [message_id]


async def test_a_conversation_goes_on_with_what_both_sides_said() -> None:
    async with mixed() as networks:
        ours, theirs = networks.ours.app, networks.theirs
        target = {"kind": "dm", "dm_id": "d1", "participant_ids": ["alpha", f"{OURS}:alpha"]}
        theirs.say(target, "from there")
        await wait_for_texts(ours, "from there", kind=TargetKind.DM, room="d1")
        await say(ours, direct_message("d1", "alpha", f"{THEIRS}:alpha", text="from here"))
        await wait_settled(ours, f"to_{THEIRS}")
        assert theirs.texts("dm", "d1") == ["from there", "from here"]
        assert await texts(ours, TargetKind.DM, "d1") == ["from there", "from here"]


async def test_what_it_can_not_deliver_is_lost_and_what_comes_later_arrives_once() -> None:
    """Its relay has no memory: nothing that we do brings back what it drops."""
    port = free_port()
    async with open_reference(reference()) as theirs:
        theirs.pairings.append(ReferencePairing(OURS, f"http://127.0.0.1:{port}", f"of-{THEIRS}"))
        theirs.say(GENERAL, "while we are away")
        await wait_until(lambda: theirs.results == ["error"])
        theirs.say(GENERAL, "in its silence")
        await wait_until(lambda: theirs.results == ["error", "skipped"])
        async with open_test_server(our_config(theirs.url)) as ours:
            theirs.pairings[0].url = ours.url
            theirs.pairings[0].failed_at -= SILENT_SECONDS
            theirs.say(GENERAL, "later")
            await wait_until(lambda: theirs.results[-1] == "success")
            assert await texts(ours.app) == ["later"]


async def test_one_message_that_we_refuse_silences_it_and_not_us() -> None:
    async with mixed() as networks:
        ours, theirs = networks.ours.app, networks.theirs
        theirs.say({"kind": "room", "room_id": "only-there"}, "for nobody here")
        await wait_until(lambda: theirs.results == ["error"])
        theirs.say(GENERAL, "lost")
        await wait_until(lambda: theirs.results == ["error", "skipped"])
        await say(ours, room_message("from us"))
        await wait_settled(ours, f"to_{THEIRS}")
        assert await texts(ours) == ["from us"]
        assert theirs.texts("room", "general") == ["lost", "from us"]


async def test_of_a_burst_it_delivers_what_it_has_places_for() -> None:
    async with mixed() as networks:
        for number in range(RELAY_SLOTS + 5):
            networks.theirs.say(GENERAL, f"text {number}")
        await wait_until(lambda: len(networks.theirs.results) == RELAY_SLOTS + 5)
        assert networks.theirs.results.count("dropped") == 5
        arrived = await texts(networks.ours.app)
        assert sorted(arrived) == [f"text {number}" for number in range(RELAY_SLOTS)]


async def test_its_restart_forgets_what_was_under_way() -> None:
    async with open_reference(reference()) as theirs, open_test_server(our_config(theirs.url)) as ours:
        theirs.pairings.append(ReferencePairing(OURS, ours.url, f"of-{THEIRS}"))
        theirs.say(GENERAL, "under way")
        theirs.stop()
        await wait_until(lambda: theirs._slots == RELAY_SLOTS)
        assert theirs.results == []
        assert await texts(ours.app) in ([], ["under way"])


async def test_its_agents_are_nobody_of_ours() -> None:
    """There a namesake of a member may write (pairing, weakness 6); here it may not."""
    async with mixed() as networks:
        networks.theirs.say({"kind": "room", "room_id": "closed"}, "as your alpha")
        await wait_until(lambda: networks.theirs.results == ["error"])
        assert await texts(networks.ours.app, conversation="closed") == []


async def test_it_sees_the_first_page_of_what_is_shared_with_it() -> None:
    rooms = [room(f"room-{number:03}", f"{THEIRS}:alpha") for number in range(PAGE_ITEMS + 20)]
    async with open_test_server(paired_config(OURS, THEIRS, rooms=rooms)) as ours:
        theirs = reference()
        seen = await theirs.remote_ids(ReferencePairing(OURS, ours.url, f"of-{THEIRS}"), "rooms")
        assert seen == ["general", *(f"room-{number:03}" for number in range(PAGE_ITEMS - 1))]
