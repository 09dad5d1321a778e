"""Servers under load: our own as a user starts it, the bare ceiling, or any that is already running."""

import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
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
from tests.bench.settings import Settings

DISK: Final = Path(".cache")  # /tmp is in memory on many machines, and a sync there costs nothing
START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.02
# What it prints when it is ready; the kernel has chosen the port.
_WELCOME: Final = re.compile(r"^ *API +(http://\S+)/v1/network$", re.MULTILINE)
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_WRITE, _READ, _ATTACH = (
    "bench-write-0123456789abcdef",
    "bench-read-0123456789abcdef",
    "bench-attach-0123456789abcdef",
)
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
    """A running server, and how to ask it for things. Tokens are empty in mode ``none``."""

    url: str
    network_id: str = "bare"
    room_id: str = "general"
    write_token: str = ""
    read_token: str = ""
    attach_token: str = ""
    pid: int | None = None

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
        body = orjson.dumps(
            {
                "target": {"kind": "room", "room_id": self.room_id},
                "from": {"type": "agent", "id": "poster"},
                "parts": [{"kind": "text", "text": _TEXT}],
            }
        ).decode()
        headers = f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        return f"POST /v1/messages HTTP/1.1\r\n{self._headers(self.write_token)}{headers}\r\n{body}"

    @property
    def page(self) -> str:
        """A request for the newest 100 messages of the room."""
        path = f"/v1/rooms/{self.room_id}/messages?limit=100"
        return f"GET {path} HTTP/1.1\r\n{self._headers(self.read_token)}\r\n"

    @property
    def stream(self) -> str:
        """A request for the event stream."""
        return f"GET /v1/events/stream HTTP/1.1\r\n{self._headers(self.read_token)}\r\n"

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

    def _headers(self, token: str) -> str:
        return f"Host: {urlsplit(self.url).netloc}\r\n{_authorization(token)}"


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


@asynccontextmanager
async def open_target(settings: Settings) -> AsyncIterator[Target]:
    """The server that the settings name, or a new one of ours."""
    if settings.url:
        token = settings.token
        async with open_client(settings.url, token or None) as client:
            network = await client.network()
        yield Target(settings.url, network.id, settings.room_id, token, token, token, settings.server_pid)
    else:
        with new_directory() as directory:
            async with open_server(directory, settings.readers) as target:
                yield target


def new_directory() -> tempfile.TemporaryDirectory[str]:
    """A temporary directory on a disk."""
    DISK.mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=DISK)


@asynccontextmanager
async def open_server(directory: str, members: int, *, public: bool = False) -> AsyncIterator[Target]:
    """``moltnet start`` on the database in ``directory``, mode bearer; ``agent-0`` and so on are members of the room.

    Everybody reads it if it is public: a file can't name more than 256 members.
    """
    async with open_configured(directory, server_config(members, public=public)) as target:
        yield target


@asynccontextmanager
async def open_configured(directory: str, config: Mapping[str, object]) -> AsyncIterator[Target]:
    """``moltnet start`` in ``directory`` on a config like that of ``server_config``.

    It logs as it would for a user, into ``server.log``. Started again on the same directory, it goes on where it was.
    """
    _write_config(Path(directory, "Moltnet"), config)
    moltnet, log_path = Path(sys.executable).parent / "moltnet", Path(directory, "server.log")
    # Nothing else waits for this disk.
    with log_path.open("wb") as log:  # noqa: ASYNC230
        async with running([str(moltnet), "start"], cwd=directory, stdout=log, stderr=log) as process:
            with trio.fail_after(START_SECONDS):
                while (welcome := _WELCOME.search(log_path.read_text())) is None:  # noqa: ASYNC240
                    if process.returncode is not None:
                        raise RuntimeError(f"the server ended: {log_path.read_text()}")  # noqa: ASYNC240
                    await trio.sleep(_POLL_SECONDS)
            yield Target(welcome[1], "bench", "general", _WRITE, _READ, _ATTACH, process.pid)


def _write_config(path: Path, config: Mapping[str, object]) -> None:
    path.touch(mode=0o600)
    path.write_bytes(orjson.dumps(config))


def server_config(members: int, *, public: bool = False) -> dict[str, Any]:
    agents = [f"agent-{number}" for number in range(members)]
    return {
        "version": "moltnet.v1",
        "network": {"id": "bench", "name": "Bench"},
        "server": {"listen_addr": "127.0.0.1:0", "limits": _LIMITS},
        "auth": {
            "mode": "bearer",
            "public_read": public,
            "tokens": [
                {"id": "poster", "value": _WRITE, "scopes": ["write"], "agents": ["poster"]},
                {"id": "reader", "value": _READ, "scopes": ["observe"]},
                {"id": "agents", "value": _ATTACH, "scopes": ["attach"]},
            ],
        },
        "storage": {"kind": "sqlite", "sqlite": {"path": "data/moltnet.db"}},
        "rooms": [
            {
                "id": "general",
                "name": "General",
                "members": ["poster", *agents],
                "visibility": "public" if public else "private",
            }
        ],
    }


@asynccontextmanager
async def open_bare() -> AsyncIterator[Target]:
    """The ceiling on this machine (``tests.bench.bare``)."""
    command = [sys.executable, "-m", "tests.bench.bare"]
    async with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with trio.fail_after(START_SECONDS):
            url = (await process.stdout.receive_some()).decode().strip()
        yield Target(url, pid=process.pid)
