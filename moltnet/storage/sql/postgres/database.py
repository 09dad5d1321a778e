"""The connections to PostgreSQL, for Trio: the one place where asyncio is spoken.

A unit of work is a coroutine function that awaits nothing but the ``Connection`` it is given. It runs as one task of an
asyncio loop inside ours, so that a transaction of many statements crosses the border once. Its caller is any Trio task,
of whatever nursery. What is read and written is decided elsewhere in this package.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final, NoReturn, Protocol, TypeVar

import asyncpg  # type: ignore[import-untyped]  # ships no types
import attrs
import trio
from trio_asyncio import TrioEventLoop, aio_as_trio, current_loop, open_loop  # type: ignore[import-untyped]  # ships no types

from moltnet.backoff import backoff_delays
from moltnet.log import get_logger
from moltnet.storage import limits
from moltnet.storage.sql.postgres.dsn import Dsn
from moltnet.storage.sql.postgres.failures import (
    Collision,
    ConnectionLost,
    is_of_the_database,
    is_useless_after,
    translated,
)
from moltnet.storage.store import StorageError

Result = TypeVar("Result")
log = get_logger("storage")

OLDEST_VERSION: Final = 13
_NEVER: Final = float("inf")
# A plan is made once and kept, perhaps while tables are still empty or have grown since they were counted: then reading
# them whole looks cheap, which halved what a new network could take. Every statement has an index to go by, and is told
# to. Compiling one takes longer than running it.
PLANNING: Final = """
SET enable_seqscan = off;
SET enable_sort = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET jit = off;
"""
# Of `synchronous_commit` only `off` lets an acknowledged commit be lost; more than `on` is the operator's choice.
_SESSION: Final = """
SET statement_timeout = '{statement}s';
SET idle_in_transaction_session_timeout = '{idle}s';
SET client_encoding = 'UTF8';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';
"""


class Connection(Protocol):
    """What a unit of work may use of asyncpg's connections."""

    async def execute(self, query: str, *args: Any) -> str: ...

    async def fetch(self, query: str, *args: Any) -> list[Any]: ...

    async def fetchrow(self, query: str, *args: Any) -> Any | None: ...

    async def fetchval(self, query: str, *args: Any) -> Any: ...


Work = Callable[[Connection], Awaitable[Result]]


@asynccontextmanager
async def open_database(dsn: Dsn) -> AsyncIterator["PostgresDatabase"]:
    """A database that connects when it is first used; leaving the block closes it, whatever is cancelled.

    Until then the connections work, for shielded tasks too. Raises what the block raises, and not a group of it.
    """
    raised: Exception | None = None
    async with open_loop() as loop, AsyncExitStack() as closing:
        loop.set_exception_handler(_note_failure)
        async with trio.open_nursery() as background:
            database = PostgresDatabase(dsn, loop, background)
            # Once nothing runs in the background any more: what is cut while it connects may leave a connection behind.
            closing.push_async_callback(database.aclose)
            try:
                yield database
            except Exception as error:
                # The nurseries of the loop would make a group of it.
                raised = error
            finally:
                background.cancel_scope.cancel()
    if raised is not None:
        raise raised


