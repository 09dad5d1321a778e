"""The server as a process of its own: how it starts, stops, refuses and survives; ours, and plain Hypercorn."""

import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
import trio

from moltnet.cli.exit_codes import ExitCode
from moltnet.protocol.ids import event_id_of_message
from tests.e2e.running import (
    MOLTNET,
    PATIENCE_SECONDS,
    Program,
    Server,
    human_message,
    open_network,
    room_texts,
    running,
    say,
)
from tests.fakes.attach_client import attach, open_websocket_wire, read_until_closed
from tests.fakes.http_client import HttpClient
from tests.fakes.network import room_message
from tests.fakes.ports import free_port

pytestmark = pytest.mark.slow

HYPERCORN = MOLTNET.parent / "hypercorn"
NAMES = ("alpha", "beta", "gamma")
# What two sockets' buffers do not hold.
FLOOD_MESSAGES, FLOOD_CHARACTERS = 60, 500_000


@asynccontextmanager
async def under_hypercorn(server: Server, *options: str) -> AsyncIterator[Program]:
    """The same network under `hypercorn -k trio moltnet.asgi:app`."""
    address = server.url.removeprefix("http://")
    async with running(
        "-k",
        "trio",
        "-b",
        address,
        *options,
        "moltnet.asgi:app",
        directory=server.directory,
        log_path=server.directory / "server.log",
        program=HYPERCORN,
    ) as program:
        await server.wait_ready(program)
        yield program


async def ended(program: Program) -> int:
    with trio.fail_after(PATIENCE_SECONDS):
        return await program.process.wait()


async def refused_start(
    directory: Path, *, program: Path = MOLTNET, arguments: tuple[str, ...] = ("start",)
) -> Program:
    """Start it where it must not start; it has ended."""
    async with running(*arguments, directory=directory, log_path=directory / "refused.log", program=program) as refused:
        await ended(refused)
        return refused


async def all_messages(server: Server) -> list[str]:
    """The ids of all messages of the room, oldest first."""
    client, found, before = HttpClient(server.url), list[str](), ""
    while True:
        page = (await client.get(f"/v1/rooms/general/messages?limit=500{before}")).json()
        found = [message["id"] for message in page["messages"]] + found
        if not page["page"]["has_more"]:
            return found
        before = f"&before={page['page']['next_before']}"


async def all_message_events(server: Server, count: int) -> list[str]:
    """The ids of the events that report messages, in the order of the log."""
    found: list[str] = []
    async with HttpClient(server.url).stream_events(last_event_id=f"evt_gap_{'0' * 64}") as source:
        while len(found) < count:
            found.append((await source.next_of("message.created")).id)
    return found


