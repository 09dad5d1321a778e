"""Applying rooms and agents: checked first, then all at once (HTTP API §7; design §3.15)."""

import pytest

from moltnet.core.apply import apply_network
from moltnet.core.errors import Invalid
from moltnet.core.rooms import remove_room
from moltnet.protocol.administration import ApplyAgent, ApplyRequest, ApplyResult
from moltnet.protocol.rooms import CreateRoomRequest
from moltnet.storage.memory import MemoryStore
from moltnet.storage.store import StorageError
from tests.fakes.faulty_store import FaultyStore, memory_store
from tests.fakes.network import event_types, network_config, open_test_app, room


def wanted(*members: str) -> ApplyRequest:
    return ApplyRequest(
        "lab",
        (CreateRoomRequest("general", members=members), CreateRoomRequest("ops", members=members)),
        (ApplyAgent("clerk", "Clerk", "token:clerk"),),
    )


async def test_what_is_applied_is_answered_and_applying_it_again_changes_nothing() -> None:
    async with open_test_app() as app:
        result = await apply_network(app.context, wanted("clerk"))
        assert [(each.id, each.name, each.members) for each in result.rooms] == [
            ("general", "general", ("clerk",)),
            ("ops", "ops", ("clerk",)),
        ]
        assert [(each.agent_id, each.display_name) for each in result.agents] == [("clerk", "Clerk")]
        assert app.context.directory.agents_of("token:clerk") == {"clerk"}
        events = await event_types(app)
        assert await apply_network(app.context, wanted("clerk")) == result
        assert await event_types(app) == events


async def test_a_start_with_the_same_file_keeps_what_was_applied() -> None:
    store: MemoryStore = memory_store()
    config = network_config(rooms=[room("general", "alpha")])
    async with open_test_app(config, store=store) as app:
        await apply_network(app.context, wanted("clerk"))
    async with open_test_app(config, store=store) as app:
        general = app.context.directory.room("general")
        assert general is not None
        assert (general.name, general.members) == ("general", ("clerk",))


async def test_a_removed_room_is_restored() -> None:
    async with open_test_app() as app:
        await remove_room(app.context, "general")
        await apply_network(app.context, wanted("clerk"))
        assert app.context.directory.is_member("general", app.context.directory.fqid("clerk"))


async def test_a_mistake_in_the_last_entry_stops_the_first() -> None:
    async with open_test_app() as app:
        request = ApplyRequest(rooms=(CreateRoomRequest("ops"), CreateRoomRequest("no id")))
        with pytest.raises(Invalid) as caught:
            await apply_network(app.context, request)
        assert [problem.path for problem in caught.value.problems] == ["$.rooms[1].id"]
        assert app.context.directory.room("ops") is None


async def test_a_disk_that_fails_leaves_all_as_it_was() -> None:
    store = FaultyStore()
    async with open_test_app(store=store) as app:
        store.failures.append(StorageError("broken"))
        with pytest.raises(StorageError):
            await apply_network(app.context, wanted("clerk"))
        general = app.context.directory.room("general")
        assert general is not None
        assert general.members == ("alpha", "beta")
        assert app.context.directory.agent("clerk") is None


async def test_nothing_is_applied_to_nothing() -> None:
    async with open_test_app() as app:
        assert await apply_network(app.context, ApplyRequest()) == ApplyResult()
