"""Messages of a PostgreSQL database by their place in the log: functions of a connection."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from moltnet.protocol.ids import MessageId
from moltnet.storage.limits import MAX_REPLAY_BYTES
from moltnet.storage.pages import placed_page
from moltnet.storage.records import History, PlacedMessage
from moltnet.storage.sql.postgres import statements
from moltnet.storage.sql.postgres.database import Connection
from moltnet.storage.sql.postgres.names import sought
from moltnet.storage.sql.rows import Row

# The greatest seq that the database can compare with.
_END: Final = 2**63 - 1


async def find_message(connection: Connection, message_id: MessageId) -> PlacedMessage | None:
    return next(_placed(await connection.fetch(statements.SELECT_MESSAGE, sought(message_id))), None)


async def messages_before(
    connection: Connection, history: History | None, seq: int, limit: int
) -> Sequence[PlacedMessage]:
    """What ``Store.messages_before`` promises."""
    text, key = statements.SELECT_MESSAGES_BEFORE, list[str]()
    if history is not None:
        text, key = statements.SELECT_HISTORY[history.kind].older, [sought(history.id)]
    return placed_page(_placed(await connection.fetch(text, *key, min(seq, _END), limit, MAX_REPLAY_BYTES)), limit)


async def messages_after(
    connection: Connection, history: History | None, seq: int, limit: int
) -> Sequence[PlacedMessage]:
    """What ``Store.messages_after`` promises."""
    text, key = statements.SELECT_MESSAGES_AFTER, list[str]()
    if history is not None:
        text, key = statements.SELECT_HISTORY[history.kind].newer, [sought(history.id)]
    return placed_page(_placed(await connection.fetch(text, *key, min(seq, _END), limit, MAX_REPLAY_BYTES)), limit)


def _placed(found: Iterable[Row]) -> Iterator[PlacedMessage]:
    return (PlacedMessage(seq, body) for _, body, seq in found)
