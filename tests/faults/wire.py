"""A wire between two hosts that a test can make slow, lossy, or cut: two TUN devices, and this process between them.

One end is in the network namespace that we run in, the other in one of its own, so that everything between the two is
real TCP/IP, retransmissions included. Kernels leave `netem` out more often than TUN, and a wire of our own has a seed.

Whoever uses this runs in a namespace already, as its root: see `inside`.
"""

import ctypes
import fcntl
import os
import random
import struct
import subprocess
import threading
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

import attrs
import trio

NEAR: Final = "10.77.0.1"
FAR: Final = "10.77.0.2"
_PACKET_BYTES: Final = 2048
_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x0001 | 0x1000
_NEW_NETWORK: Final = 0x40000000
MOST_UNDER_WAY: Final = 4096
"""Packets in one direction; what comes when there are so many is lost, as in any queue."""


@attrs.define(eq=False)
class Wire:
    """What befalls packets: `delay_seconds` each, `loss` of them lost, and whole directions cut."""

    chance: random.Random
    far_pid: int
    delay_seconds: float = 0.0
    loss: float = 0.0
    cut_to_far: bool = False
    cut_to_near: bool = False
    carried: int = 0
    lost: int = 0

    @property
    def far(self) -> Sequence[str]:
        """What runs a command at the far end."""
        return ("/usr/bin/nsenter", f"--net=/proc/{self.far_pid}/ns/net", "--")

    def cut(self) -> None:
        self.cut_to_far = self.cut_to_near = True

    def heal(self) -> None:
        self.cut_to_far = self.cut_to_near = False
        self.delay_seconds = self.loss = 0.0

    async def carry(self, source: int, target: int, *, to_far: bool) -> None:
        """Packets from one end to the other, in their order."""
        under_way: deque[tuple[float, bytes]] = deque()
        more = trio.Event()

        async def deliver() -> None:
            nonlocal more
            while True:
                while under_way:
                    due, packet = under_way.popleft()
                    await trio.sleep_until(due)
                    with suppress(OSError):  # its end is full, or going
                        os.write(target, packet)
                more = trio.Event()
                await more.wait()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(deliver)
            while True:
                await trio.lowlevel.wait_readable(source)
                packet = os.read(source, _PACKET_BYTES)
                is_cut = self.cut_to_far if to_far else self.cut_to_near
                if is_cut or len(under_way) >= MOST_UNDER_WAY or self.chance.random() < self.loss:
                    self.lost += 1
                    continue
                self.carried += 1
                under_way.append((trio.current_time() + self.delay_seconds, packet))
                more.set()


@asynccontextmanager
async def open_wire(seed: int) -> AsyncIterator[Wire]:
    """A far host, at `FAR`, and a wire to it from here, at `NEAR`."""
    _run("ip", "link", "set", "lo", "up")
    # Whatever ends us ends it: the pipe is closed then.
    holder = subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)  # noqa: ASYNC220
    try:
        await _wait_namespace(holder.pid)
        wire = Wire(random.Random(seed), holder.pid)
        near, far = open_tun("wire0"), _elsewhere(holder.pid, "wire0")
        _run("ip", "addr", "add", f"{NEAR}/24", "dev", "wire0")
        _run("ip", "link", "set", "wire0", "up")
        _run(*wire.far, "ip", "link", "set", "lo", "up")
        _run(*wire.far, "ip", "addr", "add", f"{FAR}/24", "dev", "wire0")
        _run(*wire.far, "ip", "link", "set", "wire0", "up")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: wire.carry(near, far, to_far=True))
            nursery.start_soon(lambda: wire.carry(far, near, to_far=False))
            yield wire
            nursery.cancel_scope.cancel()
        os.close(near)
        os.close(far)
    finally:
        holder.kill()
        holder.wait()


def open_tun(name: str) -> int:
    """A TUN device in the namespace of this thread; packets without a header. Raises `OSError`."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TUN_WITHOUT_HEADER))
    return descriptor


def _elsewhere(pid: int, name: str) -> int:
    """A TUN device in the namespace of another process. A thread that ends takes its namespace along."""
    found: list[int | OSError] = []

    def make() -> None:
        try:
            with open(f"/proc/{pid}/ns/net") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), _NEW_NETWORK):
                    raise OSError(ctypes.get_errno(), "setns")
            found.append(open_tun(name))
        except OSError as error:
            found.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (device,) = found
    if isinstance(device, OSError):
        raise device
    return device


async def _wait_namespace(pid: int) -> None:
    with trio.fail_after(10):
        while os.readlink(f"/proc/{pid}/ns/net") == os.readlink("/proc/self/ns/net"):  # noqa: ASYNC110
            await trio.sleep(0.01)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
