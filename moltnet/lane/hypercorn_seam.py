"""The fast lane under the plain ``hypercorn`` command, which has no place for it: a subclass put where it looks.

Hypercorn's Trio worker loads the application before it serves, and then makes a ``TCPServer`` for each connection, by a
name of its module. ``install`` replaces what the name stands for, if this is the Hypercorn that we know. Connections of
other applications, with TLS, and under settings that the lane does not have, go straight to the original.
"""

import inspect
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any, Final, cast

import attrs
import hypercorn.trio.run
import trio
from hypercorn.config import Config
from hypercorn.trio.tcp_server import TCPServer
from hypercorn.trio.worker_context import WorkerContext

from moltnet.http.backlog import Backlog
from moltnet.http.front import Front
from moltnet.lane.connection import Lane
from moltnet.lane.switch import is_wanted
from moltnet.log import describe_error, get_logger

log = get_logger("http")

# Where Hypercorn looks, and for what.
_RUNNER: Final = hypercorn.trio.run
_NAME: Final = "TCPServer"
_KNOWN: Final = "0.18."
_PARAMETERS: Final = ("self", "app", "config", "context", "state", "stream")

FrontOf = Callable[[object], Front | None]
"""The front of an ASGI application, if it is one of ours and its network is open."""


def install(front_of: FrontOf, environ: Mapping[str, str]) -> bool:
    """Serve through the lane whatever this process's Hypercorn serves of ours; whether that is so."""
    if not is_wanted(environ) or not _is_known():
        return False
    lanes = _Lanes(front_of)

    class LaneServer(TCPServer):
        """One connection, which begins on the lane."""

        async def run(self) -> None:
            lane = lanes.lane_for(self)
            if lane is None:
                await super().run()
                return
            try:
                unread = await lane.connect(cast(trio.SocketStream, self.stream)).run()
            except Exception as error:
                # Beyond here it would end the server.
                log.warning("connection failed", reason=describe_error(error))
                unread = None
            if unread is None:
                await trio.aclose_forcefully(self.stream)
                return
            self.stream = _Continued(self.stream, unread.data)  # type: ignore[assignment]  # as much of it as is used
            await super().run()

    setattr(_RUNNER, _NAME, LaneServer)
    return True


def _is_known() -> bool:
    return (
        version("hypercorn").startswith(_KNOWN)
        and tuple(inspect.signature(TCPServer.__init__).parameters) == _PARAMETERS
        and issubclass(getattr(_RUNNER, _NAME, object), TCPServer)
    )


@attrs.define(eq=False)
class _Lanes:
    """The lane of the network that is open, as long as it is."""

    _front_of: FrontOf
    _front: Front | None = attrs.field(default=None, init=False)
    _context: WorkerContext | None = attrs.field(default=None, init=False)
    _lane: Lane | None = attrs.field(default=None, init=False)

    def lane_for(self, server: TCPServer) -> Lane | None:
        """``None`` for a connection that is not to be served on one."""
        front = self._front_of(getattr(server.app, "app", None))
        stream: object = server.stream  # Hypercorn says that it is always one with TLS
        if front is None or not isinstance(stream, trio.SocketStream) or not _is_plain(server.config):
            return None
        if server.context.max_requests is not None:
            return None  # they are counted elsewhere
        if self._front is not front or self._context is not server.context:
            self._front, self._context = front, server.context
            terminated = server.context.terminated
            self._lane = Lane(front, server.config, Backlog(), terminated.is_set)
            nursery = trio.lowlevel.current_task().parent_nursery
            assert nursery is not None  # a connection's task has one, which outlives all of them
            nursery.start_soon(_look_after, self._lane, terminated)
        return self._lane


def _is_plain(config: Config) -> bool:
    """Whether Hypercorn is asked for nothing about each request that the lane does not do."""
    return config.accesslog is None and config.statsd_host is None and not config.server_names and not config.root_path


async def _look_after(lane: Lane, terminated: Any) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lane.look_after)
        await terminated.wait()
        # Hypercorn would tell the application only when it has cancelled everything.
        lane.app.drain()
        lane.end_idle()
        nursery.cancel_scope.cancel(reason="the server stops")


class _Continued:
    """A stream of which somebody has read the beginning already."""

    def __init__(self, stream: Any, beginning: bytes) -> None:
        self.socket = stream.socket
        self.send_all = stream.send_all
        self.send_eof = stream.send_eof
        self.aclose = stream.aclose
        self._stream, self._beginning = stream, beginning

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self._beginning:
            return bytes(await self._stream.receive_some(max_bytes))
        await trio.lowlevel.checkpoint()
        data, self._beginning = self._beginning, b""
        return data
