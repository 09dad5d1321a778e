"""WebSocket by hand: frames as they should be and as they should not be. No library would send most of these."""

import base64
import struct
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson
import trio

from fuzz.client.wire import Ended, Line, Outcome

TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
_KEY: Final = base64.b64encode(b"fuzz" * 4).decode()


def upgrade_headers(subprotocol: str = "moltnet.attach.v1") -> dict[str, str]:
    """What asks for an upgrade as it should be asked for."""
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": _KEY,
        **({"Sec-WebSocket-Protocol": subprotocol} if subprotocol else {}),
    }


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    final: bool = True,
    reserved: int = 0,
    masked: bool = True,
    told_bytes: int | None = None,
) -> bytes:
    """One frame. ``told_bytes`` is the length that it claims."""
    size = len(payload) if told_bytes is None else told_bytes
    first = (0x80 if final else 0) | reserved << 4 | opcode
    mask_bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack("!BB", first, mask_bit | size)
    elif size < 2**16:
        head = struct.pack("!BBH", first, mask_bit | 126, size)
    else:
        head = struct.pack("!BBQ", first, mask_bit | 127, size)
    if not masked:
        return head + payload
    mask = b"\x01\x02\x03\x04"
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


def text_frame(value: Mapping[str, Any] | str) -> bytes:
    return frame(TEXT, value.encode(errors="surrogatepass") if isinstance(value, str) else orjson.dumps(value))


@attrs.frozen
class Received:
    """One frame of the server."""

    opcode: int
    payload: bytes

    @property
    def op(self) -> str:
        """The word of an attach frame; empty for anything else."""
        return str(self.json().get("op", "")) if self.opcode == TEXT else ""

    def json(self) -> dict[str, Any]:
        try:
            value = orjson.loads(self.payload)
        except orjson.JSONDecodeError:
            return {}
        return value if isinstance(value, dict) else {}

    @property
    def close_code(self) -> int | None:
        if self.opcode != CLOSE:
            return None
        return int.from_bytes(self.payload[:2], "big") if len(self.payload) >= 2 else 1005

    def __str__(self) -> str:
        return f"close {self.close_code}" if self.opcode == CLOSE else self.op or f"frame {self.opcode}"


@attrs.define(eq=False)
class Socket:
    """An upgraded connection. ``receive`` gives frames; servers split none of theirs that matter here."""

    line: Line
    _pending: bytes = b""

    async def send(self, data: bytes) -> bool:
        """Whether the server still takes anything."""
        return await self.line.send(data)

    async def receive(self) -> Received | None:
        """The next frame; ``None`` at the end. Its limits in time are the caller's."""
        while True:
            found = self._take()
            if found is not None:
                return found
            data = await self.line.receive()
            if not data or len(self._pending) > MAX_FRAME_BYTES:
                return None
            self._pending += data

    async def until_end(self, patience_seconds: float) -> tuple[list[Received], bool]:
        """All frames until the connection ends or the time is up, and whether it has ended."""
        found: list[Received] = []
        with trio.move_on_after(patience_seconds):
            while (received := await self.receive()) is not None:
                found.append(received)
                if received.opcode == PING:
                    await self.send(frame(PONG, received.payload))
                if received.op == "PING":
                    await self.send(text_frame({"op": "PONG", "version": "moltnet.attach.v1"}))
                if received.opcode == CLOSE:
                    await self.send(frame(CLOSE, received.payload[:2]))
                    return found, True
            return found, True
        return found, False

    def _take(self) -> Received | None:
        data = self._pending
        if len(data) < 2:
            return None
        size, at = data[1] & 0x7F, 2
        if size == 126:
            size, at = int.from_bytes(data[2:4], "big"), 4
        elif size == 127:
            size, at = int.from_bytes(data[2:10], "big"), 10
        if len(data) < at or len(data) < at + size:
            return None
        self._pending = data[at + size :]
        return Received(data[0] & 0x0F, data[at : at + size])


async def upgraded(line: Line, request: bytes, patience_seconds: float) -> "Socket | Outcome":
    """The connection after ``request``, if the server takes the upgrade; else its answer."""
    await line.send(request)
    data = b""
    with trio.move_on_after(patience_seconds):
        while b"\r\n\r\n" not in data:
            piece = await line.receive()
            if not piece:
                return Ended()
            data += piece
    head, found, rest = data.partition(b"\r\n\r\n")
    if found and head.split(b" ", 2)[1:2] == [b"101"]:
        return Socket(line, rest)
    return await Line(_Replayed(data, line.stream)).answer(patience_seconds)


class _Replayed(trio.abc.Stream):
    """A stream with what was read of it before."""

    def __init__(self, data: bytes, stream: trio.abc.Stream) -> None:
        self._data, self._stream = data, stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if self._data:
            data, self._data = self._data, b""
            return data
        return bytes(await self._stream.receive_some(max_bytes))

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()
