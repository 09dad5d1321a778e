"""The floor: sockets on Trio, and nothing that understands HTTP or WebSockets.

Whatever a client sends is one request, told by its first bytes; the answer is a constant. A message that is posted goes
to all readers as one prepared frame or chunk, and what they say to it is thrown away. As a program it prints its URL.
"""

import gc
import socket
from functools import partial
from typing import Final

import trio

READ_BYTES: Final = 1 << 16
_JSON: Final = b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
_ACCEPTED_BODY: Final = b'{"message_id":"msg_0","event_id":"evt_0","accepted":true}\n'
_PAGE_BODY: Final = b'{"messages":[' + b",".join([b'{"text":"%b"}' % (b"x" * 900)] * 100) + b"]}\n"
_ACCEPTED: Final = _JSON % (202, len(_ACCEPTED_BODY), _ACCEPTED_BODY)
_PAGE: Final = _JSON % (200, len(_PAGE_BODY), _PAGE_BODY)
_STREAM: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n: stream-open...\r\n"
_UPGRADE: Final = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


def frame(text: bytes) -> bytes:
    """A server's frame of more than 125 bytes."""
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def _greeting(op: bytes) -> bytes:
    return frame(b'{"op":"%b","version":"moltnet.attach.v1","padding":"%b"}' % (op, b"." * 100))


class Raw:
    """Readers are sockets; there is nothing else to know of them."""

    def __init__(self) -> None:
        self._attached: set[socket.socket] = set()
        self._streams: set[socket.socket] = set()
        self._count = 0
        # So that no two messages go out at the same time to one reader.
        self._one = trio.Lock()

    async def serve(self, stream: trio.SocketStream) -> None:
        sock = stream.socket
        raw = socket.socket(fileno=sock.fileno())
        try:
            while data := await sock.recv(READ_BYTES):
                if data.startswith(b"POST /"):
                    await self._publish(data)
                    await sock.send(_ACCEPTED)
                elif data.startswith(b"GET /v1/attach"):
                    await sock.send(_UPGRADE + _greeting(b"HELLO"))
                    await sock.recv(READ_BYTES)
                    await sock.send(_greeting(b"READY"))
                    self._attached.add(raw)
                elif data.startswith(b"GET /v1/events"):
                    await sock.send(_STREAM)
                    self._streams.add(raw)
                elif data.startswith(b"GET /"):
                    await stream.send_all(_PAGE)
        except OSError:
            pass
        finally:
            self._attached.discard(raw)
            self._streams.discard(raw)
            raw.detach()
            await stream.aclose()

    async def _publish(self, request: bytes) -> None:
        self._count += 1
        message = request.partition(b"\r\n\r\n")[2].rstrip()
        event = b'{"id":"evt_%d","type":"message.created","message":%b}' % (self._count, message)
        if not self._attached and not self._streams:
            return
        async with self._one:
            await _send_to(self._attached, frame(b'{"op":"EVENT","cursor":"evt_%d","event":%b}' % (self._count, event)))
            await _send_to(self._streams, b"%x\r\ndata: %b\n\n\r\n" % (len(event) + 8, event))


async def _send_to(readers: set[socket.socket], data: bytes) -> None:
    """Who does not read holds up whoever posts."""
    for reader in tuple(readers):
        sent = 0
        while sent < len(data):
            try:
                sent += reader.send(data[sent:] if sent else data)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(reader)


async def main() -> None:
    raw = Raw()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1", backlog=4096)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(trio.serve_listeners, raw.serve, listeners))
        port = listeners[0].socket.getsockname()[1]
        print(f"http://127.0.0.1:{port}", flush=True)


if __name__ == "__main__":
    trio.run(main)
