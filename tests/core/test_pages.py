"""Lists by id against the plainest way to make them: look at everything, sort, cut."""

import random
from collections.abc import Callable, Iterator, Sequence

import attrs
import orjson
import pytest

from moltnet.auth.claims import UNCHECKED
from moltnet.core.access import Viewer, can_read_room
from moltnet.core.agents import list_agents
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, merged_keys
from moltnet.core.rooms import list_rooms
from moltnet.directory import Directory
from moltnet.protocol.identity import canonical_member
from moltnet.protocol.ids import AgentId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import Visibility
from moltnet.protocol.times import Timestamp
from moltnet.storage.limits import MAX_PAGE_BYTES
from tests.fakes.credentials import stored_agent, stored_room
from tests.fakes.network import NETWORK, open_test_app, room

ROOMS = [f"r{number}" for number in range(6)]
NAMES = ["alpha", "beta", "gamma", "net_b:alpha", "molt://net_b/agents/delta"]
LOCAL = ["alpha", "beta", "gamma", "omega"]


def changed_at_random(directory: Directory, rng: random.Random) -> None:
    """Rooms come, change their members and visibility, and go; agents come and go."""
    for _ in range(rng.randint(1, 25)):
        if rng.random() < 0.7:
            members = rng.sample(NAMES, rng.randint(0, len(NAMES)))
            stored = stored_room(room(rng.choice(ROOMS), *members, visibility=rng.choice(list(Visibility))))
            removed = Timestamp("2026-01-02T03:04:05Z") if rng.random() < 0.3 else Timestamp("")
            directory.apply([attrs.evolve(stored, removed_at=removed)], [])
        elif rng.random() < 0.7:
            directory.apply([], [stored_agent(rng.choice(LOCAL), rng.choice(["key:a", "key:b"]))])
        else:
            directory.apply([], [], [AgentId(rng.choice(LOCAL))])


def any_viewer(directory: Directory, rng: random.Random) -> Viewer:
    agents = frozenset(map(directory.fqid, rng.sample(LOCAL, rng.randint(0, 2))))
    return Viewer(all_conversations=rng.random() < 0.3, public_rooms=rng.random() < 0.5, agents=agents)


def rooms_by_looking(directory: Directory, viewer: Viewer) -> Sequence[str]:
    found = [directory.room(id) for id in ROOMS]
    return sorted(each.id for each in found if each is not None and can_read_room(viewer, each, directory))


def agents_by_looking(directory: Directory, viewer: Viewer) -> Sequence[str]:
    readable = rooms_by_looking(directory, viewer)
    found = {fqid for id in readable for fqid in directory.members(id)}
    registered = {directory.fqid(id) for id in LOCAL if directory.agent(id) is not None}
    found |= registered if viewer.all_conversations else registered & viewer.agents
    return sorted(canonical_member(fqid, NETWORK) for fqid in found)


@pytest.mark.parametrize("seed", range(150))
async def test_every_page_of_every_viewer_is_what_looking_at_everything_finds(seed: int) -> None:
    rng = random.Random(seed)
    async with open_test_app() as app:
        directory = Directory(NETWORK)
        context = attrs.evolve(app.context, directory=directory)
        for _ in range(5):
            changed_at_random(directory, rng)
            check_viewer(context, any_viewer(directory, rng), rng)


def check_viewer(context: NetworkContext, viewer: Viewer, rng: random.Random) -> None:
    def rooms(page: PageRequest) -> bytes:
        return list_rooms(context, UNCHECKED, viewer, page)

    def agents(page: PageRequest) -> bytes:
        return list_agents(context, viewer, page, lambda _: False)

    check_pages("rooms", rooms, rooms_by_looking(context.directory, viewer), rng)
    check_pages("agents", agents, agents_by_looking(context.directory, viewer), rng)


def check_pages(name: str, read: Callable[[PageRequest], bytes], expected: Sequence[str], rng: random.Random) -> None:
    limit = rng.randint(1, 4)
    page = PageRequest(limit)
    found: list[str] = []
    while True:
        document = orjson.loads(read(page))
        found += [item["id"] for item in document[name]]
        if not document["page"]["has_more"]:
            break
        page = PageRequest(limit, after=document["page"]["next_after"])
    assert found == expected
    for place, cursor in enumerate(expected):
        document = orjson.loads(read(PageRequest(limit, before=cursor)))
        assert [item["id"] for item in document[name]] == expected[max(0, place - limit) : place]
        assert document["page"]["has_more"] is (place > limit)


@attrs.frozen
class Thing:
    id: str
    text: str = ""


def things(*sizes: int) -> list[Thing]:
    return [Thing(f"t{number}", "x" * size) for number, size in enumerate(sizes)]


def ids_of(data: bytes) -> list[str]:
    return [thing["id"] for thing in orjson.loads(data)["things"]]


HALF = MAX_PAGE_BYTES // 2


@pytest.mark.parametrize(
    ("sizes", "page", "more_follow", "ids", "info"),
    [
        ((), PageRequest(), False, [], {"has_more": False}),
        ((1, 1), PageRequest(2), False, ["t0", "t1"], {"has_more": False}),
        ((1, 1), PageRequest(2), True, ["t0", "t1"], {"has_more": True, "next_after": "t1"}),
        ((1, 1, 1), PageRequest(2), False, ["t0", "t1"], {"has_more": True, "next_after": "t1"}),
        ((HALF, HALF), PageRequest(), False, ["t0"], {"has_more": True, "next_after": "t0"}),
        ((HALF - 99, HALF - 99, 1000), PageRequest(), False, ["t0", "t1"], {"has_more": True, "next_after": "t1"}),
        ((3 * HALF, 1), PageRequest(), False, ["t0"], {"has_more": True, "next_after": "t0"}),
        ((1, 3 * HALF), PageRequest(), False, ["t0"], {"has_more": True, "next_after": "t0"}),
        ((3 * HALF,), PageRequest(), False, ["t0"], {"has_more": False}),
        ((1, 1, 1), PageRequest(2, before="x"), False, ["t1", "t0"], {"has_more": True, "next_before": "t1"}),
        ((1, 1), PageRequest(2, before="x"), False, ["t1", "t0"], {"has_more": False}),
        ((1, HALF, HALF), PageRequest(9, before="x"), True, ["t1", "t0"], {"has_more": True, "next_before": "t1"}),
    ],
)
def test_a_page_ends_with_its_limit_or_its_size(
    sizes: Sequence[int], page: PageRequest, more_follow: bool, ids: Sequence[str], info: object
) -> None:
    data = id_page_json("things", things(*sizes), page, more_follow=more_follow)
    assert ids_of(data) == ids
    assert orjson.loads(data)["page"] == info


def test_no_more_is_made_than_shows_that_there_is_more() -> None:
    made: list[str] = []

    def making() -> Iterator[Thing]:
        for thing in things(*[10] * 50):
            made.append(thing.id)
            yield thing

    id_page_json("things", making(), PageRequest(3))
    assert len(made) == 4


def test_sorted_lists_are_merged_without_repeats_in_both_directions() -> None:
    lists: tuple[list[str], ...] = (["a", "c", "d"], ["a", "b", "d", "e"], [])
    assert list(merged_keys(*lists, page=PageRequest())) == ["a", "b", "c", "d", "e"]
    assert list(merged_keys(*lists, page=PageRequest(after="b"))) == ["c", "d", "e"]
    assert list(merged_keys(*lists, page=PageRequest(before="d"))) == ["c", "b", "a"]
