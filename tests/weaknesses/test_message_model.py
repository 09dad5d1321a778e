"""The message model where the reference implementation is weak: what this one does instead, over HTTP.

Which weakness each test is about stands in `test_completeness`.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.protocol import limits
from moltnet.protocol.ids import event_id_of_message
from moltnet.protocol.rooms import Visibility
from moltnet.storage.commands import AnyCommand
from moltnet.storage.store import Committed, StorageError, Store
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import network_config, room, token
from tests.weaknesses.bodies import agent, in_direct, in_thread, said

PUBLIC = Visibility.PUBLIC
MESSAGES = "/v1/rooms/general/messages"


def keyed(*agents: str, **settings: Any) -> MoltnetConfig:
    """A network in mode bearer: a token for each of these agents, and an admin's."""
    tokens = [token("admin", "admin write"), *(token(each, "attach write", each) for each in agents)]
    return network_config(mode=AuthMode.BEARER, tokens=tokens, **settings)


async def listed(client: HttpClient, target: str = MESSAGES) -> list[dict[str, Any]]:
    """The items of a list's first page."""
    answer = await client.get(target)
    assert answer.status == 200, answer
    return items_of(answer)


def items_of(answer: HttpAnswer) -> list[dict[str, Any]]:
    (items,) = (value for name, value in answer.json().items() if name != "page")
    assert isinstance(items, list)
    return items


def texts_of(messages: Sequence[dict[str, Any]]) -> list[str]:
    return [message["parts"][0]["text"] for message in messages]


async def test_a_mention_before_a_full_stop_wakes_its_agent(home: Home) -> None:
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        beta = await attach(wire, "beta")
        for end in (".", "-", "...", "!", ",", ".)", ":", ".-"):
            await http_client(server).post("/v1/messages", said(f"thanks @beta{end} See you"))
            heard = (await beta.next_of("message.created")).event.message
            assert heard is not None
            assert heard.mentions == ("molt://lab/agents/beta",), end


async def test_nobody_named_in_a_direct_conversation_is_lost(home: Home) -> None:
    async with home.serve(keyed("zeta", "alpha")) as server:
        body = in_direct("d1", "alpha", "net_b:beta", "zeta", sender=agent("zeta"))
        assert (await http_client(server, "zeta").post("/v1/messages", body)).status == 202
        everybody = ["alpha", "net_b:beta", "zeta"]
        alpha = http_client(server, "alpha")
        assert (await alpha.get("/v1/dms/d1")).json()["participant_ids"] == everybody
        assert [each["participant_ids"] for each in await listed(alpha, "/v1/dms")] == [everybody]
        assert [each["target"]["participant_ids"] for each in await listed(alpha, "/v1/dms/d1/messages")] == [everybody]


async def test_an_outsider_cannot_write_into_a_direct_conversation_nor_bring_people_in(home: Home) -> None:
    async with home.serve(keyed("alpha", "beta", "eve")) as server:
        body = in_direct("d1", "alpha", "beta")
        assert (await http_client(server, "alpha").post("/v1/messages", body)).status == 202
        for participants in (("eve", "mallory"), ("alpha", "beta"), ("alpha", "eve")):
            answer = await http_client(server, "eve").post(
                "/v1/messages", in_direct("d1", *participants, sender=agent("eve"))
            )
            assert (answer.status, answer.code) == (403, "not_a_participant")
        direct = (await http_client(server, "beta").get("/v1/dms/d1")).json()
        assert (direct["participant_ids"], direct["message_count"]) == (["alpha", "beta"], 1)


async def test_a_message_bears_the_sender_that_was_proved(home: Home) -> None:
    async with home.serve(keyed("luna", "alpha", rooms=[room("general", "luna", "alpha")])) as server:
        luna = http_client(server, "luna")
        forged = {"type": "agent", "id": "luna", "name": "The Boss", "fqid": "molt://lab/agents/alpha"}
        assert (await luna.post("/v1/messages", said(sender=forged))).status == 202
        (message,) = await listed(luna)
        assert (message["from"]["id"], message["from"]["fqid"]) == ("luna", "molt://lab/agents/luna")
        foreign = await luna.post("/v1/messages", said(sender=agent("luna"), origin={"network_id": "net_b"}))
        assert (foreign.status, foreign.code) == (403, "remote_actor_forbidden")
        here = {"network_id": "lab", "message_id": "another"}
        accepted = (await luna.post("/v1/messages", said(sender=agent("luna"), origin=here))).json()
        assert (await listed(luna))[-1]["origin"] == {"network_id": "lab", "message_id": accepted["message_id"]}


