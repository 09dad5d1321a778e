"""What a pair token sees in lists: the rooms that both networks share and who is in them, and nothing that is said."""

from typing import Final

import attrs
import pytest

from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings
from moltnet.protocol.ids import NetworkId, RoomId
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import network_config, open_test_server, post, room, room_message, token

TOKENS: Final = (
    attrs.evolve(token("pair", "pair"), network=NetworkId("net_b")),
    token("unbound", "pair"),
    token("ops", "admin observe write"),
)
ROOMS: Final = (room("both", "alpha", "net_b:beta"), room("other", "gamma", "net_bb:x"), room("relayed", "delta"))


def config(*pairings: PairingSettings) -> MoltnetConfig:
    return attrs.evolve(network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS), pairings=pairings)


def to_net_b(rooms: frozenset[RoomId] | None, **settings: bool) -> PairingSettings:
    return PairingSettings("b", "http://127.0.0.1:1", "net_b", rooms=rooms, status="paused" if settings else "unknown")


async def listed(client: HttpClient) -> tuple[list[str], list[str]]:
    rooms, agents = (await client.get("/v1/rooms")).json()["rooms"], (await client.get("/v1/agents")).json()["agents"]
    return [each["id"] for each in rooms], [each["id"] for each in agents]


@pytest.mark.parametrize(
    ("pairings", "rooms", "agents"),
    [
        ((), ["both"], ["alpha", "net_b:beta"]),
        ((to_net_b(frozenset({RoomId("relayed")})),), ["both", "relayed"], ["alpha", "delta", "net_b:beta"]),
        ((to_net_b(frozenset()),), ["both"], ["alpha", "net_b:beta"]),
        ((to_net_b(None),), ["both", "other", "relayed"], ["alpha", "delta", "gamma", "net_b:beta", "net_bb:x"]),
        ((to_net_b(None, off=True),), ["both"], ["alpha", "net_b:beta"]),
    ],
)
async def test_weakness_7_a_paired_network_sees_what_it_shares(
    pairings: tuple[PairingSettings, ...], rooms: list[str], agents: list[str]
) -> None:
    async with open_test_server(config(*pairings)) as server:
        assert await listed(http_client(server, "pair")) == (rooms, agents)
        # A token that has spoken for nobody yet is shown nothing.
        assert await listed(http_client(server, "unbound")) == ([], [])


async def test_its_pages_go_on_by_cursor_and_hide_the_rest() -> None:
    async with open_test_server(config(to_net_b(frozenset({RoomId("relayed")})))) as server:
        client = http_client(server, "pair")
        first = (await client.get("/v1/rooms?limit=1")).json()
        assert ([each["id"] for each in first["rooms"]], first["page"]["next_after"]) == (["both"], "both")
        second = (await client.get("/v1/rooms?limit=1&after=both")).json()
        assert [each["id"] for each in second["rooms"]] == ["relayed"]
        assert (await client.get("/v1/rooms?after=other")).status == 422
        assert (await client.get("/v1/agents?after=gamma")).status == 422


async def test_what_is_said_in_a_shared_room_is_not_for_a_pair_token_to_read() -> None:
    async with open_test_server(config(to_net_b(None))) as server:
        await post(server.app, room_message("secret", room="both"), static("admin write", token_id="ops"))
        client = http_client(server, "pair")
        for path in (
            "/v1/rooms/both",
            "/v1/rooms/both/messages",
            "/v1/rooms/both/threads",
            "/v1/agents/alpha",
            "/v1/artifacts?room_id=both",
            "/v1/events/stream",
            "/v1/dms",
        ):
            answer = await client.get(path)
            assert answer.status == 403, path
            assert b"secret" not in answer.body
