"""Taking over a changed config file under a running network: what goes on, what ends, what is refused as a whole."""

from contextlib import AsyncExitStack
from pathlib import Path

import attrs
import pytest
import trio
import trio.testing

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, Claims
from moltnet.auth.tokens import InvalidCredential
from moltnet.config.problems import ConfigError, Problem
from moltnet.config.secrets import Secret
from moltnet.config.server import load_server_config
from moltnet.config.settings import (
    AuthMode,
    FileStorage,
    LogFormat,
    LogLevel,
    LogSettings,
    MoltnetConfig,
    NetworkSettings,
    PairingSettings,
    Registration,
    RoomSettings,
    TokenSettings,
)
from moltnet.config.urls import ListenAddress
from moltnet.core.agents import register_agent
from moltnet.core.errors import Conflict, Forbidden, Invalid
from moltnet.core.pairings import list_pairings
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import Visibility
from moltnet.reload import reload
from moltnet.storage.commands import DeclareNetwork
from moltnet.storage.store import StorageError
from tests.fakes.attach_client import AttachClient, attach, open_wire
from tests.fakes.credentials import static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import network_config, open_test_app, post, room, room_message, secret_of, token

ALPHA, BETA = token("alphas", "attach write", "alpha"), token("betas", "attach write", "beta")
OPS = token("ops", "admin observe attach write")
BEARER = network_config(mode=AuthMode.BEARER, tokens=[ALPHA, BETA, OPS])


def with_tokens(*tokens: TokenSettings, config: MoltnetConfig = BEARER) -> MoltnetConfig:
    return attrs.evolve(config, auth=attrs.evolve(config.auth, tokens=tokens))


def with_rooms(*rooms: RoomSettings) -> MoltnetConfig:
    return attrs.evolve(BEARER, rooms=rooms)


def claims_of(app: App, token_id: str) -> Claims:
    return app.authenticator.authenticate(f"Bearer {secret_of(token_id)}")


async def reload_with(app: App, config: MoltnetConfig) -> tuple[tuple[str, ...], int]:
    app.load = lambda: config
    result = await reload(app)
    return result.changed, result.ended


async def attached(stack: AsyncExitStack, app: App, token_id: str, agent_id: str) -> AttachClient:
    wire = await stack.enter_async_context(open_wire(app, claims_of(app, token_id)))
    return await attach(wire, agent_id)


class TestTokens:
    async def test_attachments_whose_token_holds_stay_and_the_others_are_closed(self) -> None:
        async with open_test_app(BEARER) as app, AsyncExitStack() as stack:
            alpha = await attached(stack, app, "alphas", "alpha")
            beta = await attached(stack, app, "betas", "beta")
            assert await reload_with(app, with_tokens(ALPHA, OPS)) == (("auth",), 1)
            closed = await beta.wait_closed()
            assert (closed.code, closed.reason) == (1008, "the token was revoked")
            await post(app, room_message("still here?"), claims_of(app, "ops"))
            assert await alpha.next_texts(1) == ["still here?"]
            with pytest.raises(InvalidCredential):
                claims_of(app, "betas")

    async def test_a_value_rotates_without_a_gap(self) -> None:
        both = attrs.evolve(ALPHA, value=Secret("the-new-value-of-alpha"), previous_value=ALPHA.value)
        async with open_test_app(BEARER) as app, AsyncExitStack() as stack:
            old = await attached(stack, app, "alphas", "alpha")
            assert await reload_with(app, with_tokens(both, BETA, OPS)) == (("auth",), 0)
            claims = app.authenticator.authenticate("Bearer the-new-value-of-alpha")
            new = await attach(await stack.enter_async_context(open_wire(app, claims)), "alpha")
            await post(app, room_message("both hear it"), claims)
            assert [await each.next_texts(1) for each in (old, new)] == [["both hear it"]] * 2
            only_new = attrs.evolve(both, previous_value=None)
            assert await reload_with(app, with_tokens(only_new, BETA, OPS)) == (("auth",), 1)
            assert (await old.wait_closed()).code == 1008
            await post(app, room_message("I stay"), claims)
            assert await new.next_texts(1) == ["I stay"]

    async def test_new_rights_count_for_what_is_attached(self) -> None:
        async with open_test_app(BEARER) as app, AsyncExitStack() as stack:
            watcher = await attached(stack, app, "ops", "watcher")
            fewer = token("ops", "attach write")
            await reload_with(app, with_tokens(ALPHA, BETA, fewer))
            await post(app, room_message("not for it any more"), claims_of(app, "alphas"))
            more = await reload_with(app, BEARER)
            assert more == (("auth",), 0)
            await post(app, room_message("for it again"), claims_of(app, "alphas"))
            assert await watcher.next_texts(1) == ["for it again"]

    @pytest.mark.parametrize(
        "changed",
        [token("alphas", "write", "alpha"), token("alphas", "attach write", "gamma")],
        ids=["may not attach", "may not be alpha"],
    )
    async def test_rights_that_do_not_suffice_end_an_attachment(self, changed: TokenSettings) -> None:
        async with open_test_app(BEARER) as app, AsyncExitStack() as stack:
            alpha = await attached(stack, app, "alphas", "alpha")
            assert (await reload_with(app, with_tokens(changed, BETA, OPS)))[1] == 1
            closed = await alpha.wait_closed()
            assert (closed.code, closed.reason) == (1008, "the token does not allow this any more")

    async def test_an_agent_moves_to_the_token_that_now_names_it(self) -> None:
        moved = (token("alphas", "attach write", "other"), token("betas", "attach write", "alpha", "beta"), OPS)
        async with open_test_app(BEARER) as app, AsyncExitStack() as stack:
            alpha = await attached(stack, app, "alphas", "alpha")
            await reload_with(app, with_tokens(*moved))
            closed = await alpha.wait_closed()
            assert (closed.code, closed.reason) == (1008, "agent was given to another credential")
            assert (await attached(stack, app, "betas", "alpha")).ready.agent_id == "alpha"

    async def test_an_upgrade_from_before_does_not_identify_after(self) -> None:
        async with open_test_app(BEARER) as app, open_wire(app, claims_of(app, "alphas")) as wire:
            await reload_with(app, with_tokens(OPS))
            with pytest.raises(AssertionError, match="the token was revoked"):
                await attach(wire, "alpha")

    async def test_who_came_to_claim_an_id_finds_the_door_closed(self) -> None:
        opened = attrs.evolve(BEARER, auth=attrs.evolve(BEARER.auth, agent_registration=Registration.OPEN))
        async with open_test_app(opened) as app, open_wire(app, ANONYMOUS) as wire:
            await reload_with(app, BEARER)
            with pytest.raises(AssertionError, match="this needs a token"):
                await attach(wire, "luna")
            assert app.context.directory.agent("luna") is None

    async def test_the_public_loses_what_is_no_longer_public(self) -> None:
        rooms = [room("general", "alpha", visibility=Visibility.PUBLIC)]
        public = network_config(mode=AuthMode.BEARER, tokens=[ALPHA, BETA, OPS], rooms=rooms, public_read=True)
        private = attrs.evolve(public, auth=attrs.evolve(public.auth, public_read=False))
        async with open_test_app(public) as app, AsyncExitStack() as stack:
            beta = await attached(stack, app, "betas", "beta")
            await post(app, room_message("one"), claims_of(app, "ops"))
            assert await beta.next_texts(1) == ["one"]
            await reload_with(app, private)
            await post(app, room_message("two"), claims_of(app, "ops"))
            await reload_with(app, public)
            await post(app, room_message("three"), claims_of(app, "ops"))
            assert await beta.next_texts(1) == ["three"]


