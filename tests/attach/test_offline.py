"""An agent that was away comes back with its last cursor: nothing is lost, nothing comes twice, all is in order.

However much was said meanwhile, and whatever became of the server: it went on, was restarted, or was killed while
messages were being accepted and again while the agent was catching up. Servers are processes of their own here; the
same without processes, on every kind of store, stands first.
"""

import signal
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import orjson
import pytest
import trio

from tests.e2e.running import Program, Server
from tests.fakes.attach_client import AttachClient, ServerSaid, WireClosed, attach, open_websocket_wire
from tests.fakes.homes import KINDS, home_of
from tests.fakes.http_client import HttpClient
from tests.fakes.network import TestServer, network_config, post_texts, room
from tests.fakes.ports import free_port

POSTERS = 8
MEMBERS = ("alpha", "beta")
NOTHING, RESTART, KILL = "goes on", "is restarted", "is killed"


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("count", [50, 300])
@pytest.mark.parametrize("kind", KINDS)
async def test_what_was_said_meanwhile_comes_once_and_in_order(
    kind: str, count: int, restarted: bool, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    home = home_of(kind, request, tmp_path)
    config = network_config(rooms=[room("general", *MEMBERS)])
    texts = [f"text {number}" for number in range(count)]
    async with home.serve(config) as server:
        async with open_websocket_wire(server.url) as wire:
            cursor = (await attach(wire, "alpha")).ready.cursor
        await post_texts(server.app, *texts, sender="beta")
        if not restarted:
            assert await _heard(server, cursor, count) == texts
            return
    async with home.serve(config) as server:
        assert await _heard(server, cursor, count) == texts


async def _heard(server: TestServer, cursor: str, count: int) -> list[str]:
    """In two goes: the second comes back with the last ACK of the first."""
    texts: list[str] = []
    for until in (count // 3, count):
        async with open_websocket_wire(server.url) as wire:
            client = await attach(wire, "alpha", cursor=cursor)
            while len(texts) < until:
                delivered = await client.next()
                await client.ack(delivered)
                cursor = delivered.cursor
                if delivered.event.message is not None:
                    texts.append(delivered.event.message.parts[0].text)
            await wire.hang_up(1006)
    return texts


@attrs.define(eq=False)
class Saying:
    """Messages on their way to a server by several connections. What was not answered is said again, by the same id."""

    url: str
    waiting: deque[str]
    accepted: list[str] = attrs.field(factory=list)
    _changed: trio.Event = attrs.field(factory=trio.Event)

    async def say_all(self) -> None:
        """Until nothing waits, or the server is gone."""
        async with trio.open_nursery() as nursery:
            for _ in range(POSTERS):
                nursery.start_soon(self._say)

    async def wait_accepted(self, count: int) -> None:
        while len(self.accepted) < count:
            await self._changed.wait()

    async def _say(self) -> None:
        host, _, port = self.url.removeprefix("http://").partition(":")
        try:
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                while self.waiting:
                    message_id = self.waiting.popleft()
                    try:
                        await self._exchange(stream, message_id)
                    except BaseException:
                        self.waiting.appendleft(message_id)
                        raise
                    self.accepted.append(message_id)
                    self._changed.set()
                    self._changed = trio.Event()
        except (OSError, trio.BrokenResourceError):
            pass  # killed, as the test wants it

    async def _exchange(self, stream: trio.SocketStream, message_id: str) -> None:
        body = orjson.dumps(
            {
                "id": message_id,
                "target": {"kind": "room", "room_id": "general"},
                "from": {"type": "agent", "id": "beta"},
                "parts": [{"kind": "text", "text": f"@alpha {message_id}"}],
            }
        )
        host = self.url.removeprefix("http://")
        head = f"POST /v1/messages HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json"
        await stream.send_all(f"{head}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)
        answer = b""
        while not answer.endswith(b"}\n"):
            data = await stream.receive_some()
            if not data:
                raise trio.BrokenResourceError("no answer")
            answer += data
        assert answer.startswith(b"HTTP/1.1 202"), answer


def write_network(directory: Path, storage: object) -> Server:
    """Mode none, without rates: who says so much at once is not what this is about."""
    directory.mkdir()
    port = free_port()
    rates = ("requests_per_address", "requests_per_credential", "messages_per_credential")
    config = {
        "version": "moltnet.v1",
        "network": {"id": "lab", "name": "Lab"},
        "server": {"listen_addr": f"127.0.0.1:{port}", "limits": dict.fromkeys(rates, "unlimited")},
        "auth": {"mode": "none"},
        "storage": storage,
        "rooms": [{"id": "general", "name": "General", "members": MEMBERS}],
    }
    path = directory / "Moltnet"
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps(config))
    return Server(directory, f"http://127.0.0.1:{port}")


async def interrupt(program: Program, how: str) -> None:
    if how == RESTART:
        assert await program.stop(signal.SIGTERM) == 0
    elif how == KILL:
        await program.kill()


@attrs.define(eq=False)
class Absence:
    """One agent, away and back, on a network whose server may be interrupted."""

    network: Server
    how: str
    cursor: str = ""
    heard: list[str] = attrs.field(factory=list)

    async def leave(self) -> None:
        """Attach, learn the place, vanish."""
        async with open_websocket_wire(self.network.url) as wire:
            self.cursor = (await attach(wire, "alpha")).ready.cursor
            await wire.hang_up(1006)

    async def come_back(self, program: Program, count: int, *, interrupted_after: int = 0) -> None:
        """Hear and ACK everything up to `count` messages; or so many, and then what happens to the server happens."""
        async with AsyncExitStack() as connection:
            client = await self._attached(connection)
            try:
                while len(self.heard) < count:
                    delivered = await client.next()
                    await client.ack(delivered)
                    self.cursor = delivered.cursor
                    if delivered.event.message is not None:
                        self.heard.append(delivered.event.message.id)
                    if interrupted_after and len(self.heard) == interrupted_after:
                        await interrupt(program, self.how)
                        return
            except WireClosed:
                assert interrupted_after, "it ended by itself"

    async def _attached(self, connection: AsyncExitStack) -> AttachClient:
        """Attach as soon as the server allows it: a killed one on PostgreSQL counts as alive for a while."""
        # The connection outlives this call, and so no scope may lie around its opening.
        until = trio.current_time() + 30
        while True:
            wire = await connection.enter_async_context(open_websocket_wire(self.network.url))
            try:
                return await attach(wire, "alpha", cursor=self.cursor)
            except ServerSaid as refusal:
                if "already has an active attachment" not in str(refusal) or trio.current_time() > until:
                    raise
            await trio.sleep(0.5)


CASES = [(how, count) for how in (NOTHING, RESTART, KILL) for count in (50, 300, 3000)] + [(KILL, 30_000)]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("how", "count"), CASES, ids=[f"{count}, and the server {how}" for how, count in CASES])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_nothing_is_lost_or_doubled_whatever_becomes_of_the_server(
    kind: str, how: str, count: int, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    if kind == "postgres":
        storage: object = {"kind": kind, "postgres": {"dsn": request.getfixturevalue("postgres_dsn")}}
    else:
        storage = {"kind": kind, "sqlite": {"path": "data/moltnet.db"}}
    network = write_network(tmp_path / "server", storage)
    absence = Absence(network, how)
    said = [f"m-{number}" for number in range(count)]
    saying = Saying(network.url, deque(said))
    async with network.run() as program, trio.open_nursery() as nursery:
        await absence.leave()
        nursery.start_soon(saying.say_all)
        await saying.wait_accepted(count // 2)
        await interrupt(program, how)
        if how == NOTHING:
            await saying.wait_accepted(count)
            await absence.come_back(program, count)
            assert absence.heard == await stored(network)
            assert set(absence.heard) == set(said)
            assert len(absence.heard) == count
            return
    async with network.run() as program:
        await saying.say_all()
        assert set(saying.accepted) == set(said)
        await absence.come_back(program, count, interrupted_after=count // 3)
    async with network.run() as program:
        await absence.come_back(program, count)
        assert absence.heard == await stored(network)
        assert set(absence.heard) == set(said)
        assert len(absence.heard) == count


async def stored(network: Server) -> Sequence[str]:
    """The ids of all messages of the room in the order of its history, which says what was accepted, and when."""
    client, found, before = HttpClient(network.url), deque[list[str]](), ""
    while True:
        page = (await client.get(f"/v1/rooms/general/messages?limit=500{before}")).json()
        found.appendleft([message["id"] for message in page["messages"]])
        if not page["page"]["has_more"]:
            return [message_id for ids in found for message_id in ids]
        before = f"&before={page['page']['next_before']}"
