"""The one process that has the store open: it carries out what its guests want, and tells all what was committed.

Everything that waits, whoever sent it, goes into one commit: with many guests the disk is asked no more often than with
one. What was committed goes to each guest as a word, before the answer to whoever asked for it, so every guest hears of
all commits in their order::

    Host.run            commits, one after the other
    a link per guest    its calls, each in a task; ends with the guest
"""

import inspect
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Final

import attrs
import outcome
import trio

from moltnet.protocol import limits
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.storage.commands import AnyCommand, AnyOutcome
from moltnet.storage.hosted.buckets import Buckets
from moltnet.storage.hosted.link import Answer, Hear, Link, word
from moltnet.storage.hosted.owners import Owners
from moltnet.storage.hosted.seats import Row, SeatTable
from moltnet.storage.seating import Departed, Occupied
from moltnet.storage.spending import Spent
from moltnet.storage.store import StorageError, Store, WrongNetwork

_ID_BYTES: Final = 16
# All that a store does and that is the same for every guest.
_READS: Final = {
    name
    for name, member in vars(Store).items()
    if inspect.iscoroutinefunction(member) and not name.startswith("_") and name not in ("commit", "wait_changed")
}


@attrs.frozen
class Joined:
    """What a guest is told when it comes: its name among the guests, and what they have."""

    guest_id: str
    seats: Sequence[Row]
    departed: bool


@attrs.define(eq=False)
class _Batch:
    commands: Sequence[AnyCommand]
    finished: trio.Event = attrs.field(init=False, factory=trio.Event)
    result: outcome.Outcome[Sequence[AnyOutcome]] | None = attrs.field(init=False, default=None)

    def finish(self, result: outcome.Outcome[Sequence[AnyOutcome]]) -> None:
        self.result = result
        self.finished.set()


@attrs.define(eq=False)
class Host:
    """A store and its guests. ``run`` makes it work."""

    network_id: NetworkId
    store: Store
    seats: SeatTable = attrs.field(init=False, factory=SeatTable)
    buckets: Buckets = attrs.field(init=False, factory=Buckets)
    owners: Owners = attrs.field(init=False, factory=Owners)
    _guests: dict[str, "_Guest"] = attrs.field(init=False, factory=dict)
    _put: trio.MemorySendChannel[_Batch] = attrs.field(init=False)
    _batches: trio.MemoryReceiveChannel[_Batch] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._put, self._batches = trio.open_memory_channel[_Batch](0)

    async def run(self) -> None:
        """Commit what guests want, for as long as the store is open. Cancelled, it ends between two commits."""
        async for first in self._batches:
            batches, commands = [first], len(first.commands)
            while commands < limits.MAX_BATCH_COMMANDS:
                try:
                    batches.append(self._batches.receive_nowait())
                except trio.WouldBlock:
                    break
                commands += len(batches[-1].commands)
            with trio.CancelScope(shield=True):
                await self._commit(batches)

    async def _commit(self, batches: Sequence[_Batch]) -> None:
        try:
            committed = await self.store.commit([command for batch in batches for command in batch.commands])
        except Exception as error:
            if len(batches) > 1 and not isinstance(error, StorageError):
                # One that the planner chokes on must not fail its neighbours.
                for batch in batches:
                    await self._commit([batch])
                return
            for batch in batches:
                batch.finish(outcome.Error(error))
            return
        self._tell_all(word("news", attrs.evolve(committed, outcomes=())))
        outcomes = iter(committed.outcomes)
        for batch in batches:
            batch.finish(outcome.Value([next(outcomes) for _ in batch.commands]))

    @contextmanager
    def guest(self, link: Link) -> Iterator[tuple[Mapping[str, Answer], Mapping[str, Hear]]]:
        """What a guest may call and say over ``link``, for as long as the block runs; then it is dead, or has left."""
        guest = _Guest(self, link, secrets.token_hex(_ID_BYTES))
        try:
            yield guest.answers(), guest.hears()
        finally:
            guest.leave()

    def join(self, guest: "_Guest", network_id: NetworkId) -> Joined:
        if network_id != self.network_id:
            raise WrongNetwork(f'this server serves network "{self.network_id}", not "{network_id}"; restart it')
        self._guests[guest.id] = guest
        return Joined(guest.id, self.seats.rows(), self.seats.departed() is not None)

    def leave(self, guest: "_Guest") -> None:
        if self._guests.pop(guest.id, None) is None:
            return
        self.owners.lose(guest.id)
        for agent_id in self.seats.lose(guest.id):
            self._tell_all(word("seated", guest.id, agent_id, "", 0))
        if self.seats.departed() is not None:
            self._tell_all(word("departed"))

    async def commit(self, commands: Sequence[AnyCommand]) -> Sequence[AnyOutcome]:
        """As ``Store.commit``, without what changed: that goes to every guest."""
        batch = _Batch(commands)
        await self._put.send(batch)
        await batch.finished.wait()
        assert batch.result is not None  # set before ``finished``
        return batch.result.unwrap()

    def take_seat(self, guest: "_Guest", agent_id: AgentId, key: str, attachments: int, *, alone: bool) -> None:
        """Raises ``Occupied``."""
        self.seats.take(guest.id, agent_id, key, attachments, alone=alone)
        self._tell_all(word("seated", guest.id, agent_id, key, attachments), but=guest)

    def doubt(self, guest: "_Guest", agent_id: AgentId) -> None:
        for guest_id in self.seats.guests_with(agent_id):
            if guest_id != guest.id:
                self._guests[guest_id].link.tell("doubted", agent_id)

    def _tell_all(self, packed: bytes, *, but: "_Guest | None" = None) -> None:
        for guest in self._guests.values():
            if guest is not but:
                guest.link.tell_packed(packed)


