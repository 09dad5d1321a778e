"""Calls in both directions between two processes of one program, over a stream that nobody else can reach.

A *call* waits for its answer, a *word* has none. Both go out in the order in which they were given, and words arrive in
it; calls run beside each other on the other side, as tasks. What is sent is pickled: both ends are the same program,
one started the other, and the stream is a pair of sockets that was made for them. Anything that came from elsewhere
would be a reason not to.
"""

import pickle
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import attrs
import outcome
import trio

from moltnet.storage import limits
from moltnet.storage.store import StorageError

Answer = Callable[..., Awaitable[Any]]
Hear = Callable[..., None]

_LENGTH_BYTES: Final = 4
_RECEIVE_BYTES: Final = 256 * 1024

_CALL: Final = 0
_ANSWER: Final = 1
_CANCEL: Final = 2
_WORD: Final = 3


class LinkLost(StorageError):
    """The other process is gone, or takes nothing any more."""


def word(name: str, *values: object) -> bytes:
    """A word as it goes over the stream: made once for all links that it goes over."""
    return _packed((_WORD, 0, name, values))


def _packed(frame: tuple[int, int, str, object]) -> bytes:
    body = pickle.dumps(frame, protocol=pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_LENGTH_BYTES, "big") + body


@attrs.define(eq=False)
class Link:
    """One end. ``answers`` are what the other end may call, ``hears`` its words, both by name; ``run`` makes it work.

    Whoever calls after the other end is gone, or waits for it then, gets ``LinkLost``.
    """

    stream: trio.abc.Stream
    answers: Mapping[str, Answer] = attrs.field(factory=dict)
    hears: Mapping[str, Hear] = attrs.field(factory=dict)
    _number: int = attrs.field(init=False, default=0)
    _waiting: dict[int, "_Waiting"] = attrs.field(init=False, factory=dict)
    _running: dict[int, trio.CancelScope] = attrs.field(init=False, factory=dict)
    _queue: deque[bytes] = attrs.field(init=False, factory=deque)
    _queued_bytes: int = attrs.field(init=False, default=0)
    _to_write: trio.Event = attrs.field(init=False, factory=trio.Event)
    _is_lost: bool = attrs.field(init=False, default=False)
    _scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)

    async def run(self) -> None:
        """Until the other end is gone, or takes nothing any more. What it asked for is cancelled then."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._write)
                    await self._read(nursery)
                    nursery.cancel_scope.cancel(reason="the other end is gone")
        finally:
            self._is_lost = True
            for waiting in self._waiting.values():
                waiting.finish(outcome.Error(LinkLost("the other process is gone")))
            await trio.aclose_forcefully(self.stream)

    async def call(self, name: str, *values: object) -> Any:
        """What the other end answers, or raises. Cancelled, it is cancelled there too, unless it has been answered.

        Raises ``LinkLost``.
        """
        if self._is_lost:
            raise LinkLost("the other process is gone")
        self._number += 1
        number = self._number
        waiting = self._waiting[number] = _Waiting()
        self._put(_packed((_CALL, number, name, values)))
        try:
            await waiting.finished.wait()
        except trio.Cancelled:
            self._put(_packed((_CANCEL, number, "", None)))
            raise
        finally:
            del self._waiting[number]
        assert waiting.result is not None  # set before ``finished``
        return waiting.result.unwrap()

    def tell(self, name: str, *values: object) -> None:
        """Say something. Never waits; said to nobody, it is dropped."""
        self._put(word(name, *values))

    def tell_packed(self, packed: bytes) -> None:
        """The same for what ``word`` made."""
        self._put(packed)

    def _put(self, frame: bytes) -> None:
        if self._is_lost:
            return
        self._queue.append(frame)
        self._queued_bytes += len(frame)
        self._to_write.set()
        if self._queued_bytes > limits.MAX_LINK_BYTES:
            self._is_lost = True
            self._scope.cancel(reason="the other end takes nothing any more")

    async def _write(self) -> None:
        while True:
            await self._to_write.wait()
            self._to_write = trio.Event()
            while self._queue:
                burst = b"".join(self._queue)
                self._queue.clear()
                try:
                    await self.stream.send_all(burst)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    return  # whoever reads hears of it
                self._queued_bytes -= len(burst)

    async def _read(self, nursery: trio.Nursery) -> None:
        data = bytearray()
        while True:
            try:
                piece = await self.stream.receive_some(_RECEIVE_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return
            if not piece:
                return
            data += piece
            start = 0
            while (end := _end_of_frame(data, start)) is not None:
                self._take(nursery, *pickle.loads(memoryview(data)[start + _LENGTH_BYTES : end]))
                start = end
            del data[:start]

    def _take(self, nursery: trio.Nursery, kind: int, number: int, name: str, values: Any) -> None:
        if kind == _WORD:
            self.hears[name](*values)
        elif kind == _CALL:
            self._running[number] = trio.CancelScope()
            nursery.start_soon(self._answer, number, name, values)
        elif kind == _CANCEL:
            if number in self._running:
                self._running[number].cancel(reason="nobody waits for the answer")
        elif number in self._waiting:
            self._waiting[number].finish(values)

    async def _answer(self, number: int, name: str, values: tuple[object, ...]) -> None:
        result: outcome.Outcome[Any]
        try:
            with self._running[number] as scope:
                try:
                    result = outcome.Value(await self.answers[name](*values))
                except Exception as error:
                    # Made again over there from its arguments, like any other value.
                    result = outcome.Error(error)
        finally:
            del self._running[number]
        if not scope.cancelled_caught:
            self._put(_packed((_ANSWER, number, "", result)))


@attrs.define(eq=False)
class _Waiting:
    finished: trio.Event = attrs.field(init=False, factory=trio.Event)
    result: outcome.Outcome[Any] | None = attrs.field(init=False, default=None)

    def finish(self, result: outcome.Outcome[Any]) -> None:
        self.result = result
        self.finished.set()


def _end_of_frame(data: bytearray, start: int) -> int | None:
    if len(data) < start + _LENGTH_BYTES:
        return None
    end = start + _LENGTH_BYTES + int.from_bytes(data[start : start + _LENGTH_BYTES], "big")
    return end if len(data) >= end else None
