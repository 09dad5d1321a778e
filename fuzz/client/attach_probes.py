"""Probes of attachments: upgrades, frames of WebSocket, frames of the protocol, order, silence and windows."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import orjson
import trio

from fuzz.client.api_probes import message, new_id
from fuzz.client.probing import MAX_BODY_BYTES, Look, Probe
from fuzz.client.websocket import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Received,
    Socket,
    frame,
    text_frame,
    upgrade_headers,
    upgraded,
)
from fuzz.client.wire import Answered, Outcome

ATTACH: Final = "/v1/attach"
VERSION: Final = "moltnet.attach.v1"
MOST_UNACKED: Final = 1024
"""What any client of the protocol can hold; a server sends no more without an ACK."""
MESSAGES: Final = 300
_NORMAL_CLOSES: Final = frozenset({1000, 1001})
"""After these a client of the protocol stays away for ever, so a server that refuses something says another one."""


_MAY_BE_TAKEN: Final = frozenset({"extensions without end", "subprotocols without end", "a key that is none"})
"""What says nothing of whether an upgrade is wanted: a server need not look at it."""


async def upgrades(look: Look) -> None:
    good = upgrade_headers()
    cases: list[tuple[str, str, dict[str, str]]] = [
        ("no upgrade", "GET", {}),
        ("another version", "GET", {**good, "Sec-WebSocket-Version": "8"}),
        ("no key", "GET", {name: value for name, value in good.items() if name != "Sec-WebSocket-Key"}),
        ("a key that is none", "GET", {**good, "Sec-WebSocket-Key": "x"}),
        ("a POST", "POST", good),
        ("another protocol", "GET", {**good, "Upgrade": "h2c"}),
        ("extensions without end", "GET", {**good, "Sec-WebSocket-Extensions": "permessage-deflate, " * 500 + "x"}),
        ("subprotocols without end", "GET", {**good, "Sec-WebSocket-Protocol": ", ".join(["x"] * 500)}),
    ]
    for case, method, headers in cases:
        raw = look.wire.request(method, ATTACH, token=look.options.token, headers=headers)
        async with look.wire.open() as line:
            outcome = await upgraded(line, raw, look.options.patience_seconds)
            if isinstance(outcome, Socket):
                look.saw("upgraded")
                if case not in _MAY_BE_TAKEN:
                    look.violates(case, "was upgraded", raw)
            else:
                look.note(case, outcome, raw)
                if isinstance(outcome, Answered) and outcome.status < 400:
                    look.violates(case, f"answered {outcome}", raw)


def _frames(look: Look) -> Iterator[tuple[str, bytes, bool]]:
    """Name, bytes, and whether the connection can't go on after them."""
    rng = look.rng
    yield "no JSON", text_frame("{"), True
    yield "another value", text_frame(rng.choice(("null", "[]", "1", '"x"'))), True
    yield "no word", text_frame({"version": VERSION}), False
    yield "an unknown word", text_frame({"op": "FUZZ", "version": VERSION}), False
    yield "another version", text_frame({"op": "ACK", "version": "x", "cursor": "evt_1"}), False
    yield "an ACK of nothing", text_frame({"op": "ACK", "version": VERSION, "cursor": "evt_never"}), False
    yield "what only servers say", text_frame({"op": "READY", "version": VERSION}), False
    yield "a wrong type", text_frame({"op": "IDENTIFY", "version": VERSION, "agent": 5}), True
    yield "no network", text_frame({"op": "IDENTIFY", "version": VERSION, "agent": {"id": "a" * 200}}), True
    yield "deep JSON", text_frame('{"op":' + "[" * 5000 + "]" * 5000 + "}"), True
    yield "a large text", frame(TEXT, b" " * (MAX_BODY_BYTES + 1)), True
    yield (
        "a large text in parts",
        b"".join([frame(TEXT, b" " * 65536, final=False), *(frame(0, b" " * 65536, final=False) for _ in range(17))]),
        True,
    )
    yield "bytes", frame(BINARY, rng.randbytes(100)), True
    yield "no UTF-8", frame(TEXT, b"\xff\xfe\xed\xa0\x80"), True
    yield "a reserved bit", frame(TEXT, b"{}", reserved=rng.choice((1, 2, 4, 7))), True
    yield "an unknown frame", frame(rng.choice((3, 4, 7, 0xB, 0xF)), b"x"), True
    yield "no mask", frame(TEXT, b"{}", masked=False), True
    yield "a part of nothing", frame(0, b"x"), True
    yield "a ping in parts", frame(PING, b"x", final=False), True
    yield "a long ping", frame(PING, b"x" * 126), True
    yield "a close of one byte", frame(CLOSE, b"\x03"), True
    yield "a close that means nothing", frame(CLOSE, rng.choice((0, 999, 1005, 1006, 5000)).to_bytes(2, "big")), True
    yield "a close with no text", frame(CLOSE, b"\x03\xe8\xff\xff"), True
    yield "a length beyond all", frame(TEXT, b"x", told_bytes=2**63 - 1), True
    yield "a length of 64 bits", frame(TEXT, b"x", told_bytes=2**64 - 1), True
    yield "noise", rng.randbytes(rng.randint(10, 500)), False
    yield "many pings", frame(PING, b"x") * 500, False
    yield "many pongs", frame(PONG, b"x") * 500, False