async def test_other_content_under_a_used_message_id_is_refused(home: Home) -> None:
    async with home.serve(network_config(rooms=[room("general"), room("other")])) as server:
        client = http_client(server)
        first = await client.post("/v1/messages", said(id="m1"))
        for other in (
            said("other", id="m1"),
            said(id="m1", sender=agent("beta")),
            said(id="m1", target={"kind": "room", "room_id": "other"}),
            in_thread("t1", id="m1"),
            in_direct("d1", "alpha", "beta", id="m1"),
        ):
            conflict = await client.post("/v1/messages", other)
            assert (conflict.status, conflict.code) == (409, "message_id_conflict")
        again = await client.post("/v1/messages", said(id="m1"))
        assert (again.status, again.json()) == (202, first.json())
        assert texts_of(await listed(client)) == ["hello"]


class DiesAfterCommit(FaultyStore):
    """Everything is on disk, and nobody is told."""

    async def commit(self, commands: Sequence[AnyCommand]) -> Committed:
        committed = await super().commit(commands)
        if any(record.type == "message.created" for record in committed.records):
            raise StorageError("killed")
        return committed


def dying(store: Store) -> Store:
    return DiesAfterCommit(store)


async def test_a_message_that_a_crash_kept_from_its_readers_is_replayed(home: Home) -> None:
    async with home.serve() as server:
        cursor = (await server.app.context.store.event_bounds()).newest_id
    async with home.serve(wrap=dying) as server:
        assert (await http_client(server).post("/v1/messages", said(id="m1"))).status == 503
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        client = http_client(server)
        async with client.stream_events(last_event_id=cursor) as source:
            event = await source.next_of("message.created")
            assert (event.id, event.text) == (event_id_of_message("m1"), "hello")
        beta = await attach(wire, "beta", cursor=cursor)
        assert await beta.next_texts(1) == ["hello"]
        retry = await client.post("/v1/messages", said(id="m1"))
        assert (retry.status, retry.json()["event_id"]) == (202, event_id_of_message("m1"))
        assert len(await listed(client)) == 1


async def test_blanks_around_an_id_never_make_another_one(home: Home) -> None:
    async with home.serve() as server:
        client = http_client(server)
        text = [{"kind": " text ", "text": "plain"}]
        sent = await client.post("/v1/messages", said(id=" m1 ", target={"kind": " room ", "room_id": " general "}))
        assert (sent.status, sent.json()["message_id"]) == (202, "m1")
        assert (await client.post("/v1/messages", in_thread(" th ", " general ", parts=text))).status == 202
        assert (await client.post("/v1/messages", in_direct(" d1 ", " alpha", "beta "))).status == 202
        assert [each["id"] for each in await listed(client)] == ["m1"]
        (message,) = await listed(client, "/v1/threads/th/messages")
        assert message["parts"] == [{"kind": "text", "text": "plain"}]
        assert await listed(client, "/v1/artifacts?room_id=general") == []
        assert (await client.get("/v1/dms/d1")).json()["participant_ids"] == ["alpha", "beta"]


async def test_a_human_with_blanks_around_it_is_a_human(home: Home) -> None:
    async with home.serve(network_config(human_ingress=False)) as server:
        for kind in ("human", " human ", "human\t"):
            answer = await http_client(server).post("/v1/messages", said(sender={"type": kind, "id": "ada"}))
            assert (answer.status, answer.code) == (403, "human_ingress_disabled")
        assert await listed(http_client(server)) == []