class TestStopping:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    async def test_a_signal_says_goodbye_to_everybody_and_exits_with_0(
        self, number: signal.Signals, tmp_path: Path
    ) -> None:
        server = open_network(tmp_path / "net", NAMES)
        async with server.run() as program:
            client = HttpClient(server.url)
            async with AsyncExitStack() as readers:
                wires = [await readers.enter_async_context(open_websocket_wire(server.url)) for _ in range(3)]
                agents = [
                    await attach(wire, name) for wire, name in zip(wires, ("alpha", "beta", "gamma"), strict=True)
                ]
                sources = [await readers.enter_async_context(client.stream_events()) for _ in range(3)]
                idle = await readers.enter_async_context(open_websocket_wire(server.url))  # it says nothing
                await say(server, "before the end")
                assert [await agent.next_texts(1) for agent in agents] == [["before the end"]] * 3
                program.process.send_signal(number)
                assert [(await agent.wait_closed()).code for agent in agents] == [1012] * 3
                assert (await read_until_closed(idle))[1].code == 1012
                for source in sources:
                    while await source.next_event() is not None:
                        pass
            assert await ended(program) == 0
            assert "Traceback" not in program.log()
            assert str(server.directory / "data" / "moltnet.db") in program.log()
            assert "stopped" in program.log().splitlines()[-1]
        async with server.run():
            assert await room_texts(server) == [("ada", "before the end")]

    async def test_a_reader_that_is_stuck_does_not_hold_it_up_for_ever(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", ["alpha"])
        async with server.run() as program, HttpClient(server.url).stream_events():
            await self._flood(server)
            assert await program.stop() == 0

    async def test_a_second_signal_ends_it_without_the_goodbye(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", ["alpha"])
        async with server.run() as program, HttpClient(server.url).stream_events():
            await self._flood(server)
            program.process.send_signal(signal.SIGTERM)
            await program.wait_log("draining")
            await program.stop(signal.SIGINT)
            assert "Traceback" not in program.log()
        async with server.run():
            assert len(await all_messages(server)) == FLOOD_MESSAGES

    @staticmethod
    async def _flood(server: Server) -> None:
        async with server.client() as client:
            for number in range(FLOOD_MESSAGES):
                await client.send(human_message(f"{number} " + "x" * FLOOD_CHARACTERS))


class TestRefusingToStart:
    async def test_an_address_in_use(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "one", [])
        other = open_network(tmp_path / "two", [])
        config = other.directory / "Moltnet"
        config.write_text(config.read_text().replace(other.url[7:], server.url[7:]))
        async with server.run():
            refused = await refused_start(other.directory)
        assert refused.process.returncode == ExitCode.SERVER
        advice = "another program (another moltnet?) uses it: stop it, or set server.listen_addr or MOLTNET_LISTEN_ADDR"
        assert f"can't listen on {server.url[7:]}: Address already in use; {advice}" in refused.log()
        assert not (other.directory / "data").exists()
        assert "Traceback" not in refused.log()

    async def test_a_database_in_use(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", [])
        async with server.run() as program:
            config = server.directory / "Moltnet"
            original = config.read_text()
            config.write_text(original.replace(server.url[7:], f"127.0.0.1:{free_port()}"))
            refused = await refused_start(server.directory)
            config.write_text(original)
            assert refused.process.returncode == ExitCode.SERVER
            assert f"is in use by process {program.process.pid}" in refused.log()
            assert "Traceback" not in refused.log()
            assert (await HttpClient(server.url).get("/readyz")).status == 200

    BAD_CONFIGS = (
        ("rooms: [{id: 'no blanks allowed'}]", "$.rooms[0].id"),
        ("auth: {mode: bearer}", "$.auth.tokens"),
        ("auth: {mode: sometimes}", "$.auth.mode"),
        ("server: {listen_addr: nowhere}", "$.server.listen_addr"),
        ("rooms: 5", "$.rooms"),
        ("version: [", ""),
        ("colour: green", "$.colour"),
    )

    @pytest.mark.parametrize(("text", "path"), BAD_CONFIGS)
    @pytest.mark.parametrize("program", [MOLTNET, HYPERCORN], ids=["moltnet", "hypercorn"])
    async def test_a_bad_configuration(self, text: str, path: str, program: Path, tmp_path: Path) -> None:
        (tmp_path / "Moltnet").write_text(text)
        arguments = ("start",) if program == MOLTNET else ("-k", "trio", "-b", "127.0.0.1:0", "moltnet.asgi:app")
        refused = await refused_start(tmp_path, program=program, arguments=arguments)
        if program == MOLTNET:
            # Under Hypercorn there is a traceback above the reason, and the exit code of its main process is 0.
            assert refused.process.returncode == ExitCode.USAGE
            assert "Traceback" not in refused.log()
        assert f"{tmp_path / 'Moltnet'}:" in refused.log()
        assert path in refused.log()
        assert not (tmp_path / ".moltnet").exists()


class TestKilling:
    async def test_a_thousand_acknowledged_messages_survive_with_their_events(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", ["alpha"])
        acknowledged: list[str] = []
        async with server.run() as program:
            async with trio.open_nursery() as nursery:

                async def talk(speaker: int) -> None:
                    async with server.client() as client:
                        for number in range(1000):
                            message_id = f"m-{speaker}-{number}"
                            await client.send(human_message(f"text of {message_id}", message_id=message_id))
                            acknowledged.append(message_id)
                            if len(acknowledged) == 1000:
                                program.process.kill()
                                nursery.cancel_scope.cancel(reason="the server has been killed")

                for speaker in range(16):
                    nursery.start_soon(talk, speaker)
            assert await ended(program) == -signal.SIGKILL
        assert len(acknowledged) >= 1000
        async with server.run():
            stored = await all_messages(server)
            events = await all_message_events(server, len(stored))
        assert set(acknowledged) <= set(stored)
        assert len(set(stored)) == len(stored)
        assert events == [event_id_of_message(message_id) for message_id in stored]

    async def test_readers_go_on_after_it_without_loss_or_repeats(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", ["alpha"])
        received: list[str] = []
        cursor = ""
        for start in range(3):
            async with server.run() as program:
                await say(server, f"{start} before")
                async with open_websocket_wire(server.url) as wire:
                    agent = await attach(wire, "alpha", cursor=cursor or f"evt_gap_{'0' * 64}")
                    while len(received) < 2 * start + 1:
                        delivered = await agent.next_of("message.created")
                        assert delivered.event.message is not None
                        received.append(delivered.event.message.parts[0].text)
                        await agent.ack(delivered)
                        cursor = delivered.cursor
                await say(server, f"{start} after")
                await program.kill()
        assert received == ["0 before", "0 after", "1 before", "1 after", "2 before"]


class TestUnderHypercorn:
    async def test_the_same_network_is_served(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", ["alpha", "beta"])
        async with under_hypercorn(server) as program:
            client = HttpClient(server.url)
            async with client.stream_events() as source, open_websocket_wire(server.url) as wire:
                agent = await attach(wire, "alpha")
                sent = await client.post("/v1/messages", room_message("hello @alpha", sender="beta"))
                assert sent.status == 202
                delivered = await agent.next_of("message.created")
                await agent.ack(delivered)
                assert (await source.next_of("message.created")).id == delivered.cursor
                assert (await source.next_of("agent.wake.delivered")).event["agent"]["agent_id"] == "alpha"
                program.process.send_signal(signal.SIGTERM)
                assert (await read_until_closed(wire))[1].code == 1012
            assert await ended(program) == 0
        # Nothing of it is left, so our own runner takes over the database.
        async with server.run():
            assert await room_texts(server) == [("beta", "hello @alpha")]

    async def test_several_workers_on_one_sqlite_file_are_refused(self, tmp_path: Path) -> None:
        server = open_network(tmp_path / "net", [])
        address = server.url.removeprefix("http://")
        refused = await refused_start(
            server.directory,
            program=HYPERCORN,
            arguments=("-k", "trio", "-w", "2", "-b", address, "moltnet.asgi:app"),
        )
        assert "an SQLite database serves one server process" in refused.log()