async def frames(look: Look) -> None:
    """Before anybody has said who it is: everybody can get so far."""
    if not await _can_connect(look):
        return
    for case, raw, must_end in _frames(look):
        async with _open(look, case) as socket:
            if socket is None:
                continue
            await socket.send(raw)
            found, ended = await socket.until_end(look.options.patience_seconds)
            _look_at_frames(look, case, found, raw)
            look.saw(found[-1] if found and found[-1].opcode == CLOSE else "cut" if ended else "goes on")
            if must_end and not ended:
                look.violates(case, "goes on as if nothing were wrong", raw)


def _look_at_frames(look: Look, case: str, found: list[Received], raw: bytes) -> None:
    for received in found:
        code = received.close_code
        if code in _NORMAL_CLOSES and case not in ("a close that means nothing", "many pongs", "many pings"):
            look.violates(case, f"was refused with {code}, after which clients stay away", raw)
        if received.payload and code is not None and not _may_be_sent(code):
            look.violates(case, f"closed with {code}, which no endpoint may send", raw)
        if received.opcode == TEXT and received.json().get("version") != VERSION:
            look.violates(case, f"sent a frame without its version: {received.payload[:100]!r}", raw)
        if look.options.token and look.options.token.encode() in received.payload:
            look.violates(case, "sent the token back", raw)


def _may_be_sent(code: int) -> bool:
    return (1000 <= code < 1015 and code not in (1004, 1005, 1006)) or 3000 <= code < 5000


async def _can_connect(look: Look) -> bool:
    async with _open(look, "an upgrade") as socket:
        if socket is None:
            look.skip("the server takes no attachment from us; a --token may help")
            return False
        with trio.move_on_after(look.options.patience_seconds):
            first = await socket.receive()
            if first is None or first.op != "HELLO":
                look.violates("an upgrade", f"the first frame is {first}, not HELLO")
            return True
    look.violates("an upgrade", f"no HELLO within {look.options.patience_seconds:g} s")
    return True


@asynccontextmanager
async def _open(look: Look, case: str) -> AsyncIterator[Socket | None]:
    raw = look.wire.request("GET", ATTACH, token=look.options.token, headers=upgrade_headers())
    async with look.wire.open() as line:
        outcome: Socket | Outcome = await upgraded(line, raw, look.options.patience_seconds)
        if isinstance(outcome, Socket):
            yield outcome
        else:
            look.note(case, outcome, raw)
            yield None


async def silence(look: Look) -> None:
    """Who never says who it is."""
    async with _open(look, "silence") as socket:
        if socket is None:
            look.skip("the server takes no attachment from us; a --token may help")
            return
        _, ended = await socket.until_end(look.options.slow_seconds)
        look.saw("closed" if ended else "still open")
        if not ended:
            look.violates("silence", f"a place is held for longer than {look.options.slow_seconds:g} s")


async def windows(look: Look) -> None:
    """An agent that never ACKs, in a room where much is said."""
    options = look.options
    if not (options.room and options.agent):
        look.skip("it sends messages to an agent: name a --room and an --agent that is a member")
        return
    async with _open(look, "an agent that never ACKs") as socket:
        if socket is None:
            look.skip("the server takes no attachment from us; a --token may help")
            return
        if not await _identified(look, socket):
            look.skip("the server does not take the agent: a --token for it may help, or another --agent")
            return
        events = 0

        async def count() -> None:
            nonlocal events
            while (received := await socket.receive()) is not None:
                events += received.op == "EVENT"
                if received.op == "PING":
                    await socket.send(text_frame({"op": "PONG", "version": VERSION}))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(count)
            for number in range(MESSAGES):
                body = _json(message(look, f"window {number}", new_id(look)))
                outcome = await look.call("a message", "POST", "/v1/messages", body)
                if isinstance(outcome, Answered) and outcome.status in (401, 403, 404, 429):
                    break
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        look.saw("window of events")
        if events > MOST_UNACKED:
            look.violates("an agent that never ACKs", f"{events} events came without an ACK")


async def _identified(look: Look, socket: Socket) -> bool:
    network = await look.call("the network", "GET", "/v1/network")
    said = network.json() if isinstance(network, Answered) else None
    identify: dict[str, Any] = {
        "op": "IDENTIFY",
        "version": VERSION,
        "network_id": said.get("id", "") if isinstance(said, dict) else "",
        "agent": {"type": "agent", "id": look.options.agent, "name": look.options.agent},
        "capabilities": {},
    }
    with trio.move_on_after(look.options.patience_seconds):
        while (received := await socket.receive()) is not None:
            if received.op == "HELLO":
                await socket.send(text_frame(identify))
            if received.op == "READY":
                return True
            if received.op == "ERROR" or received.opcode == CLOSE:
                return False
    return False


def _json(value: dict[str, Any]) -> bytes:
    return orjson.dumps(value)


ATTACH_PROBES: Final = (
    Probe("upgrades", "What is no proper upgrade is refused with an answer of HTTP.", upgrades),
    Probe(
        "attach frames", "Whatever a client sends is taken, or the connection ends with a code that says why.", frames
    ),
    Probe("attach silence", "Whoever never says who it is does not keep its place.", silence, is_slow=True),
    Probe("windows", "An agent that ACKs nothing is sent no more than it can hold.", windows),
)
