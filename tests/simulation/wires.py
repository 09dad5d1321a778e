"""TCP in memory: sockets that Trio takes for its own, and links between them that delay, stall, break and half-close.

What TCP promises holds here too: within one connection bytes arrive once and in order, or an end or an error does.
Between connections anything may overtake. Every wait ends by the virtual clock, so nothing here needs a task.
"""

import contextvars
import errno
import os
import random
import socket as stdlib
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import attrs
import trio

from tests.simulation.trace import Trace

_KERNEL_BYTES: Final = 64 * 1024
"""What lies between two ends unread, before a writer has to wait."""
_NEVER: Final = float("inf")

host_name: contextvars.ContextVar[str] = contextvars.ContextVar("host_name", default="outside")
"""On whose behalf the present task runs; its sockets belong to that host."""


@attrs.define
class Weather:
    """How long bytes travel, and how oddly they are cut. All seconds are virtual."""

    shortest_seconds: float = 0.0
    longest_seconds: float = 0.0
    split_chance: float = 0.0
    kernel_bytes: int = _KERNEL_BYTES


@attrs.define(eq=False)
class Lane:
    """One direction of a connection: what was written and not yet read."""

    name: str
    _wires: "Wires"
    _chunks: deque[tuple[float, bytes]] = attrs.field(factory=deque)
    size_bytes: int = 0
    ended_at: float = _NEVER
    broken_at: float = _NEVER
    """When the reader learns that the connection is gone; what it has not read by then is lost."""
    held_until: float = 0.0
    forgotten: bool = False
    """Nobody reads it any more."""
    _last_at: float = 0.0
    _changed: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot)

    def room(self) -> int:
        """How much may be written now: nothing, until a good part of what fits is free."""
        free = self._free()
        return free if free > self._wires.weather.kernel_bytes // 4 else 0

    def _free(self) -> int:
        return self._wires.weather.kernel_bytes - (0 if self.forgotten else self.size_bytes)

    def put(self, data: bytes) -> None:
        at = self._arrival()
        self._wires.trace.wire("sent", self.name, data)
        if not self.forgotten and self.ended_at == _NEVER:
            self._chunks.append((at, data))
            self.size_bytes += len(data)
        self.changed()

    def end(self) -> None:
        self.ended_at = min(self.ended_at, self._arrival())
        self.changed()

    def break_off(self, at: float) -> None:
        self.broken_at = min(self.broken_at, at)
        self.changed()

    def changed(self) -> None:
        self._changed.unpark_all()

    def take(self, max_bytes: int) -> bytes | None:
        """What can be read now, empty at the end, `None` if that has to be waited for."""
        now = trio.current_time()
        if now < self.held_until:
            return None
        if self._chunks and self._chunks[0][0] <= now:
            at, chunk = self._chunks.popleft()
            limit = min(max_bytes, len(chunk))
            if limit > 1 and self._wires.rng.random() < self._wires.weather.split_chance:
                limit = self._wires.rng.randint(1, limit)
            if limit < len(chunk):
                self._chunks.appendleft((at, chunk[limit:]))
            self.size_bytes -= limit
            self.changed()
            return chunk[:limit]
        return b"" if self.ended_at <= now and not self._chunks else None

    def next_at(self) -> float:
        """When there may be something to read, unless something changes before."""
        arrival = self._chunks[0][0] if self._chunks else self.ended_at
        return min(max(arrival, self.held_until), self.broken_at)

    async def wait(self, at: float) -> None:
        """Until `at`, or until anything changes. Always a checkpoint."""
        with trio.CancelScope(deadline=at):
            await self._changed.park()

    def _arrival(self) -> float:
        weather = self._wires.weather
        delay = self._wires.rng.uniform(weather.shortest_seconds, weather.longest_seconds)
        self._last_at = max(self._last_at, trio.current_time() + delay)
        return self._last_at


