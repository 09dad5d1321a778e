"""Probes of event streams: cursors, and readers that do not read."""

from typing import Final

import trio

from fuzz.client.api_probes import ODD_IDS
from fuzz.client.probing import CRASHES, Look, Probe
from fuzz.client.wire import Line

STREAM: Final = "/v1/events/stream"
HELD: Final = 4
_READ_BYTES: Final = 64 * 1024


async def cursors(look: Look) -> None:
    """A stream begins, or is refused, whatever it shall begin after."""
    for cursor in ("evt_never", "evt_gap_" + "0" * 64, "9" * 5000, *ODD_IDS):
        encoded = cursor.encode("utf-8").decode("latin-1").replace("\n", "").replace("\0", "")
        raw = look.wire.request(
            "GET", STREAM, token=look.options.token, headers={"Last-Event-ID": encoded, "Accept": "text/event-stream"}
        )
        await _begin(look, f"after {cursor[:20]!r}", raw)


async def _begin(look: Look, case: str, raw: bytes) -> None:
    async with look.wire.open() as line:
        await line.send(raw)
        head = await _head(line, look.options.patience_seconds)
    status = head.split(b" ", 2)[1:2]
    if not status or not status[0].isdigit():
        look.saw("no answer")
        look.violates(case, f"the stream does not begin within {look.options.patience_seconds:g} s", raw)
        return
    look.saw(int(status[0]))
    if int(status[0]) in CRASHES:
        look.violates(case, f"answered {int(status[0])}", raw)
    if status[0] == b"200" and b"text/event-stream" not in head.lower():
        look.violates(case, "answered 200 with no event stream", raw)


async def _head(line: Line, patience_seconds: float) -> bytes:
    data = b""
    with trio.move_on_after(patience_seconds):
        while b"\r\n\r\n" not in data and len(data) < _READ_BYTES:
            piece = await line.receive()
            if not piece:
                break
            data += piece
    return data


async def held_streams(look: Look) -> None:
    """Streams that nobody reads; others are served beside them."""
    raw = look.wire.request("GET", STREAM, token=look.options.token, headers={"Accept": "text/event-stream"})
    async with trio.open_nursery() as nursery:

        async def hold() -> None:
            async with look.wire.open() as line:
                await line.send(raw)
                await trio.sleep(min(5.0, look.options.slow_seconds))
                look.saw("held")

        for _ in range(HELD):
            nursery.start_soon(hold)
        await trio.sleep(1)
        await look.call("a request beside them", "GET", "/v1/network")


STREAM_PROBES: Final = (
    Probe("stream cursors", "Whatever cursor it is given, a stream begins or is refused.", cursors),
    Probe("held streams", "Streams that nobody reads hold up nobody.", held_streams, is_slow=True),
)
