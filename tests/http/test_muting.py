"""Muted agents: what they may do, who is told, and that every server knows."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from moltnet.config.settings import AuthMode, MoltnetConfig, Registration
from moltnet.protocol.limits import LONGEST_MUTE_MINUTES, MAX_MUTE_REASON_CHARACTERS
from moltnet.protocol.times import format_timestamp
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    event_types,
    network_config,
    open_test_server,
    room,
    room_message,
    thread_message,
    token,
    wait_until,
)
from tests.fakes.shared_network import open_servers

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKENS = [token("admin", "admin write"), token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta")]
BEARER: MoltnetConfig = network_config(
    mode=AuthMode.BEARER,
    tokens=TOKENS,
    rooms=[room("general", "alpha", "beta")],
    registration=Registration.TOKEN,
)


@attrs.define
class Clock:
    """Stands still until it is set."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[TestServer]:
    async with open_test_server(BEARER, clock=clock) as server:
        yield server


async def mute(client: HttpClient, agent_id: str = "alpha", **how: Any) -> Any:
    answer = await client.post(f"/v1/agents/{agent_id}/mute", how)
    assert answer.status == 200, answer.body
    return answer.json()


async def say(server: TestServer, caller: str = "alpha", sender: str = "alpha") -> HttpAnswer:
    return await http_client(server, caller).post("/v1/messages", room_message(sender=sender))


async def test_a_muted_agent_reads_and_says_nothing(server: TestServer) -> None:
    admin, alpha = http_client(server, "admin"), http_client(server, "alpha")
    shown = await mute(admin, reason="Too loud.")
    assert shown["mute"] == {"since": format_timestamp(NOON), "reason": "Too loud.", "by": "token:admin"}
    for message in (room_message(), thread_message("t1"), direct_message("d1", "alpha", "beta")):
        refused = await alpha.post("/v1/messages", message)
        assert (refused.status, refused.code) == (403, "agent_muted")
        assert "Too loud." in refused.json()["error"]
    assert (await say(server, "admin")).code == "agent_muted"
    assert (await say(server, "beta", "beta")).status == 202
    assert len((await alpha.get("/v1/rooms/general/messages")).json()["messages"]) == 1
    assert (await admin.delete("/v1/agents/alpha/mute")).json().get("mute") is None
    assert (await say(server)).status == 202


async def test_it_ends_in_time(server: TestServer, clock: Clock) -> None:
    admin = http_client(server, "admin")
    shown = await mute(admin, minutes=5)
    assert shown["mute"]["until"] == format_timestamp(NOON + timedelta(minutes=5))
    assert (await say(server)).status == 403
    clock.now += timedelta(minutes=5)
    assert (await say(server)).status == 202
    assert "mute" not in (await admin.get("/v1/agents/alpha")).json()
    until = (clock.now + timedelta(hours=1)).isoformat()
    assert (await mute(admin, until=until))["mute"]["until"] == format_timestamp(clock.now + timedelta(hours=1))
    assert (await say(server)).status == 403


async def test_events_tell_who_may_know(server: TestServer) -> None:
    admin = http_client(server, "admin")
    await mute(admin, reason="why")
    await mute(admin, reason="another reason")
    for _ in range(2):
        await admin.delete("/v1/agents/alpha/mute")
    assert [kind for kind in await event_types(server.app) if "mute" in kind] == [
        "agent.muted",
        "agent.muted",
        "agent.unmuted",
    ]
    events = (await admin.get("/v1/events?type=agent.muted")).json()["events"]
    assert [event["agent"]["reason"] for event in events] == ["why", "another reason"]
    assert events[0]["agent"]["mute"]["by"] == "token:admin"
    assert len((await http_client(server, "alpha").get("/v1/events?type=agent")).json()["events"]) == 3
    assert (await http_client(server, "beta").get("/v1/events?type=agent")).json()["events"] == []


async def test_the_agent_sees_that_it_is_muted_and_others_do_not(server: TestServer) -> None:
    await mute(http_client(server, "admin"), reason="why")
    for caller, sees in (("admin", True), ("alpha", True), ("beta", False)):
        client = http_client(server, caller)
        assert ("mute" in (await client.get("/v1/agents/alpha")).json()) is sees
        (listed,) = [each for each in (await client.get("/v1/agents")).json()["agents"] if each["id"] == "alpha"]
        assert ("mute" in listed) is sees


@pytest.mark.parametrize(
    ("how", "path"),
    [
        ({"minutes": -1}, "$.minutes"),
        ({"minutes": LONGEST_MUTE_MINUTES + 1}, "$.minutes"),
        ({"until": "tomorrow"}, "$.until"),
        ({"until": "2026-11-20T13:00:00"}, "$.until"),
        ({"until": "2026-11-20T12:00:00Z"}, "$.until"),
        ({"until": "2026-11-20T13:00:00Z", "minutes": 1}, "$.until"),
        ({"reason": "x" * (MAX_MUTE_REASON_CHARACTERS + 1)}, "$.reason"),
    ],
)
async def test_what_makes_no_sense_is_refused(server: TestServer, how: dict[str, Any], path: str) -> None:
    answer = await http_client(server, "admin").post("/v1/agents/alpha/mute", how)
    assert (answer.status, answer.json()["problems"][0]["path"]) == (422, path)
    assert (await say(server)).status == 202


async def test_only_registered_agents_of_this_network_are_muted(server: TestServer) -> None:
    admin = http_client(server, "admin")
    for agent_id in ("nobody", "net_b:alpha", "no%20id"):
        for answer in (
            await admin.post(f"/v1/agents/{agent_id}/mute", {}),
            await admin.delete(f"/v1/agents/{agent_id}/mute"),
        ):
            assert (answer.status, answer.code) == (404, "unknown_agent")
    assert (await http_client(server, "alpha").post("/v1/agents/alpha/mute", {})).status == 403


async def test_it_survives_a_restart_and_goes_with_the_agent(tmp_path: Path) -> None:
    config = attrs.evolve(BEARER, storage=network_config(sqlite_path=tmp_path / "moltnet.db").storage)
    async with open_test_server(config) as server:
        await mute(http_client(server, "admin"), reason="still")
    async with open_test_server(config) as server:
        assert (await say(server)).code == "agent_muted"
        admin = http_client(server, "admin")
        await admin.delete("/v1/agents/alpha")
        assert (await http_client(server, "alpha").post("/v1/agents/register", {"requested_agent_id": "alpha"})).status
        await admin.patch("/v1/rooms/general/members", {"add": ["alpha"]})
        assert (await say(server)).status == 202


async def test_every_server_knows(postgres_dsn: str) -> None:
    async with open_servers(postgres_dsn, postgres_dsn, config=BEARER) as (one, other):
        with trio.fail_after(60):
            await mute(http_client(one, "admin"))
            await wait_until(lambda: other.app.context.directory.mute("alpha") is not None)
            assert (await say(other)).code == "agent_muted"
            await http_client(other, "admin").delete("/v1/agents/alpha/mute")
            assert (await say(one)).status == 202  # it asks before it refuses
