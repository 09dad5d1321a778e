"""One network on servers that share a database: who is attached, who is in the way, and what a dead one leaves."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import trio

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, Claims
from moltnet.config.settings import AuthMode
from moltnet.core.agents import remove_agent
from moltnet.core.credentials import replace_token
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import AgentId
from tests.fakes.attach_client import AttachClient, attach, frame, identify_frame, open_wire, read_until_closed
from tests.fakes.credentials import static
from tests.fakes.network import network_config, post, post_texts, room_message, wait_until
from tests.fakes.postgres import PostgresServer
from tests.fakes.shared_network import open_apps, run_sql
from tests.fakes.tcp_proxy import open_proxy

COMINGS_AND_GOINGS = (EventType.AGENT_CONNECTED, EventType.AGENT_DISCONNECTED)
BETA = AgentId("beta")
BEARER = network_config(mode=AuthMode.BEARER)
OPEN = network_config(mode=AuthMode.OPEN)


@pytest.fixture(autouse=True)
def hasty_doubts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time passes here."""
    monkeypatch.setattr(limits, "SILENT_SEAT_SECONDS", 0.5)
    monkeypatch.setattr(limits, "SEAT_ELSEWHERE_SECONDS", 0.5)
    monkeypatch.setattr(limits, "SEAT_AGAIN_SECONDS", 0.02)


@pytest.fixture
async def apps(postgres_dsn: str) -> AsyncIterator[tuple[App, ...]]:
    async with open_apps(postgres_dsn, postgres_dsn) as both:
        yield both


async def refused(app: App, agent_id: str, claims: Claims | None = None) -> tuple[str, int]:
    """What the server says instead of READY, and its close code."""
    async with open_wire(app, *([claims] if claims else [])) as wire:
        await wire.send(identify_frame(agent_id))
        frames, closed = await read_until_closed(wire)
    return frames[-1]["error"], closed.code


async def presence(app: App) -> list[tuple[str, str]]:
    """What the log says of comings and goings."""
    records = await app.context.store.events_after(0, 1000)
    return [(record.type, record.agent_id) for record in records if record.type in COMINGS_AND_GOINGS]


async def chatter(client: AttachClient) -> None:
    """Give signs of life without end."""
    while True:
        await client.wire.send(frame("PING"))
        await trio.sleep(0.02)


async def test_whoever_is_attached_to_one_server_is_connected_on_all(apps: tuple[App, ...]) -> None:
    one, other = apps
    with trio.fail_after(60):
        async with open_wire(one) as wire:
            await attach(wire, "beta")
            for app in apps:
                await wait_until(lambda app=app: app.gateway.registry.is_connected(BETA))  # type: ignore[misc]  # bound
            assert (len(one.gateway.registry), len(other.gateway.registry)) == (1, 0)
        for app in apps:
            await wait_until(lambda app=app: not app.gateway.registry.is_connected(BETA))  # type: ignore[misc]  # bound


async def test_without_credentials_an_agent_attaches_once_in_all(apps: tuple[App, ...]) -> None:
    with trio.fail_after(60):
        async with open_wire(apps[0]) as wire, trio.open_nursery() as nursery:
            client = await attach(wire, "beta")
            nursery.start_soon(chatter, client)
            said, code = await refused(apps[1], "beta")
            assert "already has an active attachment" in said
            assert code == 1013
            assert len(apps[0].gateway.registry) == 1
            nursery.cancel_scope.cancel()


async def test_a_silent_attachment_gives_way_to_one_at_another_server(apps: tuple[App, ...]) -> None:
    with trio.fail_after(60):
        async with open_wire(apps[0]) as silent, open_wire(apps[1]) as wire:
            lost = await attach(silent, "beta")
            client = await attach(wire, "beta")
            assert (await lost.wait_closed()).code == 1013
            await post_texts(apps[0], "hello")
            assert await client.next_texts(1) == ["hello"]


async def test_who_leaves_one_server_attaches_to_another_at_once(apps: tuple[App, ...]) -> None:
    with trio.fail_after(60):
        for turn in range(6):
            async with open_wire(apps[turn % 2]) as wire:
                await attach(wire, "beta")
                await wire.hang_up()


async def test_one_credential_attaches_to_all_servers_and_each_gets_everything(postgres_dsn: str) -> None:
    claims = static("attach write observe")
    with trio.fail_after(60):
        async with open_apps(postgres_dsn, postgres_dsn, config=BEARER) as (one, other), AsyncExitStack() as wires:
            clients = []
            for app in (one, other, one, other):
                wire = await wires.enter_async_context(open_wire(app, claims))
                clients.append(await attach(wire, "beta"))
            await post(one, room_message(sender="beta"), claims)
            for client in clients:
                assert await client.next_texts(1) == ["hello"]
            assert len(one.gateway.registry) == len(other.gateway.registry) == 2


async def test_an_agent_that_is_removed_is_dismissed_wherever_it_is(apps: tuple[App, ...]) -> None:
    with trio.fail_after(60):
        async with open_wire(apps[0]) as wire:
            client = await attach(wire, "beta")
            await remove_agent_known(apps[1], "beta")
            closed = await client.wait_closed()
            assert closed.code == 1008
        async with open_wire(apps[1]) as wire:
            await attach(wire, "beta")


async def remove_agent_known(app: App, agent_id: str) -> None:
    """Remove an agent that another server has registered."""
    await wait_until(lambda: app.context.directory.agent(agent_id) is not None)
    await remove_agent(app.context, agent_id)


