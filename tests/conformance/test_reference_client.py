"""A client like the reference implementation's, over a real socket: its whole conversation with our server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio_websocket

from moltnet.attach.registry import Dismissal
from moltnet.config.settings import AuthMode
from moltnet.core.agents import remove_agent
from moltnet.protocol import limits
from moltnet.protocol.ids import AgentId
from tests.conformance.reference_client import BUFFERED_FRAMES, FOR_GOOD, Frame, ReferenceClient, checked
from tests.fakes.attach_client import frame
from tests.fakes.credentials import static
from tests.fakes.http_client import http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    post,
    post_texts,
    room_message,
    secret_of,
    token,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("either_path")

TOKENS = [token("agents", "attach write", "alpha", "beta"), token("admin", "admin write")]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS)
OPERATOR = static("admin write")


async def take(_event: Frame) -> None:
    await trio.lowlevel.checkpoint()


@asynccontextmanager
async def running(client: ReferenceClient) -> AsyncIterator[ReferenceClient]:
    """The client, attached; it is stopped at the end of the block."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        await client.wait_until(lambda client: client.connections != [] and client.connections[-1].ready is not None)
        yield client
        nursery.cancel_scope.cancel()


def reports_in(client: ReferenceClient) -> int:
    """How many of its wakes the agent was told to be settled."""
    return sum(event["type"] == "agent.wake.delivered" for event in client.events)


async def test_a_whole_conversation(tmp_path: Path) -> None:
    """It attaches, takes and settles everything, comes back after a restart of the server, and misses nothing."""
    config = network_config(mode=AuthMode.BEARER, tokens=TOKENS, sqlite_path=tmp_path / "moltnet.db", debug_events=True)
    names = [f"@alpha {number}" for number in range(150)]
    async with open_test_server(config) as server:
        client = ReferenceClient(server.url, "alpha", take, token=secret_of("agents"))
        async with running(client):
            assert client.connections[0].ready is not None
            assert client.connections[0].ready["actor_uri"] == "molt://lab/agents/alpha"
            for name in names[:100]:
                await post(server.app, room_message(name, sender="beta"), OPERATOR)
            await post(server.app, direct_message("d1", "alpha", "beta", text="psst", sender="beta"), OPERATOR)
            await client.wait_until(lambda client: "psst" in client.texts)
            await client.wait_until(lambda client: reports_in(client) == 101)
            server.stop.set()  # a planned restart
            await client.wait_until(lambda client: client.connections[0].close_code is not None)
            assert client.connections[0].close_code == 1012
            assert not client.stopped
            await server.ended.wait()
            for name in names[100:]:
                await post(server.app, room_message(name, sender="beta"), OPERATOR)
        seen = len(client.events)
    async with open_test_server(config) as server:
        client.url = server.url
        async with running(client):
            await client.wait_until(lambda client: len(client.texts) >= 151)
            assert client.texts == [*names[:100], "psst", *names[100:]]
            assert client.connections[-1].sent_cursor == client.connections[0].acked[-1]
            ids = [event["id"] for event in client.events]
            assert len(set(ids)) == len(ids)
            assert len(ids) > seen


async def test_every_event_of_a_network_is_one_that_it_can_read() -> None:
    """All kinds of events, with all kinds of content, in frames that the strict reader takes."""
    async with open_test_server() as server:
        client = ReferenceClient(server.url, "alpha", take)
        async with running(client):
            http = http_client(server)
            await http.post("/v1/rooms", {"id": "later", "members": ["alpha"]})
            await http.patch("/v1/rooms/later/members", {"add": ["beta"]})
            await http.post(
                "/v1/messages",
                {
                    "target": {
                        "kind": "thread",
                        "room_id": "later",
                        "thread_id": "t1",
                        "parent_message_id": "m1",
                    },
                    "from": {"type": "agent", "id": "beta"},
                    "parts": [
                        {"kind": "text", "text": "\u2028 <b>\u0000&\ud7ff \U0001f980"},
                        {"kind": "data", "data": {"nested": [1, None, {"": ""}]}},
                        {"kind": "url", "url": "https://example.com/"},
                    ],
                },
            )
            await http.post(
                "/v1/messages",
                {
                    "target": {"kind": "dm", "dm_id": "d1", "participant_ids": ["alpha", "beta"]},
                    "from": {"type": "agent", "id": "beta"},
                    "parts": [{"kind": "text", "text": "psst"}],
                },
            )
            await http.delete("/v1/rooms/later")
            kinds = {
                "agent.connected",
                "room.created",
                "room.members.updated",
                "thread.created",
                "message.created",
                "dm.created",
                "agent.wake.delivered",
                "room.removed",
            }
            await client.wait_until(lambda client: {event["type"] for event in client.events} == kinds)
            assert len(client.connections) == 1