async def test_a_private_thread_is_never_heard_of_in_a_public_room(home: Home) -> None:
    rooms = [room("vault", "alpha"), room("lobby", "alpha", visibility=PUBLIC)]
    async with home.serve(keyed("alpha", rooms=rooms, public_read=True)) as server:
        alpha = http_client(server, "alpha")
        await alpha.post("/v1/messages", in_thread("secret", "vault"))
        async with http_client(server).stream_events() as public:
            moved = await alpha.post("/v1/messages", in_thread("secret", "lobby", id="m2"))
            assert (moved.status, moved.code) == (409, "thread_in_other_room")
            ghost = await alpha.post("/v1/messages", in_thread("other", "nowhere"))
            assert (ghost.status, ghost.code) == (404, "unknown_room")
            await alpha.post("/v1/messages", said("all of it", target={"kind": "room", "room_id": "lobby"}))
            assert (await public.next_of("message.created")).text == "all of it"
        assert (await http_client(server).get("/v1/threads/secret")).status == 403


LISTS = (
    "/v1/rooms",
    "/v1/agents",
    "/v1/rooms/general/messages",
    "/v1/rooms/general/threads",
    "/v1/threads/t3/messages",
    "/v1/dms",
    "/v1/dms/d3/messages",
    "/v1/artifacts?room_id=general",
)


async def test_reading_on_while_there_is_more_ends_and_reads_all(home: Home) -> None:
    link = [{"kind": "url", "url": "https://example.com/"}]
    rooms = [room("general", "alpha", "beta"), *(room(f"r{number}", f"agent-{number}") for number in range(5))]
    async with home.serve(network_config(rooms=rooms)) as server:
        client = http_client(server)
        for number in range(5):
            assert (await client.post("/v1/messages", said(id=f"m{number}", parts=link))).status == 202
            await client.post("/v1/messages", in_thread(f"t{number}"))
            await client.post("/v1/messages", in_thread("t3"))
            await client.post("/v1/messages", in_direct(f"d{number}", "alpha", "beta"))
            await client.post("/v1/messages", in_direct("d3", "alpha", "beta"))
        for target in LISTS:
            everything = [item["id"] for item in await listed(client, target)]
            assert len(everything) >= 5
            for direction in ("before", "after"):
                assert await walk(client, target, direction, everything) == everything, target


async def walk(client: HttpClient, target: str, direction: str, everything: Sequence[str]) -> list[str]:
    """All ids of a list, two on a page, from the very first in this direction."""
    edge = everything[-1] if direction == "before" else everything[0]
    found, cursor = [edge], edge
    for _ in range(len(everything)):
        mark = "&" if "?" in target else "?"
        answer = await client.get(f"{target}{mark}limit=2&{direction}={cursor}")
        assert answer.status == 200, answer.body
        ids, page = [item["id"] for item in items_of(answer)], answer.json()["page"]
        found = [*ids, *found] if direction == "before" else [*found, *ids]
        if not page["has_more"]:
            assert page == {"has_more": False}
            beyond = await client.get(f"{target}{mark}{direction}={found[0 if direction == 'before' else -1]}")
            assert (items_of(beyond), beyond.json()["page"]) == ([], {"has_more": False})
            return found
        assert ids
        cursor = page[f"next_{direction}"]
    raise AssertionError("there is always more")


async def test_every_cursor_that_is_handed_out_is_taken_back(home: Home) -> None:
    longest = [letter * limits.MAX_ID_CHARACTERS for letter in "abc"]
    members = ("net_b:beta", "molt://net_c/agents/gamma", "alpha", longest[0], f"{longest[1]}:{longest[2]}")
    async with home.serve(network_config(rooms=[room("general", *members)])) as server:
        client = http_client(server)
        link = {"kind": "url", "url": "https://example.com/"}
        for message_id in longest:
            assert (await client.post("/v1/messages", said(id=message_id, parts=[link] * 2))).status == 202
        for target in ("/v1/artifacts?room_id=general", "/v1/agents"):
            everything = [item["id"] for item in await listed(client, target)]
            assert len(everything) >= 5
            assert await walk(client, target, "after", everything) == everything
            assert await walk(client, target, "before", everything) == everything


