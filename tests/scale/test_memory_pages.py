"""What a page costs in memory, from where JSON storage reads too, in Python's instructions."""

from collections.abc import Callable

import pytest
import trio

from moltnet.storage.memory import MemoryStore
from tests.scale.counting import python_steps
from tests.scale.large_network import fill
from tests.scale.pages import LISTINGS, PAGE_ITEMS, Listing
from tests.storage.examples import NETWORK

# The first answer of an empty page, a cursor that is looked up: a few instructions each.
TOLERANCE = 0.05


@pytest.fixture(scope="module")
def filled() -> Callable[[float], MemoryStore]:
    """The large network, and a tenth of it."""
    stores = {part: MemoryStore(NETWORK) for part in (1.0, 0.1)}
    for part, store in stores.items():
        trio.run(_fill, store, part)
    return lambda part: stores[part]


async def _fill(store: MemoryStore, part: float) -> None:
    await fill(store, part=part)


async def steps_of(store: MemoryStore, listing: Listing, *places: str) -> dict[str, int]:
    """What full pages of a list take: each, or those at certain places."""
    taken = {}
    for place, page in listing.places():
        if place in places or not places:
            await listing.read(store, page)  # whatever is done once only is done
            with python_steps() as count:
                assert await listing.read(store, page) == (PAGE_ITEMS, True), place
            taken[place] = count.steps
    return taken


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.name)
async def test_a_page_costs_the_same_wherever_it_is_and_however_much_there_is(
    filled: Callable[[float], MemoryStore], listing: Listing
) -> None:
    everywhere = await steps_of(filled(1.0), listing)
    assert min(everywhere.values()) > PAGE_ITEMS
    assert max(everywhere.values()) <= min(everywhere.values()) * (1 + TOLERANCE), everywhere
    small = await steps_of(filled(0.1), listing, "first")
    assert everywhere["first"] <= small["first"] * (1 + TOLERANCE), small
