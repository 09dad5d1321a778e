"""The ways to a socket that lead past Trio's own: descriptors, and what waits for them.

Our sockets have numbers that no descriptor of the system can have, and are found by them.
"""

import errno
import os
from collections.abc import Awaitable, Callable
from typing import Any, Final

import pytest
import trio

from moltnet.lane.wire import Wire
from tests.simulation.wires import SimSocket, Wires

FIRST: Final = -1000
"""What lies below is one of ours."""


def open_doors(wires: Wires, patch: pytest.MonkeyPatch) -> None:
    """Let everything in this process that takes a descriptor, or a socket, take those of `wires` too."""
    patch.setattr(os, "write", _writing(wires, os.write))
    patch.setattr(os, "read", _reading(wires, os.read))
    lowlevel = trio.lowlevel
    patch.setattr(lowlevel, "wait_readable", _waiting(lowlevel.wait_readable, SimSocket.wait_readable))
    patch.setattr(lowlevel, "wait_writable", _waiting(lowlevel.wait_writable, _wait_writable))
    patch.setattr(trio.socket, "from_stdlib_socket", _adopting(trio.socket.from_stdlib_socket))

    patch.setattr("moltnet.lane.connection._has_left", _has_left)


def _has_left(wire: Wire) -> bool:
    sock = wire.stream.socket
    assert isinstance(sock, SimSocket)
    return wire.is_broken or sock.has_left()


def _found(wires: Wires, descriptor: int) -> SimSocket:
    found = wires.open.get(FIRST - descriptor)
    if found is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    return found


def _writing(wires: Wires, real: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    def write(descriptor: int, data: bytes) -> int:
        if descriptor >= FIRST:
            return real(descriptor, data)
        taken = _found(wires, descriptor).write_now(bytes(data))
        if not taken and data:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return taken

    return write


def _reading(wires: Wires, real: Callable[[int, int], bytes]) -> Callable[[int, int], bytes]:
    def read(descriptor: int, max_bytes: int) -> bytes:
        return real(descriptor, max_bytes) if descriptor >= FIRST else _found(wires, descriptor).read_now(max_bytes)

    return read


def _waiting(
    real: Callable[[Any], Awaitable[None]], ours: Callable[[SimSocket], Awaitable[None]]
) -> Callable[[Any], Awaitable[None]]:
    async def wait(sock: Any) -> None:
        await (ours(sock) if isinstance(sock, SimSocket) else real(sock))

    return wait


async def _wait_writable(sock: SimSocket) -> None:
    try:
        await sock.wait_writable()
    except ConnectionResetError:
        pass  # writing will tell
    except OSError:
        raise trio.ClosedResourceError from None


def _adopting(real: Callable[[Any], trio.socket.SocketType]) -> Callable[[Any], trio.socket.SocketType]:
    return lambda sock: sock if isinstance(sock, trio.socket.SocketType) else real(sock)
