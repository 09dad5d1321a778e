"""Credentials over their whole life, on every surface: requests, event streams, attachments."""

from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import attrs
import orjson
import trio
import trio.testing
from trio.testing import MockClock

from moltnet.app import App
from moltnet.config.problems import ConfigError, Problem
from moltnet.config.settings import AuthMode, MoltnetConfig, TokenSettings
from moltnet.protocol.codec import unstructure
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import NetworkId
from tests.fakes.asgi_client import open_exchange
from tests.fakes.attach_client import attach, open_websocket_wire, open_wire
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpClient, bearer, http_client, open_connection
from tests.fakes.network import (
    TestServer,
    network_config,
    open_test_app,
    open_test_server,
    post,
    room,
    room_message,
    secret_of,
    token,
)

OPS, ALPHA = token("ops", "admin observe write"), token("alphas", "attach write observe", "alpha")
PAIR = token("partner", "pair write")
OPEN = network_config(mode=AuthMode.OPEN, tokens=[OPS, ALPHA, PAIR], rooms=[room("general", "alpha", "luna")])
JSON = {"Content-Type": "application/json"}
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


def with_tokens(*tokens: TokenSettings) -> MoltnetConfig:
    return attrs.evolve(OPEN, auth=attrs.evolve(OPEN.auth, tokens=tokens))


async def claim_in_memory(app: App, agent_id: str = "luna") -> str:
    body = {"requested_agent_id": agent_id}
    async with open_exchange(app, "POST", "/v1/agents/register", body, headers=JSON) as exchange:
        assert await exchange.receive_status() == 201
        token: str = orjson.loads(await exchange.receive_chunk())["agent_token"]
        return token


async def claim(server: TestServer, agent_id: str = "luna") -> str:
    answer = await http_client(server).post("/v1/agents/register", {"requested_agent_id": agent_id})
    assert answer.headers["cache-control"] == "no-store"
    token: str = answer.json()["agent_token"]
    return token


class TestTheRoutes:
    async def test_an_agent_rotates_and_revokes_its_token(self) -> None:
        async with open_test_server(OPEN) as server:
            old = await claim(server)
            answer = await http_client(server, old).post("/v1/agents/luna/token", None)
            assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
            new = answer.json()["agent_token"]
            assert (await http_client(server, old).get("/v1/rooms")).code == ErrorCode.INVALID_TOKEN
            listed = await http_client(server, new).get("/v1/credentials")
            assert [(each["agent_id"], each["holder"]) for each in listed.json()["credentials"]] == [
                ("luna", "agent_token")
            ]
            assert new not in listed.body.decode()
            revoked = await http_client(server, new).delete("/v1/agents/luna/token")
            assert (revoked.status, revoked.json()["holder"]) == (200, "nobody")
            assert (await http_client(server, new).get("/v1/rooms")).status == 401

    async def test_an_administrator_resets_a_lost_token_by_any_spelling_of_the_agent(self) -> None:
        async with open_test_server(OPEN) as server:
            await claim(server)
            for spelling in ("luna", "lab:luna", "molt://lab/agents/luna", "molt:%2F%2Flab%2Fagents%2Fluna"):
                answer = await http_client(server, "ops").post(f"/v1/agents/{spelling}/token", None)
                assert answer.status == 200, spelling
            assert (await http_client(server, answer.json()["agent_token"]).get("/v1/rooms")).status == 200

    async def test_refusals_have_codes(self) -> None:
        async with open_test_server(OPEN) as server:
            await claim(server)
            for client, agent_id, status, code in (
                (http_client(server), "luna", 401, ErrorCode.UNAUTHORIZED),
                (http_client(server, "alphas"), "luna", 403, ErrorCode.MISSING_SCOPE),
                (http_client(server, "ops"), "nobody", 404, ErrorCode.UNKNOWN_AGENT),
                (http_client(server, "ops"), "alpha", 409, ErrorCode.AGENT_DECLARED),
            ):
                answer = await client.post(f"/v1/agents/{agent_id}/token", None)
                assert (answer.status, answer.code) == (status, code)


async def is_refused(client: HttpClient) -> bool:
    return (await client.get("/v1/rooms")).status == 401


