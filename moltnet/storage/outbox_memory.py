"""The outbox in memory, and its lines in files: those of the JSON store and of backups."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import attrs
import orjson

from moltnet.protocol.codec import decode, encode
from moltnet.protocol.ids import MessageId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import DeadLetter
from moltnet.protocol.times import Timestamp
from moltnet.storage.changes import Changes
from moltnet.storage.outbox import OutboxDepth, OutboxKey, OutboxRow, RelayFailure, RelayState, dead_letter
from moltnet.storage.pages import id_page, outbox_page
from moltnet.storage.store import StorageError, UnknownCursor

_BY_SEQ: Final = attrgetter("seq")
_BODY: Final = b',"body":'


@attrs.define(eq=False)
class MemoryOutbox:
    """Rows of each pairing, in the order in which they are relayed. Methods do what the ``Store``'s say."""

    _rows: dict[str, list[OutboxRow]] = attrs.field(init=False, factory=dict)

    def apply(self, changes: Changes) -> None:
        for row in changes.outbox_added.values():
            rows = self._rows.setdefault(row.pairing_id, [])
            rows.insert(bisect_left(rows, row.seq, key=_BY_SEQ), row)
        for key, state in changes.outbox_changed.items():
            for place in self._places(key):
                rows = self._rows[key[0]]
                rows[place] = attrs.evolve(rows[place], state=state)
        for key in changes.outbox_removed:
            for place in self._places(key):
                del self._rows[key[0]][place]

    def waiting(self, pairing_id: str, after_seq: int, limit: int, conversation: str) -> Sequence[OutboxRow]:
        rows = self._rows.get(pairing_id, [])
        beyond = range(bisect_right(rows, after_seq, key=_BY_SEQ), len(rows))
        found = (rows[place] for place in beyond)
        return outbox_page((row for row in found if row.waits and conversation in ("", row.conversation)), limit)

    def dead_letters(self, pairing_id: str, page: PageRequest) -> tuple[Sequence[DeadLetter], bool]:
        dead = [dead_letter(row) for row in self._rows.get(pairing_id, ()) if not row.waits]
        cursor = page.before or page.after
        places = [place for place, letter in enumerate(dead) if letter.message_id == cursor]
        if cursor and not places:
            raise UnknownCursor(cursor)
        if page.before:
            dead = dead[: places[0]][::-1]
        elif page.after:
            dead = dead[places[0] + 1 :]
        return id_page(dead, page)

    def depths(self) -> Sequence[OutboxDepth]:
        return [
            _depth(pairing_id, self._rows[pairing_id]) for pairing_id in sorted(self._rows) if self._rows[pairing_id]
        ]

    def found(self, wanted: Iterable[tuple[str, MessageId]]) -> dict[tuple[str, MessageId], tuple[int, ...]]:
        """The dead letters of a pairing's messages."""
        found = {}
        for pairing_id, message_id in wanted:
            rows = self._rows.get(pairing_id, ())
            seqs = tuple(row.seq for row in rows if row.message_id == message_id and not row.waits)
            if seqs:
                found[pairing_id, message_id] = seqs
        return found

    def _places(self, key: OutboxKey) -> Iterator[int]:
        """Where a row stands, if it is there."""
        rows = self._rows.get(key[0], [])
        place = bisect_left(rows, key[1], key=_BY_SEQ)
        if place < len(rows) and rows[place].seq == key[1]:
            yield place


def _depth(pairing_id: str, rows: Sequence[OutboxRow]) -> OutboxDepth:
    waiting = [row for row in rows if row.waits]
    oldest = waiting[0].created_at if waiting else Timestamp("")
    return OutboxDepth(pairing_id, len(waiting), len(rows) - len(waiting), oldest)


@attrs.frozen
class KeptRelay:
    """A row but for its body, which stands beside these keys as ``body``."""

    pairing_id: str
    seq: int
    message_id: MessageId
    conversation: str
    created_at: Timestamp
    attempts: int = 0
    failure: RelayFailure | None = None


def outbox_line(row: OutboxRow) -> bytes:
    """A row as JSON."""
    state = row.state
    kept = KeptRelay(
        row.pairing_id, row.seq, row.message_id, row.conversation, row.created_at, state.attempts, state.failure
    )
    return encode(kept)[:-1] + _BODY + row.body + b"}"


def outbox_row(kept: KeptRelay, document: Mapping[str, Any]) -> OutboxRow:
    """A row from what was read. Raises ``StorageError``."""
    body = document.get("body")
    if not isinstance(body, dict):
        raise StorageError(f'it is damaged: message "{kept.message_id}" waits to be relayed, but has no body')
    return OutboxRow(
        kept.pairing_id,
        kept.seq,
        kept.message_id,
        kept.conversation,
        kept.created_at,
        orjson.dumps(body),
        RelayState(kept.attempts, kept.failure),
    )


def changed_lines(lines: Mapping[Any, bytes], changes: Changes) -> dict[Any, bytes]:
    """The lines of the outbox as ``changes`` leave them, by what identifies a row."""
    after = dict(lines)
    after.update((_line_key(key), outbox_line(row)) for key, row in changes.outbox_added.items())
    for key, state in changes.outbox_changed.items():
        line = after.get(_line_key(key))
        if line is not None:
            # No text before it can hold this: there its quotes are escaped.
            head, body = line.split(_BODY, 1)
            kept = attrs.evolve(decode(head + b"}", KeptRelay), attempts=state.attempts, failure=state.failure)
            after[_line_key(key)] = encode(kept)[:-1] + _BODY + body
    for key in changes.outbox_removed:
        after.pop(_line_key(key), None)
    return after


def lines_in_order(lines: Mapping[Any, bytes]) -> Iterator[bytes]:
    """The lines as a backup has them: by pairing, then by place."""
    return (line for _, line in sorted(lines.items(), key=lambda item: _place(item[0])))


def _line_key(key: OutboxKey) -> str:
    pairing_id, seq = key
    return f"{seq}/{pairing_id}"


def _place(line_key: str) -> OutboxKey:
    seq, _, pairing_id = line_key.partition("/")
    return pairing_id, int(seq)
