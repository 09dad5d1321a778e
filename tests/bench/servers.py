"""Servers under load: started on a new directory, or running already; and how they are asked for things."""

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import orjson
import trio

from moltnet.client.api import open_client
from tests.bench.load.wire import STAMP
from tests.bench.processes import running
from tests.bench.settings import SQLITE, Settings
from tests.fakes.ports import free_port

DISK: Final = Path(".cache")  # /tmp is in memory on many machines, and a sync there costs nothing
START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 15.0
_POLL_SECONDS: Final = 0.005
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WRITE, _ATTACH = "bench-write-0123456789abcdef", "bench-attach-0123456789abcdef"
# The Go implementation lets one token have 16 streams.
_READ: Final = tuple(f"bench-read-{number:02}-0123456789abcdef" for number in range(8))
# One token asks for what thousands would. Counted it is, so that what counting costs is measured too.
_LIMITS: Final = {
    **dict.fromkeys(("requests_per_credential", "messages_per_credential"), "1000000/s"),
    **dict.fromkeys(("attachments", "attachments_per_credential", "streams", "streams_per_caller"), 100_000),
    **dict.fromkeys(("pending_handshakes", "pending_handshakes_per_address"), 100_000),
    **dict.fromkeys(("connections", "connections_per_address"), 100_000),
}
# About 900 bytes as it is stored.
_TEXT: Final = STAMP.decode() + "x" * (600 - len(STAMP))


@attrs.frozen
class Target:
    """A running server, and how to ask it for things. Tokens are empty in mode ``none``.

    ``start_seconds`` passed from its start as a process until it answered for the first time.
    """

    url: str
    network_id: str = "bare"
    room_id: str = "general"
    write_token: str = ""
    read_token: str = ""
    attach_token: str = ""
    pid: int | None = None
    start_seconds: float = math.nan
    stream_tokens: Sequence[str] = ()
    sender: str = "poster"

    @property
    def address(self) -> Mapping[str, str | int]:
        """``host`` and ``port``, as the generators take them."""
        parts = urlsplit(self.url)
        if parts.hostname is None or parts.scheme != "http":
            raise ValueError(f"{self.url} is not an http:// URL")
        return {"host": parts.hostname, "port": parts.port or 80}

    @property
    def post(self) -> str:
        """A request that sends a message of about 900 bytes to the room, with a place for a stamp."""
        return self.posting(_TEXT)

    def posting(self, text: str) -> str:
        """A request that sends this text to the room."""
        body = orjson.dumps(
            {
                "target": {"kind": "room", "room_id": self.room_id},
                "from": {"type": "agent", "id": self.sender},
                "parts": [{"kind": "text", "text": text}],
            }
        ).decode()
        return f"POST /v1/messages HTTP/1.1\r\n{self._headers(self.write_token)}{_body(body)}"

    def patch(self, path: str, body: str) -> str:
        """A request of an administrator."""
        return f"PATCH {path} HTTP/1.1\r\n{self._headers(self.read_token)}{_body(body)}"

    @property
    def page(self) -> str:
        """A request for the newest 100 messages of the room."""
        return self.get(f"/v1/rooms/{self.room_id}/messages?limit=100")

    def streams(self, count: int) -> Sequence[str]:
        """Requests for event streams. Servers limit how many one token may have."""
        tokens = self.stream_tokens or (self.read_token,)
        return [self._get("/v1/events/stream", tokens[number % len(tokens)]) for number in range(count)]

    def get(self, path: str) -> str:
        """A request of an observer."""
        return self._get(path, self.read_token)

    @property
    def attach_headers(self) -> str:
        return _authorization(self.attach_token)

    def cpu_seconds(self) -> float:
        """CPU time of the server and its children so far; not a number if it can't be read."""
        if self.pid is None:
            return math.nan
        return sum(_cpu_seconds(pid) for pid in _tree(self.pid))

    def memory_kib(self) -> float:
        """Memory that is the server's own, and its share of what it shares (PSS); not a number if it can't be read."""
        if self.pid is None:
            return math.nan
        return sum(_pss_kib(pid) for pid in _tree(self.pid))

    def _get(self, path: str, token: str) -> str:
        return f"GET {path} HTTP/1.1\r\n{self._headers(token)}\r\n"

    def _headers(self, token: str) -> str:
        return f"Host: {urlsplit(self.url).netloc}\r\n{_authorization(token)}"


def _body(body: str) -> str:
    return f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def _authorization(token: str) -> str:
    return f"Authorization: Bearer {token}\r\n" if token else ""


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _cpu_seconds(pid: int) -> float:
    # The program's name, in parentheses, may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _pss_kib(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(rollup.partition("\nPss:")[2].split()[0])


class ServerEnded(Exception):
    """A server ended, or was never there. What it had to say follows."""


