"""What a network takes from a paired one: once, from its own people only, and as nobody else."""

import pytest

from tests.fakes.http_client import http_client
from tests.fakes.network import open_test_server, room, room_message
from tests.fakes.paired import history, paired_config, say, texts


def relayed(
    message_id: str, *, network: str = "net_b", origin_id: str = "", room_id: str = "general"
) -> dict[str, object]:
    return {
        "id": message_id,
        "origin": {"network_id": network, "message_id": origin_id or message_id},
        "target": {"kind": "room", "room_id": room_id},
        "from": {"type": "agent", "id": "alpha", "network_id": network, "fqid": f"molt://{network}/agents/alpha"},
        "parts": [{"kind": "text", "text": f"{message_id or origin_id} from {network}"}],
    }


async def test_a_message_that_comes_twice_is_there_once() -> None:
    async with open_test_server(paired_config("net_a", "net_b")) as server:
        client = http_client(server, "of-net_b")
        answers = [await client.post("/v1/messages", relayed("m1")) for _ in range(3)]
        assert [answer.status for answer in answers] == [202, 202, 202]
        assert len({answer.json()["event_id"] for answer in answers}) == 1
        assert await texts(server.app) == ["m1 from net_b"]


async def test_a_message_without_an_id_is_known_by_that_of_its_origin() -> None:
    async with open_test_server(paired_config("net_a", "net_b")) as server:
        client = http_client(server, "of-net_b")
        for _ in range(2):
            answer = await client.post("/v1/messages", relayed("", origin_id="m7"))
            assert answer.json()["message_id"] == "m7"
        assert [message.origin.message_id for message in await history(server.app)] == ["m7"]


async def test_an_id_that_another_network_has_used_is_refused_and_not_swallowed() -> None:
    async with open_test_server(paired_config("net_a", "net_b", "net_c")) as server:
        assert (await http_client(server, "of-net_b").post("/v1/messages", relayed("m1"))).status == 202
        answer = await http_client(server, "of-net_c").post("/v1/messages", relayed("m1", network="net_c"))
        assert (answer.status, answer.code) == (409, "message_id_conflict")
        await say(server.app, room_message("ours", message_id="m2"))
        answer = await http_client(server, "of-net_b").post("/v1/messages", relayed("m2"))
        assert (answer.status, answer.code) == (409, "message_id_conflict")


async def test_a_remote_namesake_of_a_member_is_no_member() -> None:
    """The reference lets `alpha` of another network into what only our `alpha` may write (pairing, weakness 6)."""
    config = paired_config("net_a", "net_b", rooms=[room("ours", "alpha")])
    async with open_test_server(config) as server:
        answer = await http_client(server, "of-net_b").post("/v1/messages", relayed("m1", room_id="ours"))
        assert (answer.status, answer.code) == (403, "room_write_forbidden")


@pytest.mark.parametrize("member", ["net_b:alpha", "molt://net_b/agents/alpha"])
async def test_a_remote_member_is_let_in_by_either_spelling(member: str) -> None:
    config = paired_config("net_a", "net_b", rooms=[room("theirs", member)])
    async with open_test_server(config) as server:
        answer = await http_client(server, "of-net_b").post("/v1/messages", relayed("m1", room_id="theirs"))
        assert answer.status == 202


async def test_a_pair_token_speaks_for_its_network_only() -> None:
    async with open_test_server(paired_config("net_a", "net_b", "net_c")) as server:
        for network in ("net_c", "net_a", "net_d"):
            answer = await http_client(server, "of-net_b").post("/v1/messages", relayed("m1", network=network))
            assert (answer.status, answer.code) in ((403, "remote_actor_forbidden"), (403, "missing_scope"))
        forged = room_message("as if local")
        answer = await http_client(server, "of-net_b").post("/v1/messages", forged)
        assert answer.status == 403
        assert await texts(server.app) == []
