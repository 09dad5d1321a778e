import attrs
import pytest

from moltnet.app import App
from moltnet.auth.claims import UNCHECKED
from moltnet.core.access import Viewer
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound
from moltnet.core.rooms import create_room, list_rooms, readable_room, update_members
from moltnet.protocol.codec import decode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.pages import PageInfo, PageRequest, RoomPage
from moltnet.protocol.rooms import CreateRoomRequest, UpdateRoomMembersRequest, Visibility, WritePolicy
from tests.fakes.network import NETWORK, event_types, network_config, open_test_app, room

EVERYTHING = Viewer(all_conversations=True)
ALPHA = Viewer(agents=frozenset({agent_fqid(NETWORK, "alpha")}))


async def test_a_room_is_created_with_defaults_and_clean_members() -> None:
    async with open_test_app(network_config(rooms=[])) as app:
        made = await create_room(app.context, CreateRoomRequest(" ops ", members=("beta", " alpha ", "beta", "")))
        assert (made.id, made.name, made.members) == ("ops", "ops", ("alpha", "beta"))
        assert (made.visibility, made.write_policy) == (Visibility.PRIVATE, WritePolicy.MEMBERS)
        assert made.fqid == f"molt://{NETWORK}/rooms/ops"
        assert app.context.directory.room("ops") == made
        assert await event_types(app) == ["room.created"]


async def test_an_id_is_given_once() -> None:
    async with open_test_app() as app:
        with pytest.raises(Conflict) as caught:
            await create_room(app.context, CreateRoomRequest("general"))
        assert caught.value.code is ErrorCode.ROOM_EXISTS


@pytest.mark.parametrize(
    ("wanted", "path"),
    [
        (CreateRoomRequest(), "$.id"),
        (CreateRoomRequest("no blanks"), "$.id"),
        (CreateRoomRequest("r", visibility="hidden"), "$.visibility"),
        (CreateRoomRequest("r", write_policy="everybody"), "$.write_policy"),
        (CreateRoomRequest("r", members=("al pha",)), "$.members[0]"),
        (CreateRoomRequest("r", members=tuple(f"a{number}" for number in range(257))), "$.members"),
        (CreateRoomRequest("r", name="x" * 257), "$.name"),
    ],
)
async def test_what_is_wrong_with_a_room_is_told_with_its_path(wanted: CreateRoomRequest, path: str) -> None:
    async with open_test_app() as app:
        with pytest.raises(Invalid) as caught:
            await create_room(app.context, wanted)
        assert [problem.path for problem in caught.value.problems] == [path]


class TestMembers:
    async def test_removing_is_applied_after_adding(self) -> None:
        async with open_test_app() as app:
            request = UpdateRoomMembersRequest(add=("gamma", "delta"), remove=("beta", "delta", "nobody"))
            changed = await update_members(app.context, "general", request)
            assert changed.members == ("alpha", "gamma")
            assert await event_types(app) == ["room.created", "room.members.updated"]

    async def test_a_change_that_changes_nothing_makes_no_event(self) -> None:
        async with open_test_app() as app:
            request = UpdateRoomMembersRequest(add=("alpha",), remove=("nobody",))
            assert (await update_members(app.context, "general", request)).members == ("alpha", "beta")
            assert await event_types(app) == ["room.created"]

    async def test_they_count_at_once(self) -> None:
        async with open_test_app() as app:
            gamma = Viewer(agents=frozenset({agent_fqid(NETWORK, "gamma")}))
            with pytest.raises(Forbidden):
                readable_room(app.context, "general", gamma)
            await update_members(app.context, "general", UpdateRoomMembersRequest(add=("gamma",)))
            assert readable_room(app.context, "general", gamma).id == "general"
            await update_members(app.context, "general", UpdateRoomMembersRequest(remove=("gamma",)))
            with pytest.raises(Forbidden):
                readable_room(app.context, "general", gamma)

    async def test_the_event_carries_the_time_of_the_change(self) -> None:
        async with open_test_app() as app:
            await update_members(app.context, "general", UpdateRoomMembersRequest(add=("gamma",)))
            created, updated = await app.context.store.events_after(0, 10)
            assert updated.created_at > created.created_at

    async def test_an_unknown_room_has_none(self) -> None:
        async with open_test_app() as app:
            with pytest.raises(NotFound) as caught:
                await update_members(app.context, "nowhere", UpdateRoomMembersRequest(add=("alpha",)))
            assert caught.value.code is ErrorCode.UNKNOWN_ROOM

    @pytest.mark.parametrize("field", ["add", "remove"])
    async def test_a_bad_id_is_named(self, field: str) -> None:
        async with open_test_app() as app:
            with pytest.raises(Invalid) as caught:
                await update_members(app.context, "general", UpdateRoomMembersRequest(**{field: ("b", "al pha")}))
            assert [problem.path for problem in caught.value.problems] == [f"$.{field}[0]"]


class TestPages:
    async def test_a_list_is_read_forwards_and_backwards_without_repeats(self) -> None:
        ids = [f"room-{number}" for number in range(7)]
        async with open_test_app(network_config(rooms=[room(room_id) for room_id in ids])) as app:
            forwards = await self._read_all(app, PageRequest(limit=3))
            assert forwards == [ids[:3], ids[3:6], ids[6:]]
            backwards = await self._read_all(app, PageRequest(limit=3, before="room-6"))
            assert backwards == [ids[3:6], ids[:3]]

    async def _read_all(self, app: App, page: PageRequest) -> list[list[str]]:
        pages: list[list[str]] = []
        while True:
            found = self._list(app, EVERYTHING, page)
            pages.append([each.id for each in found.rooms])
            if not found.page.has_more:
                assert (found.page.next_before, found.page.next_after) == ("", "")
                return pages
            page = attrs.evolve(page, before=found.page.next_before, after=found.page.next_after)

    async def test_only_readable_rooms_are_listed_and_counted(self) -> None:
        rooms = [room("a", "alpha"), room("b", "beta"), room("c", "alpha")]
        async with open_test_app(network_config(rooms=rooms)) as app:
            found = self._list(app, ALPHA, PageRequest(limit=1))
            assert [each.id for each in found.rooms] == ["a"]
            assert found.page == PageInfo(has_more=True, next_after="a")
            found = self._list(app, ALPHA, PageRequest(limit=1, after="a"))
            assert [each.id for each in found.rooms] == ["c"]
            assert found.page == PageInfo(has_more=False)
            assert self._list(app, Viewer(), PageRequest()) == RoomPage()

    def _list(self, app: App, viewer: Viewer, page: PageRequest) -> RoomPage:
        return decode(list_rooms(app.context, UNCHECKED, viewer, page), RoomPage)
