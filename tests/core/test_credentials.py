"""Agents' own tokens: who may replace, revoke and list them, and that exactly one of two at a time does."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, NOBODY_KEY, UNCHECKED, Claims
from moltnet.auth.tokens import InvalidCredential, agent_key, is_agent_token
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.core.agents import register_agent
from moltnet.core.credentials import list_credentials, replace_token, revoke_token
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unauthenticated
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.codec import decode
from moltnet.protocol.credentials import AgentCredential, CredentialPage, Holder
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.pages import PageRequest
from tests.fakes.credentials import CALLERS, static
from tests.fakes.faulty_store import memory_store
from tests.fakes.network import network_config, open_test_app, token

ADMIN = static("admin", token_id="ops")
OPEN = network_config(mode=AuthMode.OPEN, tokens=[token("ops", "admin"), token("alphas", "attach", "alpha")])


class Clock:
    """Goes on by a second each time."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now


async def claim(app: App, agent_id: str = "luna") -> str:
    registration, _ = await register_agent(app.context, RegisterAgentRequest(agent_id), ANONYMOUS)
    return registration.agent_token


def claims_of(app: App, agent_token: str) -> Claims:
    return app.authenticator.authenticate(f"Bearer {agent_token}")


def is_good(app: App, agent_token: str) -> bool:
    try:
        claims_of(app, agent_token)
    except InvalidCredential:
        return False
    return True


def listed(app: App, claims: Claims, page: PageRequest | None = None) -> Sequence[AgentCredential]:
    return decode(list_credentials(app.context, claims, page or PageRequest()), CredentialPage).credentials


class TestReplacing:
    async def test_an_agent_replaces_its_own_token_and_stays_who_it_is(self) -> None:
        async with open_test_app(OPEN) as app:
            old = await claim(app)
            before = app.context.directory.agent("luna")
            registration = await replace_token(app.context, "luna", claims_of(app, old))
            new, after = registration.agent_token, app.context.directory.agent("luna")
            assert is_agent_token(new)
            assert not is_good(app, old)
            assert claims_of(app, new).agents == {"luna"}
            assert before is not None
            assert after is not None
            assert (after.credential_key, after.registration.actor_uid) == (
                agent_key(new),
                before.registration.actor_uid,
            )

    async def test_an_administrator_replaces_a_lost_token(self) -> None:
        async with open_test_app(OPEN) as app:
            old = await claim(app)
            for _ in range(2):
                new = (await replace_token(app.context, "luna", ADMIN)).agent_token
                assert not is_good(app, old)
                assert is_good(app, new)
                old = new

    async def test_of_two_at_once_one_wins(self) -> None:
        async with open_test_app(OPEN) as app:
            old = claims_of(app, await claim(app))
            tokens, refusals = [], []

            async def rotate(claims: Claims) -> None:
                try:
                    tokens.append((await replace_token(app.context, "luna", claims)).agent_token)
                except Conflict as refused:
                    refusals.append(refused.code)

            async with trio.open_nursery() as nursery:
                for claims in (old, ADMIN, old):
                    nursery.start_soon(rotate, claims)
            assert refusals == [ErrorCode.CREDENTIAL_CHANGED] * 2
            assert is_good(app, tokens[0])

    async def test_an_agent_that_the_file_gives_to_a_token_keeps_it(self) -> None:
        async with open_test_app(OPEN) as app:
            for change in (replace_token, revoke_token):
                with pytest.raises(Conflict, match='to the token "alphas"') as caught:
                    await change(app.context, "alpha", ADMIN)
                assert caught.value.code is ErrorCode.AGENT_DECLARED

    async def test_an_agent_of_times_without_tokens_is_recovered(self) -> None:
        """Weakness 12 of the specification of auth: from none to bearer, agents were lost."""
        store = memory_store()
        async with open_test_app(network_config(), store=store) as app:
            await register_agent(app.context, RegisterAgentRequest("luna"), UNCHECKED)
        async with open_test_app(OPEN, store=store) as app:
            assert [each.holder for each in listed(app, ADMIN) if each.agent_id == "luna"] == [Holder.ANYBODY]
            new = (await replace_token(app.context, "luna", ADMIN)).agent_token
            assert claims_of(app, new).agents == {"luna"}

    async def test_without_tokens_there_is_none_to_replace(self) -> None:
        async with open_test_app(network_config()) as app:
            await register_agent(app.context, RegisterAgentRequest("luna"), UNCHECKED)
            with pytest.raises(Conflict) as caught:
                await replace_token(app.context, "luna", UNCHECKED)
            assert caught.value.code is ErrorCode.TOKENS_NOT_ASKED


