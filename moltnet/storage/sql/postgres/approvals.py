"""Reading approvals from PostgreSQL: one of them, and pages of those that are wanted."""

import heapq
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Final

from moltnet.protocol.ids import ApprovalId
from moltnet.protocol.pages import PageRequest
from moltnet.storage.pages import body_page
from moltnet.storage.records import ApprovalFilter, StoredApproval, StoredPage
from moltnet.storage.sql import rows
from moltnet.storage.sql.postgres import statements
from moltnet.storage.sql.postgres.batch import found
from moltnet.storage.sql.postgres.database import Connection
from moltnet.storage.sql.postgres.names import sought
from moltnet.storage.sql.rows import Row
from moltnet.storage.store import UnknownCursor

# Greater than every seq: a page without a cursor ends before it.
_END: Final = 2**63 - 1
_SEQ: Final = itemgetter(2)


async def find_approval(connection: Connection, approval_id: ApprovalId) -> StoredApproval | None:
    for row in await found(connection, statements.SELECT_APPROVALS, [sought(approval_id)]):
        return rows.stored_approval(row)
    return None


async def approval_page(connection: Connection, wanted: ApprovalFilter, page: PageRequest) -> StoredPage:
    """What ``Store.approval_page`` promises."""
    texts = statements.SELECT_APPROVAL_PAGE[wanted.agents is not None, bool(wanted.state)]
    lists = list(_conditions(wanted))
    cursor = page.after or page.before
    place: int | None = _END
    if cursor:
        place = None
        for values in lists:
            place = place or await connection.fetchval(texts.place, *values, sought(cursor))
        if place is None:
            raise UnknownCursor(cursor)
    text = texts.newer if page.after else texts.older
    # The page is among the first of each agent: nobody's whole list is read.
    parts: list[Sequence[Row]] = [await connection.fetch(text, *values, place, page.limit + 1) for values in lists]
    merged = heapq.merge(*parts, key=_SEQ, reverse=not page.after)
    return body_page(((row[0], row[1]) for row in merged), page)


def _conditions(wanted: ApprovalFilter) -> Iterator[tuple[str, ...]]:
    """The values of the conditions of each list that is read."""
    state = (sought(wanted.state),) if wanted.state else ()
    if wanted.agents is None:
        yield state
    else:
        yield from ((sought(agent_id), *state) for agent_id in dict.fromkeys(wanted.agents))
