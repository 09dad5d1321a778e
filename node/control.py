"""The control socket of a running node: one request, one answer, both JSON, for whoever runs the node.

It lies in the node's state directory with mode 0600, named after the file of the node: `.<file>.sock`. What may be
asked is in `Request`; the answers come from the live node, so there is nothing to poll and nothing that is out of date.
The other end is `node.control_client`.
"""

import fcntl
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.dead_letters import DeadLetter
from bridge.desk import Desk, NotRetryable
from bridge.errors import StateInUse
from bridge.ledger import TooMuchRetaken
from bridge.settings import state_name
from moltnet.config.files import create_directories
from moltnet.log import get_logger
from moltnet.protocol.codec import DecodeError, decode, encode
from node.recent_logs import LogPage, LogQuery, RecentLogs
from node.report import NodeReport, report_node
from node.supervisor import Node, Reloaded, ReloadRefused

log = get_logger("node.control")

# The kernel's, for the name of a socket; a longer one is reached through its directory's descriptor.
_MAX_ADDRESS_BYTES: Final = 107


class Operation(StrEnum):
    STATUS = "status"
    LOGS = "logs"
    RELOAD = "reload"
    LIST = "list"
    RETRY = "retry"
    DROP = "drop"


class Refusal(StrEnum):
    """Why a request was not done, as far as a caller treats it differently."""

    BAD_REQUEST = "bad request"
    BAD_CONFIGURATION = "bad configuration"
    NOT_FOUND = "not found"
    CONFLICT = "conflict"


@attrs.frozen
class Request:
    """`agent_id` and `event_ids` choose dead letters; without the one all agents are meant, without the others all.

    `agent_id` and `log` choose lines of the log.
    """

    operation: Operation
    agent_id: str = ""
    event_ids: tuple[str, ...] = ()
    log: LogQuery = attrs.field(factory=LogQuery)


@attrs.frozen
class Letters:
    """Dead letters of one agent, those that were asked for or those that something was done with."""

    agent_id: str
    letters: tuple[DeadLetter, ...]


@attrs.frozen
class Answer:
    """What became of a request: `refusal` with a text, or what its operation gives."""

    refusal: str = ""
    text: str = ""
    status: NodeReport | None = None
    reloaded: Reloaded | None = None
    letters: tuple[Letters, ...] = ()
    log: LogPage | None = None


def socket_path(state_path: Path, source: Path) -> Path:
    """Where the node of the file `source` listens. A dot is at the beginning of no state directory's name."""
    return state_path / f".{state_name(source.name.lower())}.sock"


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """The name of a socket as the kernel takes it, while the block runs. Raises `OSError`."""
    if len(os.fsencode(path)) <= _MAX_ADDRESS_BYTES:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


