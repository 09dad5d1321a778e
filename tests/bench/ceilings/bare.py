"""The ceiling: the least that an ASGI application on this Hypercorn can do for the same requests.

No checks, no storage, no log, no framework: a POST is answered with a constant and handed to whoever listens, a page is
a constant, an attachment gets each message as its own frame. Run as a program it prints its URL.
"""

import gc
import logging
import sys
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

import trio
from hypercorn.app_wrappers import ASGIWrapper
from hypercorn.config import Config, Sockets
from hypercorn.trio.run import worker_serve

from moltnet.config.urls import ListenAddress
from moltnet.serving import open_sockets

Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_ACCEPTED: Final = (
    b'{"message_id":"msg_00000000-0000-4000-8000-000000000000",'
    b'"event_id":"evt_00000000-0000-4000-8000-000000000000","accepted":true}\n'
)
_PAGE: Final = b'{"messages":[' + b",".join([b'{"text":"%b"}' % (b"x" * 900)] * 100) + b'],"page":{"has_more":true}}\n'
_HELLO: Final = '{"op":"HELLO","heartbeat_interval_ms":5000,"version":"moltnet.attach.v1","capabilities":{}}\n'
_READY: Final = '{"op":"READY","network_id":"bare","version":"moltnet.attach.v1","capabilities":{}}\n'


class Bare:
    """The ASGI application. Readers follow one list with a cursor each, as those of the real server do."""

    def __init__(self) -> None:
        self._events: list[bytes] = []
        self._arrivals = trio.lowlevel.ParkingLot()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "websocket":
            await self._attach(receive, send)
        elif scope["method"] == "POST":
            await self._post(receive, send)
        elif scope["path"] == "/v1/events/stream":
            await self._stream(send)
        else:
            await _answer(send, 200, _PAGE)

    async def _post(self, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message["more_body"]:
                break
        self._events.append(
            b'{"id":"evt_%d","type":"message.created","message":%b}' % (len(self._events), body.rstrip())
        )
        self._arrivals.unpark_all()
        await _answer(send, 202, _ACCEPTED)

    async def _next(self, at: int) -> int:
        if at == len(self._events):
            await self._arrivals.park()
        return len(self._events)

    async def _stream(self, send: Send) -> None:
        await send(_start(200, (b"content-type", b"text/event-stream")))
        await send({"type": "http.response.body", "body": b": stream-open\n\n", "more_body": True})
        at = len(self._events)
        while True:
            end = await self._next(at)
            body = b"".join(b"data: %b\n\n" % event for event in self._events[at:end])
            await send({"type": "http.response.body", "body": body, "more_body": True})
            at = end

    async def _attach(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept", "subprotocol": None, "headers": []})
        await _send_text(send, _HELLO)
        await receive()
        at = len(self._events)
        await _send_text(send, _READY)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._deliver, send, at)
            while (await receive())["type"] != "websocket.disconnect":
                pass
            nursery.cancel_scope.cancel(reason="the peer left")

    async def _deliver(self, send: Send, at: int) -> None:
        while True:
            end = await self._next(at)
            for number in range(at, end):
                event = self._events[number].decode()
                await _send_text(send, f'{{"op":"EVENT","cursor":"evt_{number}","event":{event}}}\n')
            at = end


async def _send_text(send: Send, text: str) -> None:
    await send({"type": "websocket.send", "bytes": None, "text": text})


def _start(status: int, *headers: tuple[bytes, bytes]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


async def _answer(send: Send, status: int, body: bytes) -> None:
    length = b"%d" % len(body)
    await send(_start(status, (b"content-type", b"application/json"), (b"content-length", length)))
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def main() -> None:
    sockets = open_sockets(ListenAddress("127.0.0.1", 0))
    config = Config()
    config.keep_alive_max_requests = sys.maxsize
    config.keep_alive_timeout = 60
    config.include_server_header = False
    config.errorlog = logging.getLogger("bare")
    # As the real server does when it has started.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    async with trio.open_nursery() as nursery:
        urls = await nursery.start(
            partial(
                worker_serve,
                ASGIWrapper(Bare()),  # type: ignore[arg-type]  # ASGI messages are plain mappings here
                config,
                sockets=Sockets(secure_sockets=[], insecure_sockets=sockets, quic_sockets=[]),
                shutdown_trigger=trio.sleep_forever,
            )
        )
        print(urls[0], flush=True)


if __name__ == "__main__":
    trio.run(main)
