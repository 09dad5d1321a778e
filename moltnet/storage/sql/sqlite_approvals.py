"""Reading approvals from SQLite: one of them, and pages of those that are wanted."""

import heapq
import sqlite3
from collections.abc import Iterator
from operator import itemgetter
from typing import Final

from moltnet.protocol.ids import ApprovalId
from moltnet.protocol.pages import PageRequest
from moltnet.storage.pages import body_page
from moltnet.storage.records import ApprovalFilter, StoredApproval, StoredPage
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.rows import Row
from moltnet.storage.sql.sqlite_batch import found
from moltnet.storage.store import UnknownCursor

# Greater than every seq: a page without a cursor ends before it.
_END: Final = 2**63 - 1
_SEQ: Final = itemgetter(2)


def find_approval(connection: sqlite3.Connection, approval_id: ApprovalId) -> StoredApproval | None:
    for row in found(connection, statements.SELECT_APPROVALS, [approval_id]):
        return rows.stored_approval(row)
    return None


def approval_page(connection: sqlite3.Connection, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
    """What ``Store.approval_page`` promises."""
    texts = statements.SELECT_APPROVAL_PAGE[wanted.agents is not None, bool(wanted.state)]
    lists = list(_conditions(wanted))
    cursor, place = page.after or page.before, _END
    if cursor:
        places = (connection.execute(texts.place, (*values, cursor)).fetchone() for values in lists)
        row = next((row for row in places if row is not None), None)
        if row is None:
            raise UnknownCursor(cursor)
        (place,) = row
    text = texts.newer if page.after else texts.older
    # The page is among the first of each agent: nobody's whole list is read.
    parts: list[Iterator[Row]] = [connection.execute(text, (*values, place, page.limit + 1)) for values in lists]
    merged = heapq.merge(*parts, key=_SEQ, reverse=not page.after)
    return body_page(((row[0], row[1]) for row in merged), page)


def _conditions(wanted: ApprovalFilter) -> Iterator[tuple[str, ...]]:
    """The values of the conditions of each list that is read."""
    state = (wanted.state,) if wanted.state else ()
    if wanted.agents is None:
        yield state
    else:
        yield from ((agent_id, *state) for agent_id in dict.fromkeys(wanted.agents))
