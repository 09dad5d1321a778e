"""The grammar of the fast lane: what it takes, what it leaves to the full parser, and that both read it alike."""

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.lane.head import Head, Raw, Verdict, read_head
from moltnet.protocol import limits

SEND = b"POST /v1/messages HTTP/1.1\r\n"
PAGE = b"GET /v1/rooms/general/messages?limit=10&before=m1 HTTP/1.1\r\n"
ATTACH = b"GET /v1/attach HTTP/1.1\r\n"
STREAM = b"GET /v1/events/stream HTTP/1.1\r\n"
HOST = b"Host: lab.test\r\n"
LENGTH = b"Content-Length: 9\r\n"
KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
UPGRADE = HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" + KEY
END = b"\r\n"


def taken(data: bytes) -> Head:
    head = read_head(data)
    assert isinstance(head, Head), head
    return head


class TestWhatIsTaken:
    def test_a_message_with_all_that_matters_of_it(self) -> None:
        data = SEND + HOST + b"Authorization: Bearer abc\r\n" + LENGTH + END
        head = taken(data + b"{}")
        assert (head.method, head.path, head.query, head.body_bytes) == ("POST", "/v1/messages", b"", 9)
        assert (head.size_bytes, head.is_last) == (len(data), False)
        assert head.headers.get(b"authorization") == "Bearer abc"

    @pytest.mark.parametrize("kind", ["rooms", "threads", "dms"])
    def test_a_page_of_every_kind_of_conversation(self, kind: str) -> None:
        head = taken(f"GET /v1/{kind}/a.b:c-1/messages?limit=5 HTTP/1.1\r\n".encode() + HOST + END)
        assert (head.wanted, head.query) == ("a.b:c-1", b"limit=5")

    @pytest.mark.parametrize(("value", "is_last"), [(b"keep-alive", False), (b"close", True), (b"Close", True)])
    def test_what_a_client_says_of_the_connection(self, value: bytes, is_last: bool) -> None:
        assert taken(PAGE + HOST + b"Connection: " + value + b"\r\n" + END).is_last is is_last

    def test_streams_and_upgrades_to_attachments(self) -> None:
        assert taken(STREAM + HOST + END).route is Raw.STREAM
        assert taken(ATTACH + UPGRADE + END).route is Raw.ATTACH
        assert taken(ATTACH + UPGRADE.replace(b"Upgrade\r\n", b"keep-alive, Upgrade\r\n") + END).route is Raw.ATTACH

    @pytest.mark.parametrize(
        "data", [SEND + HOST + LENGTH + END, PAGE + HOST + END, STREAM + HOST + END, ATTACH + UPGRADE + END]
    )
    def test_however_it_is_cut_more_is_waited_for(self, data: bytes) -> None:
        assert {read_head(data[:length]) for length in range(len(data))} == {Verdict.MORE}


