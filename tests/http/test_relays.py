"""Routes of messages on their way to paired networks: queues, dead letters, metrics."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from tests.fakes.http_client import http_client
from tests.fakes.network import TestServer, open_test_server, room_message
from tests.fakes.paired import give_up, paired_config, pairing_to, say, wait_settled


@asynccontextmanager
async def open_with_backlog() -> AsyncIterator[TestServer]:
    """A network that is paired with one that is not there: m0 and m2 wait, m1 and m3 are dead letters."""
    config = paired_config("net_a", "net_b")
    # Port 9 is nobody's: refused at once.
    nowhere = pairing_to("net_b", "http://127.0.0.1:9", "net_a")
    async with open_test_server(attrs.evolve(config, pairings=(nowhere,))) as server:
        for number in range(4):
            await say(server.app, room_message("hello", message_id=f"m{number}"))
        await give_up(server.app, "to_net_b", "m1", "m3")
        yield server


async def test_queues_say_how_much_waits_and_since_when() -> None:
    async with open_with_backlog() as server:
        client = http_client(server, "ops")
        (queue,) = (await client.get("/v1/outbox")).json()["queues"]
        assert queue.pop("oldest_waiting_at")
        assert queue == {"pairing_id": "to_net_b", "waiting": 2, "dead_letters": 2, "configured": True}
        server.app.adopt(attrs.evolve(server.app.config, pairings=()))
        (queue,) = (await client.get("/v1/outbox")).json()["queues"]
        assert queue["configured"] is False


async def test_a_pairing_over_which_nothing_was_said_has_an_empty_queue() -> None:
    config = attrs.evolve(paired_config("net_a"), pairings=(pairing_to("net_b", "http://127.0.0.1:9", "net_a"),))
    async with open_test_server(config) as server:
        answer = await http_client(server, "ops").get("/v1/outbox")
        assert answer.json() == {
            "queues": [{"pairing_id": "to_net_b", "waiting": 0, "dead_letters": 0, "configured": True}]
        }
        answer = await http_client(server, "ops").get("/v1/pairings/to_net_b/dead-letters")
        assert answer.json() == {"dead_letters": [], "page": {"has_more": False}}


async def test_dead_letters_are_listed_with_their_reasons_page_by_page() -> None:
    async with open_with_backlog() as server:
        client = http_client(server, "ops")
        page = (await client.get("/v1/pairings/to_net_b/dead-letters?limit=1")).json()
        (letter,) = page["dead_letters"]
        assert letter.pop("created_at")
        assert letter.pop("failed_at")
        assert letter == {
            "message_id": "m1",
            "pairing_id": "to_net_b",
            "conversation": "room:general",
            "attempts": 2,
            "status": 404,
            "code": "unknown_room",
            "message": "unknown room",
        }
        assert page["page"] == {"has_more": True, "next_after": "m1"}
        page = (await client.get("/v1/pairings/to_net_b/dead-letters?after=m1")).json()
        assert [each["message_id"] for each in page["dead_letters"]] == ["m3"]
        page = (await client.get("/v1/pairings/to_net_b/dead-letters?before=m3")).json()
        assert [each["message_id"] for each in page["dead_letters"]] == ["m1"]
        refused = await client.get("/v1/pairings/to_net_b/dead-letters?after=m2")
        assert (refused.status, refused.code) == (422, "invalid_cursor")


async def test_a_dead_letter_is_tried_again_or_dropped() -> None:
    async with open_with_backlog() as server:
        client = http_client(server, "ops")
        answer = await client.request("POST", "/v1/pairings/to_net_b/dead-letters/m1/retry")
        assert answer.json() == {"message_id": "m1", "pairing_id": "to_net_b", "action": "retried"}
        answer = await client.request("DELETE", "/v1/pairings/to_net_b/dead-letters/m3")
        assert answer.json() == {"message_id": "m3", "pairing_id": "to_net_b", "action": "dropped"}
        for method, path in (("POST", "m1/retry"), ("DELETE", "m3"), ("DELETE", "m0")):
            answer = await client.request(method, f"/v1/pairings/to_net_b/dead-letters/{path}")
            assert (answer.status, answer.code) == (404, "unknown_dead_letter")
        (queue,) = (await client.get("/v1/outbox")).json()["queues"]
        assert (queue["waiting"], queue["dead_letters"]) == (3, 0)


async def test_nothing_is_known_of_a_pairing_that_never_was() -> None:
    async with open_with_backlog() as server:
        client = http_client(server, "ops")
        for method, path in (("GET", ""), ("POST", "/m1/retry"), ("DELETE", "/m1")):
            answer = await client.request(method, f"/v1/pairings/nowhere/dead-letters{path}")
            assert (answer.status, answer.code) == (404, "unknown_pairing")


async def test_what_is_left_of_a_pairing_that_was_dropped_can_be_looked_after() -> None:
    async with open_with_backlog() as server:
        server.app.adopt(attrs.evolve(server.app.config, pairings=()))
        client = http_client(server, "ops")
        page = (await client.get("/v1/pairings/to_net_b/dead-letters")).json()
        assert [each["message_id"] for each in page["dead_letters"]] == ["m1", "m3"]
        assert (await client.request("DELETE", "/v1/pairings/to_net_b/dead-letters/m1")).status == 200


async def test_metrics_tell_of_tries_and_queues() -> None:
    async with open_with_backlog() as server:
        text = (await http_client(server, "ops").get("/metrics")).body.decode()
        assert 'moltnet_relay_waiting_messages{pairing="to_net_b"} 2.0' in text
        assert 'moltnet_relay_dead_letters{pairing="to_net_b"} 2.0' in text
        (line,) = (each for each in text.splitlines() if each.startswith("moltnet_relay_oldest_waiting_seconds{"))
        assert 0 <= float(line.split()[-1]) < 60


async def test_a_network_without_pairings_keeps_nothing_for_anybody() -> None:
    async with open_test_server(paired_config("net_a", "net_b")) as server:
        await say(server.app, room_message("hello"))
        assert list(await server.app.context.store.outbox_depths()) == []
        assert "moltnet_relay_waiting_messages{" not in (await http_client(server, "ops").get("/metrics")).body.decode()
        await wait_settled(server.app, "to_net_b")
