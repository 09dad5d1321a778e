"""Messages of an SQLite database by their place in the log: functions of a connection."""

import sqlite3
from collections.abc import Iterator

from moltnet.protocol.ids import MessageId
from moltnet.storage.pages import placed_page
from moltnet.storage.records import History, PlacedMessage
from moltnet.storage.sql import sqlite_statements as statements


def find_message(connection: sqlite3.Connection, message_id: MessageId) -> PlacedMessage | None:
    return next(_placed(connection, statements.SELECT_MESSAGE, message_id), None)


def messages_before(
    connection: sqlite3.Connection, history: History | None, seq: int, limit: int
) -> list[PlacedMessage]:
    """What ``Store.messages_before`` promises."""
    if history is None:
        found = _placed(connection, statements.SELECT_MESSAGES_BEFORE, seq, limit)
    else:
        found = _placed(connection, statements.SELECT_HISTORY[history.kind].older, history.id, seq, limit)
    return list(placed_page(found, limit))


def messages_after(
    connection: sqlite3.Connection, history: History | None, seq: int, limit: int
) -> list[PlacedMessage]:
    """What ``Store.messages_after`` promises."""
    if history is None:
        found = _placed(connection, statements.SELECT_MESSAGES_AFTER, seq, limit)
    else:
        found = _placed(connection, statements.SELECT_HISTORY[history.kind].newer, history.id, seq, limit)
    return list(placed_page(found, limit))


def _placed(connection: sqlite3.Connection, text: str, *values: object) -> Iterator[PlacedMessage]:
    return (PlacedMessage(seq, body) for _, body, seq in connection.execute(text, values))
