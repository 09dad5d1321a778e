"""Invariant: every request gets an answer that the API's document describes, and none a 500 or somebody's secret.

That is, for any method, path, query, headers and body: the status, the headers and the body are described for the
operation (``openapi.json``), nothing is logged as an error, and the token of another caller stands in no answer.

An input is the head of a request without its version (``GET /v1/rooms``, lines of headers), an empty line, and a body.
It is asked of a network in memory that lives through ``MAX_REQUESTS`` of them, so that ids of one meet those of others.
"""

import logging
import re
import sys
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

import attrs
import trio

from fuzz.campaign import Target, main
from moltnet.asgi import NetworkAsgi
from moltnet.config.settings import AuthMode, Registration
from tests.fakes.conformance import check_answer
from tests.fakes.network import network_config, open_test_app, secret_of, token
from tests.fakes.trio_thread import HeldOpen, TrioThread

MAX_REQUESTS: Final = 500
ANSWER_SECONDS: Final = 30.0
METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
STREAM: Final = "text/event-stream"
SECRETS: Final = tuple(secret_of(each) for each in ("admin", "alpha", "observer"))
# What an HTTP/1.1 parser lets through: the rest never gets to the application.
_METHOD: Final = re.compile(rb"[A-Z!#$%&'*+.^_`|~0-9-]{1,32}")
_TARGET: Final = re.compile(rb"[\x21-\x7e]{1,4096}")
_FIELD: Final = re.compile(rb"([A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}):[ \t]*([\x20-\x7e\x80-\xff\t]*)")
_OTHERWISE_FRAMED: Final = frozenset({b"content-length", b"transfer-encoding", b"connection", b"upgrade", b"expect"})
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *("GET ", "POST ", "PATCH ", "DELETE ", "PUT ", "HEAD ", "OPTIONS ", "/v1/", "messages", "rooms", "general"),
        *("agents", "alpha", "threads", "t1", "dms", "d1", "artifacts", "approvals", "pairings", "events/stream"),
        *("network", "apply", "relays", "sessions", "invitations", "attach", "/metrics", "/readyz", "/console/"),
        *(
            "/install.md",
            "/skill.md",
            "/llms.txt",
            "/openapi.json",
            "?limit=",
            "&before=",
            "&after=",
            "%2F",
            "%00",
            "%ff",
        ),
        *("//", "/../", "\nHost: ", "\nOrigin: http://evil.test", "\nAccept: text/html", "\nAccept-Encoding: gzip"),
        *("\nContent-Type: application/json", "\nIf-None-Match: *", "\nLast-Event-ID: evt_1", "\nX-Request-Id: a b"),
        *(f"\nAuthorization: Bearer {SECRETS[0]}", "\nAuthorization: Basic x", "\nCookie: moltnet_session=x", "\n\n"),
        *("\nX-Forwarded-For: 1.2.3.4", '{"id":', '"target":', '"parts":', '"from":', "{", "}", "[", "]", "null", '"'),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if an answer breaks the invariant; otherwise says which one it was."""
    parsed = _parsed(data)
    if parsed is None:
        return "no HTTP"
    method, target, headers, body = parsed
    with _listening() as errors:
        answer = _network().ask(method, target, headers, body)
    if errors:
        raise AssertionError(f"{method} {target} logged {errors[0]}")
    if answer is None:
        return "a stream"
    if answer.status >= 500 and answer.status != 501:
        raise AssertionError(f"{method} {target} → {answer.status} {answer.body[:500]!r}")
    check_answer(method, target, answer.status, answer.headers, answer.body)
    shown = answer.body + repr(answer.headers).encode()
    if any(secret.encode() in shown and secret.encode() not in data for secret in SECRETS):
        raise AssertionError(f"{method} {target} shows the token of somebody else")
    code = re.search(rb'"code":"([a-z_]+)"', answer.body)
    return method if method in METHODS else "another method", answer.status, code[1] if code else b""


def _parsed(data: bytes) -> tuple[str, str, list[tuple[bytes, bytes]], bytes] | None:
    head, _, body = data.partition(b"\n\n")
    first, *lines = head.split(b"\n")
    method, _, target = first.partition(b" ")
    fields = [_FIELD.fullmatch(line) for line in lines]
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target) or None in fields:
        return None
    headers = [(field[1].lower(), field[2].strip()) for field in fields if field is not None]
    if not any(name == b"host" for name, _ in headers):
        headers.append((b"host", b"lab.test"))
    headers = [(name, value) for name, value in headers if name not in _OTHERWISE_FRAMED]
    headers.append((b"content-length", str(len(body)).encode()))
    return method.decode(), target.decode(), headers, body


@attrs.frozen
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes


@attrs.define(eq=False)
class Network:
    """The application of a network in memory, in a thread of its own; another one after so many requests."""

    _thread: TrioThread = attrs.field(factory=TrioThread)
    _app: HeldOpen[Any] | None = None
    _asgi: NetworkAsgi | None = None
    _requests: int = 0

    def ask(self, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes) -> Answered | None:
        """The answer; ``None`` for an event stream, which is hung up."""
        if self._asgi is None or self._requests == MAX_REQUESTS:
            if self._app is not None:
                self._app.close()
            tokens = (
                token("admin", "admin write observe"),
                token("alpha", "write attach", "alpha"),
                token("observer", "observe"),
            )
            config = network_config(mode=AuthMode.BEARER, tokens=tokens, registration=Registration.TOKEN)
            self._app = HeldOpen(self._thread, partial(open_test_app, config))
            self._asgi = NetworkAsgi(self._app.resource)
            self._requests = 0
        self._requests += 1
        return self._thread.run(partial(_ask, self._asgi, method, target, headers, body))


_networks: Final[list[Network]] = []


def _network() -> Network:
    if not _networks:
        _networks.append(Network())
    return _networks[0]


async def _ask(
    asgi: NetworkAsgi, method: str, target: str, headers: list[tuple[bytes, bytes]], body: bytes
) -> Answered | None:
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.1", "version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.1", 50000),
        "server": ("192.0.2.2", 80),
        "state": {},
        "extensions": {},
    }
    sent: list[dict[str, Any]] = []
    asked = iter([{"type": "http.request", "body": body, "more_body": False}])
    streams = trio.Event()

    async def receive() -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        for message in asked:
            return message
        await streams.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)
        if message["type"] == "http.response.start" and dict(_texts(message)).get("content-type") == STREAM:
            streams.set()
        await trio.lowlevel.checkpoint()

    with trio.fail_after(ANSWER_SECONDS):
        await asgi(scope, receive, send)  # type: ignore[arg-type]  # plain mappings
    if streams.is_set():
        return None
    start, *rest = sent
    return Answered(start["status"], dict(_texts(start)), b"".join(each.get("body", b"") for each in rest))


def _texts(start: dict[str, Any]) -> Iterator[tuple[str, str]]:
    return ((name.decode().lower(), value.decode("latin-1")) for name, value in start["headers"])


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What is logged as an error meanwhile. Less than that is not made at all: here every request is odd."""
    handler, root = _Errors(), logging.getLogger()
    before = logging.root.manager.disable
    root.addHandler(handler)
    logging.disable(logging.WARNING)
    try:
        yield handler.texts
    finally:
        logging.disable(before)
        root.removeHandler(handler)


TARGET: Final = Target("requests", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