class SimSocket(trio.socket.SocketType):
    """One end of a connection, or a listener. `trio.SocketStream` and `trio.SocketListener` take it for a real one."""

    def __init__(self, wires: "Wires", host: str) -> None:
        super().__init__()
        self._wires = wires
        self.host = host
        self.number = wires.next_number()
        self.address: tuple[str, int] = ("0.0.0.0", 0)
        self.peer: SimSocket | None = None
        self.inbox: Lane | None = None
        self._waiting: deque[SimSocket] = deque()
        self._arrived = trio.lowlevel.ParkingLot()
        self._listening = False
        self._closed = False
        self._shut = False

    family = property(lambda self: stdlib.AF_INET)
    type = property(lambda self: stdlib.SOCK_STREAM)
    proto = property(lambda self: 0)
    did_shutdown_SHUT_WR = property(lambda self: self._shut)

    @property
    def is_open(self) -> bool:
        return not self._closed

    def fileno(self) -> int:
        # No descriptor of the system's: what would write past Trio must come through `write_now`.
        return -1 if self._closed else -(1000 + self.number)

    def getpeername(self) -> tuple[str, int]:
        self._check()
        if self.peer is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.peer.address

    def getsockname(self) -> tuple[str, int]:
        return self.address

    def setsockopt(self, *_args: Any) -> None:
        pass

    def getsockopt(self, _level: int, option: int, _size: int = 0) -> int:  # type: ignore[override]
        return int(option == stdlib.SO_ACCEPTCONN and self._listening)

    def listen(self, backlog: int = 128) -> None:
        self._listening = True

    async def accept(self) -> tuple["SimSocket", tuple[str, int]]:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._check()
            await self._arrived.park()
        self._check()
        connected = self._waiting.popleft()
        return connected, connected.getsockname()

    async def connect(self, address: tuple[str, int]) -> None:
        await trio.lowlevel.checkpoint()
        self._check()
        await self._wires.connect(self, address)

    def arrive(self, server: "SimSocket") -> None:
        self._waiting.append(server)
        self._arrived.unpark()

    async def recv(self, max_bytes: int, _flags: int = 0) -> bytes:
        await trio.lowlevel.checkpoint()
        while True:
            self._check()
            assert self.inbox is not None
            if (data := self.inbox.take(max_bytes)) is not None:
                self._wires.trace.wire("read", self.inbox.name, data)
                return data
            await self.inbox.wait(self.inbox.next_at())

    def read_now(self, max_bytes: int) -> bytes:
        """What can be read at once. Raises `OSError`, `BlockingIOError` if that is nothing yet."""
        self._check()
        assert self.inbox is not None
        if (data := self.inbox.take(max_bytes)) is None:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self._wires.trace.wire("read", self.inbox.name, data)
        return data

    async def wait_readable(self) -> None:
        """Until there is something to read: bytes, an end, or an error. Raises `ClosedResourceError` when closed."""
        await trio.lowlevel.checkpoint()
        while self.is_open and not self.is_readable():
            assert self.inbox is not None
            await self.inbox.wait(self.inbox.next_at())
        if not self.is_open:
            raise trio.ClosedResourceError

    def has_left(self) -> bool:
        """Whether the peer is known to say no more, and nothing that it said is unread."""
        if self._closed or self.inbox is None or self.inbox.broken_at <= trio.current_time():
            return True
        return self.inbox.ended_at <= trio.current_time() and not self.inbox.size_bytes

    async def send(self, data: Any, _flags: int = 0) -> int:
        await trio.lowlevel.checkpoint()
        while True:
            if sent := self.write_now(bytes(data)):
                return sent
            await self._outbox.wait(self._broken_at())

    def write_now(self, data: bytes) -> int:
        """How much of it goes out at once. Raises `OSError`."""
        self._check()
        if self._shut:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))
        taken = data[: max(0, self._outbox.room())]
        if taken:
            self._outbox.put(taken)
            if self.peer is not None and not self.peer.is_open and self.inbox is not None:
                self.inbox.break_off(self._outbox._arrival())  # the other end says that nobody is there
        return len(taken)

    async def wait_writable(self) -> None:
        await trio.lowlevel.checkpoint()
        while self._outbox.room() <= 0:
            self._check()
            await self._outbox.wait(self._broken_at())

    def is_readable(self) -> bool:
        assert self.inbox is not None
        return self._closed or self.inbox.next_at() <= trio.current_time()

    def shutdown(self, how: int) -> None:
        self._check()
        if how in (stdlib.SHUT_WR, stdlib.SHUT_RDWR) and not self._shut:
            self._shut = True
            self._outbox.end()
        if how in (stdlib.SHUT_RD, stdlib.SHUT_RDWR) and self.inbox is not None:
            self.inbox.ended_at = trio.current_time()
            self.inbox.changed()

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._arrived.unpark_all()
        self._wires.forget(self)
        if self.inbox is not None and self.peer is not None:
            unread = self.inbox.size_bytes
            self.inbox.forgotten = True
            self.inbox.changed()
            if self.peer.inbox is not None:
                if unread and not self._shut:
                    self.peer.inbox.break_off(self.peer.inbox._arrival())
                else:
                    self.peer.inbox.end()
                self.peer.inbox.changed()

    def __enter__(self) -> "SimSocket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def _outbox(self) -> Lane:
        if self.peer is None or self.peer.inbox is None:
            raise OSError(errno.ENOTCONN, os.strerror(errno.ENOTCONN))
        return self.peer.inbox

    def _broken_at(self) -> float:
        return _NEVER if self.inbox is None else self.inbox.broken_at

    def _check(self) -> None:
        if self._closed:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        if self.inbox is not None and self.inbox.broken_at <= trio.current_time():
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))