class TestOtherSettings:
    async def test_rooms_are_declared_and_members_of_runtime_stay(self) -> None:
        async with open_test_app(BEARER) as app:
            assert await reload_with(app, with_rooms(room("general", "alpha", "beta"), room("new"))) == (("rooms",), 0)
            assert app.context.directory.room("new") is not None
            await reload_with(app, with_rooms(room("general", "alpha")))
            general = app.context.directory.room("general")
            assert general is not None
            assert general.members == ("alpha",)
            assert app.context.directory.room("new") is not None  # what is taken out of the file stays

    async def test_switches_names_and_pairings(self) -> None:
        config = attrs.evolve(
            BEARER,
            network=attrs.evolve(BEARER.network, name="Renamed"),
            server=attrs.evolve(BEARER.server, human_ingress=False, allowed_origins=("https://new.test",)),
            auth=attrs.evolve(BEARER.auth, agent_registration=Registration.TOKEN, reserved_agents=("root",)),
            pairings=(PairingSettings("partner", "https://b.test", "net_b"),),
        )
        async with open_test_app(BEARER) as app:
            changed, _ = await reload_with(app, config)
            assert changed == ("network.name", "server", "auth", "pairings")
            assert (app.context.name, app.context.policy.human_ingress) == ("Renamed", False)
            assert app.origins.permits("https://new.test")
            assert not app.origins.permits("http://console.test")
            assert b'"partner"' in list_pairings(app.context, PageRequest())
            with pytest.raises(Forbidden, match="keeps the name"):
                await register_agent(app.context, RegisterAgentRequest("root"), static("attach", token_id="other"))

    async def test_the_same_file_again_changes_nothing(self) -> None:
        async with open_test_app(BEARER) as app:
            seq = app.broker.newest_seq
            assert await reload_with(app, BEARER) == ((), 0)
            assert app.broker.newest_seq == seq

    async def test_the_log_changes_its_level(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls: list[dict[str, str]] = []
        monkeypatch.setattr("moltnet.reload.configure", lambda **settings: calls.append(settings))
        async with open_test_app(BEARER) as app:
            await reload_with(app, attrs.evolve(BEARER, log=LogSettings(LogLevel.DEBUG, LogFormat.JSON)))
        assert calls == [{"format": "json", "level": "debug"}]


FIXED = [
    ("network.id", attrs.evolve(BEARER, network=NetworkSettings(NetworkId("other")))),
    ("server.listen_addr", attrs.evolve(BEARER, server=attrs.evolve(BEARER.server, listen_addr=ListenAddress("::1")))),
    ("auth.mode", attrs.evolve(BEARER, auth=attrs.evolve(BEARER.auth, mode=AuthMode.OPEN))),
    ("storage", attrs.evolve(BEARER, storage=attrs.evolve(BEARER.storage, sqlite=FileStorage(Path("other.db"))))),
]


class TestRefusals:
    @pytest.mark.parametrize(("name", "config"), FIXED, ids=[name for name, _ in FIXED])
    async def test_what_needs_a_restart_changes_nothing_at_all(self, name: str, config: MoltnetConfig) -> None:
        config = attrs.evolve(with_tokens(OPS, config=config), rooms=(room("new"),))
        async with open_test_app(BEARER) as app, AsyncExitStack() as stack:
            alpha = await attached(stack, app, "alphas", "alpha")
            with pytest.raises(Conflict, match=f"needs a restart: {name}$") as caught:
                await reload_with(app, config)
            assert caught.value.code is ErrorCode.NEEDS_RESTART
            assert app.config is BEARER
            assert app.context.directory.room("new") is None
            await post(app, room_message("as before"), claims_of(app, "alphas"))
            assert await alpha.next_texts(1) == ["as before"]

    async def test_a_broken_file_changes_nothing_and_says_where(self) -> None:
        def load() -> MoltnetConfig:
            raise ConfigError(Path("Moltnet"), Problem("$.rooms[0].id", "is required", 7), Problem("$", "is odd"))

        async with open_test_app(BEARER) as app:
            app.load = load
            with pytest.raises(Invalid, match="nothing was changed") as caught:
                await reload(app)
            assert caught.value.code is ErrorCode.CONFIG_INVALID
            assert [(problem.path, problem.message) for problem in caught.value.problems] == [
                ("$.rooms[0].id", "line 7: is required"),
                ("$", "is odd"),
            ]
            assert app.config is BEARER

    async def test_a_file_that_is_gone_is_not_the_same_as_none(self, tmp_path: Path) -> None:
        async with open_test_app(BEARER) as app:
            app.load = lambda: load_server_config(tmp_path / "Moltnet", {}, tmp_path)
            with pytest.raises(Invalid, match="no such file"):
                await reload(app)

    async def test_a_network_without_a_file_has_nothing_to_reload(self) -> None:
        async with open_test_app(BEARER) as app:
            with pytest.raises(Conflict) as caught:
                await reload(app)
            assert caught.value.code is ErrorCode.NEEDS_RESTART

    async def test_a_storage_that_fails_leaves_everything_as_it_was(self) -> None:
        store = FaultyStore()
        async with open_test_app(BEARER, store=store) as app, AsyncExitStack() as stack:
            beta = await attached(stack, app, "betas", "beta")
            await trio.testing.wait_all_tasks_blocked()  # presence is written behind the scenes
            store.failures.append(StorageError("disk full"))
            with pytest.raises(StorageError):
                await reload_with(app, with_tokens(ALPHA, OPS))
            assert app.config is BEARER
            assert claims_of(app, "betas").agents == {"beta"}
            await post(app, room_message("still here"), claims_of(app, "alphas"))
            assert await beta.next_texts(1) == ["still here"]


class TestOneStep:
    async def test_cancelled_before_the_commit_everything_happens_all_the_same(self) -> None:
        """A caller that hangs up must not leave agents with a token that the network does not know."""
        store = FaultyStore()
        async with open_test_app(BEARER, store=store) as app:
            store.hold()
            with trio.CancelScope() as caller:

                async def hang_up() -> None:
                    await trio.testing.wait_all_tasks_blocked()
                    caller.cancel()
                    store.release()

                async with trio.open_nursery() as nursery:
                    nursery.start_soon(hang_up)
                    await reload_with(app, with_tokens(ALPHA, OPS))
            assert isinstance(store.batches[-1][0], DeclareNetwork)
            with pytest.raises(InvalidCredential):
                claims_of(app, "betas")

    async def test_two_reloads_come_one_after_the_other(self) -> None:
        store = FaultyStore()
        async with open_test_app(BEARER, store=store) as app:
            store.hold()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(reload_with, app, with_tokens(ALPHA, OPS))
                await trio.testing.wait_all_tasks_blocked()
                nursery.start_soon(reload_with, app, with_tokens(OPS))
                await trio.testing.wait_all_tasks_blocked()
                store.release()
            assert [each.id for each in app.config.auth.tokens] == ["ops"]

    async def test_anonymous_callers_keep_what_the_network_still_gives(self) -> None:
        config = network_config(mode=AuthMode.OPEN, tokens=[OPS])
        async with open_test_app(config) as app, open_wire(app, ANONYMOUS) as wire:
            client = await attach(wire, "luna")
            assert client.ready.agent_token
            assert await reload_with(app, with_tokens(config=config)) == (("auth",), 0)
            own = app.authenticator.authenticate(f"Bearer {client.ready.agent_token}")
            assert own.agents == {"luna"}