@attrs.define(eq=False)
class PostgresDatabase:
    """One connection that writes, a few that read, one that listens, one for what servers settle among themselves, and
    one that says that this one lives.

    Each is opened again after it was lost.

    Tasks in ``background`` are cancelled when the database is closed.
    """

    dsn: Dsn
    _loop: TrioEventLoop
    background: trio.Nursery
    _writer: "_Link" = attrs.field(init=False)
    _listener: "_Link" = attrs.field(init=False)
    _steward: "_Link" = attrs.field(init=False)
    _pulse: "_Link" = attrs.field(init=False)
    _readers: tuple["_Link", ...] = attrs.field(init=False)
    _idle_readers: deque["_Link"] = attrs.field(init=False)
    _lost_at: float = attrs.field(init=False, default=_NEVER)
    write_turn: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _settle_turn: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    _pulse_turn: trio.Lock = attrs.field(init=False, factory=trio.Lock)
    read_limiter: trio.CapacityLimiter = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._writer, self._listener, self._steward, self._pulse = (_Link(self.dsn) for _ in range(4))
        self._readers = tuple(_Link(self.dsn) for _ in range(limits.POSTGRES_READERS))
        self._idle_readers = deque(self._readers)
        self.read_limiter = trio.CapacityLimiter(len(self._readers))

    async def prepare(self, work: Work[Result], seconds: float) -> Result:
        """Run ``work`` on the writing connection, before anybody else does. Cancelled, it is undone.

        Raises as ``write`` does.
        """
        async with self.write_turn:
            return await self._call(self._writer, work, seconds)

    async def write(self, work: Work[Result]) -> Result:
        """Run ``work`` on the writing connection, after all that came before.

        Cancelled before its turn, it does not run; once started it finishes, or fails in time. Raises
        ``ConnectionLost``, ``Collision``, ``StorageFull``, ``StorageError``, and whatever ``work`` raises.
        """
        async with self.write_turn:
            with trio.CancelScope(shield=True):
                result = await self._call(self._writer, work, limits.POSTGRES_CALL_SECONDS)
        return result

    async def settle(self, work: Work[Result], seconds: float) -> Result:
        """Run ``work``, which is short, on a connection where it waits for no commit and no reader of ours.

        One try, of ``seconds`` at most, once its turn has come. Raises and is cancelled as ``write`` is.
        """
        async with self._settle_turn:
            with trio.CancelScope(shield=True):
                result = await self._call(self._steward, work, seconds)
        return result

    async def sign_of_life(self, work: Work[Result], seconds: float) -> Result:
        """The same on a connection of its own, where it does not wait for what is settled either."""
        async with self._pulse_turn:
            with trio.CancelScope(shield=True):
                result = await self._call(self._pulse, work, seconds)
        return result

    @property
    def settling_connections(self) -> int:
        """How often the connection of ``settle`` was opened: after another one, what was said on it may be lost."""
        return self._steward.connections

    async def read(self, work: Work[Result]) -> Result:
        """Run ``work`` beside the writer. Cancelled, its statement is cancelled too. Raises as ``write`` does.

        A connection that was lost is replaced, and ``work`` runs again, for as long as a caller can be kept waiting.
        """
        async with self.read_limiter:
            # The limiter counts the same. What was used last is most likely still open.
            link = self._idle_readers.pop()
            try:
                return await self.patiently(lambda: self._call(link, work, limits.POSTGRES_CALL_SECONDS))
            finally:
                self._idle_readers.append(link)

    async def listen(self, channel: str, ring: Callable[[], None]) -> NoReturn:
        """Call ``ring`` for notifications on ``channel`` that are not the writer's own, until the connection is lost.

        It rings first when it begins to hear, since it may have missed something, and now and then without a reason,
        which finds out whether anybody is there. Raises ``StorageError``.
        """

        def heard(_connection: object, sender_pid: int, _channel: str, _payload: object) -> None:
            if sender_pid != self._writer.server_pid:
                ring()

        async def begin(connection: Any) -> None:
            await connection.add_listener(channel, heard)

        async def look(connection: Any) -> None:
            # Notifications are read off the connection while it waits for nothing; this makes it say that it lives.
            await connection.execute("SELECT 1")

        self._listener.drop()
        await self._call(self._listener, begin, limits.POSTGRES_CALL_SECONDS)
        while self._listener.is_open:
            ring()
            with trio.move_on_after(limits.POSTGRES_POLL_SECONDS):
                await self._listener.lost.wait()
                break
            await self._call(self._listener, look, limits.POSTGRES_CALL_SECONDS)
        raise ConnectionLost(f"PostgreSQL at {self.dsn.address} is away: the connection was closed")

    async def patiently(self, call: Callable[[], Awaitable[Result]]) -> Result:
        """``call``, again and again while the connection is lost or transactions collide, until callers waited enough.

        Once the database has been away for so long, nobody waits any more: one try tells whether it is back.
        """
        began_at = trio.current_time()
        for delay_seconds in backoff_delays(base_seconds=0.02, cap_seconds=0.5):
            try:
                return await call()
            except (ConnectionLost, Collision) as error:
                since = self._lost_at if isinstance(error, ConnectionLost) else began_at
                if trio.current_time() + delay_seconds >= since + limits.POSTGRES_PATIENCE_SECONDS:
                    raise
            await trio.sleep(delay_seconds)
        raise AssertionError("delays have no end")

    async def aclose(self) -> None:
        """Close everything, whatever is cancelled. Nobody reads or writes any more."""
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for link in (self._writer, self._listener, self._steward, self._pulse, *self._readers):
                    nursery.start_soon(self._close, link)
            # What was closed just now, such as a connection that was refused, is gone when the loop has turned.
            await aio_as_trio(asyncio.sleep)(0)

    async def _close(self, link: "_Link") -> None:
        with trio.move_on_after(limits.POSTGRES_CLOSE_SECONDS), suppress(Exception):
            await self._in_loop(link.close())
        link.drop()

    async def _call(self, link: "_Link", work: Work[Result], seconds: float) -> Result:
        try:
            result = await self._bounded(link, work, seconds)
        except ConnectionLost:
            self._lost_at = min(self._lost_at, trio.current_time())
            raise
        self._lost_at = _NEVER
        return result

    async def _bounded(self, link: "_Link", work: Work[Result], seconds: float) -> Result:
        with trio.move_on_after(seconds):
            try:
                return await self._in_loop(link.run(work))
            except Exception as error:
                ours = translated(error, self.dsn)
                if ours is error:
                    raise
                raise ours from error
        link.drop()
        raise ConnectionLost(f"PostgreSQL at {self.dsn.address} did not answer within {seconds:g} seconds")

    async def _in_loop(self, call: Awaitable[Result]) -> Result:
        # The loop is known to the task that opened it and to those that it started. Callers are others too.
        before = current_loop.set(self._loop)
        try:
            result: Result = await self._loop.run_aio_coroutine(call)
        finally:
            current_loop.reset(before)
        return result


