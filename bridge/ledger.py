"""What an attachment has done, kept on disk: where to resume, and which turns were begun or finished.

A few facts, in one small file that is replaced whole:

    cursor     everything received up to this event is finished, or kept; `cursor_at` is when it happened
    kept       the very first wake, if it was the first event: there is no cursor to receive it again by
    finished   wakes that are finished although something before them is not
    started    wakes whose turn was begun and not finished, each with the number of its attempts
    held       wakes that wait for approval, or are approved and not finished; only we have them (`bridge.approvals`)
    retaken    wakes that were given up and that an operator wants tried again, or fetched; only we have them
    fetched    wakes that came out of the history; if the server sends them after all, they are known (`bridge.missed`)
    turns      when the turns of the last hour began, for the budgets of their conversations (`bridge.brakes`)

A turn is recorded as started before the runtime is told of it, and as finished before the server is. So whatever dies
when, the server sends again what was not finished, what is finished is recognised by its event id and not done twice,
and a turn that was cut is known to be one. Ignored events only move the cursor, in memory at first: to receive one
again costs nothing.

The ledger decides nothing: what to run and what to ACK is the business of `bridge.conversation` and `bridge.loop`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from enum import Enum
from pathlib import Path
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.policy import Wake
from bridge.state_lock import hold_state
from bridge.turn_counts import CountedTurns, TurnCounts
from moltnet.config.files import read_file, write_private
from moltnet.log import get_logger
from moltnet.protocol.codec import decode, encode, wire
from moltnet.protocol.events import Event

log = get_logger("bridge.ledger")

VERSION: Final = "moltnet.ledger.v1"
FILE_NAME: Final = "ledger.json"

Save = Callable[[bytes], Awaitable[None]]
"""Puts the whole ledger on disk, durably, or raises `OSError` and leaves the old one."""


@attrs.frozen
class LedgerFile:
    """The file's content. `owner` is `<network>:<agent>`: the state of one agent means nothing to another."""

    owner: str
    version: str = attrs.field(default=VERSION, metadata=wire(always=True))
    cursor: str = attrs.field(default="", metadata=wire(always=True))
    kept: Event | None = None
    finished: tuple[str, ...] = attrs.field(default=(), metadata=wire(always=True))
    started: dict[str, int] = attrs.field(factory=dict, metadata=wire(always=True))
    retaken: tuple[Wake, ...] = ()
    held: tuple[Wake, ...] = ()
    turns: tuple[CountedTurns, ...] = ()
    cursor_at: str = ""
    fetched: tuple[str, ...] = ()


class TooMuchRetaken(Exception):
    """See `Ledger.retake`."""


class Standing(Enum):
    """What the ledger knows of a wake that was just delivered."""

    NEW = "new"
    ONGOING = "ongoing"
    """Received before in this process, by a connection that is gone; it waits or runs."""
    FINISHED = "finished"


@attrs.define(eq=False)
class _Entry:
    """A wake at or beyond the cursor. `end` is the newest event up to the next wake: its own, or an ignored one."""

    event_id: str
    end: str
    end_at: str
    finished: bool = False
    passed: bool = True
    """The present connection has delivered it, or something after it, and so will not deliver it again."""


