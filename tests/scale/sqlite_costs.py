"""The table of what pages cost on SQLite: written by `python -m tests.scale`, shown in docs/performance.md."""

import sqlite3
from functools import partial
from pathlib import Path
from typing import Final

import attrs

from moltnet.storage.sql.sqlite import SqliteStore, open_sqlite
from tests.scale.counting import sqlite_steps
from tests.scale.pages import LISTINGS, PAGE_ITEMS, Listing
from tests.storage.examples import NETWORK

HEAD: Final = "| List | start | middle | end | in a tenth | how SQLite finds a page |\n|---|---|---|---|---|---|\n"
PLACES: Final = ("start", "middle", "end")


@attrs.frozen
class Cost:
    """Instructions for one page of a list: by place, and at the start of the same list in a tenth of the network."""

    listing: Listing
    steps: dict[str, int]
    in_a_tenth: dict[str, int]
    plan: str

    def row(self) -> str:
        numbers = [*(_most(self.steps, place) for place in PLACES), _most(self.in_a_tenth, "start")]
        return f"| {self.listing.name} | {' | '.join(f'{number:,}' for number in numbers)} | `{self.plan}` |\n"


def _most(steps: dict[str, int], place: str) -> int:
    """Reading on and reading back cost a few instructions more or less."""
    return max(steps[f"{place}, after"], steps[f"{place}, before"])


async def steps_of(store: SqliteStore, listing: Listing, *places: str) -> dict[str, int]:
    """What full pages of a list take: each, or those at certain places."""
    taken = {}
    for place, page in listing.places():
        if place in places or not places:
            with sqlite_steps(store.database.readers) as count:
                assert await listing.read(store, page) == (PAGE_ITEMS, True), place
            taken[place] = count.steps
    return taken


async def costs(large: Path, small: Path) -> list[Cost]:
    """The cost of every list, from the databases of the large network and of a tenth of it."""
    async with open_sqlite(large, NETWORK) as large_store, open_sqlite(small, NETWORK) as small_store:
        assert isinstance(large_store, SqliteStore)
        assert isinstance(small_store, SqliteStore)
        return [
            Cost(
                listing,
                await steps_of(large_store, listing),
                await steps_of(small_store, listing, "start, after", "start, before"),
                await large_store.database.read(partial(_plan_of, text=listing.statement)),
            )
            for listing in LISTINGS
        ]


def _plan_of(connection: sqlite3.Connection, text: str) -> str:
    steps = connection.execute(f"EXPLAIN QUERY PLAN {text}", [None] * text.count("?"))
    return "; ".join(str(detail) for *_, detail in steps)


def table(found: list[Cost]) -> str:
    return HEAD + "".join(cost.row() for cost in found)
