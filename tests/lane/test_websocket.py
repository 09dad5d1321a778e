"""The server's side of a WebSocket on the fast lane: frames against a pipe in memory, and real sockets that stall."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import pytest
import trio
import trio.testing
from trio.testing import MockClock
from wsproto.frame_protocol import FrameProtocol, Opcode

from moltnet.attach.link import CloseCode, LinkClosed
from moltnet.fanout.frames import Said
from moltnet.http.backlog import Backlog
from moltnet.lane.websocket import WireLink, accept_of
from moltnet.lane.wire import Wire
from moltnet.protocol import limits
from moltnet.protocol.errors import ProtocolViolation
from tests.fakes.lane_pipe import FramedWire, Pipe
from tests.fakes.wires import WireClosed
from tests.lane.test_frames import client_frame


def piped(capacity_bytes: int = 1 << 20) -> tuple[WireLink, FramedWire]:
    pipe = Pipe(capacity_bytes)
    return WireLink(pipe), FramedWire(pipe)  # type: ignore[arg-type]  # it stands for a wire


def frames_in(data: bytes) -> list[tuple[Opcode, object]]:
    """Whole frames of the server."""
    protocol = FrameProtocol(client=True, extensions=[])
    protocol.receive_bytes(data)
    return [(frame.opcode, frame.payload) for frame in protocol.received_frames()]


def test_the_handshake_is_proved_as_in_the_rfc() -> None:
    assert accept_of("dGhlIHNhbXBsZSBub25jZQ==") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


class TestReceiving:
    async def test_messages_come_whole_whatever_their_pieces(self) -> None:
        link, agent = piped()
        agent.pipe.say(client_frame(0x81, b"one") + client_frame(0x01, b"t") + client_frame(0x89, b"hi"))
        agent.pipe.say(client_frame(0x80, b"wo") + client_frame(0x82, b"\x00") + client_frame(0x8A, b"") * 3)
        agent.pipe.say(client_frame(0x81, "drei ü".encode()))
        assert [await link.receive() for _ in range(4)] == ["one", "two", b"\x00", "drei ü"]
        assert frames_in(bytes(agent.pipe.unread)) == [(Opcode.PONG, b"hi")]

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (b"\x81\x02hi", 1002),
            (client_frame(0x81, b"\xff"), 1007),
            (client_frame(0x01, b"\xff"), 1007),
            (client_frame(0x80, b"no beginning"), 1002),
            (client_frame(0x88, b"\x03"), 1002),
        ],
    )
    async def test_who_does_not_speak_websocket_is_told_so(self, data: bytes, code: int) -> None:
        link, agent = piped()
        agent.pipe.say(data)
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert closed.value.code == 1006
        with pytest.raises(WireClosed) as told:
            await agent.receive()
        assert told.value.code == code

    async def test_a_message_that_is_too_large_breaks_the_protocol_of_attachments(self) -> None:
        link, agent = piped()
        agent.pipe.say(client_frame(0x81, b"x" * (limits.MAX_FRAME_BYTES + 1))[:20])
        with pytest.raises(ProtocolViolation) as violation:
            await link.receive()
        assert violation.value.close_code == 1009

    @pytest.mark.parametrize(
        ("payload", "heard", "echoed"),
        [(b"\x03\xe8", 1000, 1000), (b"\x03\xe9bye", 1001, 1001), (b"\x0f\xa0", 1000, 4000), (b"", 1000, 1005)],
    )
    async def test_a_goodbye_is_answered_with_its_own_code(self, payload: bytes, heard: int, echoed: int) -> None:
        link, agent = piped()
        agent.pipe.say(client_frame(0x88, payload))
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert closed.value.code == heard
        with pytest.raises(WireClosed) as told:
            await agent.receive()
        assert told.value.code == echoed
        await link.close(CloseCode.RESTART, "too late")
        await link.send("nor this")
        assert agent.pipe.unread == b""

    async def test_a_peer_that_vanishes_has_said_nothing(self) -> None:
        link, agent = piped()
        agent.pipe.leave()
        with pytest.raises(LinkClosed) as closed:
            await link.receive()
        assert closed.value.code == 1006

    async def test_pings_whose_answers_nobody_reads_are_not_read_on(self, autojump_clock: MockClock) -> None:
        link, agent = piped(capacity_bytes=100)
        agent.pipe.say(client_frame(0x89, b"x" * 100) * 1000)
        with trio.move_on_after(60) as waiting:
            await link.receive()
        assert waiting.cancelled_caught
        assert agent.pipe.most_unsent_bytes < 300


class TestSending:
    async def test_sending_is_always_a_checkpoint_also_to_nobody(self) -> None:
        link, agent = piped()
        with trio.testing.assert_checkpoints():
            await link.send("to somebody")
        agent.pipe.leave()
        with trio.testing.assert_checkpoints():
            await link.send("to nobody")

    async def test_what_is_pushed_goes_out_at_once_or_says_that_it_did_not(self, autojump_clock: MockClock) -> None:
        link, agent = piped(capacity_bytes=100)
        assert link.push(Said("x" * 50))
        assert not link.push(Said("y" * 200))
        async with trio.open_nursery() as nursery:
            for _ in range(3):  # whoever waits for it
                nursery.start_soon(link.flush)
            await trio.testing.wait_all_tasks_blocked()
            assert [await agent.receive() for _ in range(2)] == ["x" * 50, "y" * 200]
        assert link.push(Said("z"))

    async def test_a_long_reason_is_cut_to_what_a_close_frame_holds(self) -> None:
        link, agent = piped()
        await link.close(CloseCode.POLICY, "ü" * 100)
        with pytest.raises(WireClosed) as closed:
            await agent.receive()
        assert (closed.value.code, closed.value.reason) == (1008, "ü" * 60)


@attrs.define(eq=False)
class Stalling:
    """A link on a real socket, and the peer's end, which reads when the test does."""

    wire: Wire
    link: WireLink
    peer: trio.SocketStream


