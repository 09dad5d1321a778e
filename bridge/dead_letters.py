"""Wakes that were given up, one JSON object per line, for an operator to read.

Only facts that find the message again are kept, not its text: the server has that. When a wake is given up is decided
by `bridge.conversation`.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.policy import Wake
from bridge.runtimes.runtime import Conversation
from moltnet.log import get_logger
from moltnet.protocol.codec import encode, wire
from moltnet.protocol.times import Timestamp, WallClock, format_timestamp, utc_now

log = get_logger("bridge.dead_letters")

FILE_NAME: Final = "dead-letters.jsonl"


@attrs.frozen
class DeadLetter:
    """A wake, and why it was given up after `attempts` turns."""

    given_up_at: Timestamp
    event_id: str
    message_id: str
    conversation: str
    sender: str
    sent_at: Timestamp
    attempts: int
    reason: str = attrs.field(metadata=wire(always=True))


@attrs.frozen
class DeadLetters:
    """The file in `state_dir`. At `limits.MAX_DEAD_LETTER_BYTES` it is renamed to `dead-letters.old.jsonl`."""

    _state_dir: Path
    _clock: WallClock = utc_now

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
            )
            for wake in wakes
        ]
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._append, b"".join(encode(letter) + b"\n" for letter in letters))
        for letter in letters:
            log.warning("message given up", **attrs.asdict(letter))

    def _append(self, lines: bytes) -> None:
        path = self._state_dir / FILE_NAME
        if path.exists() and path.stat().st_size + len(lines) > limits.MAX_DEAD_LETTER_BYTES:
            path.replace(path.with_name("dead-letters.old.jsonl"))
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        with open(descriptor, "wb") as file:
            file.write(lines)
            file.flush()
            os.fsync(descriptor)
