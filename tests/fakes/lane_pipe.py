"""The fast lane's WebSocket without a socket, so that tests may set the clock: `Pipe` is the server's end of the bytes,
`FramedWire` the agent's, which frames what it says and reads frames with wsproto.
"""

from collections import deque

import attrs
import trio
from wsproto.frame_protocol import FrameProtocol, Opcode, ParseFailed

from tests.fakes.wires import WireClosed


@attrs.define(eq=False)
class Pipe:
    """Stands for `moltnet.lane.wire.Wire`. The agent's side holds `capacity_bytes` of what it has not read."""

    capacity_bytes: int
    received: bytearray = attrs.field(factory=bytearray, init=False)
    is_broken: bool = attrs.field(default=False, init=False)
    unread: bytearray = attrs.field(factory=bytearray, init=False)
    most_unsent_bytes: int = attrs.field(default=0, init=False)
    writes: int = attrs.field(default=0, init=False)
    _unsent: bytearray = attrs.field(factory=bytearray, init=False)
    _said: bytearray = attrs.field(factory=bytearray, init=False)
    _agent_left: bool = attrs.field(default=False, init=False)
    _server_left: bool = attrs.field(default=False, init=False)
    # Apart, so that nobody is woken by what is not for it.
    _heard: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)
    _moved: trio.lowlevel.ParkingLot = attrs.field(factory=trio.lowlevel.ParkingLot, init=False)

    @property
    def unsent_bytes(self) -> int:
        return len(self._unsent)

    def write(self, data: bytes) -> None:
        if not (self.is_broken or self._agent_left):
            self.writes += 1
            self._unsent += data
            self._move()
            self.most_unsent_bytes = max(self.most_unsent_bytes, len(self._unsent))

    async def flush(self) -> None:
        while self._unsent and not self.is_broken:
            await self._moved.park()

    async def receive(self, max_bytes: int) -> int:
        await trio.lowlevel.checkpoint()
        while not self._said and not (self._agent_left or self.is_broken):
            await self._heard.park()
        data = self._said[:max_bytes]
        del self._said[:max_bytes]
        self.received += data
        return len(data)

    def cut(self) -> None:
        self.is_broken = True
        self._wake_all()

    def end(self) -> None:
        """The server's side closes its socket."""
        self._server_left = True
        self._wake_all()

    def say(self, data: bytes) -> None:
        if self._server_left:
            raise trio.BrokenResourceError
        self._said += data
        self._heard.unpark_all()

    def leave(self) -> None:
        """The agent's side closes its socket."""
        self._agent_left = True
        self._unsent.clear()
        self._wake_all()

    async def read(self) -> bytes:
        """What the server has sent; nothing at the end."""
        while not self.unread and not self._server_left:
            await self._moved.park()
        data = bytes(self.unread)
        self.unread.clear()
        self._move()
        return data

    def _wake_all(self) -> None:
        self._heard.unpark_all()
        self._moved.unpark_all()

    def _move(self) -> None:
        room = max(0, self.capacity_bytes - len(self.unread))
        if self._unsent and room:
            self.unread += self._unsent[:room]
            del self._unsent[:room]
            self._moved.unpark_all()


@attrs.define(eq=False)
class FramedWire:
    """The agent's end. `ended` is set when the server's side has returned; `scope` is what it runs under."""

    pipe: Pipe
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    ended: trio.Event = attrs.field(factory=trio.Event)
    _frames: FrameProtocol = attrs.field(factory=lambda: FrameProtocol(client=True, extensions=[]), init=False)
    _heard: deque[str | WireClosed] = attrs.field(factory=deque, init=False)
    _parts: list[str] = attrs.field(factory=list, init=False)
    _hung_up: bool = attrs.field(default=False, init=False)

    async def send(self, message: str | bytes) -> None:
        await trio.lowlevel.checkpoint()
        self.pipe.say(bytes(self._frames.send_data(message, fin=True)))

    async def receive(self) -> str:
        while not self._heard:
            data = await self.pipe.read()
            if not data:
                raise WireClosed(1006, "")
            self._take(data)
        await trio.lowlevel.checkpoint()
        heard = self._heard[0]
        if isinstance(heard, WireClosed):
            raise heard
        self._heard.popleft()
        return heard

    async def hang_up(self, code: int = 1000) -> None:
        self.hang_up_nowait(code)
        await self.ended.wait()

    def hang_up_nowait(self, code: int = 1006) -> None:
        """Once; later calls do nothing."""
        if self._hung_up:
            return
        self._hung_up = True
        if code == 1006:
            self.pipe.leave()
        elif not self.ended.is_set():
            self.pipe.say(bytes(self._frames.close(code)))

    def _take(self, data: bytes) -> None:
        self._frames.receive_bytes(data)
        for frame in self._frames.received_frames():
            match frame.opcode, frame.payload:
                case Opcode.CLOSE, (code, reason):
                    self._heard.append(WireClosed(int(code), reason or ""))
                case Opcode.TEXT, str(text):
                    self._parts.append(text)
                    if frame.message_finished:
                        self._heard.append("".join(self._parts))
                        self._parts.clear()
                case other:
                    raise ParseFailed(f"a server does not send {other}")
