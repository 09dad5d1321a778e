"""Wakes that were given up, one JSON object per line, until an operator drops them or has them tried again.

A record holds the wake itself, so that trying again needs no server. When a wake is given up is decided by
`bridge.conversation`; what an operator may do with it is in `bridge.desk`.
"""

import os
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.policy import Wake
from bridge.runtimes.runtime import Conversation
from moltnet.config.files import write_private
from moltnet.log import get_logger
from moltnet.protocol.codec import DecodeError, decode, encode, wire
from moltnet.protocol.times import Timestamp, WallClock, format_timestamp, utc_now

log = get_logger("bridge.dead_letters")

FILE_NAME: Final = "dead-letters.jsonl"
OLD_FILE_NAME: Final = "dead-letters.old.jsonl"


@attrs.frozen
class DeadLetter:
    """A wake, and why it was given up after `attempts` turns. Records of older versions are without the wake."""

    given_up_at: Timestamp
    event_id: str
    message_id: str
    conversation: str
    sender: str
    sent_at: Timestamp
    attempts: int
    reason: str = attrs.field(metadata=wire(always=True))
    wake: Wake | None = attrs.field(default=None, repr=False)


@attrs.define(eq=False)
class DeadLetters:
    """The file in `state_dir`. At `limits.MAX_DEAD_LETTER_BYTES` it is renamed to `dead-letters.old.jsonl`.

    Only who holds the state's lock may change it; anybody may read.
    """

    _state_dir: Path
    _clock: WallClock = utc_now
    # A record that is appended while the file is replaced would be lost.
    _changing: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    async def record(self, conversation: Conversation, wakes: Sequence[Wake], attempts: int, reason: str) -> None:
        """Append the wakes, durably, and warn. Cancelled, they are recorded. Raises `OSError`."""
        now = format_timestamp(self._clock())
        letters = [
            DeadLetter(
                given_up_at=now,
                event_id=wake.event_id,
                message_id=wake.message.id,
                conversation=conversation.key,
                sender=wake.message.sender.fqid or wake.message.sender.id,
                sent_at=wake.message.created_at,
                attempts=attempts,
                reason=reason,
                wake=wake,
            )
            for wake in wakes
        ]
        with trio.CancelScope(shield=True):
            async with self._changing:
                await trio.to_thread.run_sync(self._append, b"".join(encode(letter) + b"\n" for letter in letters))
        for letter in letters:
            log.warning("message given up", **attrs.asdict(letter, filter=attrs.filters.exclude("wake")))

    async def read(self) -> tuple[DeadLetter, ...]:
        """All that are kept, oldest first. Raises `OSError`."""
        return await trio.to_thread.run_sync(self._read)

    async def remove(self, event_ids: Collection[str]) -> None:
        """Forget these, durably. Cancelled, they are forgotten. Raises `OSError`; then some may be."""
        with trio.CancelScope(shield=True):
            async with self._changing:
                await trio.to_thread.run_sync(self._remove, frozenset(event_ids))

    def _append(self, lines: bytes) -> None:
        path = self._state_dir / FILE_NAME
        if path.exists() and path.stat().st_size + len(lines) > limits.MAX_DEAD_LETTER_BYTES:
            path.replace(path.with_name(OLD_FILE_NAME))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        with open(descriptor, "wb") as file:
            file.write(lines)
            file.flush()
            os.fsync(descriptor)

    def _read(self) -> tuple[DeadLetter, ...]:
        return tuple(letter for name in (OLD_FILE_NAME, FILE_NAME) for _, letter in self._lines(name))

    def _lines(self, name: str) -> Iterator[tuple[bytes, DeadLetter]]:
        """The lines that can be understood. One that a loss of power has cut is left out."""
        try:
            data = (self._state_dir / name).read_bytes()
        except FileNotFoundError:
            return
        for line in data.splitlines():
            try:
                yield line, decode(line, DeadLetter)
            except DecodeError as error:
                log.warning("a dead letter can't be read", file=name, reason=str(error))

    def _remove(self, event_ids: Collection[str]) -> None:
        for name in (OLD_FILE_NAME, FILE_NAME):
            lines = list(self._lines(name))
            kept = [line + b"\n" for line, letter in lines if letter.event_id not in event_ids]
            if len(kept) < len(lines):
                write_private(self._state_dir / name, b"".join(kept))
