from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
from trio.testing import MockClock

from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims
from moltnet.auth.leases import INSUFFICIENT, Leases
from moltnet.auth.policy import EXPIRED, REVOKED, Authenticator, AuthPolicy
from moltnet.auth.tokens import InvalidCredential, StaticToken, TokenTable, agent_key, new_agent_token, token_digest
from moltnet.config.settings import AuthMode, Scope
from moltnet.protocol.ids import AgentId

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
OPS = StaticToken("ops", token_digest("first"), frozenset({Scope.OBSERVE}))
OPS_AGAIN = attrs.evolve(OPS, digest=token_digest("second"))


def clock() -> datetime:
    """The wall clock, which goes as Trio's does."""
    return EPOCH + timedelta(seconds=trio.current_time())


async def forever() -> None:
    await trio.sleep_forever()


def knowing(*tokens: StaticToken, agents: dict[str, frozenset[AgentId]] | None = None) -> Authenticator:
    owned = agents or {}
    return Authenticator(
        AuthPolicy(AuthMode.BEARER), TokenTable(tokens), lambda key: owned.get(key, frozenset()), clock
    )


def claims_of(value: str, *tokens: StaticToken) -> Claims:
    return knowing(*tokens).authenticate(f"Bearer {value}")


class TestExpiry:
    @pytest.fixture
    def token(self) -> StaticToken:
        return attrs.evolve(OPS, expires_at=EPOCH + timedelta(seconds=60))

    async def test_a_lease_ends_at_the_moment_its_token_expires(
        self, token: StaticToken, autojump_clock: MockClock
    ) -> None:
        lease = Leases(knowing(token)).grant(claims_of("first", token))
        with lease.watched():
            await forever()
        assert (trio.current_time(), lease.problem) == (60, EXPIRED)

    async def test_a_block_that_ends_earlier_is_left_alone(self, token: StaticToken, autojump_clock: MockClock) -> None:
        lease = Leases(knowing(token)).grant(claims_of("first", token))
        with lease.watched(15):
            await forever()
        assert (trio.current_time(), lease.problem) == (15, "")
        with lease.watched(90):
            await forever()
        assert (trio.current_time(), lease.problem) == (60, EXPIRED)

    async def test_a_lease_that_expired_between_two_blocks_lets_no_other_begin(
        self, token: StaticToken, autojump_clock: MockClock
    ) -> None:
        lease = Leases(knowing(token)).grant(claims_of("first", token))
        await trio.sleep(61)
        with lease.watched() as scope:
            await forever()
        assert scope.cancelled_caught
        assert lease.problem == EXPIRED

    async def test_a_reload_that_gives_it_more_time_is_heard(
        self, token: StaticToken, autojump_clock: MockClock
    ) -> None:
        leases = Leases(knowing(token))
        lease = leases.grant(claims_of("first", token))

        async def reload() -> None:
            await trio.sleep(30)
            assert leases.renew(knowing(attrs.evolve(token, expires_at=EPOCH + timedelta(seconds=100)))) == 0

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reload)
            with lease.watched():
                await forever()
        assert (trio.current_time(), lease.problem) == (100, EXPIRED)

    async def test_an_expired_token_gets_no_lease(self, token: StaticToken, autojump_clock: MockClock) -> None:
        claims = claims_of("first", token)
        await trio.sleep(60)
        with pytest.raises(InvalidCredential, match="expired"):
            Leases(knowing(token)).grant(claims)


class TestReload:
    async def test_what_still_holds_goes_on_with_its_new_rights(self) -> None:
        leases = Leases(knowing(OPS))
        lease = leases.grant(claims_of("first", OPS))
        with lease.watched() as scope:
            assert leases.renew(knowing(OPS_AGAIN, attrs.evolve(OPS, scopes=frozenset({Scope.ADMIN})))) == 0
            assert not scope.cancel_called
        assert lease.problem == ""
        assert lease.claims.scopes == {Scope.ADMIN}

    @pytest.mark.parametrize(
        "tokens",
        [(), (OPS_AGAIN,), (attrs.evolve(OPS, id="other"),)],
        ids=["no token", "another value", "the value under another id"],
    )
    async def test_what_has_no_place_any_more_ends(self, tokens: tuple[StaticToken, ...]) -> None:
        leases = Leases(knowing(OPS))
        lease, others = leases.grant(claims_of("first", OPS)), [leases.grant(ANONYMOUS), leases.grant(UNCHECKED)]
        with lease.watched():
            assert leases.renew(knowing(*tokens)) == 1
            await forever()
        assert lease.problem == REVOKED
        assert [other.problem for other in others] == ["", ""]
        assert leases.renew(knowing(OPS)) == 0  # what has ended stays so
        assert lease.problem == REVOKED

    async def test_rights_that_no_longer_suffice_end_it(self) -> None:
        leases = Leases(knowing(OPS))
        lease = leases.grant(claims_of("first", OPS), lambda claims: claims.has(Scope.OBSERVE))
        assert leases.renew(knowing(attrs.evolve(OPS, scopes=frozenset({Scope.PAIR})))) == 1
        assert lease.problem == INSUFFICIENT

    async def test_rights_that_do_not_suffice_get_no_lease(self) -> None:
        with pytest.raises(InvalidCredential):
            Leases(knowing(OPS)).grant(claims_of("first", OPS), lambda claims: claims.has(Scope.ADMIN))

    async def test_an_agent_token_lives_as_long_as_it_owns_an_agent(self) -> None:
        token = new_agent_token()
        agents = {agent_key(token): frozenset({AgentId("alpha")})}
        authenticator = knowing(agents=agents)
        leases = Leases(authenticator)
        lease = leases.grant(authenticator.authenticate(f"Bearer {token}"))
        assert leases.renew() == 0
        agents.clear()
        assert leases.renew() == 1
        assert lease.problem == REVOKED

    async def test_a_lease_that_nobody_holds_is_forgotten(self) -> None:
        leases = Leases(knowing(OPS))
        leases.grant(claims_of("first", OPS))
        assert leases.renew(knowing()) == 0
