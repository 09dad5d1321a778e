"""The same bytes, in the same pieces, to a server with the fast lane and to one without: nobody can tell which it was.

Answers, what is stored, and what the log tells of each request must be the same; but for the time, and ids that were
made up. What is compared is decided in `seen`.
"""

import logging
import os
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime

import pytest
import trio

from moltnet.config.settings import AuthMode
from moltnet.lane.switch import VARIABLE
from moltnet.protocol import limits
from moltnet.protocol.codec import encode
from tests.fakes.http_client import open_connection
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    room_message,
    secret_of,
    thread_message,
    token,
)

TOKENS = (token("ops", "admin write observe"), token("reader", "observe"), token("writer", "write"))
CASES = int(os.environ.get("MOLTNET_LANE_CASES", "60"))
HOST = "Host: lab.test\r\n"
LAST = b"GET /healthz HTTP/1.1\r\nHost: lab.test\r\nConnection: close\r\n\r\n"
BODIES: Sequence[bytes] = (
    *(encode(room_message(f"text {number}", message_id=f"m{number}")) for number in range(3)),
    encode(room_message("another text", message_id="m1")),
    encode(room_message("@beta: " + "long " * 900, message_id="m-long", mentions=["beta"])),
    encode(thread_message("t1", message_id="m-thread")),
    encode(direct_message("d1", "alpha", "beta", message_id="m-direct")),
    encode(room_message(room="nowhere", message_id="m-nowhere")),
    encode(room_message(sender="", message_id="m-nobody")),
    b"",
    b"null",
    b"[]",
    b'{"target": {"kind": "room"}, "target": 1}',
    b"\xff\xfe",
    b'{"parts": [{"kind": 5}]}',
    b"x" * (limits.FREE_BODY_BYTES + 1),
)
HEADERS = (
    "",
    f"Authorization: Bearer {secret_of('ops')}\r\n",
    f"authorization: Bearer {secret_of('writer')}\r\n",
    f"Authorization: Bearer {secret_of('reader')}\r\n",
    "Authorization: Bearer nonsense\r\n",
    "Authorization: Basic abc\r\n",
    "Cookie: moltnet_lab=abc\r\n",
    "X-Request-Id: given-1\r\n",
    "X-Request-Id: not {a} good one\r\n",
    "Accept: application/json;q=0\r\n",
    "Accept: text/html\r\nAccept: */*\r\n",
    "Accept-Encoding: gzip, br\r\n",
    "If-None-Match: *\r\n",
    "Content-Type: text/plain; charset=utf-16\r\n",
    "Content-Type: multipart/form-data\r\n",
    "Content-Encoding: gzip\r\n",
    "Origin: http://elsewhere.example\r\n",
    "Origin: http://lab.test\r\n",
    "Expect: 100-continue\r\n",
    "Connection: keep-alive\r\n",
    "Connection: close\r\n",
    "Content-Length: 3\r\n",
    "X-Odd : 1\r\n",
    "X-Forwarded-For: 203.0.113.9\r\n",
)
TARGETS = (
    "/v1/rooms/general/messages",
    "/v1/rooms/general/messages?limit=2",
    "/v1/rooms/general/messages?limit=2&before=m2",
    "/v1/rooms/general/messages?limit=2&limit=1&after=m0",
    "/v1/rooms/general/messages?limit=many",
    "/v1/rooms/general/messages?before=m1&after=m1",
    "/v1/rooms/general/messages?before=-",
    "/v1/rooms/general/messages?before=%20m1&limit=+1",
    "/v1/rooms/nowhere/messages",
    "/v1/rooms/%67eneral/messages",
    "/v1/threads/t1/messages",
    "/v1/dms/d1/messages?",
    "/v1/dms/nobody/messages",
    "/v1/rooms",
    "/v1/messages",
    "http://lab.test/v1/rooms/general/messages",
)


