"""One connection against a hostile or absent peer, on a pair of real sockets: what ends it, and what it leaves."""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest
import trio
import trio.testing
from hypercorn.config import Config

from moltnet.http.connection import AsgiMessage, Connections, Receive, Send
from moltnet.protocol import limits
from tests.expected_errors import ExpectedErrors

# Bounds a test that hangs; no passing test waits for it.
PATIENCE_SECONDS = 20.0

REQUEST = b"GET /%b HTTP/1.1\r\nHost: lab.test\r\n\r\n"
UPGRADE = (
    b"GET /v1/attach HTTP/1.1\r\nHost: lab.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
START = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok", "more_body": False}
ACCEPT: AsgiMessage = {"type": "websocket.accept", "subprotocol": None, "headers": []}
CLOSE = {"type": "websocket.close", "code": 1008, "reason": "no"}


def websocket_frame(opcode: int, data: bytes, *, final: bool = True) -> bytes:
    """A masked frame of up to 125 bytes; its mask is zero."""
    return bytes([0x80 * final | opcode, 0x80 | len(data)]) + bytes(4) + data


@attrs.define(eq=False)
class Peer:
    """The other end. `ended` is set when the server has let the connection go."""

    stream: trio.SocketStream
    connections: Connections
    ended: trio.Event = attrs.field(factory=trio.Event)

    async def say(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def read_until(self, part: bytes) -> bytes:
        data = b""
        while part not in data:
            piece = bytes(await self.stream.receive_some())
            assert piece, f"the connection ended after {data!r}"
            data += piece
        return data

    async def read_all(self) -> bytes:
        data = b""
        while piece := bytes(await self.stream.receive_some()):
            data += piece
        return data


async def answer(scope: AsgiMessage, receive: Receive, send: Send) -> None:
    """Any request with "ok", once its body is there."""
    while (await receive()).get("more_body"):
        pass
    await send(START)
    await send(BODY)


def config(**settings: Any) -> Config:
    made = Config()
    made.errorlog = None
    made.websocket_max_message_size = limits.MAX_FRAME_BYTES
    made.keep_alive_timeout = 1000
    for name, value in settings.items():
        setattr(made, name, value)
    return made


@asynccontextmanager
async def open_peer(
    app: Callable[[AsgiMessage, Receive, Send], Awaitable[None]] = answer, **settings: Any
) -> AsyncIterator[Peer]:
    """A connection that is being served. Leaving the block closes the peer's end and waits for the server's."""
    ours, theirs = trio.socket.socketpair()
    peer = Peer(trio.SocketStream(theirs), Connections(app, config(**settings)))

    async def serve() -> None:
        await peer.connections.serve(trio.SocketStream(ours))
        peer.ended.set()

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            yield peer
            await trio.aclose_forcefully(peer.stream)
    assert ours.fileno() == -1
    assert len(peer.connections) == 0


class TestRequests:
    async def test_one_after_the_other_and_as_many_at_once_as_the_peer_likes(self) -> None:
        async with open_peer() as peer:
            for _ in range(3):
                await peer.say(REQUEST % b"")
                await peer.read_until(b"ok")
            await peer.say(REQUEST % b"" * 3)
            data = b""
            while data.count(b"ok") < 3:
                data += await peer.read_until(b"ok")

    @pytest.mark.parametrize(
        "offer", [b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAA\r\n", b"Upgrade: h2c\r\n"]
    )
    async def test_http_2_is_not_taken_up(self, offer: bytes) -> None:
        async with open_peer() as peer:
            await peer.say(b"GET / HTTP/1.1\r\nHost: lab.test\r\nConnection: Upgrade\r\n" + offer + b"\r\n")
            assert (await peer.read_until(b"ok")).startswith(b"HTTP/1.1 200")

    async def test_an_answer_reaches_a_peer_that_is_still_sending(self) -> None:
        async def refuse(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await send(START)
            await send(BODY)

        async with open_peer(refuse) as peer:
            await peer.say(b"POST / HTTP/1.1\r\nHost: lab.test\r\nContent-Length: 9000000\r\n\r\n")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.say, bytes(1_000_000))
                assert (await peer.read_all()).endswith(b"ok")

    async def test_an_application_that_fails_is_logged_and_answered(self, expected_errors: ExpectedErrors) -> None:
        async def fail(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            raise KeyError("a bug")

        for method, body in [(b"GET", b'{"code":"internal_error"'), (b"HEAD", b"")]:
            async with open_peer(fail) as peer:
                await peer.say(REQUEST.replace(b"GET", method) % b"")
                head, _, rest = (await peer.read_all()).partition(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 500")
                assert b"\r\nx-content-type-options: nosniff" in head
                assert rest.startswith(body)
                assert bool(rest) is bool(body)
            expected_errors.take("request crashed")


class TestEnds:
    @pytest.mark.parametrize("said", [b"", REQUEST % b"", b"GET / HTT", b"POST / HTTP/1.1\r\nHost: x\r\nContent-"])
    async def test_a_peer_that_leaves_leaves_nothing_behind(self, said: bytes) -> None:
        async with open_peer() as peer:
            await peer.say(said)
            await trio.testing.wait_all_tasks_blocked(0.01)
            await trio.aclose_forcefully(peer.stream)
            await peer.ended.wait()

    async def test_a_stream_ends_with_its_peer_also_when_another_request_waits_behind_it(self) -> None:
        """Hypercorn does not read on while a request waits, and so does not see the peer leave."""

        async def stream(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await send({**START, "headers": []})
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._cancel_on_disconnect, receive, nursery.cancel_scope)
                while True:
                    await send({"type": "http.response.body", "body": b"tick", "more_body": True})
                    await trio.sleep(0.01)

        async with open_peer(stream) as peer:
            await peer.say(REQUEST % b"stream" + REQUEST % b"next")
            await peer.read_until(b"tick")
            await trio.aclose_forcefully(peer.stream)
            await peer.ended.wait()

    async def _cancel_on_disconnect(self, receive: Receive, scope: trio.CancelScope) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        scope.cancel()

    async def test_what_a_peer_says_after_its_attachment_has_ended_holds_nothing(self) -> None:
        async def refuse_first_frame(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            await receive()
            await trio.testing.wait_all_tasks_blocked()  # until nothing more fits into its queue
            await send(CLOSE)

        async with open_peer(refuse_first_frame) as peer:
            await peer.say(UPGRADE + b"\r\n")
            await peer.read_until(b"\r\n\r\n")
            await peer.say(websocket_frame(1, b"garbage") * 100)
            assert (await peer.read_all()).endswith(b"\x03\xf0no")
            await trio.aclose_forcefully(peer.stream)
            await peer.ended.wait()

    async def test_an_upgrade_that_is_none_ends_the_connection(self) -> None:
        async with open_peer() as peer:
            await peer.say(UPGRADE.replace(b"Sec-WebSocket-Version: 13\r\n", b"") + b"\r\n")
            assert (await peer.read_all()).startswith(b"HTTP/1.1 400")

    async def test_fragments_are_collected_up_to_the_limit(self) -> None:
        async def listen(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            while (await receive())["type"] != "websocket.disconnect":
                pass

        async with open_peer(listen, websocket_max_message_size=1000) as peer:
            await peer.say(UPGRADE + b"\r\n")
            await peer.read_until(b"\r\n\r\n")
            await peer.say(websocket_frame(1, b"x", final=False) + websocket_frame(0, b"x" * 100, final=False) * 11)
            assert await peer.read_all() == b"\x88\x02" + (1009).to_bytes(2, "big")

    async def test_a_peer_that_takes_nothing_is_given_up(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(limits, "WRITE_SECONDS", 0.05)
        told = trio.Event()

        async def flood(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await receive()
            await send({**START, "headers": []})
            await send({"type": "http.response.body", "body": bytes(10 * limits.MIB), "more_body": True})
            assert (await receive())["type"] == "http.disconnect"
            told.set()

        async with open_peer(flood) as peer:
            await peer.say(REQUEST % b"")
            await told.wait()
            await peer.ended.wait()

    async def test_an_application_that_does_not_look_is_cancelled_soon_after_its_peer_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "CLOSE_SECONDS", 0.05)
        begun = trio.Event()

        async def sleep(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            begun.set()
            await trio.sleep_forever()

        async with open_peer(sleep) as peer:
            await peer.say(REQUEST % b"")
            await begun.wait()
            await trio.aclose_forcefully(peer.stream)
            await peer.ended.wait()

    async def test_a_message_that_has_begun_goes_out_whole_also_when_its_sender_is_cancelled(self) -> None:
        size, scope = limits.MIB, trio.CancelScope()

        async def send_and_close(_scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await receive()
            await send(ACCEPT)
            with scope:
                await send({"type": "websocket.send", "bytes": bytes(size), "text": None})
            await send(CLOSE)

        async with open_peer(send_and_close) as peer:
            await peer.say(UPGRADE + b"\r\n")
            head = await peer.read_until(b"\r\n\r\n")
            await trio.testing.wait_all_tasks_blocked()
            scope.cancel()
            data = head.partition(b"\r\n\r\n")[2] + await peer.read_all()
        assert data == b"\x82\x7f" + size.to_bytes(8, "big") + bytes(size) + b"\x88\x04\x03\xf0no"

    async def test_an_idle_connection_is_ended(self) -> None:
        async with open_peer(keep_alive_timeout=0.05) as peer:
            await peer.say(REQUEST % b"")
            assert (await peer.read_all()).endswith(b"ok")

    async def test_a_request_may_take_longer_than_a_connection_may_be_idle(self) -> None:
        async def think(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await trio.sleep(0.2)
            await answer(scope, receive, send)

        async with open_peer(think, keep_alive_timeout=0.05) as peer:
            await peer.say(REQUEST % b"")
            await peer.read_until(b"ok")


class TestShutdown:
    async def test_a_drain_ends_what_is_idle_at_once(self) -> None:
        async with open_peer() as peer:
            await peer.say(REQUEST % b"")
            await peer.read_until(b"ok")
            await trio.testing.wait_all_tasks_blocked()
            await peer.connections.drain()
            await peer.ended.wait()
            assert await peer.read_all() == b""

    async def test_a_drain_lets_a_request_have_its_answer(self) -> None:
        begun, go = trio.Event(), trio.Event()

        async def think(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            begun.set()
            await go.wait()
            await answer(scope, receive, send)

        async with open_peer(think) as peer:
            await peer.say(REQUEST % b"" * 2)
            await begun.wait()
            await peer.connections.drain()
            go.set()
            assert (await peer.read_all()).count(b"ok") == 1

    async def test_a_cut_frees_who_writes_to_a_peer_that_takes_nothing(self) -> None:
        writing = trio.Event()

        async def flood(scope: AsgiMessage, receive: Receive, send: Send) -> None:
            await send({**START, "headers": []})
            writing.set()
            await send({"type": "http.response.body", "body": bytes(10 * limits.MIB), "more_body": True})

        async with open_peer(flood) as peer:
            await peer.say(REQUEST % b"")
            await writing.wait()
            await trio.testing.wait_all_tasks_blocked()
            peer.connections.cut()
            await peer.ended.wait()


@pytest.mark.parametrize(
    "said",
    [
        UPGRADE + b"Sec-WebSocket-Extensions: \xff\r\n\r\n",
        UPGRADE + b"Sec-WebSocket-Protocol: \xff\r\n\r\n",
        UPGRADE + b"\r\n" + websocket_frame(1, b"too early"),
        UPGRADE + b"Content-Length: 5\r\n\r\nearly",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 20_000,
    ],
    ids=["extension", "subprotocol", "early-frame", "body", "http-2", "tls", "zeros"],
)
async def test_input_that_breaks_the_protocol_library_ends_its_own_connection(said: bytes) -> None:
    """With Hypercorn's own driver most of these ended the server, at the hands of anybody who could connect."""

    async def accept(scope: AsgiMessage, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await answer(scope, receive, send)
        else:
            await receive()
            await send(ACCEPT)

    async with open_peer(accept) as peer:
        await peer.say(said)
        await trio.testing.wait_all_tasks_blocked(0.01)
        peer.stream.socket.shutdown(socket.SHUT_WR)
        await peer.ended.wait()