async def test_the_largest_message_that_is_taken_reaches_it() -> None:
    """Weakness 10: one message that no client can read, again and again."""
    async with open_test_server() as server:
        client = ReferenceClient(server.url, "alpha", take)
        async with running(client):
            http = http_client(server)

            async def send(characters: int) -> int:
                body = {
                    "target": {"kind": "room", "room_id": "general"},
                    "from": {"type": "agent", "id": "beta"},
                    "parts": [{"kind": "text", "text": "<" * characters}],
                }
                return (await http.post("/v1/messages", body)).status

            most, least = limits.MAX_BODY_BYTES, 0
            while most - least > 1:  # the largest that is accepted, to the character
                middle = (most + least) // 2
                least, most = (middle, most) if await send(middle) == 202 else (least, middle)
            assert least > limits.MAX_BODY_BYTES * 0.9
            # Not one more: a time of its own, without the zeros at its end, takes up to seven characters of a message.
            assert await send(least + 8) == 413
            await post_texts(server.app, "after")
            await client.wait_until(lambda client: client.texts[-1:] == ["after"])
            assert len(client.connections) == 1
            assert max(map(len, client.texts)) == least


async def test_an_event_that_it_fails_on_comes_again() -> None:
    """It says ERROR and comes back with what it ACKed last; the server lets it, and delivers in order."""
    failures = iter([True])

    async def fail_once(event: Frame) -> None:
        await trio.lowlevel.checkpoint()
        if event["type"] == "message.created" and event["message"]["parts"][0]["text"] == "two" and next(failures, 0):
            raise ValueError("out of memory")

    async with open_test_server(network_config(debug_events=True)) as server:
        client = ReferenceClient(server.url, "alpha", fail_once)
        async with running(client):
            await post_texts(server.app, "one", "two", "three", sender="beta")
            await client.wait_until(lambda client: client.texts[-1:] == ["three"] and len(client.connections) == 2)
            assert client.texts[-2:] == ["two", "three"]
            assert client.texts[:2] == ["one", "two"]
            assert client.connections[0].problem == "not handled: out of memory"


@pytest.mark.parametrize("keeps_tokens", [True, False])
async def test_a_first_claim_on_an_open_network(keeps_tokens: bool) -> None:
    async with open_test_server(network_config(mode=AuthMode.OPEN)) as server:
        client = ReferenceClient(server.url, "newcomer", take, keeps_tokens=keeps_tokens)
        async with running(client):
            if keeps_tokens:
                assert client.token.startswith("magt_")
                server.app.gateway.registry.dismiss(AgentId("newcomer"), Dismissal("test", "come again"))
                await client.wait_until(lambda client: client.connections[-1] is not client.connections[0])
                await client.wait_until(lambda client: client.connections[-1].ready is not None)
                assert "agent_token" not in (client.connections[-1].ready or {})
            else:
                await client.wait_until(lambda client: len(client.connections) == 3)
                assert client.connections[0].problem == "a token, and no file to keep it in"
                assert client.connections[1].problem == 'agent "newcomer" is already registered and needs its own token'


async def _drain(server: TestServer) -> None:
    server.app.drain()


async def _remove(server: TestServer) -> None:
    await remove_agent(server.app.context, "alpha")


async def _fail_storage(server: TestServer) -> None:
    server.app.broker.end()


@pytest.mark.parametrize("end", [_drain, _remove, _fail_storage])
async def test_no_end_that_the_server_makes_stops_it_for_good(end: Any) -> None:
    async with open_test_server() as server:
        client = ReferenceClient(server.url, "alpha", take)
        async with running(client):
            await end(server)
            await client.wait_until(lambda client: client.connections[0].close_code is not None)
            code = client.connections[0].close_code
            assert code in {1008, 1012, 1013}
            assert code not in FOR_GOOD
            assert not client.stopped


# What no client of the reference says, and what a server answers (§2, §3): the text, and our close code.
_REFUSALS = [
    (b"\x00", "attachment protocol only accepts text JSON frames"),
    ("nonsense", "attachment frame must be valid JSON"),
    ("null", "expected IDENTIFY frame"),
    (frame("HELLO"), "expected IDENTIFY frame"),
    ('{"op":"IDENTIFY","network_id":"lab","agent":{"id":"alpha"}}', "attachment IDENTIFY version is required"),
    (
        '{"op":"IDENTIFY","version":"moltnet.attach.v2","network_id":"lab","agent":{"id":"alpha"}}',
        'attachment IDENTIFY version "moltnet.attach.v2" does not match "moltnet.attach.v1"',
    ),
    (
        frame("IDENTIFY", network_id="other", agent={"id": "alpha"}),
        'attachment network_id "other" does not match "lab"',
    ),
    (frame("IDENTIFY", network_id="lab"), "attachment agent.id is required"),
    (frame("IDENTIFY", network_id="lab", agent={"id": " "}), "attachment agent.id is required"),
    (frame("IDENTIFY", network_id="lab", agent={"id": "no/slash"}), "attachment agent.id "),
]


