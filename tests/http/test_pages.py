"""Lists page by page: cursors, and pages that no reference client is too small for (design §3.13)."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import attrs
import pytest

from moltnet.auth.claims import UNCHECKED
from moltnet.config.secrets import Secret
from moltnet.config.settings import AuthMode, MoltnetConfig, PairingSettings
from moltnet.core.access import Viewer
from moltnet.core.agents import list_agents, remove_agent
from moltnet.core.errors import TooLarge
from moltnet.core.rooms import list_rooms, remove_room, room_from
from moltnet.directory import Directory
from moltnet.protocol import limits
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import CreateRoomRequest
from moltnet.protocol.times import Timestamp
from moltnet.storage.commands import CreateRoom
from tests.fakes.http_client import HttpClient, http_client
from tests.fakes.network import (
    NETWORK,
    TestServer,
    direct_message,
    network_config,
    open_test_app,
    open_test_server,
    post,
    room,
    room_message,
    thread_message,
    token,
)

IDS = ["a", "b", "c", "d", "e"]
PAIRINGS = tuple(PairingSettings(id, f"https://{id}.test", f"net-{id}", token=Secret("PLANTED-SECRET")) for id in IDS)
SMALL: MoltnetConfig = attrs.evolve(network_config(rooms=[room(id, id) for id in IDS]), pairings=PAIRINGS)

# Every list that is ordered by id: its route, and its name in the page.
LISTS = [
    ("/v1/rooms", "rooms"),
    ("/v1/agents", "agents"),
    ("/v1/pairings", "pairings"),
    ("/v1/rooms/a/threads", "threads"),
    ("/v1/dms", "dms"),
]


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """Five of everything, with the ids a to e."""
    async with open_test_server(SMALL) as server:
        for id in IDS:
            await post(server.app, thread_message(id, room="a", sender="a"))
            await post(server.app, direct_message(id, "a", "b", sender="a"))
        yield server


async def read_all(client: HttpClient, target: str, name: str, query: str) -> list[list[str]]:
    """All pages, by the cursors that they give."""
    pages: list[list[str]] = []
    cursor = ""
    while True:
        page = (await client.get(f"{target}?{query}{cursor}")).json()
        pages.append([item["id"] for item in page[name]])
        info = page["page"]
        if not info["has_more"]:
            assert info == {"has_more": False}
            return pages
        (direction,) = info.keys() - {"has_more"}
        query = query.partition("&")[0]
        cursor = f"&{direction.removeprefix('next_')}={info[direction]}"


@pytest.mark.parametrize(("target", "name"), LISTS)
async def test_a_list_is_read_forwards_and_backwards_without_gap_or_repeat(
    server: TestServer, target: str, name: str
) -> None:
    client = http_client(server)
    assert await read_all(client, target, name, "limit=2") == [["a", "b"], ["c", "d"], ["e"]]
    assert await read_all(client, target, name, "limit=2&before=e") == [["c", "d"], ["a", "b"]]
    assert await read_all(client, target, name, "limit=5") == [IDS]
    assert await read_all(client, target, name, "limit=9&after=e") == [[]]
    assert await read_all(client, target, name, "limit=9&before=a") == [[]]


@pytest.mark.parametrize("direction", ["before", "after"])
@pytest.mark.parametrize(("target", "name"), LISTS)
async def test_a_cursor_that_is_not_in_the_list_is_refused_and_says_what_to_do(
    server: TestServer, target: str, name: str, direction: str
) -> None:
    answer = await http_client(server).get(f"{target}?{direction}=bb")
    assert (answer.status, answer.code) == (422, "invalid_cursor")
    assert answer.json()["problems"][0]["path"] == f"$.{direction}"
    assert "begin again without a cursor" in answer.json()["error"]


async def test_a_cursor_whose_item_goes_away_while_a_list_is_read_is_refused(server: TestServer) -> None:
    client, context = http_client(server), server.app.context
    for target in ("/v1/rooms", "/v1/agents"):
        assert (await client.get(f"{target}?limit=2")).json()["page"]["next_after"] == "b"
    await remove_room(context, "b")
    for target in ("/v1/rooms", "/v1/agents"):  # b was a member of room b only
        answer = await client.get(f"{target}?limit=2&after=b")
        assert (answer.status, answer.code) == (422, "invalid_cursor")
        assert await read_all(client, target, target.removeprefix("/v1/"), "limit=9") == [["a", "c", "d", "e"]]


async def test_what_a_caller_may_not_see_is_no_cursor_for_it() -> None:
    """Else it would learn what exists."""
    config = network_config(
        mode=AuthMode.BEARER,
        tokens=[token("alpha", "attach write", "alpha")],
        rooms=[room("a", "alpha"), room("b", "x")],
    )
    async with open_test_server(config) as server:
        client = http_client(server, "alpha")
        for target, foreign in [("/v1/rooms", "b"), ("/v1/agents", "x")]:
            hidden, unknown = [await client.get(f"{target}?after={id}") for id in (foreign, "nothing")]
            assert (hidden.status, hidden.code, unknown.status, unknown.code) == (422, "invalid_cursor") * 2
        assert (await client.get("/v1/agents?after=alpha")).json() == {"agents": [], "page": {"has_more": False}}


@pytest.mark.parametrize("cursor", ["net_b:gamma", "molt%3A%2F%2Fnet_b%2Fagents%2Fgamma"])
async def test_an_agent_is_a_cursor_by_any_of_its_names(cursor: str) -> None:
    async with open_test_server(network_config(rooms=[room("a", "net_b:gamma", "net_b:zeta", "alpha")])) as server:
        page = (await http_client(server).get(f"/v1/agents?after={cursor}")).json()
        assert [agent["id"] for agent in page["agents"]] == ["net_b:zeta"]


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ("limit=1&limit=3", ["a"]),
        ("limit=1&after=b&after=d", ["c"]),
        ("limit=1&after=&after=b", ["a"]),
        ("limit=2&colour=green&Limit=5&limit[]=5", ["a", "b"]),
        ("limit=%31&after=%62", ["c"]),
        ("limit=1&before=%20c%20", ["b"]),
        ("limit=%D9%A1&after=d", ["e"]),
    ],
)
async def test_the_first_of_repeated_parameters_counts_and_unknown_ones_do_not(
    server: TestServer, query: str, ids: list[str]
) -> None:
    answer = await http_client(server).get(f"/v1/rooms?{query}")
    assert [room["id"] for room in answer.json()["rooms"]] == ids


@pytest.mark.parametrize("cursor", ["%00", "%FF", "a%0Ab", "a%20b", "x" * 129, "a/b", "%2e%2e"])
async def test_a_cursor_that_is_no_id_is_refused(server: TestServer, cursor: str) -> None:
    for target, _ in LISTS:
        answer = await http_client(server).get(f"{target}?after={cursor}")
        assert (answer.status, answer.code) == (422, "invalid_cursor")


class TestPagesThatAreCut:
    """However many members and participants there are, a page stays below what a reference client reads."""

    MEMBERS = tuple(f"{number:03}{'m' * 125}" for number in range(256))

    async def test_a_list_of_rooms_with_many_members_is_cut_and_loses_nothing(self) -> None:
        ids = [f"room-{number:02}" for number in range(40)]
        config = network_config(rooms=[room(id, *self.MEMBERS) for id in ids])
        async with open_test_server(config) as server:
            await self._reads_all(http_client(server), "/v1/rooms", "rooms", ids)

    async def test_a_list_of_agents_with_many_rooms_is_cut_and_loses_nothing(self) -> None:
        agents = [f"agent-{number}" for number in range(60)]
        async with open_test_server(network_config(rooms=[])) as server:
            for number in range(200):
                created = room_command(f"{number:03}{'r' * 120}", agents)
                await server.app.context.journal.commit(created)
            await self._reads_all(http_client(server), "/v1/agents", "agents", sorted(agents))

    async def test_a_list_of_direct_conversations_with_many_participants_is_cut_and_loses_nothing(self) -> None:
        ids = [f"dm-{number:02}" for number in range(40)]
        async with open_test_server() as server:
            for id in ids:
                participants = (*self.MEMBERS[:255], "alpha")
                await post(server.app, direct_message(id, *participants))
            await self._reads_all(http_client(server), "/v1/dms", "dms", ids)

    async def test_one_item_that_is_too_large_is_a_page_of_its_own(self) -> None:
        members = [f"{number:05}{'m' * 120}" for number in range(9000)]
        async with open_test_server(network_config(rooms=[room("b", "alpha")])) as server:
            for id in ("a", "c"):
                await server.app.context.journal.commit(room_command(id, members))
            pages = await read_all(http_client(server), "/v1/rooms", "rooms", "limit=9")
            assert pages == [["a"], ["b"], ["c"]]

    async def test_the_largest_message_fits_into_a_page_whatever_follows_it(self) -> None:
        first = "i" * limits.MAX_ID_CHARACTERS
        async with open_test_server() as server:
            await post(server.app, room_message(message_id=first))
            fits, too_large = 0, limits.MAX_BODY_BYTES
            while too_large - fits > 1:
                size = (fits + too_large) // 2
                try:
                    await post(server.app, room_message("x" * size, message_id=f"{size}-{'i' * 100}"))
                    fits = size
                except TooLarge:
                    too_large = size
            assert fits > limits.MAX_BODY_BYTES - 4 * limits.KIB
            client = http_client(server)
            for query in ("limit=1", "limit=500", f"limit=500&after={first}"):
                answer = await client.get(f"/v1/rooms/general/messages?{query}")
                assert answer.json()["page"]["has_more"]
                assert len(answer.body) <= limits.MAX_BODY_BYTES

    async def _reads_all(self, client: HttpClient, target: str, name: str, ids: list[str]) -> None:
        for query in ("limit=500", "limit=500&before=" + ids[-1]):
            pages = await read_all(client, target, name, query)
            assert len(pages) > 1
            found = pages if "before" not in query else [*pages[::-1], [ids[-1]]]
            assert [id for page in found for id in page] == ids
        cursors = ("", f"&after={ids[0]}", f"&before={ids[-1]}")
        sizes = [len((await client.get(f"{target}?limit=500{cursor}")).body) for cursor in cursors]
        assert limits.MAX_BODY_BYTES * 0.9 < max(sizes) <= limits.MAX_BODY_BYTES


def room_command(id: str, members: list[str]) -> CreateRoom:
    request = CreateRoomRequest(id, id, tuple(members), "private", "members")
    return CreateRoom(room_from(request, NETWORK, Timestamp("2026-01-02T03:04:05Z")))


EVERYTHING = Viewer(all_conversations=True)
MANY = [f"r{number:04}" for number in range(2000)]


@pytest.mark.parametrize("cursor", [PageRequest(3), PageRequest(3, after="r1000"), PageRequest(3, before="r1000")])
@pytest.mark.parametrize("name", ["rooms", "agents"])
async def test_a_page_looks_at_no_more_than_it_shows(
    name: str, cursor: PageRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For who sees all. Others look at what their own agents share with somebody."""
    async with open_test_app(network_config(rooms=[room(id, id) for id in MANY])) as app:
        looked = count_calls(monkeypatch, Directory, "room")
        if name == "rooms":
            list_rooms(app.context, UNCHECKED, EVERYTHING, cursor)
        else:
            list_agents(app.context, EVERYTHING, cursor, lambda _: False)
        assert 3 <= looked() <= 6


