"""`moltnet start --workers N`: one network in several processes, of which any may die."""

import os
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import attrs
import pytest
import trio

from tests.e2e.killed_server import CUT, Reader, Sender, conversation_of, history
from tests.e2e.running import PATIENCE_SECONDS, POLL_SECONDS, Program, Server, open_network, running
from tests.fakes.attach_client import AttachClient, WireClosed, attach, open_websocket_wire
from tests.fakes.http_client import HttpClient
from tests.fakes.network import room_message, wait_until

WORKERS = 3
SENDERS = 6
READERS = 9
KILLS = 3
MESSAGES_BETWEEN_KILLS = 30
# Every new connection is taken by a worker that the kernel chooses: so many ask all of three, but for one time in 10^8.
ENOUGH_TO_ASK_ALL = 48
# Each waits for a while until it is sure that somebody sits there.
ATTEMPTS = 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * PATIENCE_SECONDS)]


@pytest.fixture
def network(tmp_path: Path) -> Server:
    return open_network(tmp_path / "net", ["alpha", "beta"])


@pytest.fixture(params=["sqlite", "postgres"])
def network_on_each(request: pytest.FixtureRequest, network: Server) -> Server:
    if request.param == "sqlite":
        return network
    dsn = request.getfixturevalue("postgres_dsn")
    return attrs.evolve(network, environment={"MOLTNET_POSTGRES_DSN": dsn, "MOLTNET_SQLITE_PATH": ""})


@asynccontextmanager
async def crew(network: Server) -> AsyncIterator[Program]:
    """The server with its workers, all of which serve."""
    log_path = network.directory / "server.log"
    earlier = log_path.read_text().count(f"workers={WORKERS}") if log_path.exists() else 0
    async with running(
        "start",
        "--workers",
        str(WORKERS),
        directory=network.directory,
        log_path=log_path,
        environment=network.environment,
    ) as program:
        await program.wait_log(f"workers={WORKERS}", times=1 + earlier)
        yield program


def workers_of(program: Program) -> list[int]:
    """The processes of the workers, as the system knows them."""
    # Any of its threads may have started them.
    children = Path(f"/proc/{program.process.pid}/task").glob("*/children")
    return [int(pid) for listed in children for pid in listed.read_text().split()]


async def test_whichever_worker_dies_nothing_is_lost_and_everybody_reads_one_order(network_on_each: Server) -> None:
    network, chance = network_on_each, random.Random(11)
    client = HttpClient(network.url)
    senders = [Sender(f"s{number}") for number in range(SENDERS)]
    readers = [Reader() for _ in range(READERS)]

    async def send(sender: Sender) -> None:
        while True:
            try:
                await sender.send(client, "1")
            except CUT:
                await trio.sleep(POLL_SECONDS)

    async def read(reader: Reader) -> None:
        while True:
            try:
                await reader.read(client)
            except CUT:
                await trio.sleep(POLL_SECONDS)

    def accepted() -> int:
        return sum(len(sender.accepted) for sender in senders)

    with trio.fail_after(2 * PATIENCE_SECONDS):
        async with crew(network) as program, trio.open_nursery() as reading:
            for reader in readers:
                reading.start_soon(read, reader)
            async with trio.open_nursery() as sending:
                for sender in senders:
                    sending.start_soon(send, sender)
                for number in range(1, KILLS + 1):
                    enough = accepted() + MESSAGES_BETWEEN_KILLS
                    await wait_until(lambda enough=enough: accepted() >= enough)  # type: ignore[misc]
                    victim = chance.choice(workers_of(program))
                    os.kill(victim, signal.SIGKILL)
                    await program.wait_log("a worker has died", times=number)
                    await wait_until(lambda victim=victim: victim not in workers_of(program))  # type: ignore[misc]
                    await wait_until(lambda: len(workers_of(program)) == WORKERS)
                sending.cancel_scope.cancel()
            for sender in senders:
                if sender.unanswered is not None:
                    await sender.send(client, "1")
            expected = {message.id for sender in senders for message in sender.accepted}
            await wait_until(lambda: all(reader.has(id) for reader in readers for id in expected))
            orders = {tuple(reader.events) for reader in readers}
            assert len(orders) == 1
            messages = [event["message"] for event in readers[0].events.values() if event["type"] == "message.created"]
            assert sorted(message["id"] for message in messages) == sorted(expected)  # type: ignore[index]
            for place in {conversation_of(attrs.asdict(m.target)) for sender in senders for m in sender.accepted}:
                kind, _, id = place.partition(":")
                assert await history(client, kind, id) == readers[0].messages(place)
            reading.cancel_scope.cancel()
            assert await program.stop() == 0


