"""The newest lines of a node's own log, kept in memory for whoever asks over its control socket (`moltnet node logs`).

They are what goes to stderr: of the same level, without secrets. How many are kept is bounded per agent and in all;
older ones are where the service manager keeps them. Who asks is answered by `node.control`.
"""

import logging
from collections import OrderedDict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

import attrs
import trio

from bridge import limits
from moltnet.log import JSONFormatter


@attrs.frozen
class LogQuery:
    """At most the newest `lines` of these agents and levels; with `after`, of those that came behind that number."""

    level: str = "debug"
    lines: int = limits.MAX_LOG_LINES
    after: int | None = None


@attrs.frozen
class LogPage:
    """Lines as `--log-format json` writes them, oldest first. `last`: the number after which to ask again."""

    lines: tuple[str, ...] = ()
    last: int = 0


@attrs.frozen
class _Line:
    agent_id: str
    level: int
    text: str


@attrs.define(eq=False)
class RecentLogs:
    """Lines by their numbers, which begin with 1. Written by any thread, read by the one of Trio."""

    _token: trio.lowlevel.TrioToken = attrs.field(factory=trio.lowlevel.current_trio_token)
    _lines: OrderedDict[int, _Line] = attrs.field(factory=OrderedDict, init=False)
    _of_agents: dict[str, deque[int]] = attrs.field(factory=dict, init=False)
    _bytes: int = attrs.field(default=0, init=False)
    _last: int = attrs.field(default=0, init=False)
    # Held for some operations of dictionaries, never across a checkpoint.
    _lock: Lock = attrs.field(factory=Lock, init=False)
    _came: trio.Event = attrs.field(factory=trio.Event, init=False)
    _is_waited_for: bool = attrs.field(default=False, init=False)

    def add(self, agent_id: str, level: int, text: str) -> None:
        """Keep one line, and forget what is too much then. `agent_id` is empty for lines of the node itself."""
        with self._lock:
            self._last += 1
            self._lines[self._last] = _Line(agent_id, level, text)
            self._bytes += len(text)
            numbers = self._of_agents.setdefault(agent_id, deque())
            numbers.append(self._last)
            if len(numbers) > limits.MAX_LOG_LINES_PER_AGENT:
                self._forget(numbers[0])
            while len(self._lines) > limits.MAX_LOG_LINES or self._bytes > limits.MAX_LOG_BYTES:
                self._forget(next(iter(self._lines)))
            is_waited_for, self._is_waited_for = self._is_waited_for, False
        if is_waited_for:
            self._token.run_sync_soon(self._tell)

    def find(self, agent_id: str, query: LogQuery) -> LogPage:
        """What is kept of one agent, or of all and the node if `agent_id` is empty."""
        # A number that is not given out yet is of an earlier process.
        after = query.after if query.after is not None and query.after <= self._last else 0
        level = logging.getLevelNamesMapping().get(query.level.upper(), logging.NOTSET)
        found: list[str] = []
        with self._lock:
            for number, line in reversed(self._lines.items()):
                if len(found) >= query.lines or number <= after:
                    break
                if agent_id in ("", line.agent_id) and line.level >= level:
                    found.append(line.text)
            return LogPage(tuple(reversed(found)), self._last)

    async def follow(self, agent_id: str, query: LogQuery) -> LogPage:
        """The same, as soon as there is something, or without lines after `limits.LOG_WAIT_SECONDS`."""
        with trio.move_on_after(limits.LOG_WAIT_SECONDS):
            while not (page := self.find(agent_id, query)).lines:
                query = attrs.evolve(query, after=page.last)
                await self._wait_behind(page.last)
        return page

    async def _wait_behind(self, number: int) -> None:
        with self._lock:
            if self._last > number:
                return
            self._is_waited_for = True
        await self._came.wait()

    def _tell(self) -> None:
        self._came.set()
        self._came = trio.Event()

    def _forget(self, number: int) -> None:
        line = self._lines.pop(number)
        self._bytes -= len(line.text)
        numbers = self._of_agents[line.agent_id]
        numbers.popleft()  # the oldest of all is also the oldest of its agent
        if not numbers:
            del self._of_agents[line.agent_id]


class _Recorder(logging.Handler):
    """What `RecentLogs` gets from `logging`."""

    def __init__(self, recent: RecentLogs) -> None:
        super().__init__()
        self._recent = recent
        self._formatter = JSONFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        try:
            agent_id = getattr(record, "fields", {}).get("agent_id", "")
            self._recent.add(str(agent_id), record.levelno, self._formatter.format(record))
        except Exception:  # as every handler does: what logs must not fail for it
            self.handleError(record)


@contextmanager
def keep_recent_logs() -> Iterator[RecentLogs]:
    """Keep what this process logs while the block runs. Must be entered in a Trio task."""
    recent = RecentLogs()
    recorder = _Recorder(recent)
    root = logging.getLogger()
    root.addHandler(recorder)
    try:
        yield recent
    finally:
        root.removeHandler(recorder)
