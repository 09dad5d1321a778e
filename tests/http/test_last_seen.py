"""When agents were last there: what they did last, also after a restart, for who may know."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import attrs
import trio
from trio.testing import MockClock

from moltnet.app import App
from moltnet.attach.delivery import AttachedAgent, Reporter
from moltnet.auth.claims import UNCHECKED
from moltnet.client.address import parse_server_address
from moltnet.client.attachment import Attacher, open_attachment
from moltnet.config.settings import AuthMode, Registration
from moltnet.core.agents import claim_agent
from moltnet.protocol.agents import About
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId
from moltnet.protocol.limits import NOTE_SIGHTINGS_SECONDS
from moltnet.protocol.times import format_timestamp
from moltnet.storage.commands import RecordEvents
from moltnet.storage.marks import NoteSeen
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import http_client
from tests.fakes.network import (
    NETWORK,
    TestServer,
    network_config,
    open_test_app,
    open_test_server,
    post,
    room_message,
    secret_of,
    token,
)

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TOKENS = [token("admin", "admin write"), token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta")]
ALPHA, BETA = AgentId("alpha"), AgentId("beta")


@attrs.define
class Clock:
    """Stands still until it is set."""

    now: datetime = NOON

    def __call__(self) -> datetime:
        return self.now


async def last_seen(server: TestServer, agent_id: str = "alpha", caller: str = "admin") -> str:
    return str((await http_client(server, caller).get(f"/v1/agents/{agent_id}")).json().get("last_seen_at", ""))


async def report_gone(app: App, agent_id: str) -> None:
    """As an attachment does that ends."""
    agent = AttachedAgent(NETWORK, agent_id, agent_fqid(NETWORK, agent_id), "")
    await app.context.journal.commit(RecordEvents((Reporter(agent, app.context.now).disconnected("closed"),)))


async def test_what_an_agent_says_and_when_it_goes_tells(tmp_path: Path) -> None:
    clock = Clock()
    config = network_config(
        mode=AuthMode.BEARER,
        tokens=TOKENS,
        registration=Registration.TOKEN,
        sqlite_path=tmp_path / "moltnet.db",
    )
    async with open_test_server(config, clock=clock) as server:
        assert await last_seen(server) == ""
        await http_client(server, "alpha").post("/v1/messages", room_message())
        assert await last_seen(server) == format_timestamp(NOON)
        clock.now += timedelta(hours=1)
        await report_gone(server.app, "beta")
        assert await last_seen(server, "beta") == format_timestamp(clock.now)
        assert await last_seen(server, "alpha", "beta") == ""  # presence of others is for who observes
        listed = (await http_client(server, "admin").get("/v1/agents")).json()["agents"]
        assert [each["last_seen_at"] for each in listed] == [format_timestamp(NOON), format_timestamp(clock.now)]
    left, clock.now = clock.now, clock.now + timedelta(days=1)
    async with open_test_server(config, clock=clock) as server:
        assert await last_seen(server) == format_timestamp(NOON)
        assert await last_seen(server, "beta") == format_timestamp(left)
        await http_client(server, "admin").delete("/v1/agents/alpha")
        await http_client(server, "alpha").post("/v1/agents/register", {"requested_agent_id": "alpha"})
        assert await last_seen(server) == ""


async def test_what_the_program_of_an_agent_says_of_itself_is_told_and_kept(tmp_path: Path) -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, sqlite_path=tmp_path / "moltnet.db")
    async with open_test_server(config) as server:
        attacher = Attacher(NETWORK, "alpha", about=About("codex", "build-7"))
        address = parse_server_address(server.url)
        async with open_attachment(address, secret_of("alpha"), attacher, {}):
            shown = (await http_client(server, "admin").get("/v1/agents/alpha")).json()
            assert (shown["runtime"], shown["host"]) == ("codex", "build-7")
            assert "runtime" not in (await http_client(server, "alpha").get("/v1/agents/alpha")).json()
    async with open_test_server(config) as server:
        shown = (await http_client(server, "admin").get("/v1/agents/alpha")).json()
        assert (shown["runtime"], shown["host"]) == ("codex", "build-7")
        async with open_attachment(
            parse_server_address(server.url), secret_of("alpha"), Attacher(NETWORK, "alpha"), {}
        ):
            shown = (await http_client(server, "admin").get("/v1/agents/alpha")).json()
            assert "runtime" not in shown


async def test_it_is_noted_once_a_minute_for_those_of_whom_there_is_news(autojump_clock: MockClock) -> None:
    store, clock = FaultyStore(), Clock()

    def noted() -> list[NoteSeen]:
        return [command for batch in store.batches for command in batch if isinstance(command, NoteSeen)]

    async with open_test_app(store=store, clock=clock) as app:
        for agent_id in (ALPHA, BETA):
            await claim_agent(app.context, agent_id, "", UNCHECKED)
        for _ in range(50):
            await post(app, room_message())
        await post(app, room_message(sender="somebody"))
        await trio.sleep(NOTE_SIGHTINGS_SECONDS * 3.5)
        assert noted() == [NoteSeen(((ALPHA, format_timestamp(NOON)),))]
        clock.now += timedelta(minutes=1)
        await post(app, room_message(sender="beta"))
        assert app.context.sightings.last_seen_at(BETA) == format_timestamp(clock.now)
    assert noted()[1:] == [NoteSeen(((BETA, format_timestamp(clock.now)),))]  # when the server ends
    assert [mark.key for mark in (await store.load_directory()).marks] == ["alpha", "beta"]
