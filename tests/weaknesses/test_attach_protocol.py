"""Attachments, where the reference implementation is weak: what this one does instead.

Over real sockets, on every kind of store. Which weakness each test is about stands in `test_completeness`.
"""

from contextlib import AsyncExitStack
from typing import Any

import attrs
import orjson
import pytest
import trio

from moltnet.config.server_limits import CAPS_ONLY
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.protocol import limits
from moltnet.protocol.events import EventType
from moltnet.protocol.rooms import Visibility
from tests.fakes.attach_client import AttachClient, attach, frame, open_websocket_wire, read_until_closed
from tests.fakes.credentials import static
from tests.fakes.homes import Home
from tests.fakes.http_client import http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    post,
    post_texts,
    room,
    room_message,
    token,
    wait_until,
)

OPERATOR = static("admin write")
TOKENS = [token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta"), token("admin", "admin write")]
ROOMS = [room("mine", "alpha", "beta"), room("theirs", "beta"), room("hall", "beta", visibility=Visibility.PUBLIC)]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)
GAP = f"evt_gap_{'0' * 64}"


async def said_everywhere(server: TestServer) -> None:
    for room_id in ("mine", "theirs", "hall"):
        await post(server.app, room_message(f"in {room_id}", sender="beta", room=room_id), OPERATOR)
    await post(server.app, direct_message("d1", "beta", "gamma", text="to others", sender="beta"), OPERATOR)
    await post(server.app, direct_message("d2", "alpha", "beta", text="to me", sender="beta"), OPERATOR)


async def texts_until(client: AttachClient, last: str) -> list[str]:
    texts: list[str] = []
    while last not in texts:
        texts += await client.next_texts(1)
    return texts


async def test_an_attachment_gets_what_its_agent_may_read_and_nothing_else(home: Home) -> None:
    async with home.serve(BEARER) as server, open_websocket_wire(server.url, "alpha") as wire:
        live = await attach(wire, "alpha")
        await said_everywhere(server)
        assert await texts_until(live, "to me") == ["in mine", "to me"]
        async with open_websocket_wire(server.url, "alpha") as second:
            replayed = await attach(second, "alpha", cursor=GAP)
            assert await texts_until(replayed, "to me") == ["in mine", "to me"]


@pytest.mark.parametrize("mode", [AuthMode.BEARER, AuthMode.OPEN])
async def test_members_get_their_private_rooms_where_the_public_reads_too(home: Home, mode: AuthMode) -> None:
    config = network_config(mode=mode, tokens=TOKENS, rooms=ROOMS, public_read=True)
    async with home.serve(config) as server, open_websocket_wire(server.url, "alpha") as wire:
        client = await attach(wire, "alpha")
        await said_everywhere(server)
        assert await texts_until(client, "to me") == ["in mine", "in hall", "to me"]
        page = (await http_client(server, "alpha").get("/v1/rooms/mine/messages")).json()
        assert [message["parts"][0]["text"] for message in page["messages"]] == ["in mine"]