class TestWhatRunsOnAToken:
    async def test_a_rotation_ends_attachments_and_streams_at_once(self) -> None:
        async with open_test_server(OPEN) as server, AsyncExitStack() as stack:
            old = await claim(server)
            client = await attach(await stack.enter_async_context(open_websocket_wire(server.url, old)), "luna")
            source = await stack.enter_async_context(http_client(server, old).stream_events())
            new = (await http_client(server, "ops").post("/v1/agents/luna/token", None)).json()["agent_token"]
            closed = await client.wait_closed()
            assert (closed.code, closed.reason) == (1008, "the agent's token was replaced")
            while await source.next_event() is not None:
                pass
            await attach(await stack.enter_async_context(open_websocket_wire(server.url, new)), "luna")

    async def test_a_revocation_says_so(self) -> None:
        async with open_test_server(OPEN) as server, AsyncExitStack() as stack:
            own = await claim(server)
            client = await attach(await stack.enter_async_context(open_websocket_wire(server.url, own)), "luna")
            await http_client(server, own).delete("/v1/agents/luna/token")
            closed = await client.wait_closed()
            assert (closed.code, closed.reason) == (1008, "the agent's token was revoked")
            assert await is_refused(http_client(server, own))

    async def test_removing_an_agent_ends_its_stream_without_waiting_for_an_event(
        self, autojump_clock: MockClock
    ) -> None:
        async with open_test_app(OPEN) as app:
            own = await claim_in_memory(app)
            async with open_exchange(app, "GET", "/v1/events/stream", headers=bearer(own)) as exchange:
                await exchange.receive_status()
                await exchange.receive_chunk()
                async with open_exchange(app, "DELETE", "/v1/agents/luna", headers=bearer("ops")) as removal:
                    assert await removal.receive_status() == 200
                await exchange.ended.wait()
                assert trio.current_time() == 0

    async def test_a_slow_reader_gets_none_of_what_is_left(self, autojump_clock: MockClock) -> None:
        async with open_test_app(OPEN) as app:
            own = await claim_in_memory(app)
            async with open_exchange(app, "GET", "/v1/events/stream", headers=bearer(own), chunks=1) as exchange:
                await exchange.receive_status()
                await exchange.receive_chunk()
                for _ in range(8):
                    await post(app, room_message("x" * 400_000), static("admin write"))
                await trio.testing.wait_all_tasks_blocked()
                async with open_exchange(app, "DELETE", "/v1/agents/luna/token", headers=bearer("ops")) as revocation:
                    assert await revocation.receive_status() == 200
                received = 0
                while chunk := await exchange.receive_chunk():
                    received += chunk.count(b"event: message.created")
                assert 1 <= received <= 2  # one is taken by the test, one on its way


class TestExpiry:
    EXPIRING = attrs.evolve(ALPHA, expires_at=EPOCH + timedelta(seconds=100))

    @staticmethod
    def clock() -> datetime:
        return EPOCH + timedelta(seconds=trio.current_time())

    async def test_an_expired_token_is_refused_with_that_reason(self, autojump_clock: MockClock) -> None:
        async with open_test_app(with_tokens(OPS, self.EXPIRING), clock=self.clock) as app:
            for expected in (200, 401):
                async with open_exchange(app, "GET", "/v1/rooms", headers=bearer("alphas")) as exchange:
                    assert await exchange.receive_status() == expected
                    body = await exchange.receive_chunk()
                await trio.sleep(100)
            assert b"invalid_token" in body
            assert b"has expired" in body

    async def test_a_stream_ends_at_that_moment(self, autojump_clock: MockClock) -> None:
        async with (
            open_test_app(with_tokens(OPS, self.EXPIRING), clock=self.clock) as app,
            open_exchange(app, "GET", "/v1/events/stream", headers=bearer("alphas")) as exchange,
        ):
            await exchange.ended.wait()
            assert trio.current_time() == 100

    async def test_an_attachment_is_closed_at_that_moment(self, autojump_clock: MockClock) -> None:
        async with open_test_app(with_tokens(OPS, self.EXPIRING), clock=self.clock) as app:
            claims = app.authenticator.authenticate(f"Bearer {secret_of('alphas')}")
            async with open_wire(app, claims) as wire:
                client = await attach(wire, "alpha")
                events = await client.quiet_events(99)
                assert [event.type for event in events] == ["agent.connected"]
                closed = await client.wait_closed()
            assert (closed.code, closed.reason) == (1008, "the token has expired; ask the operator for a new one")
            assert trio.current_time() == 100