@pytest.mark.parametrize(("said", "answer"), _REFUSALS)
async def test_what_it_would_be_told_if_it_spoke_wrongly(said: str | bytes, answer: str) -> None:
    """A foreign client finds its fault by the reference's own words."""
    async with open_test_server() as server, raw_socket(server) as socket:
        assert checked(await socket.get_message())["op"] == "HELLO"
        await socket.send_message(said)
        told = checked(await socket.get_message())
        assert told["op"] == "ERROR"
        assert told["error"].startswith(answer)


@asynccontextmanager
async def raw_socket(server: TestServer) -> AsyncIterator[trio_websocket.WebSocketConnection]:
    async with trio.open_nursery() as nursery:
        socket = await trio_websocket.connect_websocket_url(nursery, f"ws{server.url.removeprefix('http')}/v1/attach")
        yield socket
        await trio.aclose_forcefully(socket._stream)
        nursery.cancel_scope.cancel()


async def test_an_agent_without_credentials_attaches_once() -> None:
    async with (
        open_test_server() as server,
        running(ReferenceClient(server.url, "alpha", take)) as first,
        trio.open_nursery() as nursery,
    ):
        second = ReferenceClient(server.url, "alpha", take)
        nursery.start_soon(second.run)
        await second.wait_until(lambda client: client.connections != [] and client.connections[0].problem != "")
        assert second.connections[0].problem == (
            'agent "alpha" already has an active attachment; attach with an actor credential to reconnect'
        )
        assert len(first.connections) == 1
        nursery.cancel_scope.cancel()


async def test_two_attachments_of_one_credential_both_receive() -> None:
    """Weakness 8: closing one marked the agent as gone."""
    async with open_test_server(BEARER) as server:
        secret = secret_of("agents")
        async with running(ReferenceClient(server.url, "alpha", take, token=secret)) as first:
            async with running(ReferenceClient(server.url, "alpha", take, token=secret)) as second:
                await post(server.app, room_message("to both", sender="beta"), OPERATOR)
                for client in (first, second):
                    await client.wait_until(lambda client: client.texts == ["to both"])
            await wait_until(lambda: len(server.app.gateway.registry) == 1)
            assert server.app.gateway.registry.is_connected(AgentId("alpha"))


@pytest.mark.slow
async def test_it_stays_attached_while_nothing_happens_and_while_it_is_busy() -> None:
    """PING comes often enough for its ten seconds; and it answers while less than its buffer waits."""
    gate = trio.Event()

    async def slow(_event: Frame) -> None:
        await gate.wait()

    async with (
        open_test_server() as server,
        running(ReferenceClient(server.url, "alpha", take)) as idle,
        running(ReferenceClient(server.url, "beta", slow)) as busy,
    ):
        await post_texts(server.app, *(f"text {number}" for number in range(BUFFERED_FRAMES // 2)))
        await trio.sleep(limits.READ_IDLE_SECONDS + 2)
        gate.set()
        await busy.wait_until(lambda client: len(client.texts) == BUFFERED_FRAMES // 2)
        assert (len(idle.connections), len(busy.connections)) == (1, 1)
        pings = sum(each["op"] == "PING" for each in idle.connections[0].frames)
        assert pings >= 4


@pytest.mark.slow
async def test_one_that_stops_reading_is_let_go_and_comes_back_to_everything() -> None:
    """Weakness 11 is the client's own: beyond 64 frames it answers no PING. It must cost it time, not messages."""
    count = 2 * BUFFERED_FRAMES + 2
    gate = trio.Event()

    async def stuck_until_let_go(_event: Frame) -> None:
        await gate.wait()

    async with (
        open_test_server() as server,
        running(ReferenceClient(server.url, "alpha", stuck_until_let_go)) as client,
    ):
        names = [f"@alpha {number}" for number in range(count)]
        await post_texts(server.app, *names, sender="beta")
        await wait_until(lambda: len(server.app.gateway.registry) == 0)
        gate.set()
        await client.wait_until(lambda client: client.texts[-1:] == [names[-1]] and owes(client) == set())
        assert list(dict.fromkeys(client.texts)) == names


def owes(client: ReferenceClient) -> set[str]:
    """The messages that came and were not ACKed on any connection."""
    acked = {cursor for connection in client.connections for cursor in connection.acked}
    return {event["id"] for event in client.events if event["type"] == "message.created"} - acked


async def test_a_restarted_server_tells_of_what_it_no_longer_has() -> None:
    """A cursor from before the data was lost: a gap, and then what there is; the gap is ACKed like any event."""
    async with open_test_server() as server:
        client = ReferenceClient(server.url, "alpha", take, cursor="evt_of_another_life")
        await post_texts(server.app, "one")
        async with running(client):
            await client.wait_until(lambda client: client.texts == ["one"])
            gap = next(event for event in client.events if event["type"] == "stream.replay_gap")
            assert gap["replay_gap"]["requested_event_id"] == "evt_of_another_life"
            await client.wait_until(lambda client: gap["id"] in client.connections[0].acked)
            assert len(client.connections) == 1
