"""From the first frame to READY, or to a refusal (attach protocol §3), without a socket."""

import orjson
import pytest
import trio
from trio.testing import MockClock

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims
from moltnet.config.settings import AuthMode
from moltnet.core.agents import register_agent
from moltnet.protocol import limits
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.network import ATTACH_PROTOCOL
from tests.fakes.attach_client import (
    WireClosed,
    attach,
    frame,
    identify_frame,
    open_wire,
    read_until_closed,
)
from tests.fakes.credentials import agent_token, static
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.network import NETWORK, event_types, network_config, open_test_app, token

pytestmark = pytest.mark.usefixtures("either_transport")

OPEN_NETWORK = network_config(mode=AuthMode.OPEN)


async def refused(app: App, first_frame: str | bytes, claims: Claims = UNCHECKED) -> tuple[str, WireClosed]:
    """The ERROR text and the close that answer a first frame. HELLO has come before, nothing else does."""
    async with open_wire(app, claims) as wire:
        await wire.send(first_frame)
        frames, closed = await read_until_closed(wire)
    assert [each["op"] for each in frames] == ["HELLO", "ERROR"]
    assert frames[1]["version"] == ATTACH_PROTOCOL
    return frames[1]["error"], closed


async def test_hello_comes_first_and_unasked(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        text = await wire.receive()
        assert text.endswith("}\n")
        assert orjson.loads(text) == {
            "op": "HELLO",
            "version": "moltnet.attach.v1",
            "heartbeat_interval_ms": 5000,
            "takes_about": True,
            "capabilities": {},
        }


async def test_ready_names_the_agent_as_it_is_registered(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        client = await attach(wire, " alpha ", name="Alpha")
        stored = app.context.directory.agent("alpha")
        assert stored is not None
        assert stored.registration.display_name == "Alpha"
        assert (client.ready.network_id, client.ready.agent_id) == (NETWORK, "alpha")
        assert client.ready.actor_uid == stored.registration.actor_uid
        assert client.ready.actor_uri == f"molt://{NETWORK}/agents/alpha"
        assert client.ready.agent_token == ""


class TestSilence:
    async def test_silence_before_identify_ends_at_the_limit(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            began = trio.current_time()
            frames, closed = await read_until_closed(wire)
            assert trio.current_time() - began == limits.IDENTIFY_SECONDS
            assert [each["op"] for each in frames] == ["HELLO", "ERROR"]
            assert (closed.code, closed.reason) == (1008, "no IDENTIFY within 10 seconds")

    async def test_who_is_just_in_time_is_let_in(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await trio.sleep(limits.IDENTIFY_SECONDS - 0.001)
            await attach(wire, "alpha")

    async def test_a_disk_that_is_slow_is_not_the_agents_silence(self, autojump_clock: MockClock) -> None:
        store = FaultyStore()
        async with open_test_app(store=store) as app, open_wire(app) as wire, trio.open_nursery() as nursery:
            store.hold()

            async def release_late() -> None:
                await trio.sleep(3 * limits.READ_IDLE_SECONDS)
                store.release()

            nursery.start_soon(release_late)
            client = await attach(wire, "alpha")
            assert [event.type for event in await client.quiet_events(60)] == ["agent.connected"]


# A first frame → what ERROR says.
VIOLATIONS = [
    (b'{"op":"IDENTIFY"}', "only accepts text"),
    ("not json", "must be valid JSON"),
    ("[]", "must be valid JSON"),
    ('"IDENTIFY"', "must be valid JSON"),
    ("null", "expected IDENTIFY frame"),
    ("{}", "expected IDENTIFY frame"),
    ('{"op":5}', "must be valid JSON"),
    (frame("ACK", cursor="evt_1"), "expected IDENTIFY frame"),
    (frame("PING"), "expected IDENTIFY frame"),
    (frame("identify"), "expected IDENTIFY frame"),
    (frame("HELLO"), "expected IDENTIFY frame"),
    (identify_frame().replace(ATTACH_PROTOCOL, ""), "attachment IDENTIFY version is required"),
    (identify_frame().replace(ATTACH_PROTOCOL, "moltnet.attach.v2"), 'version "moltnet.attach.v2" does not match'),
    (identify_frame(network="other"), 'network_id "other" does not match "lab"'),
    (identify_frame(network=""), 'network_id "" does not match "lab"'),
    (frame("IDENTIFY", network_id=NETWORK), "attachment agent.id is required"),
    (identify_frame(" "), "attachment agent.id is required"),
    (identify_frame("al pha"), "attachment agent.id must"),
    (identify_frame("molt://lab/agents/alpha"), "attachment agent.id must"),
    (identify_frame(cursor="x" * 129), "attachment cursor must be 128 characters or fewer"),
    (frame("IDENTIFY", network_id=NETWORK, agent="alpha"), "$.agent: must be an object"),
]


@pytest.mark.parametrize(("first_frame", "text"), VIOLATIONS)
async def test_what_breaks_the_protocol_is_told_and_closed_as_policy(
    first_frame: str | bytes, text: str, autojump_clock: MockClock
) -> None:
    async with open_test_app() as app:
        error, closed = await refused(app, first_frame)
        assert text in error
        assert closed.code == 1008
        assert await event_types(app) == ["room.created"]
        assert len(app.gateway.registry) == 0


async def test_a_frame_that_is_too_large_closes_as_too_big(autojump_clock: MockClock) -> None:
    async with open_test_app() as app:
        error, closed = await refused(app, identify_frame("x" * limits.MAX_FRAME_BYTES))
        assert "1048576 bytes or fewer" in error
        assert closed.code == 1009


async def test_unknown_fields_are_ignored(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        await wire.send(identify_frame(capabilities={"rooms": True, "telepathy": 1}, colour="green"))
        await wire.receive()
        assert '"op":"READY"' in await wire.receive()


async def test_an_agent_that_says_error_instead_is_let_go_at_once(autojump_clock: MockClock) -> None:
    async with open_test_app() as app, open_wire(app) as wire:
        began = trio.current_time()
        await wire.send(frame("ERROR", error="I have changed my mind"))
        frames, closed = await read_until_closed(wire)
        assert trio.current_time() == began
        assert [each["op"] for each in frames] == ["HELLO"]
        assert closed.code == 1012


async def test_an_agent_that_hangs_up_instead_leaves_nothing(autojump_clock: MockClock) -> None:
    async with open_test_app() as app:
        async with open_wire(app) as wire:
            await wire.hang_up()
        assert await event_types(app) == ["room.created"]


class TestClaims:
    async def test_a_token_for_other_agents_is_refused(self, autojump_clock: MockClock) -> None:
        async with open_test_app(OPEN_NETWORK) as app:
            error, closed = await refused(app, identify_frame("beta"), static("attach", "alpha"))
            assert "not allowed for this token" in error
            assert closed.code == 1008
            assert app.context.directory.agent("beta") is None

    async def test_an_agent_of_another_credential_is_refused(self, autojump_clock: MockClock) -> None:
        async with open_test_app(OPEN_NETWORK) as app:
            await register_agent(app.context, RegisterAgentRequest("alpha"), static("attach", token_id="owner"))
            for claims in (static("attach"), ANONYMOUS):
                error, closed = await refused(app, identify_frame(), claims)
                assert 'agent "alpha" is already registered' in error
                assert closed.code == 1008

    async def test_a_name_that_is_too_long_is_refused(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app:
            first = frame("IDENTIFY", network_id=NETWORK, agent={"id": "alpha", "name": "x" * 257})
            error, closed = await refused(app, first)
            assert "256 characters or fewer" in error
            assert closed.code == 1008

    async def test_an_attach_token_registers_its_agent_even_if_registration_is_disabled(
        self, autojump_clock: MockClock
    ) -> None:
        config = network_config(mode=AuthMode.BEARER, tokens=[token("tok", "attach")])
        async with open_test_app(config) as app, open_wire(app, static("attach")) as wire:
            await attach(wire, "alpha")
            assert app.context.directory.agents_of("token:tok") == {"alpha"}

    async def test_an_anonymous_newcomer_gets_a_token_once(self, autojump_clock: MockClock) -> None:
        async with open_test_app(OPEN_NETWORK) as app:
            async with open_wire(app, ANONYMOUS) as wire:
                minted = (await attach(wire, "luna")).ready.agent_token
            claims = app.authenticator.authenticate(f"Bearer {minted}")
            async with open_wire(app, claims) as wire:
                assert (await attach(wire, "luna")).ready.agent_token == ""


class TestCollisions:
    async def test_in_mode_none_an_agent_attaches_once_at_a_time(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app:
            async with open_wire(app) as wire, trio.open_nursery() as nursery:
                client = await attach(wire, "alpha")
                nursery.start_soon(client.quiet_events, 60)  # it answers PING
                error, closed = await refused(app, identify_frame())
                assert error == (
                    'agent "alpha" already has an active attachment; attach with an actor credential to reconnect'
                )
                assert closed.code == 1013
                assert len(app.gateway.registry) == 1
                nursery.cancel_scope.cancel()
            async with open_wire(app) as wire:
                await attach(wire, "alpha")

    async def test_in_mode_none_a_lost_connection_keeps_its_agent_out_for_seconds_only(
        self, autojump_clock: MockClock
    ) -> None:
        async with open_test_app() as app, open_wire(app) as lost:
            await attach(lost, "alpha")  # and from now on nothing comes from it
            began = trio.current_time()
            async with open_wire(app) as wire:
                await attach(wire, "alpha")
                assert trio.current_time() - began == limits.SILENT_SEAT_SECONDS
                assert len(app.gateway.registry) == 1
                assert (await read_until_closed(lost))[1].code == 1013

    async def test_who_leaves_while_another_waits_for_its_place_makes_room_at_once(
        self, autojump_clock: MockClock
    ) -> None:
        async with open_test_app() as app, open_wire(app) as first, open_wire(app) as second:
            await attach(first, "alpha")
            began = trio.current_time()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(attach, second, "alpha")
                await trio.sleep(1)
                await first.hang_up()
            assert trio.current_time() - began == 1

    async def test_a_drain_does_not_wait_for_who_waits_for_a_place(self, autojump_clock: MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as first, open_wire(app) as second:
            await attach(first, "alpha")
            await second.send(identify_frame())
            await trio.testing.wait_all_tasks_blocked()
            began = trio.current_time()
            app.drain()
            assert (await read_until_closed(second))[1].code == 1012
            assert trio.current_time() == began

    async def test_one_credential_may_attach_an_agent_twice_and_both_get_everything(
        self, autojump_clock: MockClock
    ) -> None:
        async with open_test_app(OPEN_NETWORK) as app:
            claims = static("attach")
            async with open_wire(app, claims) as first, open_wire(app, claims) as second:
                clients = [await attach(wire, "alpha") for wire in (first, second)]
                for client in clients:
                    types = [event.type for event in await client.quiet_events()]
                    assert types[-1] == "agent.connected"
                assert len(app.gateway.registry) == 2

    async def test_an_administrator_may_attach_beside_the_owner(self, autojump_clock: MockClock) -> None:
        async with open_test_app(OPEN_NETWORK) as app:
            owner = static("attach", token_id="owner")
            async with open_wire(app, owner) as first, open_wire(app, static("attach admin")) as second:
                await attach(first, "alpha")
                await attach(second, "alpha")
                assert len(app.gateway.registry) == 2

    async def test_a_claim_that_changed_hands_meanwhile_closes_as_try_later(self, autojump_clock: MockClock) -> None:
        async with open_test_app(OPEN_NETWORK) as app, open_wire(app, ANONYMOUS) as wire:
            minted = (await attach(wire, "luna")).ready.agent_token
            # The config file gives luna to a token while its old holder is still attached.
            bound = network_config(mode=AuthMode.OPEN, tokens=[token("tok", "attach", "luna")])
            async with open_test_app(bound, store=app.context.store):
                pass
            app.context.directory.apply([], (await app.context.store.load_directory()).agents)
            error, closed = await refused(app, identify_frame("luna"), static("attach", "luna"))
            assert error == 'agent "luna" is already attached with different credentials'
            assert closed.code == 1013
            assert minted


async def test_an_agent_sees_its_own_arrival(autojump_clock: MockClock) -> None:
    async with open_test_app(OPEN_NETWORK) as app, open_wire(app, agent_token("alpha")) as wire:
        client = await attach(wire, "alpha")
        assert [event.type for event in await client.quiet_events()] == ["agent.connected"]
