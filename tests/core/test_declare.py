"""What a start makes of the config file (design §3.15). A restart is a second app on the same store."""

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.core.agents import register_agent
from moltnet.core.rooms import create_room, update_members
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.rooms import CreateRoomRequest, Room, UpdateRoomMembersRequest, WritePolicy
from moltnet.storage.memory import MemoryStore
from tests.fakes.faulty_store import memory_store
from tests.fakes.network import event_types, network_config, open_test_app, room, token


def general(app: App) -> Room:
    found = app.context.directory.room("general")
    assert found is not None
    return found


async def events_of_a_start(config: MoltnetConfig, store: MemoryStore) -> list[str]:
    before = (await store.event_bounds()).newest_seq
    async with open_test_app(config, store=store) as app:
        return (await event_types(app))[before:]


class TestRooms:
    async def test_a_declared_room_is_created(self) -> None:
        async with open_test_app(network_config(rooms=[room("general", "alpha")])) as app:
            assert general(app).members == ("alpha",)
            assert await event_types(app) == ["room.created"]

    async def test_an_unchanged_file_changes_nothing(self) -> None:
        store, config = memory_store(), network_config(rooms=[room("general", "alpha")])
        assert await events_of_a_start(config, store) == ["room.created"]
        assert await events_of_a_start(config, store) == []

    async def test_members_added_at_runtime_survive_a_restart_with_an_unchanged_file(self) -> None:
        store, config = memory_store(), network_config(rooms=[room("general", "alpha")])
        async with open_test_app(config, store=store) as app:
            await update_members(app.context, "general", UpdateRoomMembersRequest(add=("gamma",), remove=("alpha",)))
        async with open_test_app(config, store=store) as app:
            assert general(app).members == ("gamma",)

    async def test_a_changed_file_shapes_the_room_again(self) -> None:
        store = memory_store()
        async with open_test_app(network_config(rooms=[room("general", "alpha")]), store=store) as app:
            await update_members(app.context, "general", UpdateRoomMembersRequest(add=("gamma",)))
            created_at = general(app).created_at
        changed = network_config(rooms=[room("general", "alpha", "beta", write_policy=WritePolicy.OPERATORS)])
        async with open_test_app(changed, store=store) as app:
            assert (general(app).members, general(app).write_policy) == (("alpha", "beta"), WritePolicy.OPERATORS)
            assert general(app).created_at == created_at
            assert (await event_types(app))[-1] == "room.members.updated"

    async def test_a_room_that_the_file_no_longer_names_stays(self) -> None:
        store = memory_store()
        await events_of_a_start(network_config(rooms=[room("general", "alpha"), room("old", "alpha")]), store)
        async with open_test_app(network_config(rooms=[room("general", "alpha")]), store=store) as app:
            assert app.context.directory.room("old") is not None

    async def test_a_room_made_at_runtime_is_taken_over_when_the_file_names_it(self) -> None:
        store = memory_store()
        async with open_test_app(network_config(rooms=[]), store=store) as app:
            await create_room(app.context, CreateRoomRequest("general", members=("zeta",)))
        async with open_test_app(network_config(rooms=[room("general", "alpha")]), store=store) as app:
            assert general(app).members == ("alpha",)


class TestAgents:
    CONFIG = network_config(mode=AuthMode.OPEN, tokens=[token("ops", "write attach", "alpha", "beta")])

    async def test_the_agents_of_a_token_belong_to_it(self) -> None:
        async with open_test_app(self.CONFIG) as app:
            assert app.context.directory.agents_of("token:ops") == {"alpha", "beta"}

    async def test_a_restart_changes_nothing_of_them(self) -> None:
        store = memory_store()
        async with open_test_app(self.CONFIG, store=store) as app:
            before = app.context.directory.agent("alpha")
        async with open_test_app(self.CONFIG, store=store) as app:
            assert app.context.directory.agent("alpha") == before

    async def test_a_token_takes_an_agent_that_somebody_had_claimed(self) -> None:
        store = memory_store()
        async with open_test_app(network_config(mode=AuthMode.OPEN), store=store) as app:
            registration, _ = await register_agent(app.context, RegisterAgentRequest("alpha", "Alpha"), ANONYMOUS)
        async with open_test_app(self.CONFIG, store=store) as app:
            stored = app.context.directory.agent("alpha")
            assert stored is not None
            assert (stored.credential_key, stored.registration.display_name) == ("token:ops", "Alpha")
            assert stored.registration.actor_uid == registration.actor_uid
            assert app.context.directory.agents_of("token:ops") == {"alpha", "beta"}