async def serve_control(
    node: Node,
    reload: Callable[[], Awaitable[Reloaded]],
    logs: RecentLogs | None = None,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Answer requests until cancelled. A node whose socket can't be made runs without it, and says so once."""
    path = socket_path(node.config.state_path, node.config.source)
    try:
        with _listening(path) as sock:
            task_status.started()
            await _serve(trio.SocketListener(trio.socket.from_stdlib_socket(sock)), Control(node, reload, logs))
    except _Taken:
        log.warning("another node of this file is running; this one can't be asked for its status", socket=str(path))
    except OSError as error:
        log.warning("no control socket, this node can't be asked for its status", socket=str(path), reason=str(error))
    task_status.started()


class _Taken(Exception):
    """Another process listens there."""


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    """A listening socket that only we can connect to. Its file goes with it. Raises `_Taken`, `OSError`."""
    create_directories(path.parent)
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    lock = os.open(path.with_suffix(".lock"), flags, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _Taken from None
        # Whoever made it is gone, or it would hold the lock.
        with suppress(FileNotFoundError):
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            with socket_address(path) as address:
                sock.bind(address)
            try:
                path.chmod(0o600)  # nobody can connect before it listens
                sock.setblocking(False)
                sock.listen(limits.MAX_CONTROL_REQUESTS)
                yield sock
            finally:
                path.unlink(missing_ok=True)
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)  # as `bridge.ledger` does, and for the same reason
        os.close(lock)


async def _serve(listener: trio.SocketListener, control: "Control") -> None:
    async with trio.open_nursery() as nursery:
        while True:
            try:
                stream = await listener.accept()
            except OSError:  # no descriptor is left, for example
                await trio.sleep(limits.CONTROL_RETRY_SECONDS)
                continue
            if len(nursery.child_tasks) >= limits.MAX_CONTROL_REQUESTS:
                await trio.aclose_forcefully(stream)
            else:
                nursery.start_soon(control.serve, stream)


@attrs.define(eq=False)
class Control:
    """Answers requests about one node. `reload` is how it is reloaded, with everybody told who has to know."""

    _node: Node
    _reload: Callable[[], Awaitable[Reloaded]]
    _logs: RecentLogs | None
    _followers: trio.CapacityLimiter = attrs.field(
        factory=lambda: trio.CapacityLimiter(limits.MAX_LOG_FOLLOWERS), init=False
    )

    async def serve(self, stream: trio.abc.Stream) -> None:
        """One connection: a request on one line, its answer, the end."""
        async with stream:
            with suppress(trio.BrokenResourceError):
                with trio.move_on_after(limits.CONTROL_SECONDS):
                    line = await receive_line(stream, limits.MAX_CONTROL_REQUEST_BYTES)
                    answer = await self._answer_line(line)
                    await stream.send_all(encode(answer) + b"\n")

    async def answer(self, request: Request) -> Answer:
        """Do what is asked."""
        try:
            match request.operation:
                case Operation.STATUS:
                    return Answer(status=report_node(self._node))
                case Operation.RELOAD:
                    return Answer(reloaded=await self._reload())
                case Operation.LIST | Operation.RETRY | Operation.DROP:
                    desks = {agent_id: child.desk for agent_id, child in self._node.children.items()}
                    return await handle_letters(desks, request)
                case Operation.LOGS:
                    return await self._read_log(request)
        except ReloadRefused as refused:
            return Answer(Refusal.BAD_CONFIGURATION, str(refused))

    async def _read_log(self, request: Request) -> Answer:
        agent_id, query = request.agent_id, request.log
        if self._logs is None:
            return Answer(Refusal.NOT_FOUND, "this node keeps no log in memory")
        if query.after is None:
            page = self._logs.find(agent_id, query)
            if agent_id and agent_id not in self._node.children and not page.lines:
                return Answer(Refusal.NOT_FOUND, f"this node has no agent {agent_id}")
            return Answer(log=page)
        if not self._followers.available_tokens:
            return Answer(
                Refusal.CONFLICT, f"{limits.MAX_LOG_FOLLOWERS} others follow this log, that is all there may be"
            )
        async with self._followers:
            return Answer(log=await self._logs.follow(agent_id, query))

    async def _answer_line(self, line: bytes | None) -> Answer:
        if line is None:
            return Answer(Refusal.BAD_REQUEST, "a request is one line")
        try:
            request = decode(line, Request)
        except DecodeError as error:
            return Answer(Refusal.BAD_REQUEST, str(error))
        return await self.answer(request)


async def handle_letters(desks: Mapping[str, Desk], request: Request) -> Answer:
    """List, retry or drop dead letters at the desks of these agents."""
    chosen = {agent_id: desk for agent_id, desk in desks.items() if request.agent_id in ("", agent_id)}
    if not chosen:
        return Answer(Refusal.NOT_FOUND, f"this node has no agent {request.agent_id}".rstrip())
    handled = []
    try:
        for agent_id, desk in chosen.items():
            letters = await desk.letters.read()
            if request.operation is not Operation.LIST:
                # None means all, those that come while we work left out.
                wanted = request.event_ids or tuple(letter.event_id for letter in letters)
                act = desk.retry if request.operation is Operation.RETRY else desk.drop
                letters = await act(wanted)
            handled.append(Letters(agent_id, tuple(attrs.evolve(each, wake=None) for each in letters)))
    except (StateInUse, NotRetryable, TooMuchRetaken, OSError) as error:
        return Answer(Refusal.CONFLICT, str(error))
    return Answer(letters=tuple(handled))


async def receive_line(stream: trio.abc.ReceiveStream, max_bytes: int) -> bytes | None:
    """What comes before the first line break; None if too much comes without one, or nothing more."""
    data = bytearray()
    while b"\n" not in data:
        chunk = await stream.receive_some()
        data += chunk
        if not chunk or len(data) > max_bytes:
            return None
    return bytes(data.partition(b"\n")[0])
