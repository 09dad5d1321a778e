"""Invariant: whatever stands where a cursor or a limit belongs, a page comes, or a refusal that names the cursor.

A limit is always between one and the most that a page holds. A cursor of events gives a place in the log or a replay
gap, whose id is an id, and going on there nothing is skipped; that of a page gives a page in order, without repeats.

An input is a line with a limit, one with a cursor, and a word: ``before``, ``after`` or ``events``.
"""

import sys
from collections.abc import Hashable
from datetime import UTC, datetime
from functools import cache
from typing import Final

import trio

from fuzz.campaign import Target, main
from moltnet.broker import Broker
from moltnet.protocol.ids import NetworkId, RoomId, id_problem
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest, page_limit
from moltnet.storage.records import History
from moltnet.storage.store import UnknownCursor
from tests.fakes.network import GENERAL, network_config, open_test_app, post, room_message

NETWORK: Final = NetworkId("lab")
MESSAGES: Final = 7
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(f"m{number}" for number in range(MESSAGES)),
        *(
            "before",
            "after",
            "events",
            "evt_gap_",
            "evt_",
            "0",
            "1",
            "-1",
            "500",
            "501",
            "1_0",
            "\uff11",
            "1e3",
            " ",
            "\n",
        ),
        *("99999999999999999999", "m0\x00", "%", "art_m0_0", "ä", "\ud7ff"),
    )
)
"""Messages m0 … of one room; the ids of their events follow from them."""


def check(data: bytes) -> Hashable:
    """Raises if a cursor breaks the invariant; otherwise says what came."""
    limit_text, _, rest = data.decode(errors="replace").partition("\n")
    cursor, _, word = rest.partition("\n")
    limit = page_limit(limit_text)
    if not 1 <= limit <= MAX_PAGE_ITEMS:
        raise AssertionError(f"a page of {limit}")
    if word == "events":
        return trio.run(_located, _broker(), cursor)
    if not cursor.strip() or id_problem(cursor.strip()) is not None:
        return "refused before it is looked for", limit == 1
    before, after = (cursor.strip(), "") if word == "before" else ("", cursor.strip())
    return trio.run(_page, _broker(), PageRequest(limit, before, after))


@cache
def _broker() -> Broker:
    """The log of a network that has ended: its store is in memory and still answers."""

    async def filled() -> Broker:
        async with open_test_app(network_config()) as app:
            for number in range(MESSAGES):
                await post(app, room_message(message_id=f"m{number}"))
            return app.broker

    return trio.run(filled)


async def _page(broker: Broker, page: PageRequest) -> Hashable:
    try:
        found = await broker.store.message_page(History(TargetKind.ROOM, RoomId(GENERAL)), page)
    except UnknownCursor as error:
        if error.cursor != (page.before or page.after):
            raise AssertionError("the refusal names another cursor") from error
        return "unknown"
    if len(found.items) > page.limit or (found.has_more and not found.items):
        raise AssertionError(f"{len(found.items)} of {page}, and more: {found.has_more}")
    ids = [found.first_id, found.last_id]
    if found.items and sorted(ids) != ids:
        raise AssertionError(f"a page from {ids[0]} to {ids[1]}")
    return len(found.items), found.has_more


async def _located(broker: Broker, cursor: str) -> Hashable:
    position = await broker.locate(cursor, NOW)
    if position.gap is not None and id_problem(position.gap.id) is not None:
        raise AssertionError(f"{position.gap.id!r} is no id")
    following = await broker.store.events_after(position.seq, 1000)
    if [record.seq for record in following] != list(range(position.seq + 1, broker.newest_seq + 1)):
        raise AssertionError(f"events after {cursor!r} are missing")
    return position.gap is not None, len(following)


TARGET: Final = Target("cursors", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