async def test_what_was_missed_comes_from_the_store_after_a_restart_too(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than is held in memory, while others come and go."""
    monkeypatch.setattr(limits, "RING_EVENTS", 16)
    names = [f"text {number}" for number in range(60)]
    async with home.serve() as server:
        async with open_websocket_wire(server.url) as wire:
            cursor = (await attach(wire, "alpha")).ready.cursor
        for start in range(0, 60, 20):
            await post_texts(server.app, *names[start : start + 20], sender="beta")
            async with open_websocket_wire(server.url) as wire:
                await attach(wire, f"visitor-{start}")
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        client = await attach(wire, "alpha", cursor=cursor)
        assert await client.next_texts(60) == names


async def test_what_is_said_while_somebody_attaches_comes_once(home: Home) -> None:
    """Replay and live join without a gap and without an overlap, wherever in between a message falls."""
    names = [f"text {number}" for number in range(60)]
    async with home.serve() as server:
        async with open_websocket_wire(server.url) as wire:
            cursor = (await attach(wire, "alpha")).ready.cursor
        heard: list[str] = []
        async with trio.open_nursery() as nursery:

            async def say() -> None:
                await post_texts(server.app, *names, sender="beta")

            nursery.start_soon(say)
            while len(heard) < 60:
                async with open_websocket_wire(server.url) as wire:
                    client = await attach(wire, "alpha", cursor=cursor)
                    for _ in range(9):
                        delivered = await client.next()
                        await client.ack(delivered)
                        cursor = delivered.cursor
                        if delivered.event.message is not None:
                            heard.append(delivered.event.message.parts[0].text)
                        if len(heard) == 60:
                            break
                await wait_until(lambda: len(server.app.gateway.registry) == 0)
        assert heard == names


async def test_a_slow_reader_misses_nothing(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads nothing until everything was said, which is more than all buffers on the way hold."""
    monkeypatch.setattr(limits, "RING_EVENTS", 16)
    names = [f"{number} {'x' * 100_000}" for number in range(100)]
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        client = await attach(wire, "alpha")
        await post_texts(server.app, *names, sender="beta")
        assert await client.next_texts(100) == names


async def test_a_repeated_ack_is_harmless_and_no_wake_is_forgotten(home: Home) -> None:
    count = limits.DELIVERY_WINDOW_EVENTS + 40
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        client = await attach(wire, "alpha")
        await post_texts(server.app, *(f"@alpha {number}" for number in range(count)), sender="beta")
        held = [await client.next_of(EventType.MESSAGE_CREATED) for _ in range(limits.DELIVERY_WINDOW_EVENTS - 1)]
        for delivered in held:
            await client.ack(delivered)
            await wire.send(frame("ACK", cursor=delivered.cursor))
        for _ in range(count - len(held)):
            await client.ack(await client.next_of(EventType.MESSAGE_CREATED))
        http, found = http_client(server), 0
        with trio.fail_after(30):
            while found < count:
                page = (await http.get("/v1/agents/alpha/wakes?limit=500")).json()
                found = len(page["wakes"])
        assert {wake["type"] for wake in page["wakes"]} == {"agent.wake.delivered"}


async def test_an_agent_that_was_removed_and_is_back_reads_past_its_removal(home: Home) -> None:
    config = attrs.evolve(BEARER)
    async with home.serve(config) as server:
        async with open_websocket_wire(server.url, "alpha") as wire:
            cursor = (await attach(wire, "alpha")).ready.cursor
        assert (await http_client(server, "admin").delete("/v1/agents/alpha")).status == 200
        await http_client(server, "admin").patch("/v1/rooms/mine/members", {"add": ["alpha"]})
        for place in (cursor, "evt_unknown"):
            async with open_websocket_wire(server.url, "alpha") as wire:
                client = await attach(wire, "alpha", cursor=place)
                await post(server.app, room_message(f"after {place}", sender="beta", room="mine"), OPERATOR)
                assert (await texts_until(client, f"after {place}"))[-1] == f"after {place}"


async def test_of_two_attachments_one_may_leave_and_the_agent_is_still_there(home: Home) -> None:
    async with home.serve(BEARER) as server, open_websocket_wire(server.url, "alpha") as first:
        await attach(first, "alpha")
        async with open_websocket_wire(server.url, "alpha") as second:
            await attach(second, "alpha")
        await wait_until(lambda: len(server.app.gateway.registry) == 1)
        assert (await http_client(server, "admin").get("/v1/agents/alpha")).json()["connected"] is True


async def test_a_lost_connection_does_not_keep_an_agent_without_a_token_out(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket is open, and nobody is behind it any more."""
    monkeypatch.setattr(limits, "SILENT_SEAT_SECONDS", 0.5)
    async with home.serve() as server, open_websocket_wire(server.url) as lost:
        await attach(lost, "alpha")
        async with open_websocket_wire(server.url) as wire:
            await attach(wire, "alpha")
            assert (await read_until_closed(lost))[1].code == 1013
            assert len(server.app.gateway.registry) == 1


async def test_what_is_accepted_fits_into_a_frame(home: Home) -> None:
    async with home.serve() as server, open_websocket_wire(server.url) as wire:
        await attach(wire, "alpha")
        http = http_client(server)
        sizes = []
        for characters in (300_000, limits.MAX_BODY_BYTES - 600, limits.MAX_BODY_BYTES - 300, limits.MAX_BODY_BYTES):
            body = {
                "target": {"kind": "room", "room_id": "general"},
                "from": {"type": "agent", "id": "beta"},
                "parts": [{"kind": "text", "text": "<" * characters}],
            }
            if (await http.post("/v1/messages", body)).status == 202:
                text = ""
                while '"op":"EVENT"' not in text or "message.created" not in text:
                    text = await wire.receive()
                sizes.append(len(text.encode()))
        assert sizes
        assert max(sizes) <= limits.MAX_FRAME_BYTES


async def test_an_agents_own_words_do_not_wake_it_and_a_clean_close_fails_no_wake(home: Home) -> None:
    async with home.serve() as server:
        async with open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha")
            await post(server.app, direct_message("d1", "alpha", "beta", sender="alpha"))
            await post(server.app, direct_message("d1", "alpha", "beta", sender="beta"))
            for _ in range(2):
                await client.next_of(EventType.MESSAGE_CREATED)
            found = (await http_client(server).get("/v1/agents/alpha/wakes")).json()
            assert found["pending_total"] == 1
        await wait_until(lambda: len(server.app.gateway.registry) == 0)
        found = (await http_client(server).get("/v1/agents/alpha/wakes")).json()
        assert (found["pending_total"], found["wakes"]) == (0, [])


def capped(**caps: Any) -> MoltnetConfig:
    return network_config(mode=AuthMode.OPEN, limits=attrs.evolve(CAPS_ONLY, **caps))


async def test_attachments_handshakes_and_claims_have_an_end(home: Home) -> None:
    async with home.serve(capped(attachments=2, pending_handshakes=1)) as server:
        upgrade = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        async with open_websocket_wire(server.url) as silent:
            assert '"HELLO"' in await silent.receive()
            refused = await http_client(server).request("GET", "/v1/attach", headers=upgrade)
            assert (refused.status, refused.code) == (429, "rate_limited")
        await wait_until(lambda: len(server.app.admission.handshakes) == 0)
        async with AsyncExitStack() as present:
            for name in ("one", "two"):
                await attach(await present.enter_async_context(open_websocket_wire(server.url)), name)
            refused = await http_client(server).request("GET", "/v1/attach", headers=upgrade)
            assert (refused.status, refused.headers["retry-after"]) == (429, "5")


async def test_a_claim_whose_token_got_lost_is_given_a_new_one(home: Home) -> None:
    """The socket died under READY: the operator replaces the token, and nothing of the agent is removed."""
    config = network_config(mode=AuthMode.OPEN, tokens=[token("admin", "admin write")])
    async with home.serve(config) as server:
        async with open_websocket_wire(server.url) as wire:
            minted = (await attach(wire, "luna")).ready.agent_token
            assert minted
        again = (await http_client(server, "admin").post("/v1/agents/luna/token", {})).json()["agent_token"]
        assert again != minted
        async with open_websocket_wire(server.url, again) as wire:
            assert (await attach(wire, "luna")).ready.agent_id == "luna"


async def test_a_close_says_what_it_is_about_and_no_event_holds_an_address(home: Home) -> None:
    async with home.serve(network_config(debug_events=True)) as server:
        async with open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha")
            await client.next()
            await wire.hang_up(1006)
        async with open_websocket_wire(server.url) as wire:
            await wire.send(frame("HELLO"))
            frames, closed = await read_until_closed(wire)
            assert (frames[-1]["error"], closed.code) == ("expected IDENTIFY frame", 1008)
        async with open_websocket_wire(server.url) as wire:
            await attach(wire, "beta")
            server.stop.set()
            assert (await read_until_closed(wire))[1].code == 1012
        await server.ended.wait()
        records = await server.app.context.store.events_after(0, 100)
        assert not [record for record in records if b"127.0.0.1" in record.wire]
        reasons = [orjson.loads(record.wire)["agent"].get("reason") for record in records if record.agent_id]
        assert "attachment_ready" in reasons