@attrs.define(eq=False)
class _Guest:
    """What the host has of one guest."""

    host: Host
    link: Link
    id: str

    def answers(self) -> Mapping[str, Answer]:
        mine: dict[str, Answer] = {
            "join": self._join,
            "sync": self._sync,
            "commit": self.host.commit,
            "own": partial(self.host.owners.own, self.id),
            "confirm": self._confirm,
            "departed": self._departed,
            "forget": self._forget,
            "spend": self._spend,
            "take": self._take,
        }
        return mine | {name: partial(self._read, name) for name in _READS}

    def hears(self) -> Mapping[str, Hear]:
        return {
            "seat": self._seat,
            "doubt": partial(self.host.doubt, self),
            "disown": partial(self.host.owners.disown, self.id),
        }

    def leave(self) -> None:
        self.host.leave(self)

    async def _join(self, network_id: NetworkId) -> Joined:
        await trio.lowlevel.checkpoint()
        return self.host.join(self, network_id)

    async def _sync(self) -> None:
        """Whoever has this answer has heard of everything before."""
        await trio.lowlevel.checkpoint()

    async def _read(self, name: str, *values: object) -> Any:
        return await getattr(self.host.store, name)(*values)

    def _seat(self, agent_id: AgentId, key: str, attachments: int, alone: bool) -> None:
        with suppress(Occupied):  # it asks
            self.host.take_seat(self, agent_id, key, attachments, alone=alone)

    async def _confirm(self, agent_id: AgentId, key: str, attachments: int, alone: bool) -> None:
        await trio.lowlevel.checkpoint()
        self.host.take_seat(self, agent_id, key, attachments, alone=alone)

    async def _departed(self) -> Departed | None:
        await trio.lowlevel.checkpoint()
        return self.host.seats.departed()

    async def _forget(self, left: Departed) -> None:
        await trio.lowlevel.checkpoint()
        self.host.seats.forget(left)

    async def _spend(self, spent: Sequence[Spent]) -> Sequence[float]:
        await trio.lowlevel.checkpoint()
        return self.host.buckets.spend(spent)

    async def _take(self, bucket: str, seconds: float, most_seconds: float) -> float:
        await trio.lowlevel.checkpoint()
        return self.host.buckets.take(bucket, seconds, most_seconds)