async def test_a_token_that_is_replaced_at_one_server_ends_attachments_at_another(postgres_dsn: str) -> None:
    with trio.fail_after(60):
        async with (
            open_apps(postgres_dsn, postgres_dsn, config=OPEN) as (one, other),
            open_wire(one, ANONYMOUS) as wire,
        ):
            client = await attach(wire, "beta")
            await wait_until(lambda: other.context.directory.agent("beta") is not None)
            claims = other.authenticator.authenticate(f"Bearer {client.ready.agent_token}")
            replaced = await replace_token(other.context, "beta", claims)
            assert (await client.wait_closed()).code == 1008
            again = other.authenticator.authenticate(f"Bearer {replaced.agent_token}")
            async with open_wire(other, again) as next_wire:
                await attach(next_wire, "beta")


async def test_what_a_dead_server_has_left_is_reported_once(postgres_server: PostgresServer, postgres_dsn: str) -> None:
    with trio.fail_after(60):
        async with open_apps(postgres_dsn, postgres_dsn) as (one, other):
            run_sql(
                postgres_server,
                postgres_dsn,
                "BEGIN; UPDATE seat_changes SET revision = revision + 1; "
                "INSERT INTO servers VALUES ('dead', '-infinity'); INSERT INTO seats "
                "(agent_id, server_id, credential_key, attachments, revision) "
                "SELECT agent_id, 'dead', 'key', attachments, (SELECT revision FROM seat_changes) "
                "FROM (VALUES ('beta', 2), ('gamma', 1), ('left', 0)) AS left_behind (agent_id, attachments); COMMIT",
            )
            await wait_until(lambda: one.broker.newest_seq == other.broker.newest_seq == 4)
            left = "SELECT count(*) FROM servers WHERE id = 'dead'"
            await wait_until(lambda: run_sql(postgres_server, postgres_dsn, left) == "0")
            gone = [EventType.AGENT_DISCONNECTED] * 3
            assert sorted(await presence(one)) == list(zip(gone, ["beta", "beta", "gamma"], strict=True))
            # Nothing of it is in the way.
            async with open_wire(other) as wire:
                await attach(wire, "beta")


async def test_a_report_for_the_dead_that_was_written_is_not_written_again(
    postgres_server: PostgresServer, postgres_dsn: str
) -> None:
    """As if a server had died between its report and the end of that work."""
    dying = (
        "INSERT INTO servers VALUES ('dead', '-infinity'); "
        "INSERT INTO seats (agent_id, server_id, credential_key, attachments, revision) "
        "VALUES ('beta', 'dead', 'k', 1, 0)"
    )
    with trio.fail_after(60):
        async with open_apps(postgres_dsn) as (app,):
            for _ in range(2):
                run_sql(postgres_server, postgres_dsn, dying)
                await wait_until(lambda: run_sql(postgres_server, postgres_dsn, "SELECT count(*) FROM servers") == "1")
            assert await presence(app) == [(EventType.AGENT_DISCONNECTED, "beta")]


async def test_a_server_that_is_cut_off_lets_go_and_its_agents_move(postgres_server: PostgresServer) -> None:
    database = postgres_server.new_database()
    dsn = postgres_server.dsn(database)
    with trio.fail_after(60):
        async with (
            open_proxy(postgres_server.port) as proxy,
            open_apps(by_proxy := postgres_server.tcp_dsn(database, port=proxy.port), dsn, hasty=by_proxy) as (
                cut_off,
                other,
            ),
            open_wire(cut_off) as wire,
        ):
            client = await attach(wire, "beta")
            await wait_until(lambda: other.gateway.registry.is_connected(BETA))
            proxy.hold()
            # Before anybody else may have its place.
            closed = await client.wait_closed()
            assert (closed.code, closed.reason) == (1013, "this server can't reach the network's database")
            await wait_until(lambda: not other.gateway.registry.is_connected(BETA))
            async with open_wire(other) as moved:
                client = await attach(moved, "beta")
                proxy.release()
                await wait_until(lambda: cut_off.gateway.registry.is_connected(BETA))
                await post_texts(other, "hello")
                assert await client.next_texts(1) == ["hello"]


async def test_a_server_without_others_keeps_its_attachments_while_the_database_is_away(
    postgres_server: PostgresServer,
) -> None:
    database = postgres_server.new_database()
    with trio.fail_after(60):
        async with (
            open_proxy(postgres_server.port) as proxy,
            open_apps(dsn := postgres_server.tcp_dsn(database, port=proxy.port), hasty=dsn) as (app,),
            open_wire(app) as wire,
        ):
            client = await attach(wire, "beta")
            lease = app.context.store._servers.lease  # type: ignore[attr-defined]  # what the others would see of us
            before = lease.id
            proxy.hold()
            run_sql(postgres_server, postgres_server.dsn(database), "UPDATE servers SET expires_at = '-infinity'")
            await wait_until(lambda: not lease.is_held)
            proxy.release()
            # It is a new one then, with the same seats.
            await wait_until(lambda: lease.id != before)
            await post_texts(app, "hello")
            assert await client.next_texts(1) == ["hello"]
            # What its old name had is reported as gone, and that it is back.
            # The room, its coming, and the message; then its going and its coming.
            await wait_until(lambda: app.broker.newest_seq == 5)
            assert sorted(await presence(app)) == [
                *[(EventType.AGENT_CONNECTED, "beta")] * 2,
                (EventType.AGENT_DISCONNECTED, "beta"),
            ]
            assert len(app.gateway.registry) == 1
