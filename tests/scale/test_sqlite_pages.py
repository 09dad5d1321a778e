"""What a page costs on SQLite, in instructions: the same at the start of a list, at its end, and in a small network."""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copyfile

import pytest
import trio

from moltnet.app import open_app_on
from moltnet.protocol.limits import REPLAY_PAGE_EVENTS
from moltnet.storage.commands import AnyCommand
from moltnet.storage.sql.sqlite import SqliteStore, open_sqlite
from tests.docs.pages import ROOT
from tests.fakes.asgi_client import open_exchange
from tests.scale.counting import sqlite_steps
from tests.scale.large_network import agent_id
from tests.scale.pages import LISTINGS, PAGE_ITEMS, Listing, config
from tests.scale.sqlite_costs import Cost, costs
from tests.storage.examples import (
    NETWORK,
    create_room,
    direct_post,
    post,
    register,
    remove_agent,
    remove_room,
    thread_post,
    update_members,
)

# Instructions that one page may take more than another: those that look up its cursor, and which of two agents' lists
# gives the items.
TOLERANCE = 0.03


@pytest.fixture(scope="module")
def found(large: Path, small: Path) -> Mapping[str, Cost]:
    return {cost.listing.name: cost for cost in trio.run(costs, large, small)}


@pytest.mark.parametrize("name", [listing.name for listing in LISTINGS])
def test_a_page_costs_the_same_wherever_it_is_and_however_much_there_is(found: Mapping[str, Cost], name: str) -> None:
    steps = found[name].steps
    assert len(steps) == 7
    assert min(steps.values()) > PAGE_ITEMS
    assert max(steps.values()) <= min(steps.values()) * (1 + TOLERANCE), steps
    assert steps["start, after"] <= found[name].in_a_tenth["start, after"] * (1 + TOLERANCE)
    assert "SCAN" not in found[name].plan
    assert "TEMP B-TREE" not in found[name].plan


def test_the_table_in_the_documentation_is_true(found: Mapping[str, Cost]) -> None:
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    measured_with = re.search(r"SQLite (3\.\d+\.\d+)", page)
    assert measured_with is not None
    for cost in found.values():
        # Another version of SQLite may take a few instructions more or less, by the same way.
        name, way = cost.listing.name, cost.plan
        expected = cost.row() if measured_with[1] == sqlite3.sqlite_version else rf"| {name} |"
        assert expected in page, f"run python -m tests.scale: {cost.row()}"
        assert way in page


async def test_a_replay_costs_the_same_wherever_it_begins(large: Path) -> None:
    async with open_sqlite(large, NETWORK) as store:
        assert isinstance(store, SqliteStore)
        newest = (await store.event_bounds()).newest_seq
        taken = {}
        for seq in (newest // 3, newest // 2, newest - REPLAY_PAGE_EVENTS):
            with sqlite_steps(store.database.readers) as count:
                assert len(await store.events_after(seq, REPLAY_PAGE_EVENTS)) == REPLAY_PAGE_EVENTS
            taken[seq] = count.steps
    # An event whose payload is a message takes the steps that read the message.
    assert max(taken.values()) <= 1.2 * min(taken.values()), taken
    assert max(taken.values()) < 30 * REPLAY_PAGE_EVENTS


COMMITS: Mapping[str, Sequence[AnyCommand]] = {
    "a message": [post("new")],
    "messages": [post(f"new-{number}") for number in range(40)],
    "threads": [thread_post(f"new-{number}", f"new-{number}") for number in range(40)],
    "direct conversations": [direct_post(f"new-{number}", f"new-{number}") for number in range(40)],
    "rooms": [create_room(f"new-{number}", "alpha", "beta") for number in range(40)],
    "agents": [register(f"new-{number}") for number in range(40)],
    "a member": [update_members(add=("gamma",))],
    "the end of an agent": [remove_agent(agent_id(3))],
    "the end of a room": [remove_room()],
}


@pytest.mark.parametrize("commands", COMMITS.values(), ids=COMMITS)
async def test_a_commit_costs_the_same_however_much_there_is(
    large: Path, small: Path, tmp_path: Path, commands: Sequence[AnyCommand]
) -> None:
    taken = []
    for built in (large, small):
        path = tmp_path / built.parent.name / "moltnet.db"
        path.parent.mkdir()
        copyfile(built, path)
        async with open_sqlite(path, NETWORK) as store:
            assert isinstance(store, SqliteStore)
            with sqlite_steps([store.database.writer]) as count:
                await store.commit(commands)
            taken.append(count.steps)
    assert 0 < taken[0] <= taken[1] * (1 + TOLERANCE), taken


@pytest.mark.parametrize("listing", [each for each in LISTINGS if each.route], ids=lambda listing: listing.name)
async def test_over_http_too(large: Path, listing: Listing) -> None:
    taken = {}
    async with open_sqlite(large, NETWORK) as store, open_app_on(store, config()) as app:
        assert isinstance(store, SqliteStore)
        for place, page in listing.places():
            with sqlite_steps(store.database.readers) as count:
                async with open_exchange(app, "GET", listing.target(page)) as exchange:
                    assert await exchange.receive_status() == 200
                    assert await exchange.receive_chunk()
            taken[place] = count.steps
    assert max(taken.values()) <= min(taken.values()) * (1 + TOLERANCE), taken


async def test_a_statement_that_reads_a_whole_table_would_be_noticed(large: Path) -> None:
    async with open_sqlite(large, NETWORK) as store:
        assert isinstance(store, SqliteStore)
        text = "SELECT id FROM messages WHERE created_at > '' ORDER BY created_at, id LIMIT 90"
        with sqlite_steps(store.database.readers) as count:
            await store.database.read(lambda connection: connection.execute(text).fetchall())
        assert count.steps > 100_000
