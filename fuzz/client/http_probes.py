"""Probes of HTTP itself: heads, framing, methods, sizes, and peers that are slow."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import trio

from fuzz.client.probing import MAX_BODY_BYTES, Look, Probe
from fuzz.client.wire import Answered, Ended, Silent

PIPELINED: Final = 20
DRIPS_SECONDS: Final = 0.5
SLOW_READERS: Final = 4
_HEX: Final = "0123456789abcdef"


def _heads(look: Look) -> Iterator[tuple[str, bytes]]:
    host = f"Host: {look.wire.place.authority}\r\n".encode()
    path = look.wire.place.prefix.encode() + b"/v1/network"
    line = b"GET " + path + b" HTTP/1.1\r\n"
    rng = look.rng
    yield "no version", b"GET " + path + b"\r\n\r\n"
    yield "HTTP/9.9", b"GET " + path + b" HTTP/9.9\r\n" + host + b"\r\n"
    yield "a blank in the target", b"GET /v1/ network HTTP/1.1\r\n" + host + b"\r\n"
    yield "a null in the target", b"GET /v1/\0 HTTP/1.1\r\n" + host + b"\r\n"
    yield "a target of bytes", b"GET /v1/\xff\xfe HTTP/1.1\r\n" + host + b"\r\n"
    yield "a target that is no path", b"GET v1 HTTP/1.1\r\n" + host + b"\r\n"
    yield "a target with a host", b"GET http://[ HTTP/1.1\r\n" + host + b"\r\n"
    yield "bare line feeds", line.replace(b"\r", b"") + host.replace(b"\r", b"") + b"\n"
    yield "bare carriage returns", line.replace(b"\n", b"") + host + b"\r\r"
    yield "no host", line + b"\r\n"
    yield "two hosts", line + host + b"Host: other.test\r\n\r\n"
    yield "a host that is no name", line + b"Host: .\r\n\r\n"
    yield "a long host", line + b"Host: " + b"a" * 300 + b"\r\n\r\n"
    yield "a host of bytes", line + b"Host: \xc3\xa4\xff\r\n\r\n"
    yield "a folded header", line + host + b"X-A: b\r\n c\r\n\r\n"
    yield "a header without a colon", line + host + b"X-A\r\n\r\n"
    yield "a header without a name", line + host + b": b\r\n\r\n"
    yield "a blank before the colon", line + host + b"X-A : b\r\n\r\n"
    yield "a null in a header", line + host + b"X-A: b\0c\r\n\r\n"
    yield "a cookie of bytes", line + host + b"Cookie: \xa2\xff=\xfe\r\n\r\n"
    yield "a token of bytes", line + host + b"Authorization: Bearer \xff\r\n\r\n"
    yield "a long line", b"GET /" + b"a" * rng.choice((9000, 70_000, 200_000)) + b" HTTP/1.1\r\n" + host + b"\r\n"
    yield "a long header", line + host + b"X-A: " + b"a" * rng.choice((9000, 70_000, 200_000)) + b"\r\n\r\n"
    yield "many headers", line + host + b"".join(b"X-%d: a\r\n" % number for number in range(5000)) + b"\r\n"
    yield "noise", rng.randbytes(rng.randint(1, 2000)) + b"\r\n\r\n"
    good = bytearray(line + host + b"Accept: */*\r\n\r\n")
    for _ in range(rng.randint(1, 4)):
        good[rng.randrange(len(good) - 4)] = rng.randrange(256)
    yield "a head with wrong bytes", bytes(good)
    yield "TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(200) + b"\r\n\r\n"
    yield "HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"


async def heads(look: Look) -> None:
    for case, raw in _heads(look):
        try:
            async with look.wire.open() as line:
                await line.send(raw)
                # A head that ends nowhere is waited for; nobody is waiting any more once we have hung up.
                if isinstance(line.stream, trio.SocketStream):
                    with suppress(trio.BrokenResourceError):
                        await line.stream.send_eof()
                outcome = await line.answer(look.options.patience_seconds)
        except OSError:
            outcome = Ended()
        look.note(case, outcome, raw)


def _framings(look: Look) -> Iterator[tuple[str, bytes, bool]]:
    """Name, bytes, and whether no server may take them for a proper request."""
    place = look.wire.place
    head = f"POST {place.prefix}/v1/messages HTTP/1.1\r\nHost: {place.authority}\r\n".encode()
    second = f"GET {place.prefix}/v1/network HTTP/1.1\r\nHost: {place.authority}\r\n\r\n".encode()
    length = b"Content-Length: "
    chunked = b"Transfer-Encoding: chunked\r\n"
    yield "a length that is no number", head + length + b"abc\r\n\r\n{}", True
    yield "a negative length", head + length + b"-1\r\n\r\n{}", True
    yield "a length with a sign", head + length + b"+2\r\n\r\n{}", True
    yield "a length beyond 64 bits", head + length + b"9" * 30 + b"\r\n\r\n{}", True
    yield "two lengths", head + length + b"2\r\n" + length + b"3\r\n\r\n{}x", True
    yield "a length and chunks", head + length + b"2\r\n" + chunked + b"\r\n0\r\n\r\n" + second, False
    yield "an unknown coding", head + b"Transfer-Encoding: gzip\r\n\r\n{}", True
    yield "chunked twice", head + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", True
    yield "a chunk size that is no number", head + chunked + b"\r\nzz\r\n{}\r\n0\r\n\r\n", True
    yield "a chunk size beyond 64 bits", head + chunked + b"\r\n" + b"f" * 20 + b"\r\n{}", True
    yield "a chunk without its end", head + chunked + b"\r\n2\r\n{}x\r\n0\r\n\r\n", True
    size = "".join(look.rng.choice(_HEX) for _ in range(4)).encode()
    yield "a long chunk extension", head + chunked + b"\r\n" + size + b";" + b"a" * 100_000 + b"\r\n", True


async def framing(look: Look) -> None:
    for case, raw, must_refuse in _framings(look):
        try:
            async with look.wire.open() as line:
                await line.send(raw)
                found = await line.answers(2, look.options.patience_seconds)
        except OSError:
            found = [Ended()]
        first = found[0]
        # What promises more may be waited for, like any other body that comes slowly.
        look.note(case, first, raw, may_wait=case == "a chunk size beyond 64 bits")
        if must_refuse and isinstance(first, Answered) and first.status < 400:
            look.violates(case, f"answered {first} to a request whose end is not known", raw)
        if len(found) == 2 and isinstance(found[1], Answered):
            look.violates(case, f"answered twice ({first}, {found[1]}): a request was hidden in another", raw)


async def methods(look: Look) -> None:
    odd = "".join(look.rng.choice("ABCDEFGHIJ") for _ in range(look.rng.randint(1, 40)))
    for method in ("PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", odd):
        outcome = await look.call(method, method, "/v1/network", b"{}" if method != "TRACE" else None)
        if isinstance(outcome, Answered) and outcome.status < 300 and method not in ("OPTIONS",):
            look.violates(method, f"answered {outcome}, as if it were a GET")


async def sizes(look: Look) -> None:
    for case, count in (("a body of 1 MiB and a byte", MAX_BODY_BYTES + 1), ("a body of 3 MiB", 3 * MAX_BODY_BYTES)):
        outcome = await look.call(case, "POST", "/v1/messages", b" " * count)
        if isinstance(outcome, Answered) and outcome.status < 400:
            look.violates(case, f"answered {outcome}")
    length = str(look.rng.choice((10**9, 10**12, 2**62)))
    raw = look.wire.request("POST", "/v1/messages", token=look.options.token, headers={"Content-Length": length})
    case = "a length that is never sent"
    outcome = await look.ask(case, raw, may_wait=True)
    if isinstance(outcome, Answered) and outcome.status < 400:
        look.violates(case, f"answered {outcome}", raw)
    pieces = b"".join(b"10000\r\n" + b" " * 65536 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    raw = look.wire.request("POST", "/v1/messages", token=look.options.token, headers={"Transfer-Encoding": "chunked"})
    outcome = await look.ask("chunks of more than 1 MiB", raw + pieces)
    if isinstance(outcome, Answered) and outcome.status < 400:
        look.violates("chunks of more than 1 MiB", f"answered {outcome}", raw)


async def pipelining(look: Look) -> None:
    raw = look.wire.request("GET", "/v1/network", token=look.options.token) * PIPELINED
    async with look.wire.open() as line:
        await line.send(raw)
        found = await line.answers(PIPELINED, look.options.patience_seconds)
    for outcome in found:
        look.note("requests in a row", outcome, raw)
    answers = [outcome for outcome in found if isinstance(outcome, Answered)]
    if len({answer.body for answer in answers if answer.status == 200}) > 1:
        look.violates("requests in a row", "the same request was answered differently", raw)


async def slow_heads(look: Look) -> None:
    """A byte now and then, and never an end: the place must come free."""
    raw = look.wire.request("GET", "/v1/network")[:-2] + b"X-Slow: "
    await _drip(look, "a head that never ends", raw)


async def slow_bodies(look: Look) -> None:
    raw = look.wire.request("POST", "/v1/messages", token=look.options.token, headers={"Content-Length": "100000"})
    await _drip(look, "a body that never ends", raw, may_outlast=True)


async def _drip(look: Look, case: str, raw: bytes, *, may_outlast: bool = False) -> None:
    async with look.wire.open() as line:
        ended = False
        await line.send(raw)
        with trio.move_on_after(look.options.slow_seconds):
            async with trio.open_nursery() as nursery:

                async def listen() -> None:
                    nonlocal ended
                    outcome = await line.answer(look.options.slow_seconds * 2)
                    ended = not isinstance(outcome, Silent)
                    look.saw(outcome)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(listen)
                while await line.send(b"a"):  # noqa: ASYNC110 - a byte now and then is what this is about
                    await trio.sleep(DRIPS_SECONDS)
                ended = True
    if not ended:
        look.saw("still open")
        if not may_outlast:
            look.violates(case, f"a place is held for longer than {look.options.slow_seconds:g} s", raw)


async def slow_readers(look: Look) -> None:
    """Who asks and does not read: others are served meanwhile, which the look at the server after each probe tells."""
    raw = look.wire.request("GET", "/openapi.json") + look.wire.request("GET", "/console/")
    async with trio.open_nursery() as nursery:

        async def hold() -> None:
            async with look.wire.open() as line:
                for _ in range(50):
                    with trio.move_on_after(1) as limit:
                        if not await line.send(raw):
                            break
                    if limit.cancelled_caught:
                        break
                await trio.sleep(min(5.0, look.options.slow_seconds))
                look.saw("held")

        for _ in range(SLOW_READERS):
            nursery.start_soon(hold)
        await trio.sleep(1)
        outcome = await look.wire.exchange(
            look.wire.request("GET", "/v1/network", token=look.options.token), look.options.patience_seconds
        )
        look.note("a request beside them", outcome, b"")
        if isinstance(outcome, Ended):
            look.violates("a request beside them", "was not served")


HTTP_PROBES: Final = (
    Probe("heads", "Any bytes on a connection get an answer of HTTP or its end, and no crash.", heads),
    Probe("framing", "A request whose end is not certain is refused, and hides no other.", framing),
    Probe("methods", "A method that a route does not have is refused.", methods),
    Probe("sizes", "No request is larger than 1 MiB, however its length is told.", sizes),
    Probe("pipelining", "Requests in a row are answered in a row.", pipelining),
    Probe("slow heads", "Whoever does not finish a request does not keep its place.", slow_heads, is_slow=True),
    Probe("slow bodies", "A body that comes slowly holds up nobody.", slow_bodies, is_slow=True),
    Probe("slow readers", "Whoever does not read its answer holds up nobody.", slow_readers, is_slow=True),
)