@asynccontextmanager
async def stalling() -> AsyncIterator[Stalling]:
    ours, theirs = socket.socketpair()
    for each in (ours, theirs):
        each.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    wire = Wire(trio.SocketStream(trio.socket.from_stdlib_socket(ours)), Backlog())
    async with wire.stream, trio.SocketStream(trio.socket.from_stdlib_socket(theirs)) as peer:
        yield Stalling(wire, WireLink(wire), peer)


class TestStalls:
    async def test_a_peer_that_takes_nothing_is_cut_off_and_its_reader_learns_of_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "WRITE_SECONDS", 0.05)
        async with stalling() as at, trio.open_nursery() as nursery:
            assert not at.link.push(Said("x" * 500_000))
            nursery.start_soon(at.link.flush)
            with trio.fail_after(20), pytest.raises(LinkClosed) as closed:
                await at.link.receive()
            assert closed.value.code == 1006
            assert at.wire.backlog.held_bytes == 0

    async def test_frames_stay_whole_when_waiting_for_the_peer_is_cancelled(self) -> None:
        texts = [f"{number} {'x' * 30_000}" for number in range(10)]
        async with stalling() as at:
            for text in texts:
                at.link.push(Said(text))
            received = bytearray()
            while at.wire.unsent_bytes:
                with trio.move_on_after(0):
                    await at.link.flush()
                received += await at.peer.receive_some(4096)
            await at.wire.stream.send_eof()
            while data := await at.peer.receive_some(65_536):
                received += data
        protocol = FrameProtocol(client=True, extensions=[])
        protocol.receive_bytes(bytes(received))
        assert "".join(str(frame.payload) for frame in protocol.received_frames()) == "".join(texts)

    async def test_readers_that_stall_share_what_they_were_sent(self) -> None:
        said = Said("x" * 300_000)
        async with stalling() as first, stalling() as second:
            for at in (first, second):
                at.link.push(said)
                assert at.wire._unsent is not None
                assert all(view.obj is said.messages for view in at.wire._unsent)