@attrs.frozen
class Setup:
    """A network that is to be measured. ``agent-0`` and so on are members of its room ``general``, or all read it.

    ``dsn`` of an empty database, else it is on SQLite. ``more`` replaces keys of the configuration.
    """

    members: int = 0
    public: bool = False
    dsn: str = ""
    more: Mapping[str, Any] = {}

    def config(self) -> dict[str, Any]:
        """In the format that all implementations read: no key that only some know."""
        agents = [f"agent-{number}" for number in range(self.members)]
        sqlite = {"kind": "sqlite", "sqlite": {"path": "data/moltnet.db"}}
        return {
            "version": "moltnet.v1",
            "network": {"id": "bench", "name": "Bench"},
            "server": {"listen_addr": f"127.0.0.1:{free_port()}"},
            "auth": {
                "mode": "bearer",
                "public_read": self.public,
                "tokens": [
                    {"id": "poster", "value": _WRITE, "scopes": ["write"], "agents": ["poster"]},
                    {"id": "agents", "value": _ATTACH, "scopes": ["attach"]},
                    *({"id": value[:13], "value": value, "scopes": ["observe"]} for value in _READ),
                ],
            },
            "storage": {"kind": "postgres", "postgres": {"dsn": self.dsn}} if self.dsn else sqlite,
            "rooms": [
                {
                    "id": "general",
                    "name": "General",
                    "members": ["poster", *agents],
                    "visibility": "public" if self.public else "private",
                }
            ],
            **self.more,
        }


def setup_for(settings: Settings, *, members: int = 0, public: bool = False) -> Setup:
    """On the storage that the settings name; on PostgreSQL in a new database."""
    if settings.storage == SQLITE:
        return Setup(members, public)
    assert settings.postgres is not None
    return Setup(members, public, settings.postgres.tcp_dsn(settings.postgres.new_database()))


def own_limits(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same with limits that a single token does not reach. They are counted all the same."""
    return {**config, "server": {**config["server"], "limits": _LIMITS}}


def new_directory() -> tempfile.TemporaryDirectory[str]:
    """A temporary directory on a disk."""
    DISK.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=DISK)


@asynccontextmanager
async def open_command(
    command: Sequence[str], directory: str, config: Mapping[str, Any], environment: Mapping[str, str] = {}
) -> AsyncIterator[Target]:
    """Run a server in ``directory`` on this config until the block is left.

    It logs as it would for a user, into ``server.log``. Started again on the same directory, it goes on where it was.
    Raises `ServerEnded`.
    """
    path, log_path = Path(directory, "Moltnet"), Path(directory, "server.log")
    write_private(path, config)
    url = f"http://{config['server']['listen_addr']}"
    # Nothing else waits for this disk.
    with log_path.open("wb") as log:  # noqa: ASYNC230
        started = time.monotonic()
        async with running(
            command,
            patience_seconds=STOP_SECONDS,
            cwd=directory,
            stdout=log,
            stderr=log,
            env={**inherited(), **environment},
        ) as process:
            with trio.move_on_after(START_SECONDS) as waiting:
                while not await is_healthy(url):
                    if process.returncode is not None:
                        raise ServerEnded(log_path.read_text())  # noqa: ASYNC240
                    await trio.sleep(_POLL_SECONDS)
            if waiting.cancelled_caught:
                raise ServerEnded(f"no answer from it: {log_path.read_text()}")  # noqa: ASYNC240
            took = time.monotonic() - started
            yield Target(url, config["network"]["id"], "general", _WRITE, _READ[0], _ATTACH, process.pid, took, _READ)


def write_private(path: Path, document: Mapping[str, Any]) -> None:
    """With tokens in it, it is read only if nobody else could."""
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps(document))


def inherited() -> Mapping[str, str]:
    """The environment without what somebody set for another Moltnet."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MOLTNET_")}


async def is_healthy(url: str) -> bool:
    """Whether a server answers ``GET /healthz`` with 200."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    try:
        stream = await trio.open_tcp_stream(parts.hostname, parts.port or 80)
        async with stream:
            await stream.send_all(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            return (await stream.receive_some()).startswith(b"HTTP/1.1 200")
    except (OSError, trio.BrokenResourceError):
        return False


@asynccontextmanager
async def open_running(url: str, token: str, room_id: str, pid: int | None) -> AsyncIterator[Target]:
    """A server that somebody else started: who it is, it says itself."""
    async with open_client(url, token or None) as client:
        network = await client.network()
    yield Target(url, network.id, room_id, token, token, token, pid)


@asynccontextmanager
async def open_program(module: str) -> AsyncIterator[Target]:
    """A module of ours that serves, and prints its URL when it does: a ceiling."""
    async with running([sys.executable, "-m", module], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with trio.fail_after(START_SECONDS):
            url = (await process.stdout.receive_some()).decode().strip()
        yield Target(url, pid=process.pid)