@attrs.define(eq=False)
class _Link:
    """A place for one connection. Its coroutines are asyncio's."""

    dsn: Dsn
    lost: trio.Event = attrs.field(init=False, factory=trio.Event)
    connections: int = attrs.field(init=False, default=0)
    _connection: Any = attrs.field(init=False, default=None)

    @property
    def is_open(self) -> bool:
        return self._connection is not None and not self._connection.is_closed()

    @property
    def server_pid(self) -> int:
        """The server's process at the other end, 0 without a connection."""
        return int(self._connection.get_server_pid()) if self.is_open else 0

    async def run(self, work: Work[Result]) -> Result:
        if not self.is_open:
            self._connection = await self._connect()
            self.connections += 1
        connection = self._connection
        try:
            return await work(connection)
        except BaseException as error:
            # Cut in the middle of a transaction, or worse: whoever comes next gets a new one.
            if connection.is_closed() or connection.is_in_transaction() or is_useless_after(error):
                self.drop()
            raise

    def drop(self) -> None:
        """Let go of the connection without a word, which ends what it was doing."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def close(self) -> None:
        if self.is_open:
            await self._connection.close()

    async def _connect(self) -> Any:
        self.lost = lost = trio.Event()
        try:
            connection = await asyncpg.connect(self.dsn.url.reveal(), timeout=self.dsn.connect_seconds)
        except Exception as error:
            if is_of_the_database(error):
                raise
            # Whatever the driver stumbles over when a connection is cut before it is one.
            raise ConnectionLost(f"PostgreSQL at {self.dsn.address} is away: {type(error).__name__}") from error
        try:
            connection.add_termination_listener(lambda _connection: lost.set())
            check_version(connection.get_server_version().major, self.dsn)
            await connection.execute(
                PLANNING
                + _SESSION.format(
                    statement=limits.POSTGRES_STATEMENT_SECONDS, idle=limits.POSTGRES_IDLE_TRANSACTION_SECONDS
                )
            )
        except BaseException:
            connection.terminate()
            raise
        return connection


def check_version(major: int, dsn: Dsn) -> None:
    """Raises ``StorageError`` for a server that lacks what we use."""
    if major < OLDEST_VERSION:
        raise StorageError(
            f"PostgreSQL at {dsn.address} is version {major}, and {OLDEST_VERSION} is the oldest that has what we use: "
            "upgrade the server"
        )


def _note_failure(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # Of a connection that is being let go of; whoever uses the next one hears of it.
    log.debug("a connection to PostgreSQL ended badly", reason=str(context.get("exception") or context.get("message")))
