"""The ways out of one sandbox: a TCP port of the outside each, and nothing else.

Inside, `sandbox_entry.py` listens at addresses of the sandbox's own network, which has no other connection, and hands
the listening sockets to us. Names of hosts lead to those addresses by a hosts file. We carry bytes and look at none:
TLS goes from the program to the real host. What else the sandbox is made of is `bridge.bubblewrap`.
"""

import ipaddress
import os
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.settings import Endpoint
from moltnet.log import get_logger

log = get_logger("bridge.sandbox")

LOCAL_HOST: Final = "localhost"
HOSTS_FILE: Final = "127.0.0.1 localhost\n::1 localhost\n"
# Names get loopback addresses of their own, so that two hosts with one port are two places.
_FIRST_NAME_ADDRESS: Final = ipaddress.IPv4Address("127.77.0.1")


@attrs.frozen
class Door:
    """Inside, `address` is where the program finds `endpoint`."""

    endpoint: Endpoint
    address: str


def plan_doors(endpoints: Sequence[Endpoint]) -> tuple[tuple[Door, ...], str]:
    """The doors for these endpoints, and the hosts file that leads to them."""
    doors: list[Door] = []
    addresses: dict[str, str] = {}
    for endpoint in dict.fromkeys(endpoints):
        if endpoint.host == LOCAL_HOST:
            doors += [Door(endpoint, "127.0.0.1"), Door(endpoint, "::1")]
        elif _is_address(endpoint.host):
            doors.append(Door(endpoint, endpoint.host))
        else:
            address = addresses.setdefault(endpoint.host, str(_FIRST_NAME_ADDRESS + len(addresses)))
            doors.append(Door(endpoint, address))
    # Of "localhost:80" and "127.0.0.1:80" one is enough.
    unique = {(door.address, door.endpoint.port): door for door in reversed(doors)}
    lines = [f"{address} {host}\n" for host, address in addresses.items()]
    return tuple(reversed(unique.values())), HOSTS_FILE + "".join(lines)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


@attrs.define(eq=False)
class Gate:
    """Carries what comes to the doors of one sandbox to the outside. Made by `open_gate`."""

    doors: tuple[Door, ...]
    inside: socket.socket
    """The end that the entry gets."""
    _ours: socket.socket
    opened: bool = attrs.field(default=False, init=False)
    """Whether the entry has run: without that the sandbox was not set up."""
    _slots: trio.Semaphore = attrs.field(
        factory=lambda: trio.Semaphore(limits.MAX_SANDBOX_CONNECTIONS, max_value=limits.MAX_SANDBOX_CONNECTIONS),
        init=False,
    )

    def refusal(self) -> int | None:
        """After the end of the command: the error number with which its program was not executed."""
        try:
            match self._ours.recv(64).decode().split():
                case ["exec", number]:
                    return int(number)
        except BlockingIOError:
            pass
        return None

    async def serve(self) -> None:
        """Wait for the doors, and let through who comes, until cancelled."""
        await trio.lowlevel.wait_readable(self._ours)
        _, descriptors, _, _ = socket.recv_fds(self._ours, 1, len(self.doors), socket.MSG_CMSG_CLOEXEC)
        with _closing(descriptors) as listeners:
            if len(listeners) != len(self.doors):
                return
            self.opened = True
            async with trio.open_nursery() as nursery:
                for door, listener in zip(self.doors, listeners, strict=True):
                    nursery.start_soon(self._accept, trio.SocketListener(listener), door.endpoint, nursery)

    async def _accept(self, listener: trio.SocketListener, endpoint: Endpoint, nursery: trio.Nursery) -> None:
        while True:
            # A door at which nobody stands takes no place,
            await trio.lowlevel.wait_readable(listener.socket)
            # and who stands there is let in when there is one: a program can't make us hold any number of sockets.
            await self._slots.acquire()
            try:
                stream = await listener.accept()
            except OSError:  # no descriptors: ours, and they will be free again
                self._slots.release()
                await trio.sleep(limits.CONTROL_RETRY_SECONDS)
                continue
            except BaseException:
                self._slots.release()
                raise
            nursery.start_soon(self._carry, stream, endpoint)

    async def _carry(self, inside: trio.SocketStream, endpoint: Endpoint) -> None:
        try:
            async with inside:
                try:
                    with trio.fail_after(limits.SANDBOX_DIAL_SECONDS):
                        outside = await trio.open_tcp_stream(endpoint.host, endpoint.port)
                except (OSError, trio.TooSlowError) as error:
                    log.debug("not reached from a sandbox", host=endpoint.host, port=endpoint.port, reason=str(error))
                    return
                async with outside, trio.open_nursery() as nursery:
                    nursery.start_soon(_copy, inside, outside)
                    nursery.start_soon(_copy, outside, inside)
        finally:
            self._slots.release()


async def _copy(source: trio.SocketStream, sink: trio.SocketStream) -> None:
    """Until the end of `source`. A side that breaks closes both; either may end first."""
    try:
        async for chunk in source:
            await sink.send_all(chunk)
        with suppress(trio.ClosedResourceError):
            await sink.send_eof()
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(sink)


@contextmanager
def _closing(descriptors: Sequence[int]) -> Iterator[list[trio.socket.SocketType]]:
    """Listening sockets from their descriptors, closed at the end."""
    listeners = [trio.socket.from_stdlib_socket(socket.socket(fileno=descriptor)) for descriptor in descriptors]
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


@asynccontextmanager
async def open_gate(doors: tuple[Door, ...]) -> AsyncIterator[Gate]:
    """The gate of one sandbox, whose command runs in the block. When it is left every connection is closed."""
    ours, inside = socket.socketpair()
    with ours, inside:
        ours.setblocking(False)
        gate = Gate(doors, inside, ours)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(gate.serve)
            try:
                yield gate
            finally:
                nursery.cancel_scope.cancel(reason="the command in the sandbox is gone")


@contextmanager
def memory_file(name: str, text: str) -> Iterator[int]:
    """The descriptor of a file that exists only in memory, to be read once from its beginning."""
    descriptor = os.memfd_create(name)
    try:
        os.write(descriptor, text.encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)