@attrs.define(eq=False)
class Wires(trio.abc.SocketFactory, trio.abc.HostnameResolver):
    """The network of one world: its names, who listens where, and every connection that is open."""

    rng: random.Random
    trace: Trace
    weather: Weather = attrs.field(factory=Weather)
    on_bytes: Callable[[str, bytes], None] = lambda _host, _data: None
    open: dict[int, SimSocket] = attrs.field(factory=dict)
    _names: dict[str, str] = attrs.field(factory=dict)
    _listeners: dict[tuple[str, int], SimSocket] = attrs.field(factory=dict)
    _next: int = 0

    def install(self) -> None:
        """Make this the network of the present run."""
        trio.socket.set_custom_socket_factory(self)
        trio.socket.set_custom_hostname_resolver(self)

    def next_number(self) -> int:
        self._next += 1
        return self._next

    def address_of(self, name: str) -> str:
        return self._names.setdefault(name, f"10.0.0.{len(self._names) + 1}")

    def socket(self, family: int = 0, type: int = 0, proto: int = 0) -> SimSocket:
        host = host_name.get()
        made = SimSocket(self, host)
        made.address = (self.address_of(host), 40_000 + made.number)
        self.open[made.number] = made
        return made

    def listener(self, name: str, port: int) -> SimSocket:
        """A socket that listens at a name; it must be free."""
        made = SimSocket(self, name)
        made.address = (self.address_of(name), port)
        made.listen()
        assert made.address not in self._listeners, f"{name} listens already"
        self._listeners[made.address] = made
        self.open[made.number] = made
        return made

    async def getaddrinfo(
        self, host: bytes | None, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
    ) -> list[Any]:
        await trio.lowlevel.checkpoint()
        name = b"" if host is None else host
        address = self.address_of(name.decode())
        return [(stdlib.AF_INET, stdlib.SOCK_STREAM, 6, "", (address, int(port)))]

    async def getnameinfo(self, sockaddr: Any, flags: int) -> tuple[str, str]:
        await trio.lowlevel.checkpoint()
        return str(sockaddr[0]), str(sockaddr[1])

    async def connect(self, client: SimSocket, address: tuple[str, int]) -> None:
        weather = self.weather
        await trio.sleep(self.rng.uniform(weather.shortest_seconds, weather.longest_seconds))
        client._check()
        listener = self._listeners.get((address[0], address[1]))
        if listener is None or not listener.is_open:
            raise ConnectionRefusedError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))
        server = SimSocket(self, listener.host)
        server.address = listener.address
        self.open[server.number] = server
        client.peer, server.peer = server, client
        client.inbox = Lane(f"{listener.host}>{client.host}#{client.number}", self)
        server.inbox = Lane(f"{client.host}>{listener.host}#{client.number}", self)
        self.trace.note("connected", server.inbox.name)
        listener.arrive(server)

    def forget(self, socket: SimSocket) -> None:
        self.open.pop(socket.number, None)
        if self._listeners.get(socket.address) is socket:
            del self._listeners[socket.address]
            for waiting in socket._waiting:
                waiting.close()

    def connections(self) -> list[SimSocket]:
        """The server's end of everything that is connected, oldest first."""
        return [each for each in self.open.values() if each.peer is not None and each.number > each.peer.number]

    def cut(self, end: SimSocket) -> None:
        """Both ends find the connection broken, whatever was under way."""
        now = trio.current_time()
        for each in (end, end.peer):
            if each is not None and each.inbox is not None:
                each.inbox.break_off(now)

    def half_close(self, end: SimSocket) -> None:
        """What `end` reads is over after what is under way; the other direction goes on."""
        if end.inbox is not None:
            end.inbox.end()

    def hold(self, end: SimSocket, seconds: float) -> None:
        """Nothing arrives at `end` for so long; nothing of it is lost."""
        if end.inbox is not None:
            end.inbox.held_until = trio.current_time() + seconds
            end.inbox.changed()

    def kill(self, host: str) -> None:
        """All sockets of a host are gone, as when its process is killed: peers find their connections broken."""
        for each in [each for each in self.open.values() if each.host == host]:
            if each.peer is not None and each.peer.inbox is not None:
                each.peer.inbox.break_off(each.peer.inbox._arrival())
            each.close()