class TestRevoking:
    async def test_nobody_holds_the_agent_until_an_administrator_resets_it(self) -> None:
        async with open_test_app(OPEN) as app:
            old = await claim(app)
            credential = await revoke_token(app.context, "luna", claims_of(app, old))
            assert (credential.holder, credential.fingerprint, credential.token_id) == (Holder.NOBODY, "", "")
            assert not is_good(app, old)
            with pytest.raises(Conflict) as caught:
                await register_agent(app.context, RegisterAgentRequest("luna"), ANONYMOUS)
            assert caught.value.code is ErrorCode.AGENT_OWNED_BY_OTHER
            new = (await replace_token(app.context, "luna", ADMIN)).agent_token
            assert claims_of(app, new).agents == {"luna"}

    @pytest.mark.parametrize("text", [NOBODY_KEY, "", "anonymous", f"token:{NOBODY_KEY}", f"agent-token:{NOBODY_KEY}"])
    async def test_nobody_can_be_nobody(self, text: str) -> None:
        config = network_config(mode=AuthMode.OPEN, tokens=[token(NOBODY_KEY, "attach write"), token("ops", "admin")])
        async with open_test_app(config) as app:
            await claim(app)
            await revoke_token(app.context, "luna", ADMIN)
            assert app.context.directory.agents_of(NOBODY_KEY) == {"luna"}
            if text:
                assert not is_good(app, text)
            claims = app.authenticator.authenticate("Bearer PLANTED-SECRET-OF-nobody")
            assert claims.key != NOBODY_KEY
            assert app.context.directory.agents_of(claims.key) == frozenset()


def outcome_of(error: Refused | None) -> str:
    match error:
        case None:
            return "+"
        case Unauthenticated():
            return "401"
        case Forbidden():
            return "403"
        case NotFound():
            return "404"
    return "409"


@pytest.mark.parametrize("change", [replace_token, revoke_token])
@pytest.mark.parametrize("caller", sorted(set(CALLERS) - {"nobody asked"}))
async def test_only_administrators_and_the_agent_itself_may(change: object, caller: str) -> None:
    claims = CALLERS[caller]
    async with open_test_app(OPEN) as app:
        own = claims_of(app, await claim(app))
        await claim(app, "other")
        found = {}
        for agent_id in ("other", "unknown", "net_b:luna", "luna"):
            error = None
            try:
                if change is replace_token:
                    await replace_token(app.context, agent_id, claims)
                else:
                    await revoke_token(app.context, agent_id, claims)
            except Refused as refused:
                error = refused
            found[agent_id] = outcome_of(error)
        if caller in ("admin", "admin write"):
            assert found == {"other": "+", "unknown": "404", "net_b:luna": "404", "luna": "+"}
            return
        # Who may not does not learn who is there.
        assert set(found.values()) == {"401" if caller == "anonymous" else "403"}
        assert (await replace_token(app.context, "luna", own)).agent_token


