"""The reader of a client's WebSocket frames, beside wsproto's own, on every kind of input in every kind of pieces."""

import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from moltnet.lane.frames import BadFrame, ClientFrames, Closed, Heard, Pinged, close_frame, pong
from moltnet.protocol import limits
from moltnet.protocol.errors import ProtocolViolation

Outcome = list[object]


def ours(pieces: list[bytes]) -> Outcome:
    """What our reader hears, and what it says is wrong at the end."""
    frames, received, heard = ClientFrames(), bytearray(), list[object]()
    try:
        for piece in pieces:
            received += piece
            while (found := frames.next(received)) is not None:
                heard.append(found)
    except BadFrame as bad:
        heard.append(int(bad.code))
    except ProtocolViolation as violation:
        heard.append(violation.close_code)
    return heard


def theirs(pieces: list[bytes]) -> Outcome:
    """The same of wsproto's frame protocol, with messages put together."""
    protocol, heard, parts = FrameProtocol(client=False, extensions=[]), list[object](), list[str | bytes]()
    try:
        for piece in pieces:
            protocol.receive_bytes(piece)
            for frame in protocol.received_frames():
                if frame.opcode is Opcode.PING:
                    heard.append(Pinged(bytes(frame.payload)))  # type: ignore[arg-type]  # a control frame's payload
                elif frame.opcode is Opcode.CLOSE:
                    assert isinstance(frame.payload, tuple)
                    code, reason = frame.payload
                    heard.append(Closed(int(code), reason or ""))
                elif frame.opcode is not Opcode.PONG:
                    assert isinstance(frame.payload, str | bytes)
                    parts.append(frame.payload)
                    if frame.message_finished:
                        heard.append(type(parts[0])().join(parts))  # type: ignore[arg-type]  # all are of one type
                        parts.clear()
    except ParseFailed as failed:
        heard.append(int(failed.code))
    return heard


def client_frame(kind: int, payload: bytes, *, mask: bytes = b"\x01\x02\x03\x04", masked: bool = True) -> bytes:
    """One frame as a client writes it; `kind` is its whole first byte."""
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        head = bytes((kind, bit | size))
    elif size < 1 << 16:
        head = bytes((kind, bit | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((kind, bit | 127)) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


# First bytes: text, binary, continuation, ping, pong, close; whole or not; with a reserved bit; of no known kind.
KINDS = st.sampled_from([0x81, 0x81, 0x81, 0x89, 0x8A, 0x82, 0x01, 0x00, 0x80, 0x02, 0x88, 0x09, 0xC1, 0x83, 0x8F])
PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([b"", b"\xc3", b"\xa4", b"x" * 125, b"x" * 126, b"x" * 300, b"\x03\xe8bye", b"\x03", b"\x03\xed"]),
)
FRAMES = st.builds(
    client_frame, KINDS, PAYLOADS, mask=st.binary(min_size=4, max_size=4), masked=st.sampled_from([True] * 9 + [False])
)


def cut(data: bytes, seed: int) -> list[bytes]:
    """The data in pieces of any size."""
    dice = random.Random(seed)
    pieces = []
    while data:
        size = dice.choice((1, 1, 2, 3, 7, 50, 1000))
        pieces.append(data[:size])
        data = data[size:]
    return pieces


@given(st.lists(FRAMES, max_size=8).map(b"".join), st.integers())
@example(client_frame(0x81, b"\xc3") + client_frame(0x81, b"ok"), 0)
def test_it_hears_what_the_library_hears_in_whatever_pieces_it_comes(data: bytes, seed: int) -> None:
    whole = ours([data])
    assert whole == theirs([data])
    assert ours(cut(data, seed)) == whole


@given(st.binary(max_size=200), st.integers())
def test_any_bytes_at_all_are_heard_alike(data: bytes, seed: int) -> None:
    assert ours(cut(data, seed)) == ours([data]) == theirs([data])


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, limits.MAX_FRAME_BYTES])
def test_a_message_of_every_size_is_heard_whole(size: int) -> None:
    assert ours([client_frame(0x81, b"x" * size)]) == ["x" * size]


def test_a_message_that_is_too_large_is_refused_before_it_has_come() -> None:
    head = client_frame(0x81, b"x" * (limits.MAX_FRAME_BYTES + 1))[:14]
    assert ours([head]) == [1009]


def test_fragments_that_are_too_large_together_are_refused() -> None:
    piece = b"x" * 300_000
    assert ours([client_frame(0x01, piece), *[client_frame(0x00, piece)] * 5]) == [1009]
    assert ours([client_frame(0x02, piece), *[client_frame(0x00, piece)] * 5]) == [1009]


@pytest.mark.parametrize(
    ("head", "code"),
    [
        (b"\x81\x05hello", 1002),  # not masked
        (b"\x81\xfe\x00\x05", 1002),  # longer written than need be
        (b"\x81\xff" + (5).to_bytes(8, "big"), 1002),
        (b"\x81\xff\xff" + bytes(7), 1002),
        (b"\xc1\x80\x01\x02\x03\x04", 1002),  # a reserved bit
        (b"\x83\x80\x01\x02\x03\x04", 1002),  # a kind that there is not
        (b"\x89\xfe\x00\x80\x01\x02\x03\x04", 1002),  # a ping that is too long
    ],
)
def test_mistakes_are_told_apart_as_the_rfc_does(head: bytes, code: int) -> None:
    assert ours([head + bytes(300)])[0] == code


def test_how_much_more_a_message_needs_is_known() -> None:
    frames, data = ClientFrames(), client_frame(0x81, b"x" * 1000)
    received = bytearray(data[:100])
    assert frames.next(received) is None
    assert frames.wanted_bytes == len(data) - 100
    received += data[100:]
    assert frames.next(received) == "x" * 1000
    assert frames.next(received) is None
    assert (frames.wanted_bytes, bytes(received)) == (0, b"")


def test_what_is_heard_leaves_nothing_behind() -> None:
    frames, received = ClientFrames(), bytearray(client_frame(0x81, b"one") + client_frame(0x81, b"two"))
    heard: list[Heard | None] = [frames.next(received) for _ in range(3)]
    assert heard == ["one", "two", None]
    assert received == b""


@given(st.binary(max_size=125))
def test_a_pong_is_framed_as_the_library_frames_it(payload: bytes) -> None:
    assert pong(payload) == FrameProtocol(client=False, extensions=[]).pong(payload)


@given(st.sampled_from([1000, 1002, 1009, 1012, 4000]), st.text(max_size=80))
def test_a_goodbye_is_framed_as_the_library_frames_it(code: int, reason: str) -> None:
    assert close_frame(code, reason) == FrameProtocol(client=False, extensions=[]).close(code, reason)