class TestReload:
    async def test_over_http_what_still_holds_goes_on_and_the_rest_ends(self) -> None:
        async with open_test_server(OPEN) as server, AsyncExitStack() as stack:
            staying = await stack.enter_async_context(http_client(server, "ops").stream_events())
            source = await stack.enter_async_context(http_client(server, "alphas").stream_events())
            client = await attach(await stack.enter_async_context(open_websocket_wire(server.url, "alphas")), "alpha")
            server.app.load = lambda: with_tokens(OPS)
            answer = await http_client(server, "ops").post("/v1/admin/reload", None)
            assert answer.json() == {"reloaded": True, "changed": ["auth"], "ended": 2}
            assert (await client.wait_closed()).code == 1008
            while await source.next_event() is not None:
                pass
            assert await is_refused(http_client(server, "alphas"))
            await http_client(server, "ops").post("/v1/messages", room_message(sender="alpha"))
            assert (await staying.next_of("message.created")).text == "hello"

    async def test_streams_of_the_public_end_with_its_right_to_read(self) -> None:
        public = attrs.evolve(OPEN, auth=attrs.evolve(OPEN.auth, mode=AuthMode.BEARER, public_read=True))
        async with open_test_server(public) as server, http_client(server).stream_events() as source:
            server.app.load = lambda: attrs.evolve(public, auth=attrs.evolve(public.auth, public_read=False))
            assert (await http_client(server, "ops").post("/v1/admin/reload", None)).json()["ended"] == 1
            while await source.next_event() is not None:
                pass

    async def test_only_an_administrator_may(self) -> None:
        async with open_test_server(OPEN) as server:
            server.app.load = lambda: with_tokens(OPS)
            assert (await http_client(server).post("/v1/admin/reload", None)).status == 401
            assert (await http_client(server, "alphas").post("/v1/admin/reload", None)).status == 403
            assert server.app.config is OPEN

    async def test_problems_come_with_their_paths(self) -> None:
        def load() -> MoltnetConfig:
            raise ConfigError("Moltnet", Problem("$.rooms[0].id", "is required", 7))

        async with open_test_server(OPEN) as server:
            server.app.load = load
            answer = await http_client(server, "ops").post("/v1/admin/reload", None)
            assert (answer.status, answer.code) == (422, ErrorCode.CONFIG_INVALID)
            assert answer.json()["problems"] == [{"path": "$.rooms[0].id", "message": "line 7: is required"}]


class TestPairTokens:
    @staticmethod
    def relayed(network: str, message_id: str) -> dict[str, object]:
        return {
            "id": message_id,
            "origin": {"network_id": network, "message_id": message_id},
            "from": {"type": "agent", "id": "alpha", "network_id": network},
            "target": {"kind": "room", "room_id": "general"},
            "parts": [{"kind": "text", "text": "hello"}],
        }

    async def test_the_first_accepted_message_binds_a_token_to_its_network(self) -> None:
        config = attrs.evolve(OPEN, rooms=(room("general", "net_b:alpha", "net_c:alpha"),))
        async with open_test_server(config) as server:
            client = http_client(server, "partner")
            refused = await client.post("/v1/messages", self.relayed("net_d", "m0"))
            assert refused.code == ErrorCode.ROOM_WRITE_FORBIDDEN  # and binds nothing
            assert (await client.post("/v1/messages", self.relayed("net_b", "m1"))).status == 202
            assert (await client.post("/v1/messages", self.relayed("net_b", "m1"))).status == 202
            other = await client.post("/v1/messages", self.relayed("net_c", "m2"))
            assert (other.status, other.code) == (403, ErrorCode.REMOTE_ACTOR_FORBIDDEN)
            assert 'belongs to network "net_b"' in other.json()["error"]

    async def test_of_two_networks_at_once_one_has_it(self) -> None:
        config = attrs.evolve(OPEN, rooms=(room("general", "net_b:alpha", "net_c:alpha"),))
        async with open_test_server(config) as server:
            answers = []

            async def relay(network: str) -> None:
                answers.append(
                    (await http_client(server, "partner").post("/v1/messages", self.relayed(network, network))).status
                )

            async with trio.open_nursery() as nursery:
                for network in ("net_b", "net_c"):
                    nursery.start_soon(relay, network)
            assert sorted(answers) == [202, 403]

    async def test_what_the_file_says_counts_more(self) -> None:
        config = attrs.evolve(OPEN, rooms=(room("general", "net_b:alpha", "net_c:alpha"),))
        async with open_test_server(config) as server:
            client = http_client(server, "partner")
            assert (await client.post("/v1/messages", self.relayed("net_b", "m1"))).status == 202
            told = attrs.evolve(
                config,
                auth=attrs.evolve(config.auth, tokens=(OPS, ALPHA, attrs.evolve(PAIR, network=NetworkId("net_c")))),
            )
            server.app.load = lambda: told
            await http_client(server, "ops").post("/v1/admin/reload", None)
            assert (await client.post("/v1/messages", self.relayed("net_b", "m2"))).status == 403
            assert (await client.post("/v1/messages", self.relayed("net_c", "m3"))).status == 202


class TestABodyThatIsLongOnItsWay:
    async def test_what_was_revoked_meanwhile_writes_nothing(self) -> None:
        async with open_test_server(OPEN) as server, open_connection(server.url) as connection:
            body = orjson.dumps(unstructure(room_message(sender="alpha")))
            head = (
                "POST /v1/messages HTTP/1.1\r\nHost: lab.test\r\n"
                f"Authorization: Bearer {secret_of(ALPHA.id)}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            await connection.stream.send_all(head.encode() + body[:10])
            await trio.testing.wait_all_tasks_blocked(0.05)
            server.app.adopt(with_tokens(OPS, PAIR))
            await connection.stream.send_all(body[10:])
            answer = b""
            with trio.fail_after(30):
                while b"invalid_token" not in answer:
                    piece = await connection.stream.receive_some()
                    assert piece, answer
                    answer += bytes(piece)
            assert answer.startswith(b"HTTP/1.1 401")
            assert (await server.app.context.store.event_bounds()).newest_seq == 1  # the room