class TestListing:
    async def test_an_administrator_sees_by_what_each_agent_is_held_and_no_secret(self) -> None:
        async with open_test_app(OPEN, clock=Clock()) as app:
            first = await claim(app)
            second = (await replace_token(app.context, "luna", ADMIN)).agent_token
            await claim(app, "zed")
            await revoke_token(app.context, "zed", ADMIN)
            body = list_credentials(app.context, ADMIN, PageRequest()).decode()
            for secret in (first, second, agent_key(second).removeprefix("agent-token:")):
                assert secret not in body
            alpha, luna, zed = listed(app, ADMIN)
            assert (alpha.agent_id, alpha.holder, alpha.token_id) == ("alpha", Holder.CONFIGURED_TOKEN, "alphas")
            assert (luna.agent_id, luna.holder) == ("luna", Holder.AGENT_TOKEN)
            assert agent_key(second) == f"agent-token:{luna.fingerprint}{agent_key(second)[20:]}"
            assert luna.created_at < luna.updated_at
            assert (zed.agent_id, zed.holder) == ("zed", Holder.NOBODY)

    async def test_an_agent_sees_its_own(self) -> None:
        async with open_test_app(OPEN) as app:
            mine = claims_of(app, await claim(app))
            await claim(app, "other")
            assert [each.agent_id for each in listed(app, mine)] == ["luna"]

    async def test_it_comes_in_pages(self) -> None:
        async with open_test_app(OPEN) as app:
            await claim(app)
            await claim(app, "zed")
            first = decode(list_credentials(app.context, ADMIN, PageRequest(limit=2)), CredentialPage)
            assert ([each.agent_id for each in first.credentials], first.page.next_after) == (["alpha", "luna"], "luna")
            assert [each.agent_id for each in listed(app, ADMIN, PageRequest(after="luna"))] == ["zed"]
            with pytest.raises(Invalid):
                listed(app, ADMIN, PageRequest(after="nobody"))

    @pytest.mark.parametrize("caller", ["anonymous", "observe", "write", "attach", "pair", "write for alpha"])
    async def test_others_see_nothing(self, caller: str) -> None:
        async with open_test_app(OPEN) as app:
            with pytest.raises((Unauthenticated, Forbidden)):
                list_credentials(app.context, CALLERS[caller], PageRequest())


def reserving(*patterns: str) -> MoltnetConfig:
    return attrs.evolve(OPEN, auth=attrs.evolve(OPEN.auth, reserved_agents=patterns))


class TestReservedNames:
    async def test_they_are_not_claimed_openly(self) -> None:
        async with open_test_app(reserving("admin*", "alpha")) as app:
            for agent_id in ("admin", "Administrator", "ALPHA"):
                with pytest.raises(Forbidden, match="keeps the name") as caught:
                    await claim(app, agent_id)
                assert caught.value.code is ErrorCode.AGENT_RESERVED
            assert await claim(app, "badmin")

    async def test_a_token_that_is_not_made_for_the_name_does_not_get_it_either(self) -> None:
        async with open_test_app(reserving("admin*", "alpha")) as app:
            with pytest.raises(Forbidden):
                await register_agent(app.context, RegisterAgentRequest("admin"), CALLERS["attach"])

    async def test_the_operator_gives_them_away(self) -> None:
        async with open_test_app(reserving("*")) as app:
            for_alpha = app.authenticator.authenticate("Bearer PLANTED-SECRET-OF-alphas")
            await register_agent(app.context, RegisterAgentRequest("alpha"), for_alpha)
            await register_agent(app.context, RegisterAgentRequest("admin"), ADMIN)
            own = claims_of(app, (await replace_token(app.context, "admin", ADMIN)).agent_token)
            registration, created = await register_agent(app.context, RegisterAgentRequest("admin", "Root"), own)
            assert (registration.display_name, created) == ("Root", False)

    async def test_they_are_not_made_from_names_either(self) -> None:
        async with open_test_app(reserving("admin", "root*")) as app:
            registration, _ = await register_agent(app.context, RegisterAgentRequest("", "Admin"), ANONYMOUS)
            assert registration.agent_id.startswith("admin-")
            with pytest.raises(Forbidden, match="choose another"):
                await register_agent(app.context, RegisterAgentRequest("", "Root!"), ANONYMOUS)

    async def test_two_of_one_name_at_once_get_an_id_each(self) -> None:
        """Weakness 10 of the specification of auth: a name was looked up, then inserted."""
        async with open_test_app(OPEN) as app:
            ids = []

            async def register() -> None:
                registration, created = await register_agent(app.context, RegisterAgentRequest("", "Twin"), ANONYMOUS)
                assert created
                ids.append(registration.agent_id)

            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(register)
            assert len(set(ids)) == 5
            assert "twin" in ids