async def test_an_agent_looks_at_its_own_rooms_only(monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_test_app(network_config(rooms=[room(id, id) for id in MANY])) as app:
        looked = count_calls(monkeypatch, Directory, "room")
        own = Viewer(agents=frozenset({app.context.directory.fqid("r0007")}))
        assert b'"r0007"' in list_rooms(app.context, UNCHECKED, own, PageRequest(500))
        assert b'"r0007"' in list_agents(app.context, own, PageRequest(500), lambda _: False)
        assert looked() <= 6


def count_calls(monkeypatch: pytest.MonkeyPatch, owner: type, name: str) -> Callable[[], int]:
    calls: list[object] = []
    real = getattr(owner, name)

    def counting(*args: Any) -> object:
        calls.append(args)
        return real(*args)

    monkeypatch.setattr(owner, name, counting)
    return lambda: len(calls)


async def test_removing_the_agent_at_a_cursor_is_told() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        for id in ("x", "y", "z"):
            assert (await client.post("/v1/agents/register", {"requested_agent_id": id})).status == 201
        await remove_agent(server.app.context, "y")
        assert (await client.get("/v1/agents?after=y")).code == "invalid_cursor"
        assert [agent["id"] for agent in (await client.get("/v1/agents?after=x")).json()["agents"]] == ["z"]
