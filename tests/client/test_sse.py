from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.client.sse import ServerSentEvent, SseParser, SseTooLarge

EVENT = ServerSentEvent("message", "hello", "")


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (b"", []),
        (b": stream-open\n\n: keep-alive\n\n", []),
        (b"data: hello\n\n", [EVENT]),
        (b"data:hello\n\n", [EVENT]),
        (b"data: hello\r\n\r\n", [EVENT]),
        (b"data: hello\r\r", []),  # the second CR may be half of a CR LF
        (b"data: hello\r\r:", [EVENT]),
        (b"\xef\xbb\xbfdata: hello\n\n", [EVENT]),
        (b"data: hello\n", []),  # not dispatched before the empty line
        (b"data: one\ndata: two\n\n", [ServerSentEvent("message", "one\ntwo", "")]),
        (b"data\n\n", [ServerSentEvent("message", "", "")]),
        (
            b"event: note\ndata: x\n\ndata: y\n\n",
            [ServerSentEvent("note", "x", ""), ServerSentEvent("message", "y", "")],
        ),
        (
            b"id: 1\ndata: x\n\ndata: y\n\n",
            [ServerSentEvent("message", "x", "1"), ServerSentEvent("message", "y", "1")],
        ),
        (b"id: 1\n\nid: \0\ndata: x\n\n", [ServerSentEvent("message", "x", "1")]),
        (b"event: note\n\ndata: hello\n\n", [EVENT]),
        (b"retry: 10\nunknown: 1\nhello\ndata: hello\n\n", [EVENT]),
        (b"data: \xff\n\n", [ServerSentEvent("message", "\ufffd", "")]),
    ],
)
def test_a_stream_is_read_as_the_standard_says(stream: bytes, events: list[ServerSentEvent]) -> None:
    assert SseParser().receive(stream) == events
    parser = SseParser()
    assert [event for byte in stream for event in parser.receive(bytes([byte]))] == events


@given(
    st.lists(st.sampled_from([b"data: a", b"id: 1", b"\n", b"\r", b"\r\n", b"event", b":", b"\xef\xbb", b"\xbf", b"x"]))
)
def test_where_a_stream_is_cut_does_not_matter(pieces: list[bytes]) -> None:
    whole, cut = SseParser(), SseParser()
    assert whole.receive(b"".join(pieces)) == [event for piece in pieces for event in cut.receive(piece)]


@pytest.mark.parametrize("piece", [b"data: x\n", b"xxxxxxxx", b"data: xx"])
def test_an_endless_event_is_cut_off(piece: bytes) -> None:
    parser = SseParser(max_bytes=1000)
    with pytest.raises(SseTooLarge, match="1000 bytes"):
        deque(map(parser.receive, [piece] * 1000), maxlen=0)


def test_many_events_do_not_add_up_to_one() -> None:
    parser = SseParser(max_bytes=100)
    assert sum(len(parser.receive(b"data: x\n\n: comment\n\n")) for _ in range(1000)) == 1000
