"""Many clients that want the same at once: exactly one makes it, and all of them learn what came of it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from moltnet.config.secrets import Secret
from moltnet.config.settings import AuthMode
from moltnet.storage.factory import POSTGRES
from tests.fakes.homes import Home
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import TestServer, event_types, network_config, room, token
from tests.weaknesses.bodies import Body, agent, in_direct, in_thread, said

CLIENTS = 50


async def all_at_once(client: HttpClient, method: str, target: str, bodies: Iterable[Body]) -> list[HttpAnswer]:
    """Every request on a connection of its own, none waiting for another; the answers in the order of the bodies."""
    answers: dict[int, HttpAnswer] = {}

    async def ask(number: int, body: Body) -> None:
        answers[number] = await client.request(method, target, body)

    async with trio.open_nursery() as nursery:
        for number, body in enumerate(bodies):
            nursery.start_soon(ask, number, body)
    return [answers[number] for number in sorted(answers)]


async def send_all(server: TestServer, bodies: Iterable[Body]) -> list[HttpAnswer]:
    return await all_at_once(http_client(server), "POST", "/v1/messages", bodies)


def in_room(text: str, **fields: Any) -> Body:
    return said(text, **fields)


def threaded(text: str, **fields: Any) -> Body:
    return in_thread("t1", parts=[{"kind": "text", "text": text}], **fields)


def whispered(text: str, **fields: Any) -> Body:
    return in_direct("d1", "alpha", "beta", parts=[{"kind": "text", "text": text}], **fields)


TARGETS = {
    "/v1/rooms/general/messages": in_room,
    "/v1/threads/t1/messages": threaded,
    "/v1/dms/d1/messages": whispered,
}
MakeBody = Callable[..., Body]
conversations = pytest.mark.parametrize(("history", "make"), TARGETS.items(), ids=["room", "thread", "dm"])


def statuses(answers: Iterable[HttpAnswer]) -> Counter[int]:
    return Counter(answer.status for answer in answers)


async def stored_texts(server: TestServer, history: str) -> list[str]:
    messages = (await http_client(server).get(history)).json()["messages"]
    return [message["parts"][0]["text"] for message in messages]


@conversations
async def test_the_same_message_from_everybody_is_stored_once_and_answered_alike(
    home: Home, history: str, make: MakeBody
) -> None:
    async with home.serve() as server:
        answers = await send_all(server, [make("same", id="m1")] * CLIENTS)
        assert statuses(answers) == {202: CLIENTS}
        assert len({(answer.json()["message_id"], answer.json()["event_id"]) for answer in answers}) == 1
        assert sum(answer.json()["thread_created"] or answer.json()["dm_created"] for answer in answers) == (
            make is not in_room
        )
        assert await stored_texts(server, history) == ["same"]
        assert (await event_types(server.app)).count("message.created") == 1


@conversations
async def test_of_different_messages_under_one_id_one_wins_for_ever(home: Home, history: str, make: MakeBody) -> None:
    bodies = [make(f"text {number % 10}", id="m1") for number in range(CLIENTS)]
    winners: list[set[str]] = []
    event_ids: set[str] = set()
    for _ in range(2):  # servers, one after another
        async with home.serve() as server:
            answers = await send_all(server, bodies)
            assert statuses(answers) == {202: CLIENTS // 10, 409: CLIENTS - CLIENTS // 10}
            assert {answer.code for answer in answers if answer.status == 409} == {"message_id_conflict"}
            accepted = [
                (body, answer.json()) for body, answer in zip(bodies, answers, strict=True) if answer.status == 202
            ]
            winners.append({body["parts"][0]["text"] for body, _ in accepted})
            event_ids |= {answer["event_id"] for _, answer in accepted}
            assert [*winners[0]] == await stored_texts(server, history)
            assert (await event_types(server.app)).count("message.created") == 1
    assert len(event_ids) == 1
    assert winners == [winners[0]] * 2


async def test_a_thread_is_begun_by_one_of_its_messages(home: Home) -> None:
    async with home.serve() as server:
        answers = await send_all(server, [threaded(str(number)) for number in range(CLIENTS)])
        assert sum(answer.json()["thread_created"] for answer in answers) == 1
        assert (await http_client(server).get("/v1/threads/t1")).json()["message_count"] == CLIENTS
        assert (await event_types(server.app)).count("thread.created") == 1
        assert sorted(await stored_texts(server, "/v1/threads/t1/messages"), key=int) == [
            str(number) for number in range(CLIENTS)
        ]


async def test_a_direct_conversation_is_begun_by_one_of_its_messages(home: Home) -> None:
    async with home.serve() as server:
        answers = await send_all(server, [whispered(str(number)) for number in range(CLIENTS)])
        assert sum(answer.json()["dm_created"] for answer in answers) == 1
        direct = (await http_client(server).get("/v1/dms/d1")).json()
        assert (direct["message_count"], direct["participant_ids"]) == (CLIENTS, ["alpha", "beta"])
        assert (await event_types(server.app)).count("dm.created") == 1


async def test_a_direct_conversation_belongs_to_those_who_began_it(home: Home) -> None:
    """Two pairs take the same id: whoever comes second takes no part in it, however close it was."""
    async with home.serve() as server:
        pairs = [("alpha", "beta"), ("gamma", "delta")]
        answers = await send_all(
            server,
            [in_direct("d1", *pairs[number % 2], sender=agent(pairs[number % 2][0])) for number in range(CLIENTS)],
        )
        assert statuses(answers) == {202: CLIENTS // 2, 403: CLIENTS // 2}
        direct = (await http_client(server).get("/v1/dms/d1")).json()
        assert direct["message_count"] == CLIENTS // 2
        assert tuple(direct["participant_ids"]) in [tuple(sorted(pair)) for pair in pairs]


async def test_a_thread_that_two_rooms_want_is_in_one_of_them(home: Home) -> None:
    async with home.serve(network_config(rooms=[room("one"), room("two")])) as server:
        rooms = ["one", "two"]
        answers = await send_all(server, [in_thread("t1", rooms[number % 2]) for number in range(CLIENTS)])
        assert statuses(answers) == {202: CLIENTS // 2, 409: CLIENTS // 2}
        thread = (await http_client(server).get("/v1/threads/t1")).json()
        assert thread["message_count"] == CLIENTS // 2
        lists = [(await http_client(server).get(f"/v1/rooms/{name}/threads")).json()["threads"] for name in rooms]
        assert [len(each) for each in lists] == [name == thread["room_id"] for name in rooms]


async def test_a_room_is_made_by_one(home: Home) -> None:
    async with home.serve() as server:
        client = http_client(server)
        bodies = [{"id": "new", "name": f"Room of {number}"} for number in range(CLIENTS)]
        answers = await all_at_once(client, "POST", "/v1/rooms", bodies)
        assert statuses(answers) == {201: 1, 409: CLIENTS - 1}
        assert {answer.code for answer in answers if answer.status == 409} == {"room_exists"}
        (winner,) = (body["name"] for body, answer in zip(bodies, answers, strict=True) if answer.status == 201)
        assert (await client.get("/v1/rooms/new")).json()["name"] == winner
        assert (await event_types(server.app)).count("room.created") == 2  # and the one that the file declares


async def test_members_that_many_add_are_all_there(home: Home) -> None:
    async with home.serve() as server:
        bodies = [{"add": [f"agent-{number:02}"]} for number in range(CLIENTS)]
        answers = await all_at_once(http_client(server), "PATCH", "/v1/rooms/general/members", bodies)
        assert statuses(answers) == {200: CLIENTS}
        found = (await http_client(server).get("/v1/rooms/general")).json()
        assert found["members"] == sorted([*(body["add"][0] for body in bodies), "alpha", "beta"])
        assert (await event_types(server.app)).count("room.members.updated") == CLIENTS


async def test_who_was_let_go_cannot_write_and_who_was_let_in_can_whatever_else_happens(home: Home) -> None:
    tokens = [token("admin", "admin write"), token("alpha", "write", "alpha"), token("beta", "write", "beta")]
    async with home.serve(network_config(mode=AuthMode.BEARER, tokens=tokens)) as server:
        admin, alpha = http_client(server, "admin"), http_client(server, "alpha")

        async def let_go_and_in(times: int) -> None:
            for _ in range(times):
                for change, status in (("remove", 403), ("add", 202)):
                    assert (await admin.patch("/v1/rooms/general/members", {change: ["alpha"]})).status == 200
                    assert (await alpha.post("/v1/messages", said())).status == status

        async def chat(times: int) -> None:
            for _ in range(times):
                answer = await http_client(server, "beta").post("/v1/messages", said(sender=agent("beta")))
                assert answer.status == 202

        async with trio.open_nursery() as nursery:
            nursery.start_soon(let_go_and_in, 10)
            for _ in range(5):
                nursery.start_soon(chat, 10)
        types = await event_types(server.app)
        assert (types.count("room.members.updated"), types.count("message.created")) == (20, 60)


async def test_a_room_that_goes_takes_no_more_messages(home: Home) -> None:
    async with home.serve() as server:
        client = http_client(server)
        bodies = [said(str(number)) for number in range(CLIENTS)]
        answers: list[HttpAnswer] = []

        async def send() -> None:
            answers.extend(await send_all(server, bodies))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            assert (await client.delete("/v1/rooms/general")).status == 200
        assert set(statuses(answers)) <= {202, 404}
        types = await event_types(server.app)
        assert "message.created" not in types[types.index("room.removed") :]
        assert types.count("message.created") == statuses(answers)[202]
        assert (await client.post("/v1/rooms/general/restore", {})).status == 200
        assert len(await stored_texts(server, "/v1/rooms/general/messages")) == statuses(answers)[202]


async def test_an_id_is_claimed_by_one(home: Home) -> None:
    async with home.serve(network_config(mode=AuthMode.OPEN)) as server:
        bodies = [{"requested_agent_id": "luna"}] * CLIENTS
        answers = await all_at_once(http_client(server), "POST", "/v1/agents/register", bodies)
        assert statuses(answers) == {201: 1, 409: CLIENTS - 1}
        assert sum("agent_token" in answer.json() for answer in answers) == 1


async def test_who_asks_for_a_name_gets_an_id_of_its_own(home: Home) -> None:
    async with home.serve(network_config(mode=AuthMode.OPEN)) as server:
        answers = await all_at_once(http_client(server), "POST", "/v1/agents/register", [{"name": "Luna"}] * CLIENTS)
        assert statuses(answers) == {201: CLIENTS}
        assert len({answer.json()["agent_id"] for answer in answers}) == CLIENTS
        assert len({answer.json()["agent_token"] for answer in answers}) == CLIENTS


async def test_of_tokens_that_are_made_at_once_one_is_good(home: Home) -> None:
    config = network_config(mode=AuthMode.OPEN, tokens=[token("admin", "admin")])
    async with home.serve(config) as server:
        first = (await http_client(server).post("/v1/agents/register", {"requested_agent_id": "luna"})).json()
        callers = [http_client(server, "admin"), http_client(server, first["agent_token"])]
        answers: list[HttpAnswer] = []

        async def replace(client: HttpClient) -> None:
            answers.extend(await all_at_once(client, "POST", "/v1/agents/luna/token", [{}] * 10))

        async with trio.open_nursery() as nursery:
            for caller in callers:
                nursery.start_soon(replace, caller)
        assert set(statuses(answers)) <= {200, 401, 409}
        made = [first["agent_token"], *(answer.json()["agent_token"] for answer in answers if answer.status == 200)]
        good = [(await http_client(server, each).get("/v1/credentials")).status for each in made]
        assert sorted(good) == [200, *[401] * (len(made) - 1)]


async def test_two_servers_on_one_database_are_one_network(postgres_dsn: str, tmp_path: Path) -> None:
    """Half of the clients ask one server, half the other: what was taken on one is taken on both."""
    home = Home(POSTGRES, tmp_path, Secret(postgres_dsn))
    async with home.serve() as one, home.serve() as other:
        clients = [http_client(one), http_client(other)]

        async def on_both(target: str, bodies: Sequence[Body]) -> list[HttpAnswer]:
            answers: list[HttpAnswer] = []

            async def on_one(client: HttpClient) -> None:
                answers.extend(await all_at_once(client, "POST", target, bodies))

            async with trio.open_nursery() as nursery:
                for client in clients:
                    nursery.start_soon(on_one, client)
            return answers

        same = await on_both("/v1/messages", [said("same", id="m1")] * 10)
        assert statuses(same) == {202: 20}
        assert len({answer.json()["event_id"] for answer in same}) == 1
        different = await on_both("/v1/messages", [said(str(number), id="m2") for number in range(10)])
        assert statuses(different) == {202: 2, 409: 18}
        threaded_ones = await on_both("/v1/messages", [threaded("a thread")] * 10)
        assert sum(answer.json()["thread_created"] for answer in threaded_ones) == 1
        rooms = await on_both("/v1/rooms", [{"id": "new"}] * 5)
        assert statuses(rooms) == {201: 1, 409: 9}
        histories = [await stored_texts(server, "/v1/rooms/general/messages") for server in (one, other)]
        assert histories[0] == histories[1]
        assert histories[0][0] == "same"
        assert len(histories[0]) == 2


async def test_readers_of_two_servers_hear_the_same_in_the_same_order(postgres_dsn: str, tmp_path: Path) -> None:
    home = Home(POSTGRES, tmp_path, Secret(postgres_dsn))
    async with home.serve() as one, home.serve() as other:
        async with http_client(one).stream_events() as at_one, http_client(other).stream_events() as at_other:
            async with trio.open_nursery() as nursery:
                for server in (one, other):
                    nursery.start_soon(send_all, server, [said(f"{server.port} {number}") for number in range(25)])
            heard = [
                [(await source.next_of("message.created")).text for _ in range(50)] for source in (at_one, at_other)
            ]
        assert heard[0] == heard[1] == await stored_texts(other, "/v1/rooms/general/messages")
        assert len(set(heard[0])) == 50
