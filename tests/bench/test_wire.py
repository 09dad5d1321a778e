"""The load generators read the wire as it is, in whatever pieces it comes."""

import pytest
import wsproto
from wsproto.events import CloseConnection, Event, Ping, TextMessage
from wsproto.frame_protocol import CloseReason

from tests.bench.load.wire import (
    STAMP,
    Answer,
    Chunks,
    WrongAnswer,
    cursors,
    stamped,
    stamps,
    text_frame,
    upgrade_request,
    whole_frames,
)

WITH_LENGTH = b"HTTP/1.1 202 \r\ncontent-type: application/json\r\nContent-Length: 5\r\n\r\n{...}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 \r\n\r\n"


def connected() -> tuple[wsproto.WSConnection, wsproto.WSConnection]:
    """A client and a server that have upgraded."""
    client, server = (
        wsproto.WSConnection(wsproto.ConnectionType.CLIENT),
        wsproto.WSConnection(wsproto.ConnectionType.SERVER),
    )
    server.receive_data(upgrade_request("host", "/v1/attach", "Authorization: Bearer x\r\n"))
    assert isinstance(next(iter(server.events())), wsproto.events.Request)
    server.send(wsproto.events.AcceptConnection())
    return client, server


def server_frames(*events: Event) -> bytes:
    _, server = connected()
    return b"".join(server.send(event) for event in events)


@pytest.mark.parametrize("answer", [WITH_LENGTH, CHUNKED, EMPTY])
def test_an_answer_is_complete_at_its_last_byte(answer: bytes) -> None:
    parser = Answer()
    for _ in range(2):  # one after the other on a connection
        fed = [parser.feed(answer[index : index + 1]) for index in range(len(answer))]
        assert fed == [False] * (len(answer) - 1) + [True]
        assert parser.feed(answer)


def test_an_answer_that_refuses_is_shown_whole() -> None:
    with pytest.raises(WrongAnswer, match=r"(?s)401.*no token"):
        Answer().feed(b"HTTP/1.1 401 \r\ncontent-length: 8\r\n\r\nno token")
    with pytest.raises(WrongAnswer, match="503"):
        Chunks().feed(b"HTTP/1.1 503 \r\n\r\n")


@pytest.mark.parametrize("size", [1, 2, 7, len(CHUNKED)])
def test_chunks_are_joined_wherever_they_are_cut(size: int) -> None:
    chunks = Chunks()
    pieces = [chunks.feed(CHUNKED[start : start + size]) for start in range(0, len(CHUNKED) - 5, size)]
    assert b"".join(pieces) == b"abcde"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_server_understands_our_frames(size: int) -> None:
    _, server = connected()
    server.receive_data(text_frame(b"x" * size))
    texts = [event.data for event in server.events() if isinstance(event, TextMessage)]
    assert "".join(texts) == "x" * size


@pytest.mark.parametrize("size", [1, 125, 126, 65_535, 65_536])
def test_only_whole_frames_are_taken(size: int) -> None:
    first, second = server_frames(TextMessage(data="x" * size)), server_frames(Ping(payload=b"?"))
    for cut in {0, 1, 2, 3, 9, len(first) - 1} & set(range(len(first))):
        assert whole_frames(first[:cut]) == 0
    assert whole_frames(first) == len(first)
    assert whole_frames(first + second[:-1]) == len(first)
    assert whole_frames(first + second) == len(first + second)


def test_a_close_frame_is_an_error() -> None:
    with pytest.raises(WrongAnswer, match="bye"):
        whole_frames(server_frames(CloseConnection(code=CloseReason.GOING_AWAY, reason="bye")))


def test_cursors_are_those_of_frames_and_not_of_texts() -> None:
    frames = server_frames(
        TextMessage(data='{"op":"EVENT","cursor":"evt_1","event":{"text":"{\\"cursor\\":\\"evt_0\\"}"}}'),
        TextMessage(data='{"op":"EVENT","cursor":"evt_2"}'),
    )
    assert cursors(frames) == [b"evt_1", b"evt_2"]


def test_a_stamp_comes_back_as_it_was_sent() -> None:
    request = b'{"text":"' + STAMP + b'"}'
    sent = stamped(request, 1_234_567_890)
    assert len(sent) == len(request)
    assert stamps(sent * 2) == [1_234_567_890, 1_234_567_890]
