"""What the generators make of what they receive, whole or in pieces: counted once for each reader."""

import os
import socket
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from tests.bench.load.attachments import Attachments
from tests.bench.load.loop import Loop, TookTooLong
from tests.bench.load.memory import MAX_ENTRIES, Memory
from tests.bench.load.subscribers import Subscribers
from tests.bench.load.wire import WrongAnswer

EVENT = b'{"op":"EVENT","cursor":"evt_%d","event":{"type":"message.created","text":"stamp=0000000000000000001;"}}'


def frame(text: bytes) -> bytes:
    return b"\x81\x7e" + len(text).to_bytes(2, "big") + text


def chunk(text: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text)


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    read, write = os.pipe()
    with os.fdopen(read) as stdin, os.fdopen(write):
        monkeypatch.setattr("sys.stdin", stdin)
        found = Loop()
        yield found
        found.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield sock


def attached(attachments: Attachments, listener: socket.socket, count: int) -> list[socket.socket]:
    """Agents, and the server's side of each."""
    peers: list[socket.socket] = []

    def greet() -> None:
        for _ in range(count):
            peer, _address = listener.accept()
            peers.append(peer)
            peer.recv(1 << 16)
            peer.sendall(b"HTTP/1.1 101 \r\n\r\n" + frame(b'{"op":"HELLO"}'))
            peer.recv(1 << 16)
            peer.sendall(frame(b'{"op":"READY"}'))

    thread = threading.Thread(target=greet)
    thread.start()
    attachments.attach("127.0.0.1", listener.getsockname()[1], "", "net", 0, count)
    thread.join()
    return peers


@pytest.mark.parametrize("cut", [0, 1, 40, 200])
def test_every_event_is_counted_and_acknowledged_once(loop: Loop, listener: socket.socket, cut: int) -> None:
    attachments = Attachments(loop)
    peers = attached(attachments, listener, 2)
    data = b"".join(frame(EVENT % number) for number in range(3)) + frame(b'{"op":"PING"}')
    for peer in peers:
        peer.sendall(data[:cut])
    loop.run_for(0.02)
    for peer in peers:
        peer.sendall(data[cut:])
    reply = attachments.expect(3)
    assert (reply["amount"], reply["cursor"]) == (6, "evt_2")
    for peer in peers:
        said = peer.recv(1 << 16)
        assert [said.count(b'"cursor":"evt_%d"' % number) for number in range(3)] == [1, 1, 1]
        assert said.count(b'"op": "PONG"') == 1
        peer.close()


def test_an_event_that_comes_twice_is_noticed(loop: Loop, listener: socket.socket) -> None:
    attachments = Attachments(loop)
    (peer,) = attached(attachments, listener, 1)
    peer.sendall(frame(EVENT % 1) * 2)
    with pytest.raises(WrongAnswer, match="2 messages"):
        attachments.expect(1)
    peer.close()


def test_who_is_late_is_left_out(loop: Loop, listener: socket.socket) -> None:
    with pytest.raises(TookTooLong, match="nobody"):
        Attachments(loop).attach("127.0.0.1", listener.getsockname()[1], "", "net", 0, 2, seconds=0.05)


@pytest.mark.parametrize("cut", [0, 3, 60])
def test_events_of_streams_are_counted_once(loop: Loop, listener: socket.socket, cut: int) -> None:
    subscribers = Subscribers(loop)
    peers: list[socket.socket] = []
    loop.watch(listener, partial(_greet, listener, peers))
    subscribers.subscribe("127.0.0.1", listener.getsockname()[1], ["GET / HTTP/1.1\r\n\r\n"] * 2)
    data = chunk(b"data: stamp=0000000000000000001;\n\n") + chunk(b"data: stamp=0000000000000000002;\n\n")
    for peer in peers:
        peer.sendall(data[:cut])
    loop.run_for(0.02)
    for peer in peers:
        peer.sendall(data[cut:])
    assert subscribers.expect(2)["amount"] == 4
    for peer in peers:
        peer.close()


def _greet(listener: socket.socket, peers: list[socket.socket]) -> None:
    peer, _ = listener.accept()
    peers.append(peer)
    peer.sendall(b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(b": open\n\n"))


def test_memory_is_bounded() -> None:
    memory = Memory[int]()
    for number in range(10 * MAX_ENTRIES):
        memory.keep(b"%d" % number, number)
    assert sum(memory.recall(b"%d" % number) is not None for number in range(10 * MAX_ENTRIES)) <= MAX_ENTRIES