HANDED_OVER = {
    "another route": b"GET /v1/rooms HTTP/1.1\r\n" + HOST + END,
    "a route that is none of the API": b"GET / HTTP/1.1\r\n" + HOST + END,
    "a path that only might be ours": b"GET /v1/rooms/../messages HTTP/1.1\r\n" + HOST + END,
    "an escape in the path": b"GET /v1/rooms/a%62/messages HTTP/1.1\r\n" + HOST + END,
    "an escape in the query": b"GET /v1/rooms/a/messages?before=%6d HTTP/1.1\r\n" + HOST + END,
    "a plus in the query": b"GET /v1/rooms/a/messages?before=a+b HTTP/1.1\r\n" + HOST + END,
    "an absolute target": b"GET http://lab.test/v1/rooms/a/messages HTTP/1.1\r\n" + HOST + END,
    "a fragment": b"GET /v1/rooms/a/messages#x HTTP/1.1\r\n" + HOST + END,
    "another method": b"HEAD /v1/rooms/a/messages HTTP/1.1\r\n" + HOST + END,
    "a method in lower case": b"post /v1/messages HTTP/1.1\r\n" + HOST + LENGTH + END,
    "the method of another route": b"GET /v1/messages HTTP/1.1\r\n" + HOST + END,
    "HTTP/1.0": b"GET /v1/rooms/a/messages HTTP/1.0\r\n" + HOST + END,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01",
    "two blanks in the line": b"GET  /v1/rooms/a/messages HTTP/1.1\r\n" + HOST + END,
    "an empty line before": b"\r\n" + PAGE + HOST + END,
    "a bare line feed": PAGE.replace(b"\r\n", b"\n") + HOST + END,
    "a bare line feed in a header": PAGE + b"Host: a\nX-A: b\r\n" + END,
    "a fold": PAGE + HOST + b"X-A: b\r\n c\r\n" + END,
    "a blank before the colon": PAGE + b"Host : lab.test\r\n" + END,
    "no blank after the colon": PAGE + b"Host:lab.test\r\n" + END,
    "two blanks after the colon": PAGE + b"Host:  lab.test\r\n" + END,
    "a blank at the end": PAGE + b"Host: lab.test \r\n" + END,
    "a tab": PAGE + HOST + b"X-A: a\tb\r\n" + END,
    "an empty value": PAGE + HOST + b"X-A: \r\n" + END,
    "a value that is no ASCII": PAGE + HOST + b"X-A: \xe4\r\n" + END,
    "a control character": PAGE + HOST + b"X-A: a\x00b\r\n" + END,
    "an odd name": PAGE + HOST + b"X_A: b\r\n" + END,
    "no host": PAGE + b"X-A: b\r\n" + END,
    "no headers": PAGE + END,
    "two hosts": PAGE + HOST + HOST + END,
    "two of anything": PAGE + HOST + b"Accept: a\r\nAccept: b\r\n" + END,
    "two lengths": SEND + HOST + LENGTH + LENGTH + END,
    "no length": SEND + HOST + END,
    "a length with a sign": SEND + HOST + b"Content-Length: +9\r\n" + END,
    "a length with a zero before": SEND + HOST + b"Content-Length: 09\r\n" + END,
    "a list of lengths": SEND + HOST + b"Content-Length: 9, 9\r\n" + END,
    "a large body": SEND + HOST + b"Content-Length: %d\r\n" % (limits.FREE_BODY_BYTES + 1) + END,
    "a huge number": SEND + HOST + b"Content-Length: 99999999999999999999\r\n" + END,
    "a page with a body": PAGE + HOST + LENGTH + END,
    "chunks": SEND + HOST + b"Transfer-Encoding: chunked\r\n" + END,
    "chunks and a length": SEND + HOST + LENGTH + b"Transfer-Encoding: chunked\r\n" + END,
    "an expectation": SEND + HOST + LENGTH + b"Expect: 100-continue\r\n" + END,
    "trailers": SEND + HOST + LENGTH + b"Trailer: x\r\n" + END,
    "a coding of the body": SEND + HOST + LENGTH + b"Content-Encoding: gzip\r\n" + END,
    "a browser's session": PAGE + HOST + b"Cookie: a=b\r\n" + END,
    "another word on the connection": PAGE + HOST + b"Connection: close, x-a\r\n" + END,
    "an upgrade that is offered": PAGE + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + END,
    "a stream with a cookie": STREAM + HOST + b"Cookie: a=b\r\n" + END,
    "an attachment without upgrade": ATTACH + HOST + END,
    "another version of WebSocket": ATTACH + UPGRADE.replace(b"13", b"8") + END,
    "no proper key": ATTACH + UPGRADE.replace(b"==", b"=") + END,
    "a subprotocol": ATTACH + UPGRADE + b"Sec-WebSocket-Protocol: x\r\n" + END,
    "an upgrade with a body": ATTACH + UPGRADE + LENGTH + END,
    "an upgrade elsewhere": PAGE + UPGRADE + END,
    "a head that has no end": PAGE + HOST + b"X-A: " + b"b" * limits.MAX_LANE_HEAD_BYTES,
    "a head that is too long": PAGE + HOST + b"X-A: " + b"b" * limits.MAX_LANE_HEAD_BYTES + b"\r\n" + END,
}


@pytest.mark.parametrize("data", HANDED_OVER.values(), ids=HANDED_OVER.keys())
def test_what_is_unusual_is_left_to_the_full_parser(data: bytes) -> None:
    assert read_head(data) is Verdict.HAND_OVER


@given(st.binary(max_size=64))
def test_of_anything_at_all_it_says_something(data: bytes) -> None:
    read_head(data)


NAMES = st.sampled_from(
    [b"Host", b"Content-Length", b"Transfer-Encoding", b"Connection", b"X-A", b"Expect", b"X A", b""]
)
VALUES = st.sampled_from([b"lab.test", b"3", b"0", b"03", b"chunked", b"close", b"a b", b" a", b"", b"\xff"])
LINES = st.sampled_from([SEND, PAGE, STREAM, b"GET /v1/messages HTTP/1.1\r\n", b"POST /v1/messages  HTTP/1.1\r\n"])
# Most of all those that it takes, and then one thing or two that may be wrong.
USUAL = st.sampled_from([[HOST], [HOST, LENGTH], [LENGTH, HOST], [b"host: x\r\n", b"content-length: 0\r\n"], []])
ENDS = st.sampled_from([b"\r\n", b"\r\n", b"\n", b"\r\n ", b" \r\n"])
COLONS = st.sampled_from([b": ", b": ", b":", b" : "])
FIELDS = st.lists(st.tuples(NAMES, COLONS, VALUES, ENDS).map(b"".join), max_size=2)


@given(LINES, USUAL, FIELDS, st.sampled_from([END, b"\n", b""]))
def test_whatever_it_takes_the_full_parser_reads_in_the_same_way(
    line: bytes, usual: list[bytes], fields: list[bytes], end: bytes
) -> None:
    data = line + b"".join([*usual, *fields]) + end
    head = read_head(data)
    if not isinstance(head, Head):
        return
    full = h11.Connection(h11.SERVER)
    full.receive_data(data)
    request = full.next_event()
    assert isinstance(request, h11.Request)
    target = head.path.encode() + (b"?" + head.query if head.query else b"")
    assert (request.method.decode(), request.target.rstrip(b"?")) == (head.method, target)
    assert dict(request.headers) == dict(head.headers.first)
    # Where the next request begins is what smuggling is about.
    full.receive_data(b"x" * head.body_bytes + b"NEXT")
    while not isinstance(event := full.next_event(), h11.EndOfMessage):
        assert isinstance(event, h11.Data)
    assert full.trailing_data[0] == b"NEXT"