@attrs.define(eq=False)
class Ledger:
    """The ledger of one attachment. Made by `open_ledger`.

    Events are told in the order of the server's log. A new connection starts again behind the cursor: `rewind` comes
    first.
    """

    owner: str
    _save: Save
    cursor: str = ""
    kept: Event | None = None
    """A wake that only we have; whoever opens the ledger has to see to it."""
    _started: dict[str, int] = attrs.field(factory=dict)
    _finished_before: dict[str, None] = attrs.field(factory=dict)
    """Finished in an earlier process; each becomes an entry when it is delivered again."""
    retaken: dict[str, Wake] = attrs.field(factory=dict)
    """Given up before, or fetched, by event id; as with `kept`, whoever opens the ledger has to see to them."""
    held: dict[str, Wake] = attrs.field(factory=dict)
    """Waiting for approval, by event id, in the order in which they came."""
    turns: TurnCounts = attrs.field(factory=TurnCounts)
    """Saved with everything else: who counts a turn does so before `start`."""
    cursor_at: str = ""
    """When the event at the cursor happened, by the server's clock; empty if nobody has told."""
    _fetched: dict[str, None] = attrs.field(factory=dict)
    _entries: list[_Entry] = attrs.field(factory=list, init=False)
    _by_id: dict[str, _Entry] = attrs.field(factory=dict, init=False)
    _place: _Entry | None = attrs.field(default=None, init=False)
    """The last wake told on this connection; none if it is not beyond the cursor."""
    _version: int = attrs.field(default=0, init=False)
    _saved_version: int = attrs.field(default=0, init=False)
    # Two threads that replace one file could do so in the wrong order.
    _saving: trio.Lock = attrs.field(factory=trio.Lock, init=False)
    _changed: trio.Event = attrs.field(factory=trio.Event, init=False)

    @classmethod
    def of_file(cls, file: LedgerFile, save: Save) -> "Ledger":
        """The ledger as a process finds it that starts now."""
        return cls(
            file.owner,
            save,
            file.cursor,
            file.kept,
            dict(file.started),
            dict.fromkeys(file.finished),
            {wake.event_id: wake for wake in file.retaken},
            {wake.event_id: wake for wake in file.held},
            TurnCounts.of(file.turns),
            file.cursor_at,
            dict.fromkeys(file.fetched),
        )

    def rewind(self) -> str:
        """A connection begins. Returns the cursor to resume after.

        What comes next comes after it, in part again. So nothing is forgotten from now on, finished or not, before it
        has come again.
        """
        self._place = None
        for entry in self._entries:
            entry.passed = False
        return self.cursor

    def receive(self, event_id: str, cursor: str, at: str = "") -> Standing:
        """A wake was delivered that happened `at`. It is not finished before `finish`."""
        entry = self._by_id.get(event_id)
        known = entry is not None or event_id in self._fetched
        if entry is None:
            fetched = event_id in self._fetched and event_id not in self.retaken and event_id not in self.held
            entry = _Entry(event_id, cursor, at, finished=fetched or event_id in self._finished_before)
            self._finished_before.pop(event_id, None)
            # An event that became visible between two connections may belong before others that are known.
            self._entries.insert(0 if self._place is None else self._entries.index(self._place) + 1, entry)
            self._by_id[event_id] = entry
        self._pass(entry)
        if entry.finished:
            self._advance()
            self._note_change()
            return Standing.FINISHED
        return Standing.ONGOING if known else Standing.NEW

    def ignore(self, cursor: str, at: str = "") -> None:
        """An event was delivered that wakes nobody. Saved within `limits.LEDGER_LAG_SECONDS`."""
        if self._place is None:
            self.cursor, self.cursor_at = cursor, at or self.cursor_at
        else:
            self._place.end, self._place.end_at = cursor, at or self._place.end_at
        self._note_change()

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was ever received: the first event has to be told with `begin`."""
        return not self.cursor

    async def begin(self, cursor: str, wake: Event | None, at: str = "") -> None:
        """The first event ever; `wake` is it, if it wakes. Recorded durably. Raises `OSError`."""
        self.cursor, self.kept, self.cursor_at = cursor, wake, at
        self._note_change()
        await self.save()

    def attempts(self, event_id: str) -> int:
        """How often the turn of this wake was started and did not finish, crashes included."""
        return self._started.get(event_id, 0)

    def was_begun(self, event_id: str) -> bool:
        """Whether a turn with this wake was begun before, so that the agent may have seen it."""
        return event_id in self._started

    async def start(self, event_ids: Iterable[str]) -> None:
        """Record, durably, that a turn with these wakes begins. Raises `OSError`; then it must not begin.

        Cancelled, it may have been recorded, which costs an attempt.
        """
        for event_id in event_ids:
            self._started[event_id] = self.attempts(event_id) + 1
        while len(self._started) > limits.MAX_STARTED:
            del self._started[next(iter(self._started))]
        self._note_change()
        await self.save()

    def interrupt(self, event_ids: Iterable[str]) -> None:
        """The turn was cut by us: the wakes stay begun, and the attempt does not count."""
        for event_id in event_ids:
            self._started[event_id] = max(0, self.attempts(event_id) - 1)
        self._note_change()

    async def retake(self, wakes: Sequence[Wake]) -> tuple[Wake, ...]:
        """Record, durably, that these are to be tried again, begun before as they were and with all their attempts.

        Returns those that were not recorded yet. Cancelled, they are recorded.

        Raises:
            OSError: they are not recorded.
            TooMuchRetaken: so much is tried again already that no more may be.
        """
        new = tuple(wake for wake in wakes if wake.event_id not in self.retaken)
        together = [*self.retaken.values(), *new]
        if sum(len(wake.body.encode()) + limits.WAKE_HEADER_BYTES for wake in together) > limits.MAX_RETAKEN_BYTES:
            raise TooMuchRetaken("so much is being tried again that no more may be added now")
        for wake in new:
            self.retaken[wake.event_id] = wake
            self.held.pop(wake.event_id, None)  # a crash can leave it in both, and then it would run twice
            self._started[wake.event_id] = 0
        self._note_change()
        with trio.CancelScope(shield=True):
            await self.save()
        return new

    def knows(self, event_id: str) -> bool:
        """Whether this wake was received or fetched before, as far as we remember."""
        kept = self.kept is not None and self.kept.id == event_id
        known = (self._by_id, self._finished_before, self.retaken, self.held, self._fetched)
        return kept or event_id == self.cursor or any(event_id in each for each in known)

    async def fetch(self, wakes: Sequence[Wake], to_run: Sequence[Wake]) -> None:
        """Record, durably, wakes that came out of the history; those `to_run` are kept until they are finished.

        Cancelled, they are recorded. Raises `OSError`.
        """
        self._fetched |= dict.fromkeys(wake.event_id for wake in wakes)
        self.retaken |= {wake.event_id: wake for wake in to_run}
        self._note_change()
        with trio.CancelScope(shield=True):
            await self.save()

    async def hold(self, wake: Wake) -> None:
        """Record, durably, that we keep a wake until it is finished, so that the server may forget it.

        Cancelled, it is recorded. Raises `OSError`.
        """
        self.held[wake.event_id] = wake
        self._settle(wake.event_id)
        self._advance()
        self._note_change()
        with trio.CancelScope(shield=True):
            await self.save()

    async def finish(self, event_ids: Iterable[str]) -> None:
        """Record, durably, that these wakes are done with. Raises `OSError`.

        Not interrupted by cancellation: a finished turn that is forgotten would be done again. What bounds it is the
        disk.
        """
        for event_id in event_ids:
            self._started.pop(event_id, None)
            self.retaken.pop(event_id, None)
            self.held.pop(event_id, None)
            self._settle(event_id)
        self._advance()
        self._note_change()
        with trio.CancelScope(shield=True):
            await self.save()

    async def save(self) -> None:
        """Put the present state on disk, unless another call has just done so. Raises `OSError`."""
        wanted = self._version
        async with self._saving:
            if self._saved_version >= wanted:
                return
            version, document = self._version, encode(self._document())
            await self._save(document)
            self._saved_version = version

    async def save_lazily(self) -> None:
        """Save what changed, at most once per `limits.LEDGER_LAG_SECONDS`, until cancelled. Raises `OSError`."""
        while True:
            await self._changed.wait()
            await trio.sleep(limits.LEDGER_LAG_SECONDS)
            self._changed = trio.Event()
            await self.save()

    def _settle(self, event_id: str) -> None:
        """The server need not deliver it again."""
        if self.kept is not None and self.kept.id == event_id:
            self.kept = None
        if (entry := self._by_id.get(event_id)) is not None:
            entry.finished = True

    def _note_change(self) -> None:
        self._version += 1
        self._changed.set()

    def _pass(self, entry: _Entry) -> None:
        """This connection is at `entry`. What it left out before that, it will not deliver any more."""
        for earlier in self._entries:
            earlier.passed = True
            if earlier is entry:
                break
        self._place = entry

    def _advance(self) -> None:
        """Move the cursor over what is finished at the front, and forget it."""
        done = 0
        for entry in self._entries:
            if not (entry.finished and entry.passed):
                break
            done += 1
            self.cursor, self.cursor_at = entry.end, entry.end_at or self.cursor_at
            del self._by_id[entry.event_id]
            if self._place is entry:
                self._place = None
        del self._entries[:done]

    def _document(self) -> LedgerFile:
        finished = [*self._finished_before, *(entry.event_id for entry in self._entries if entry.finished)]
        return LedgerFile(
            owner=self.owner,
            cursor=self.cursor,
            kept=self.kept,
            finished=tuple(finished[-limits.MAX_FINISHED_BEYOND_CURSOR :]),
            started=dict(self._started),
            retaken=tuple(self.retaken.values()),
            held=tuple(self.held.values()),
            turns=self.turns.counted(),
            cursor_at=self.cursor_at,
            fetched=tuple(self._fetched)[-limits.MAX_FETCHED_WAKES :],
        )


@asynccontextmanager
async def open_ledger(state_dir: Path, owner: str) -> AsyncIterator[Ledger]:
    """The ledger in `state_dir`, locked against other processes while the block runs, and saved when it ends.

    The directory is created if it is missing. A file that cannot be understood is renamed to `ledger.json.corrupt`,
    with a warning, and everything starts anew, from live events.

    Raises:
        StateInUse: another process holds it.
        OSError: the directory or the file cannot be used.
    """
    path = state_dir / FILE_NAME
    async with hold_state(state_dir, owner):
        file = await trio.to_thread.run_sync(_load, path, owner)

        async def save(data: bytes) -> None:
            await trio.to_thread.run_sync(write_private, path, data)

        ledger = Ledger.of_file(file, save)
        try:
            yield ledger
        finally:
            # Cancelled turns are told to the ledger on their way out; losing that costs each an attempt.
            with trio.CancelScope(shield=True):
                await ledger.save()


def _load(path: Path, owner: str) -> LedgerFile:
    try:
        file = read_file(path, max_bytes=limits.MAX_LEDGER_BYTES)
    except FileNotFoundError:
        return LedgerFile(owner)
    try:
        document = decode(file.data, LedgerFile)
        if (document.version, document.owner) != (VERSION, owner):
            raise ValueError(f"it is {document.version} of {document.owner}, expected {VERSION} of {owner}")
        if any(type(attempts) is not int for attempts in document.started.values()):
            raise ValueError("an attempt is not a number")
        return document
    except ValueError as error:
        aside = path.with_name(path.name + ".corrupt")
        path.rename(aside)
        log.warning("ledger set aside; only events from now on are seen", file=str(aside), reason=str(error))
        return LedgerFile(owner)
