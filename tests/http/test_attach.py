"""Attachments over real sockets: the upgrade, what Hypercorn makes of closes, and the drain."""

from pathlib import Path

import pytest
import trio

from moltnet.config.settings import AuthMode, Registration
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from tests.fakes.attach_client import attach, frame, open_websocket_wire, read_until_closed
from tests.fakes.http_client import HttpAnswer, http_client, open_connection
from tests.fakes.network import (
    TestServer,
    event_types,
    network_config,
    open_test_server,
    post,
    post_texts,
    room_message,
    token,
)

pytestmark = pytest.mark.usefixtures("either_path")

TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("ops", "observe write admin"),
    token("pair", "pair"),
    token("writer", "write"),
]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def rejected(server: TestServer, token_id: str = "", *, target: str = "/v1/attach", **headers: str) -> HttpAnswer:
    """The answer to an upgrade that is refused."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return await http_client(server, token_id).request("GET", target, headers={**UPGRADE, **fields})


class TestTheUpgrade:
    async def test_a_token_with_scope_attach_is_let_in(self) -> None:
        async with open_test_server(BEARER) as server, open_websocket_wire(server.url, "alpha") as wire:
            assert (await attach(wire, "alpha")).ready.agent_id == "alpha"
            assert wire.connection.subprotocol is None

    async def test_who_may_not_is_refused_in_the_envelope_of_the_api(self) -> None:
        async with open_test_server(BEARER) as server:
            for token_id, headers, status, code in [
                ("", {}, 401, "unauthorized"),
                ("unheard-of", {}, 401, "invalid_token"),
                ("", {"Authorization": "Basic abc"}, 401, "invalid_token"),
                ("ops", {}, 403, "missing_scope"),
                ("pair", {}, 403, "missing_scope"),
                ("writer", {}, 403, "missing_scope"),
                ("alpha", {"Origin": "http://evil.test"}, 403, "origin_forbidden"),
            ]:
                answer = await rejected(server, token_id, **headers, X_Request_Id="req-1")
                assert (answer.status, answer.code) == (status, code)
                assert answer.json()["request_id"] == answer.headers["x-request-id"] == "req-1"
                assert ("www-authenticate" in answer.headers) is (status == 401)
            assert await event_types(server.app) == ["room.created"]

    @pytest.mark.parametrize("mode", list(AuthMode))
    async def test_web_pages_of_other_origins_are_kept_out_in_every_mode(self, mode: AuthMode) -> None:
        # Without sign-in the file gives nobody an agent, or nobody could be it.
        tokens = [] if mode is AuthMode.NONE else TOKENS
        async with open_test_server(network_config(mode=mode, tokens=tokens)) as server:
            token_id = "" if mode is AuthMode.NONE else "alpha"
            for origin in ("http://evil.test", "null", "http://console.test.evil.test"):
                assert (await rejected(server, token_id, Origin=origin)).code == "origin_forbidden"
            async with open_websocket_wire(server.url, token_id, headers={"Origin": "http://console.test"}) as wire:
                await attach(wire, "alpha")

    async def test_with_open_registration_a_newcomer_needs_no_token_but_a_bad_one_is_still_bad(self) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, registration=Registration.OPEN)
        async with open_test_server(config) as server:
            async with open_websocket_wire(server.url) as wire:
                minted = (await attach(wire, "luna")).ready.agent_token
            assert (await rejected(server, "unheard-of")).code == "invalid_token"
            assert (await rejected(server, "ops")).code == "missing_scope"
            async with open_websocket_wire(server.url, minted) as wire:
                assert (await attach(wire, "luna")).ready.agent_token == ""

    async def test_a_subprotocol_is_never_agreed_on(self) -> None:
        async with open_test_server() as server:
            headers = {"Sec-WebSocket-Protocol": "moltnet.attach.v1"}
            async with open_websocket_wire(server.url, headers=headers) as wire:
                assert wire.connection.subprotocol is None

    async def test_compression_is_never_agreed_on(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            fields = {"Host": "lab.test", **UPGRADE, "Sec-WebSocket-Extensions": "permessage-deflate"}
            head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
            await connection.stream.send_all(f"GET /v1/attach HTTP/1.1\r\n{head}\r\n".encode())
            answer = b""
            while b"\r\n\r\n" not in answer:
                answer += bytes(await connection.stream.receive_some())
            assert answer.startswith(b"HTTP/1.1 101")
            assert b"extensions" not in answer.lower()

    async def test_without_an_upgrade_the_route_says_what_it_takes(self) -> None:
        async with open_test_server() as server:
            answer = await http_client(server).get("/v1/attach")
            assert (answer.status, answer.code) == (400, "upgrade_required")
            assert (await http_client(server).post("/v1/attach", {})).status == 405

    async def test_other_routes_take_no_upgrade(self) -> None:
        async with open_test_server() as server:
            answer = await rejected(server, target="/v1/network")
            assert (answer.status, answer.code) == (404, "unknown_route")

    async def test_a_bad_upgrade_is_refused(self) -> None:
        async with open_test_server() as server:
            assert (await rejected(server, Sec_WebSocket_Version="12")).status == 400


class TestOverTheWire:
    async def test_a_message_reaches_the_agent_and_its_ack_the_log(self) -> None:
        async with open_test_server(BEARER) as server, open_websocket_wire(server.url, "alpha") as wire:
            client = await attach(wire, "alpha")
            answer = await http_client(server, "ops").post(
                "/v1/messages", room_message("hello @alpha", sender="ada", sender_type="human")
            )
            delivered = await client.next_of(EventType.MESSAGE_CREATED)
            assert delivered.cursor == answer.json()["event_id"]
            async with http_client(server, "ops").stream_events() as source:
                await client.ack(delivered)
                event = await source.next_of("agent.wake.delivered")
                assert event.event["agent"]["agent_id"] == "alpha"

    async def test_binary_and_garbage_are_told_and_closed_as_policy(self) -> None:
        async with open_test_server() as server:
            for garbage in (b"\x00\x01", "not json", frame("NONSENSE")):
                async with open_websocket_wire(server.url) as wire:
                    await attach(wire, "alpha")
                    await wire.send(garbage)
                    frames, closed = await read_until_closed(wire)
                    assert frames[-1]["op"] == "ERROR"
                    assert closed.code == 1008
                    assert closed.reason == frames[-1]["error"][:120]

    async def test_a_frame_that_is_too_large_closes_as_too_big(self) -> None:
        async with open_test_server() as server, open_websocket_wire(server.url) as wire:
            await attach(wire, "alpha")
            await wire.send(frame("PONG", padding="x" * limits.MAX_FRAME_BYTES))
            assert (await read_until_closed(wire))[1].code == 1009

    async def test_a_large_message_arrives_whole(self) -> None:
        async with open_test_server() as server, open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha")
            text = "<ü\u2028\u0001>" * 50_000
            await post(server.app, room_message(text, sender="beta"))
            assert await client.next_texts(1) == [text]

    @pytest.mark.parametrize(
        ("code", "label"), [(1000, "client_closed"), (1001, "client_going_away"), (1006, "read_error")]
    )
    async def test_a_peer_that_says_goodbye_has_not_failed(self, code: int, label: str, either_path: str) -> None:
        """Hypercorn does not tell which code the peer closed with, only that it did (see the traps)."""
        if either_path == "hypercorn" and code == 1001:
            label = "client_closed"
        config = network_config(debug_events=True)
        async with open_test_server(config) as server, http_client(server).stream_events() as source:
            async with open_websocket_wire(server.url) as wire:
                client = await attach(wire, "alpha")
                await post(server.app, room_message("@alpha", sender="beta"))
                await client.next_of(EventType.MESSAGE_CREATED)
                await wire.hang_up(code)
            seen = []
            while (event := await source.next_event()) is not None and event.type != "agent.disconnected":
                seen.append(event.type)
            assert event is not None
            assert event.event["agent"]["reason"] == label
            assert ("agent.wake.failed" in seen) is (code == 1006)

    async def test_presence_is_told_by_the_api(self) -> None:
        async with open_test_server() as server, http_client(server).stream_events() as source:
            async with open_websocket_wire(server.url) as wire:
                await attach(wire, "alpha", name="Alpha")
                shown = (await http_client(server).get("/v1/agents/alpha")).json()
                assert (shown["connected"], shown["name"]) == (True, "Alpha")
            await source.next_of("agent.disconnected")
            assert (await http_client(server).get("/v1/agents/alpha")).json()["connected"] is False

    async def test_a_restart_of_the_server_costs_no_message(self, tmp_path: Path) -> None:
        config = network_config(sqlite_path=tmp_path / "moltnet.db")
        async with open_test_server(config) as server, open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha")
            await post_texts(server.app, "one", "two", sender="beta")
            first = await client.next_of(EventType.MESSAGE_CREATED)
            await client.ack(first)
            server.stop.set()
            assert (await client.wait_closed()).code == 1012
        async with open_test_server(config) as server, open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha", cursor=first.cursor)
            assert await client.next_texts(1) == ["two"]


class TestTheDrain:
    async def test_attachments_and_streams_are_told_and_the_server_ends_at_once(self) -> None:
        async with open_test_server() as server, trio.open_nursery() as nursery:
            codes: list[int] = []
            ends: list[object] = []
            ready = trio.Event()

            async def stay(agent_id: str) -> None:
                async with open_websocket_wire(server.url) as wire:
                    client = await attach(wire, agent_id)
                    if len(server.app.gateway.registry) == 5:
                        ready.set()
                    codes.append((await client.wait_closed()).code)

            async def watch() -> None:
                async with http_client(server).stream_events() as source:
                    while (event := await source.next_event()) is not None:
                        pass
                    ends.append(event)

            for number in range(5):
                nursery.start_soon(stay, f"agent-{number}")
                nursery.start_soon(watch)
            await ready.wait()
            server.stop.set()
            with trio.fail_after(10):
                await server.ended.wait()
        assert codes == [1012] * 5
        assert ends == [None] * 5

    async def test_a_handshake_that_never_comes_does_not_hold_it_up(self) -> None:
        async with open_test_server() as server:
            with trio.fail_after(10):
                async with open_websocket_wire(server.url) as wire:
                    assert '"HELLO"' in await wire.receive()
                    server.stop.set()
                    assert (await read_until_closed(wire))[1].code == 1012
                await server.ended.wait()

    async def test_no_new_connection_is_taken(self) -> None:
        async with open_test_server() as server:
            server.stop.set()
            await server.ended.wait()
            with pytest.raises(OSError, match=r"refused|failed"):
                await http_client(server).get("/healthz")