async def test_an_agent_sits_once_in_all_workers_and_anew_when_its_worker_dies(network: Server) -> None:
    client = HttpClient(network.url)
    with trio.fail_after(2 * PATIENCE_SECONDS):
        async with crew(network) as program:
            async with open_websocket_wire(network.url) as wire, trio.open_nursery() as nursery:
                nursery.start_soon(stay, await attach(wire, "alpha"))
                for _ in range(ATTEMPTS):
                    async with open_websocket_wire(network.url) as another:
                        with pytest.raises(AssertionError, match="already has an active attachment"):
                            await attach(another, "alpha")
                await wait_until_all_say(client, connected=True)
                for victim in workers_of(program):
                    os.kill(victim, signal.SIGKILL)
            await wait_until_all_say(client, connected=False)
            async with open_websocket_wire(network.url) as wire:
                await attach(wire, "alpha")
            assert await program.stop() == 0


async def stay(agent: AttachClient) -> None:
    """Answer what keeps an attachment alive, until the connection is cut."""
    with suppress(WireClosed):
        await agent.next_of("never")


async def wait_until_all_say(client: HttpClient, *, connected: bool) -> None:
    while True:
        try:
            said = [(await client.get("/v1/agents/alpha")).json()["connected"] for _ in range(ENOUGH_TO_ASK_ALL)]
        except CUT:
            said = []
        if said and all(each is connected for each in said):
            return
        await trio.sleep(POLL_SECONDS)


async def test_a_reload_counts_at_all_workers_and_metrics_are_of_all(network: Server) -> None:
    client = HttpClient(network.url)
    path = network.directory / "Moltnet"
    with trio.fail_after(2 * PATIENCE_SECONDS):
        async with crew(network) as program:
            path.write_text(path.read_text().replace("name: Lab", "name: Laboratory"))
            assert (await client.post("/v1/admin/reload", b"")).status == 200
            await all_call_it(client, "Laboratory")
            path.write_text(path.read_text().replace("name: Laboratory", "name: Attic"))
            program.process.send_signal(signal.SIGHUP)
            await all_call_it(client, "Attic")
            text = (await client.get("/metrics")).body.decode()
            for number in range(1, WORKERS + 1):
                assert f'moltnet_newest_event_seq{{worker="{number}"}}' in text
            assert text.count("# TYPE moltnet_newest_event_seq ") == 1
            assert await program.stop() == 0


async def all_call_it(client: HttpClient, name: str) -> None:
    while {(await client.get("/v1/network")).json()["name"] for _ in range(ENOUGH_TO_ASK_ALL)} != {name}:
        await trio.sleep(POLL_SECONDS)


async def test_without_the_process_that_keeps_them_workers_end(network: Server) -> None:
    with trio.fail_after(2 * PATIENCE_SECONDS):
        async with crew(network) as program:
            await HttpClient(network.url).post("/v1/messages", room_message("before", message_id="m1"))
            workers = workers_of(program)
            assert len(workers) == WORKERS
            await program.kill()
            while any(Path(f"/proc/{pid}/cmdline").exists() for pid in workers):
                await trio.sleep(POLL_SECONDS)
        async with crew(network) as program:
            assert await history(HttpClient(network.url), "room", "general") == ["m1"]
            assert await program.stop() == 0


async def test_what_keeps_workers_from_starting_is_said_once_and_ends_the_command(tmp_path: Path) -> None:
    server = open_network(tmp_path / "net", ["alpha"])
    with trio.fail_after(2 * PATIENCE_SECONDS):
        async with crew(server):
            second = tmp_path / "second.log"
            async with running("start", "--workers", "2", directory=server.directory, log_path=second) as program:
                assert await program.process.wait() == 7
                assert program.log().count("another program (another moltnet?) uses it") == 1
