"""Rooms of an SQLite database, removed ones too: functions of a connection."""

import sqlite3
from collections.abc import Sequence

from moltnet.protocol.ids import NetworkId, RoomId
from moltnet.protocol.pages import PageRequest
from moltnet.storage.pages import id_page
from moltnet.storage.records import StoredRoom
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.sqlite_batch import found
from moltnet.storage.store import UnknownCursor


def find_rooms(
    connection: sqlite3.Connection, room_ids: Sequence[RoomId], network_id: NetworkId
) -> Sequence[StoredRoom]:
    stored = [rows.stored_room(row, network_id) for row in found(connection, statements.SELECT_ROOMS, room_ids)]
    return sorted(stored, key=lambda each: each.room.id)


def removed_rooms(
    connection: sqlite3.Connection, page: PageRequest, network_id: NetworkId
) -> tuple[Sequence[StoredRoom], bool]:
    """What ``Store.removed_rooms`` promises."""
    cursor = page.before or page.after
    if cursor and connection.execute(statements.SELECT_ROOM_IS_REMOVED, (cursor,)).fetchone() is None:
        raise UnknownCursor(cursor)
    text = statements.SELECT_REMOVED_BEFORE if page.before else statements.SELECT_REMOVED_AFTER
    removed = connection.execute(text, (cursor, page.limit + 1))
    return id_page([rows.stored_room(row, network_id) for row in removed], page)