async def test_order_is_that_of_acceptance_whatever_the_clock_says(home: Home) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    moments = iter([0.12, 0.1, 0.1, 0, -3600, 5, 0.12])
    now = start

    def clock() -> datetime:
        return now

    async with home.serve(clock=clock) as server:
        client = http_client(server)
        texts: list[str] = []
        for seconds in moments:
            now = start + timedelta(seconds=seconds)
            texts.append(f"at {seconds}, message {len(texts)}")
            assert (await client.post("/v1/messages", said(texts[-1]))).status == 202
        assert texts_of(await listed(client)) == texts
        middle = (await listed(client))[3]["id"]
        assert texts_of(await listed(client, f"{MESSAGES}?before={middle}")) == texts[:3]
        assert texts_of(await listed(client, f"{MESSAGES}?after={middle}")) == texts[4:]


async def test_what_is_accepted_fits_into_a_frame_whatever_its_text_is_made_of(home: Home) -> None:
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        client = http_client(server)
        beta = await attach(wire, "beta")
        largest = limits.MAX_BODY_BYTES - 4 * limits.KIB
        answers = [
            await client.post("/v1/messages", orjson.dumps(said(text)))
            for text in ("<" * 300_000, "\u2028" * 300_000, "\x00" * 160_000, "x" * largest, "\x01" * (largest // 6))
        ]
        assert [answer.status for answer in answers[:3]] == [202, 202, 202]
        refused = [answer for answer in answers if answer.status != 202]
        assert all((answer.status, answer.code) == (413, "message_too_large") for answer in refused)
        # The wire itself cuts a connection at a frame that is larger.
        for _ in range(len(answers) - len(refused)):
            assert (await beta.next_of("message.created")).event.message is not None


async def test_parts_mentions_and_names_have_limits(home: Home) -> None:
    many = range(257)
    async with home.serve() as server:
        for fields, path in (
            ({"parts": [{"kind": "text", "text": "x"} for _ in many]}, "$.parts"),
            ({"mentions": [f"agent-{number}" for number in many]}, "$.mentions"),
            ({"sender": {"type": "agent", "id": "alpha", "name": "n" * len(many)}}, "$.from.name"),
        ):
            answer = await http_client(server).post("/v1/messages", said(**fields))
            assert (answer.status, answer.code) == (422, "invalid_field")
            assert path in answer.json()["error"]


async def test_a_change_of_members_is_reported_with_the_time_of_the_change(home: Home) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    now = start

    def clock() -> datetime:
        return now

    async with home.serve(clock=clock) as server, http_client(server).stream_events() as source:
        client = http_client(server)
        now = start + timedelta(hours=1)
        await client.patch("/v1/rooms/general/members", {"add": ["gamma"]})
        patched = await source.next_of("room.members.updated")
        now = start + timedelta(hours=2)
        await client.post("/v1/apply", {"rooms": [{"id": "general", "members": ["delta"]}]})
        applied = await source.next_of("room.members.updated")
        assert [each.event["created_at"] for each in (patched, applied)] == [
            "2026-01-01T01:00:00Z",
            "2026-01-01T02:00:00Z",
        ]
        assert [each.event["room"]["members"] for each in (patched, applied)] == [["alpha", "beta", "gamma"], ["delta"]]


async def test_a_request_has_one_meaning(home: Home) -> None:
    plain = orjson.dumps(said("first", id="m1"))
    async with home.serve() as server:
        client = http_client(server)
        for twice in (
            plain.replace(b'"id":"m1"', b'"id":"m1","id":"m2"'),
            plain.replace(b'"text":"first"', b'"text":"first","text":"second"'),
            plain.replace(b'"text":"first"', b'"text":"first","\\u0074ext":"second"'),
        ):
            answer = await client.post("/v1/messages", twice)
            assert (answer.status, answer.code) == (400, "invalid_json"), twice
        shouted = plain.replace(b'"id":"m1"', b'"ID":"m2"').replace(
            b'"text":"first"', b'"TEXT":"second","text":"first"'
        )
        assert (await client.post("/v1/messages", shouted)).status == 202
        (message,) = await listed(client)
        assert message["id"] != "m2"
        assert texts_of([message]) == ["first"]
