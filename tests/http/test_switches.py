"""Pairings that an operator lets rest and puts to work again, against what the configuration says."""

from pathlib import Path
from typing import Any

import attrs
import trio

from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import network_config, open_test_server, room_message, token, wait_until
from tests.fakes.shared_network import open_servers


def paired(*, enabled: bool = True, path: Path | None = None) -> MoltnetConfig:
    config = network_config(
        mode=AuthMode.BEARER,
        tokens=[token("admin", "admin write observe"), token("observer", "observe")],
        sqlite_path=path,
    )
    return attrs.evolve(config, pairings=(PairingSettings("b", "https://b.test", "net_b", enabled=enabled),))


async def status_of(client: HttpClient) -> str:
    (pairing,) = (await client.get("/v1/pairings")).json()["pairings"]
    return str(pairing["status"])


async def switch(client: HttpClient, verb: str) -> Any:
    answer = await client.request("POST", f"/v1/pairings/b/{verb}")
    assert answer.status == 200, answer.body
    return answer.json()


async def waiting(client: HttpClient) -> int:
    queues = (await client.get("/v1/outbox")).json()["queues"]
    return sum(queue["waiting"] for queue in queues)


async def test_a_pairing_rests_and_keeps_what_waits() -> None:
    async with open_test_server(paired()) as server:
        client = http_client(server, "admin")
        await client.post("/v1/messages", room_message(message_id="before"))
        assert await waiting(client) == 1
        assert (await switch(client, "disable"))["status"] == "disabled"
        assert await status_of(client) == "disabled"
        assert (await client.get("/v1/pairings/b/network")).status == 502
        await client.post("/v1/messages", room_message(message_id="meanwhile"))
        assert await waiting(client) == 1
        assert (await switch(client, "enable"))["status"] != "disabled"
        await client.post("/v1/messages", room_message(message_id="after"))
        assert await waiting(client) == 2


async def test_readers_are_told_once() -> None:
    async with open_test_server(paired()) as server:
        client = http_client(server, "admin")
        for verb in ("disable", "disable", "enable"):
            await switch(client, verb)
        events = (await client.get("/v1/events?type=pairing.updated")).json()["events"]
        assert [event["pairing"]["status"] for event in events][:2] == ["disabled", "unknown"]


async def test_it_survives_a_restart_until_the_configuration_changes(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.db"
    async with open_test_server(paired(path=path)) as server:
        await switch(http_client(server, "admin"), "disable")
    async with open_test_server(paired(path=path)) as server:
        client = http_client(server, "admin")
        assert await status_of(client) == "disabled"
        server.app.adopt(paired(path=path))
        assert await status_of(client) == "disabled"
    async with open_test_server(paired(path=path, enabled=False)) as server:
        client = http_client(server, "admin")
        assert await status_of(client) == "disabled"
        assert (await switch(client, "enable"))["status"] != "disabled"
        server.app.adopt(paired(path=path, enabled=False))
        assert await status_of(client) != "disabled"
        server.app.adopt(paired(path=path, enabled=True))
        assert await status_of(client) != "disabled"


async def test_who_may_not_and_what_is_not_there() -> None:
    async with open_test_server(paired()) as server:
        for verb in ("disable", "enable"):
            assert (
                await http_client(server, "observer").request("POST", f"/v1/pairings/b/{verb}")
            ).code == "missing_scope"
            assert (
                await http_client(server, "admin").request("POST", f"/v1/pairings/c/{verb}")
            ).code == "unknown_pairing"


async def test_every_server_follows(postgres_dsn: str) -> None:
    async with open_servers(postgres_dsn, postgres_dsn, config=paired()) as (one, other):
        with trio.fail_after(60):
            await switch(http_client(one, "admin"), "disable")
            await wait_until(lambda: not other.app.context.terms.relaying)
            assert await status_of(http_client(other, "admin")) == "disabled"
