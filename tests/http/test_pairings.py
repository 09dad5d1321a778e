"""Routes of pairings, as far as the configuration file can answer them."""

import attrs
import pytest

from moltnet.config.secrets import Secret
from moltnet.config.settings import MoltnetConfig, PairingSettings
from tests.fakes.http_client import http_client
from tests.fakes.network import network_config, open_test_server


def paired(*ids: str) -> MoltnetConfig:
    pairings = (PairingSettings(id, f"https://{id}.test", f"net_{id}", token=Secret("PLANTED-SECRET")) for id in ids)
    return attrs.evolve(network_config(), pairings=tuple(pairings))


async def test_pairings_are_listed_by_id_without_their_tokens() -> None:
    async with open_test_server(paired("c", "a", "b")) as server:
        client = http_client(server)
        answer = await client.get("/v1/pairings?limit=2")
        assert b"PLANTED" not in answer.body
        assert answer.json() == {
            "pairings": [
                {
                    "id": id,
                    "remote_network_id": f"net_{id}",
                    "remote_base_url": f"https://{id}.test",
                    "status": "unknown",
                }
                for id in ("a", "b")
            ],
            "page": {"has_more": True, "next_after": "b"},
        }
        rest = (await client.get("/v1/pairings?limit=2&after=b")).json()
        assert ([pairing["id"] for pairing in rest["pairings"]], rest["page"]) == (["c"], {"has_more": False})
        assert (await client.get("/v1/network")).json()["capabilities"]["pairings"] is True


async def test_a_network_without_pairings_says_so() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        assert (await client.get("/v1/pairings")).json() == {"pairings": [], "page": {"has_more": False}}
        assert (await client.get("/v1/network")).json()["capabilities"]["pairings"] is False


@pytest.mark.parametrize("what", ["network", "rooms", "agents"])
async def test_the_network_of_a_pairing_cannot_be_asked_yet(what: str) -> None:
    async with open_test_server(paired("a")) as server:
        for pairing_id, status, code in [("a", 502, "pairing_unreachable"), ("b", 404, "unknown_pairing")]:
            answer = await http_client(server).get(f"/v1/pairings/{pairing_id}/{what}")
            assert (answer.status, answer.code) == (status, code)


@pytest.mark.parametrize("target", ["/v1/pairings", "/v1/pairings/a/rooms", "/v1/pairings/a/agents"])
async def test_a_bad_cursor_comes_before_everything_else(target: str) -> None:
    async with open_test_server(paired("a")) as server:
        answer = await http_client(server).get(f"{target}?before=no%20id")
        assert (answer.status, answer.code) == (422, "invalid_cursor")