def request(rng: random.Random) -> bytes:
    """One request, most often a good one, sometimes with something strange in it."""
    headers = "".join(rng.sample(HEADERS, rng.choice((0, 1, 1, 2, 3))))
    if "Authorization" not in headers and rng.random() < 0.7:
        headers += HEADERS[1]
    if rng.random() < 0.5:
        line = f"{rng.choice(('GET', 'GET', 'GET', 'HEAD'))} {rng.choice(TARGETS)} HTTP/1.1"
        return f"{line}\r\n{HOST}{headers}\r\n".encode()
    body = rng.choice(BODIES)
    line = rng.choice(
        ("POST /v1/messages HTTP/1.1",) * 5 + ("POST /v1/messages?x HTTP/1.1", "POST /v1/messages HTTP/1.0")
    )
    return f"{line}\r\n{HOST}{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def conversation(rng: random.Random) -> bytes:
    """A few requests, the last of which ends the connection: what came after that would be a race."""
    data = b""
    for _ in range(rng.choice((1, 1, 2, 3))):
        data += (one := request(rng))
        if b"Connection: close" in one or b"HTTP/1.0" in one:
            return data
    return data + LAST


def pieces(rng: random.Random, data: bytes) -> list[bytes]:
    cuts = sorted(rng.sample(range(1, len(data)), rng.choice((0, 0, 1, 2, 4))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


async def said(server: TestServer, parts: Sequence[bytes]) -> bytes:
    """All that the server answers, until it ends the connection."""
    answer = b""
    async with open_connection(server.url) as connection:
        try:
            for part in parts:
                await connection.stream.send_all(part)
                await trio.testing.wait_all_tasks_blocked(0.002)
        except trio.BrokenResourceError:
            pass  # it has heard enough
        with trio.fail_after(20):
            try:
                while data := await connection.stream.receive_some():
                    answer += data
            except trio.BrokenResourceError:
                pass
    return answer


def seen(answer: bytes) -> str:
    """An answer without what differs each time; header names in one order."""
    text = re.sub(r"req_[0-9a-f]{16}", "req_", answer.decode("latin-1"))
    text = re.sub(r"date: [^\r]*\r\n", "", text, flags=re.IGNORECASE)

    def in_order(head: re.Match[str]) -> str:
        first, *fields = head[0].strip().split("\r\n")
        return "\r\n".join([first, *sorted(field.lower() for field in fields)]) + "\r\n\r\n"

    return re.sub(r"HTTP/1\.1 [0-9]{3}.*?\r\n\r\n", in_order, text, flags=re.DOTALL)


class Lines(logging.Handler):
    """What the log tells."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[object] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = dict(getattr(record, "fields", {}))
        kept = {name: value for name, value in fields.items() if name not in ("duration_ms", "request_id")}
        self.lines.append((record.name, record.levelname, record.getMessage(), kept))

    def take(self) -> list[object]:
        lines, self.lines = self.lines, []
        return sorted(lines, key=str)


@pytest.fixture
def lines() -> Iterator[Lines]:
    handler = Lines()
    loggers = [logging.getLogger(f"moltnet.{name}") for name in ("http", "server", "admission", "journal")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    yield handler
    for logger, level in zip(loggers, levels, strict=True):
        logger.removeHandler(handler)
        logger.setLevel(level)


@pytest.mark.parametrize("mode", [AuthMode.BEARER, AuthMode.NONE, AuthMode.OPEN])
async def test_with_and_without_it_everything_is_the_same(
    mode: AuthMode, lines: Lines, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(f"requests of mode {mode}")
    config = network_config(mode=mode, tokens=() if mode is AuthMode.NONE else TOKENS)

    def clock() -> datetime:
        return datetime(2026, 1, 1, tzinfo=UTC)

    difference: tuple[object, ...] = ()
    asked_for = 0
    async with AsyncExitStack() as stack:
        servers = []
        for value in ("1", "0"):
            monkeypatch.setenv(VARIABLE, value)
            servers.append(await stack.enter_async_context(open_test_server(config, clock=clock)))
        lines.take()
        for _ in range(CASES):
            parts = pieces(rng, conversation(rng))
            outcomes = []
            for server in servers:
                asked.clear()
                answer = await said(server, parts)
                outcomes.append((seen(answer), lines.take()))
                asked_for += len(asked) if server is servers[0] else 0
            if outcomes[0] != outcomes[1]:
                difference = (parts, *outcomes)
                break
    assert not difference, "\n".join(map(str, difference))
    assert asked_for < 2.5 * CASES  # else the lane answers next to nothing, and this compares nothing
