"""A running network is backed up under load, moved to PostgreSQL and back to SQLite, with the programs of a user."""

import gzip
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import orjson
import pytest
import trio

from moltnet.cli.exit_codes import ExitCode
from moltnet.protocol.ids import event_id_of_message
from tests.e2e.killed_server import Sender, history
from tests.e2e.running import PATIENCE_SECONDS, Server, open_network, running
from tests.fakes.http_client import HttpClient
from tests.fakes.network import wait_until

pytestmark = pytest.mark.slow

SENDERS = 4
MESSAGES = 60


async def run(server: Server, *arguments: str | Path, code: int = 0) -> str:
    """Run a command where the server is configured; what it printed."""
    log_path = server.directory / "command.log"
    log_path.unlink(missing_ok=True)
    async with running(
        *arguments, directory=server.directory, log_path=log_path, environment=server.environment
    ) as program:
        with trio.fail_after(PATIENCE_SECONDS):
            assert await program.process.wait() == code, program.log()
    return log_path.read_text()


def on(server: Server, **environment: str) -> Server:
    """The same network on another storage."""
    return attrs.evolve(server, environment={"MOLTNET_SQLITE_PATH": "", **environment})


@asynccontextmanager
async def talking(server: Server) -> AsyncIterator[list[Sender]]:
    """Some who send for as long as the block lasts."""
    senders, client = [Sender(f"s{number}") for number in range(SENDERS)], HttpClient(server.url)
    stopping = False

    async def talk(sender: Sender) -> None:
        while not stopping:
            await sender.send(client, "1")

    async with trio.open_nursery() as nursery:
        for sender in senders:
            nursery.start_soon(talk, sender)
        yield senders
        stopping = True


def records(path: Path) -> list[Mapping[str, object]]:
    """What a backup holds, without what tells where and when it was made."""
    header, *rest, end = map(orjson.loads, gzip.decompress(path.read_bytes()).splitlines())
    assert (header["kind"], end["kind"]) == ("header", "end")
    kept = ("kind", "content", "network_id", "counts", "pruned_to")
    return [{key: header.get(key) for key in kept}, *rest]


def told_messages(path: Path) -> list[str]:
    return [str(each["message"]["id"]) for each in records(path) if each["kind"] == "message"]  # type: ignore[index]


async def events_told(server: Server, count: int) -> list[str]:
    """The ids of the events of all messages, from the beginning."""
    found: list[str] = []
    async with HttpClient(server.url).stream_events(last_event_id=f"evt_gap_{'0' * 64}") as source:
        while len(found) < count:
            found.append((await source.next_of("message.created")).id)
    return found


async def test_a_network_moves_from_sqlite_to_postgres_and_back_and_nobody_can_tell(
    postgres_dsn: str, tmp_path: Path
) -> None:
    first, second, third = (tmp_path / f"{number}.backup" for number in (1, 2, 3))
    sqlite = open_network(tmp_path / "net", ["alpha", "beta"])
    postgres = on(sqlite, MOLTNET_POSTGRES_DSN=postgres_dsn)
    back = on(sqlite, MOLTNET_SQLITE_PATH=str(tmp_path / "back.db"))
    async with sqlite.run(), talking(sqlite) as senders:
        await wait_until(lambda: sum(len(sender.accepted) for sender in senders) >= MESSAGES)
        answered = [message.id for sender in senders for message in sender.accepted]
        await run(sqlite, "backup", first)
    # All that was answered before it began; of what came meanwhile, a beginning.
    moved = told_messages(first)
    assert set(answered) <= set(moved)

    await run(postgres, "restore", first)
    async with postgres.run():
        assert await events_told(postgres, len(moved)) == list(map(event_id_of_message, moved))
        room = await history(HttpClient(postgres.url), "room", "general")
        assert room == [message_id for message_id in moved if message_id in room]
        await run(postgres, "backup", second)
        refused = await run(postgres, "restore", first, code=ExitCode.CONFLICT)
        assert "empty" in refused

    await run(back, "restore", second)
    await run(back, "backup", third)
    assert records(second) == records(first)
    assert records(third) == records(first)
    async with back.run():
        assert await events_told(back, len(moved)) == list(map(event_id_of_message, moved))
        # It goes on where it was: who was not answered sends again, and nothing is there twice.
        for sender in senders:
            for message in sender.accepted[-3:]:
                assert (await HttpClient(back.url).post("/v1/messages", message)).status == 202
        after = await history(HttpClient(back.url), "room", "general")
        assert len(after) == len(set(after))
        assert after[: len(room)] == room
