"""What a page of rooms and agents costs, in Python's instructions: about what it shows, however many there are."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import attrs
import orjson
import pytest

from moltnet.app import App, open_app_on
from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims
from moltnet.config.settings import AuthMode, MoltnetConfig, NetworkSettings
from moltnet.core.access import viewer_of
from moltnet.core.agents import list_agents, show_agent
from moltnet.core.rooms import list_rooms
from moltnet.protocol.pages import PageRequest
from moltnet.storage.memory import MemoryStore
from tests.fakes.credentials import static
from tests.fakes.network import network_config
from tests.scale.counting import python_steps
from tests.scale.large_network import AGENTS, ROOMS, agent_id, commit_all, public_rooms, registrations, room_id, rooms
from tests.storage.examples import NETWORK

PAGE_ITEMS = 15
CALLERS: Mapping[str, Claims] = {
    "everybody in mode none": UNCHECKED,
    "an observer": static("observe"),
    "an agent": static("attach write", agent_id(0)),
    "the public": ANONYMOUS,
}
CALLER_NAMES = pytest.mark.parametrize("caller", CALLERS)
Places = Iterator[tuple[str, PageRequest]]
Read = Callable[[App, str, PageRequest], tuple[int, int]]


def places(id_of: Callable[[int], str], count: int) -> Places:
    """Full pages at the start, in the middle and at the end of a list."""
    yield "first", PageRequest(PAGE_ITEMS)
    for name, after, before in (
        ("start", 0, PAGE_ITEMS),
        ("middle", count // 2, count // 2),
        ("end", count - PAGE_ITEMS - 1, count - 1),
    ):
        yield f"{name}, after", PageRequest(PAGE_ITEMS, after=id_of(after))
        yield f"{name}, before", PageRequest(PAGE_ITEMS, before=id_of(before))


@attrs.frozen
class Networks:
    """The large network and a tenth of it."""

    large: App
    small: App


def config_for(caller: str) -> MoltnetConfig:
    mode = AuthMode.NONE if CALLERS[caller] is UNCHECKED else AuthMode.BEARER
    config = network_config(mode=mode, rooms=(), public_read=mode is not AuthMode.NONE)
    return attrs.evolve(config, network=NetworkSettings(NETWORK, "Net A"))


@pytest.fixture
async def networks(caller: str) -> AsyncIterator[Networks]:
    large, small = MemoryStore(NETWORK), MemoryStore(NETWORK)
    for store, part in ((large, 1.0), (small, 0.1)):
        await commit_all(store, [*registrations(part), *public_rooms(part)])
    config = config_for(caller)
    async with open_app_on(large, config) as large_app, open_app_on(small, config) as small_app:
        yield Networks(large_app, small_app)


def rooms_page(app: App, caller: str, page: PageRequest) -> tuple[int, int]:
    """How many rooms a page shows, and the steps that it takes."""
    context, claims = app.context, CALLERS[caller]
    viewer = viewer_of(claims, context.policy, context.directory)
    with python_steps() as count:
        body = list_rooms(context, claims, viewer, page)
    return len(orjson.loads(body)["rooms"]), count.steps


def agents_page(app: App, caller: str, page: PageRequest) -> tuple[int, int]:
    context = app.context
    viewer = viewer_of(CALLERS[caller], context.policy, context.directory)
    with python_steps() as count:
        body = list_agents(context, viewer, page, app.gateway.registry.is_connected)
    return len(orjson.loads(body)["agents"]), count.steps


@CALLER_NAMES
@pytest.mark.parametrize(
    ("read", "id_of", "count"),
    [(rooms_page, room_id, ROOMS - 1), (agents_page, agent_id, AGENTS)],
    ids=["rooms", "agents"],
)
async def test_a_page_costs_what_it_shows(
    networks: Networks, caller: str, read: Read, id_of: Callable[[int], str], count: int
) -> None:
    for app in (networks.large, networks.small):
        read(app, caller, PageRequest(PAGE_ITEMS))  # what is made once, like converters, is made here
    taken = {}
    for place, page in places(id_of, count):
        shown, taken[place] = read(networks.large, caller, page)
        assert shown == PAGE_ITEMS, place
    shown, small = read(networks.small, caller, PageRequest(PAGE_ITEMS))
    assert shown == PAGE_ITEMS
    assert max(taken.values()) <= 1.2 * min(*taken.values(), small), (taken, small)


@CALLER_NAMES
async def test_looking_one_agent_up_costs_the_same(networks: Networks, caller: str) -> None:
    taken = []
    for app in (networks.small, networks.small, networks.large):
        context = app.context
        viewer = viewer_of(CALLERS[caller], context.policy, context.directory)
        with python_steps() as count:
            show_agent(context, agent_id(0), viewer, app.gateway.registry.is_connected)
        taken.append(count.steps)
    assert taken[2] <= 1.1 * taken[1], taken


@pytest.mark.parametrize("caller", ["the public"])
async def test_rooms_and_agents_that_a_caller_may_not_see_cost_it_nothing(caller: str) -> None:
    hidden, open_rooms = list(rooms(1.0))[:-20], list(public_rooms(1.0))[-20:]
    taken = []
    for wanted in (open_rooms, open_rooms, [*hidden, *open_rooms]):
        store = MemoryStore(NETWORK)
        await commit_all(store, [*registrations(1.0), *wanted])
        async with open_app_on(store, config_for(caller)) as app:
            taken.append([read(app, caller, PageRequest(PAGE_ITEMS)) for read in (rooms_page, agents_page)])
    warm, alone, among_many = taken
    assert [shown for shown, _ in among_many] == [PAGE_ITEMS, PAGE_ITEMS]
    assert sum(steps for _, steps in among_many) <= 1.1 * sum(steps for _, steps in alone), (warm, alone, among_many)
