"""The bytes of one TCP connection: what was read and not yet used, and a way out that holds a bounded amount.

One socket, one owner of each direction, no task and no scope of its own. What the bytes mean is said elsewhere.
"""

import os
from collections import deque
from contextlib import suppress

import attrs
import trio

from moltnet.http.backlog import Backlog
from moltnet.protocol import limits


@attrs.define(eq=False)
class Wire:
    """A connected socket.

    ``received`` is what the peer sent and nobody has used: who uses some deletes it from the front. ``peer`` is the
    address of the other end, empty if it has none.

    ``write`` never waits: what the kernel does not take at once is kept, as views of what was written, and somebody has
    to call ``flush`` until ``unsent_bytes`` is 0. Who would keep more than ``limits.MAX_WIRE_BACKLOG_BYTES`` is cut off
    and resumes by its cursor.
    """

    stream: trio.SocketStream
    backlog: Backlog
    peer: str = ""
    received: bytearray = attrs.field(factory=bytearray)
    is_broken: bool = attrs.field(default=False, init=False)
    unsent_bytes: int = attrs.field(default=0, init=False)
    _unsent: deque[memoryview] | None = attrs.field(default=None, init=False)

    def write(self, data: bytes) -> None:
        """Send, or keep what can't be sent at once. What a peer that is gone is sent is dropped. No checkpoint."""
        if self.is_broken:
            return
        taken = 0 if self.unsent_bytes else self._write_now(data)
        if taken < len(data) and not self.is_broken:
            self._keep(memoryview(data)[taken:])

    async def flush(self) -> None:
        """Wait until the peer has taken all that was written, or is gone. One task at a time. Does not raise.

        A peer that takes less than ``WRITE_BYTES`` in ``WRITE_SECONDS`` is treated as gone. Cancelled, what was not
        sent is still kept, so no frame is ever cut in two. Returns without a checkpoint if nothing waits.
        """
        while self.unsent_bytes and not self.is_broken:
            with self.backlog.held(self.unsent_bytes, self.cut) as took_some:
                remaining = self.unsent_bytes
                while remaining > 0 and not self.is_broken:
                    taken = await self._write_slowly(min(remaining, limits.WRITE_BYTES))
                    remaining -= taken
                    took_some()
        if self.is_broken:
            self._drop()

    async def receive(self, max_bytes: int) -> int:
        """Add what the peer sends next to ``received``; how much it was, 0 at its end, or if it is gone."""
        socket = self.stream.socket
        while True:
            try:
                await trio.lowlevel.wait_readable(socket)
                data = os.read(socket.fileno(), max_bytes)
            except BlockingIOError:
                continue
            except (OSError, trio.ClosedResourceError):
                self.is_broken = True
                return 0
            self.received += data
            return len(data)

    def cut(self) -> None:
        """Close the socket. Whoever waits for it sees an end or a broken connection."""
        self.is_broken = True
        self.stream.socket.close()

    async def linger(self, seconds: float) -> None:
        """Say that nothing follows and take what the peer still has to say, so that it can read our last words."""
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError), trio.move_on_after(seconds):
            await self.stream.send_eof()
            while await self.stream.receive_some(limits.WRITE_BYTES):
                pass

    def _write_now(self, data: bytes | memoryview) -> int:
        """How much the kernel has taken."""
        try:
            return os.write(self.stream.socket.fileno(), data)
        except BlockingIOError:
            return 0
        except OSError:
            self.is_broken = True
            return 0

    async def _write_slowly(self, wanted_bytes: int) -> int:
        """Write until the peer has taken so much of what is kept; a peer that takes longer than it may is gone."""
        taken = 0
        with trio.move_on_after(limits.WRITE_SECONDS) as waiting:
            while taken < wanted_bytes and not self.is_broken:
                step = self._write_kept()
                taken += step
                if step == 0 and not self.is_broken:
                    try:
                        await trio.lowlevel.wait_writable(self.stream.socket)
                    except trio.ClosedResourceError:
                        self.is_broken = True
        if waiting.cancelled_caught:
            self.is_broken = True
        return taken

    def _write_kept(self) -> int:
        assert self._unsent is not None  # something is kept
        step = self._write_now(self._unsent[0])
        self.unsent_bytes -= step
        if step == len(self._unsent[0]):
            self._unsent.popleft()
        else:
            self._unsent[0] = self._unsent[0][step:]
        return step

    def _keep(self, data: memoryview) -> None:
        if self.unsent_bytes + len(data) > limits.MAX_WIRE_BACKLOG_BYTES:
            self.cut()
            return
        if self._unsent is None:
            self._unsent = deque()
        self._unsent.append(data)
        self.unsent_bytes += len(data)

    def _drop(self) -> None:
        self.unsent_bytes, self._unsent = 0, None
