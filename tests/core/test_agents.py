import re
from collections.abc import Sequence

import pytest
import trio

from moltnet.app import App
from moltnet.auth.claims import ANONYMOUS, UNCHECKED, Claims, CredentialKind
from moltnet.auth.tokens import agent_key, is_agent_token
from moltnet.config.settings import AuthMode, Registration
from moltnet.core.access import Viewer
from moltnet.core.agents import list_agents, register_agent, show_agent
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, Refused, Unauthenticated
from moltnet.protocol.agents import AgentRegistration, RegisterAgentRequest
from moltnet.protocol.codec import decode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.pages import AgentPage, PageInfo, PageRequest
from tests.fakes.credentials import CALLERS, static
from tests.fakes.network import NETWORK, event_types, network_config, open_test_app, room

EVERYTHING = Viewer(all_conversations=True, all_reports=True)


async def register(app: App, agent_id: str, claims: Claims = UNCHECKED, name: str = "") -> AgentRegistration:
    registration, _ = await register_agent(app.context, RegisterAgentRequest(agent_id, name), claims)
    return registration


def listed(app: App, viewer: Viewer, page: PageRequest) -> AgentPage:
    return decode(list_agents(app.context, viewer, page, lambda _: False), AgentPage)


async def refusal(app: App, agent_id: str, claims: Claims) -> Refused:
    with pytest.raises(Refused) as caught:
        await register(app, agent_id, claims)
    return caught.value


# Who may register, by mode and policy: + registers, 401 and 403 are refused.
OPEN, TOKEN, DISABLED = Registration.OPEN, Registration.TOKEN, Registration.DISABLED
WHO = [
    (AuthMode.NONE, DISABLED, "nobody asked", "+"),
    (AuthMode.BEARER, DISABLED, "anonymous", "401"),
    (AuthMode.BEARER, DISABLED, "attach", "403"),
    (AuthMode.BEARER, DISABLED, "write", "403"),
    (AuthMode.BEARER, DISABLED, "admin", "+"),
    (AuthMode.BEARER, TOKEN, "anonymous", "401"),
    (AuthMode.BEARER, TOKEN, "attach", "+"),
    (AuthMode.BEARER, TOKEN, "admin", "+"),
    (AuthMode.BEARER, TOKEN, "write", "403"),
    (AuthMode.BEARER, TOKEN, "observe", "403"),
    (AuthMode.BEARER, TOKEN, "pair", "403"),
    (AuthMode.BEARER, OPEN, "anonymous", "+"),
    (AuthMode.BEARER, OPEN, "attach", "+"),
    (AuthMode.BEARER, OPEN, "write", "403"),
    (AuthMode.OPEN, DISABLED, "anonymous", "+"),
    (AuthMode.OPEN, DISABLED, "observe", "403"),
]


@pytest.mark.parametrize(("mode", "registration", "caller", "expected"), WHO)
async def test_who_may_register(mode: AuthMode, registration: Registration, caller: str, expected: str) -> None:
    async with open_test_app(network_config(mode=mode, registration=registration)) as app:
        try:
            await register(app, "newcomer", CALLERS[caller])
            answer = "+"
        except Unauthenticated:
            answer = "401"
        except Forbidden:
            answer = "403"
        assert answer == expected
        assert (app.context.directory.agent("newcomer") is not None) is (expected == "+")


class TestClaims:
    """Auth §5, rule by rule, on a network whose registration is open."""

    async def test_a_caller_without_a_credential_gets_a_token_once(self) -> None:
        async with open_test_app(network_config(mode=AuthMode.OPEN)) as app:
            registration = await register(app, "luna", ANONYMOUS, "Luna")
            assert is_agent_token(registration.agent_token)
            stored = app.context.directory.agent("luna")
            assert stored is not None
            assert stored.credential_key == agent_key(registration.agent_token)
            assert stored.registration.agent_token == ""
            claims = app.authenticator.authenticate(f"Bearer {registration.agent_token}")
            assert (claims.kind, set(claims.agents)) == (CredentialKind.AGENT, {"luna"})
            again = await register(app, "luna", claims, "Luna II")
            assert (again.agent_token, again.display_name, again.actor_uid) == ("", "Luna II", registration.actor_uid)

    async def test_an_id_that_is_taken_stays_with_its_owner(self) -> None:
        async with open_test_app(network_config(mode=AuthMode.OPEN)) as app:
            await register(app, "luna", ANONYMOUS)
            for claims in (ANONYMOUS, static("attach")):
                refused = await refusal(app, "luna", claims)
                assert isinstance(refused, Conflict)
                assert refused.code is ErrorCode.AGENT_OWNED_BY_OTHER

    async def test_an_administrator_refreshes_a_claim_without_taking_it(self) -> None:
        async with open_test_app(network_config(mode=AuthMode.OPEN)) as app:
            await register(app, "luna", static("attach", token_id="owner"))
            assert (await register(app, "luna", static("admin"), "New")).display_name == "New"
            stored = app.context.directory.agent("luna")
            assert stored is not None
            assert stored.credential_key == "token:owner"

    async def test_an_administrator_who_creates_an_agent_owns_it(self) -> None:
        async with open_test_app(network_config(mode=AuthMode.BEARER)) as app:
            await register(app, "luna", static("admin"))
            assert app.context.directory.agents_of("token:tok") == {"luna"}

    async def test_a_token_with_a_list_registers_only_those_on_it(self) -> None:
        async with open_test_app(network_config(mode=AuthMode.OPEN)) as app:
            refused = await refusal(app, "beta", static("attach", "alpha"))
            assert isinstance(refused, Forbidden)
            assert refused.code is ErrorCode.AGENT_NOT_ALLOWED

    async def test_a_blank_name_keeps_the_old_one(self) -> None:
        async with open_test_app() as app:
            await register(app, "luna", name="Luna")
            assert (await register(app, "luna", name="  ")).display_name == "Luna"

    async def test_of_many_who_claim_one_id_at_once_one_gets_it(self) -> None:
        async with open_test_app(network_config(mode=AuthMode.OPEN)) as app:
            winners: list[AgentRegistration] = []
            losers: list[Refused] = []

            async def claim() -> None:
                try:
                    winners.append(await register(app, "luna", ANONYMOUS))
                except Conflict as refused:
                    losers.append(refused)

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(claim)
            assert (len(winners), len(losers)) == (1, 19)
            assert app.authenticator.authenticate(f"Bearer {winners[0].agent_token}").agents == {"luna"}

    async def test_no_event_tells_of_a_registration(self) -> None:
        async with open_test_app() as app:
            await register(app, "luna")
            assert await event_types(app) == ["room.created"]


class TestIds:
    @pytest.mark.parametrize(
        ("name", "agent_id"), [("Luna the 2nd!", "luna-the-2nd"), ("", "agent"), ("ÅÄÖ", "agent"), ("  x  ", "x")]
    )
    async def test_an_id_is_made_from_the_name(self, name: str, agent_id: str) -> None:
        async with open_test_app() as app:
            assert (await register(app, "", name=name)).agent_id == agent_id

    async def test_an_id_that_is_taken_gets_an_ending(self) -> None:
        async with open_test_app() as app:
            await register(app, "", name="Luna")
            assert re.fullmatch(r"luna-[0-9a-f]{8}", (await register(app, "", name="Luna")).agent_id)

    @pytest.mark.parametrize("agent_id", ["al pha", "-x", "x" * 129, "molt://lab/agents/alpha", "älpha", "lab:alpha"])
    async def test_a_bad_id_is_refused(self, agent_id: str) -> None:
        async with open_test_app() as app:
            refused = await refusal(app, agent_id, UNCHECKED)
            assert isinstance(refused, Invalid)
            assert [problem.path for problem in refused.problems] == ["$.requested_agent_id"]

    async def test_a_name_has_an_end(self) -> None:
        async with open_test_app() as app:
            with pytest.raises(Invalid):
                await register(app, "luna", name="x" * 257)


class TestLists:
    """Two rooms, `a` with alpha and a remote beta, `b` with gamma; alpha and delta are registered."""

    CONFIG = network_config(rooms=[room("a", "alpha", "net_b:beta"), room("b", "gamma")])

    @staticmethod
    def ids(app: App, viewer: Viewer) -> Sequence[str]:
        return [each.id for each in listed(app, viewer, PageRequest()).agents]

    async def test_who_observes_sees_all_members_and_all_registered_agents(self) -> None:
        async with open_test_app(self.CONFIG) as app:
            await register(app, "delta")
            assert self.ids(app, EVERYTHING) == ["alpha", "delta", "gamma", "net_b:beta"]

    async def test_others_see_who_is_in_their_rooms_and_themselves(self) -> None:
        async with open_test_app(self.CONFIG) as app:
            await register(app, "delta")
            alpha, delta = (Viewer(agents=frozenset({agent_fqid(NETWORK, name)})) for name in ("alpha", "delta"))
            assert self.ids(app, alpha) == ["alpha", "net_b:beta"]
            assert self.ids(app, delta) == ["delta"]
            assert self.ids(app, Viewer()) == []

    async def test_a_page_ends_where_it_should(self) -> None:
        async with open_test_app(self.CONFIG) as app:
            page = listed(app, EVERYTHING, PageRequest(limit=2))
            assert [each.id for each in page.agents] == ["alpha", "gamma"]
            assert page.page == PageInfo(has_more=True, next_after="gamma")
            rest = listed(app, EVERYTHING, PageRequest(limit=2, after="gamma"))
            assert [each.id for each in rest.agents] == ["net_b:beta"]
            assert rest.page == PageInfo(has_more=False)

    @pytest.mark.parametrize("asked", ["net_b:beta", "molt://net_b/agents/beta"])
    async def test_a_remote_member_is_the_same_in_the_list_and_alone(self, asked: str) -> None:
        async with open_test_app(self.CONFIG) as app:
            shown = show_agent(app.context, asked, EVERYTHING, lambda _: True)
            assert (shown.id, shown.network_id, shown.fqid) == ("net_b:beta", "net_b", "molt://net_b/agents/beta")
            assert (shown.rooms, shown.connected) == (("a",), False)
            assert shown in listed(app, EVERYTHING, PageRequest()).agents

    async def test_a_registered_agent_is_shown_with_its_name_and_presence(self) -> None:
        async with open_test_app(self.CONFIG) as app:
            registration = await register(app, "alpha", name="Alpha")
            shown = show_agent(app.context, "alpha", EVERYTHING, lambda agent_id: agent_id == "alpha")
            assert (shown.name, shown.actor_uid, shown.connected) == ("Alpha", registration.actor_uid, True)

    @pytest.mark.parametrize("agent_id", ["gamma", "nobody", "no id at all"])
    async def test_whom_one_may_not_know_of_is_unknown(self, agent_id: str) -> None:
        async with open_test_app(self.CONFIG) as app:
            alpha = Viewer(agents=frozenset({agent_fqid(NETWORK, "alpha")}))
            with pytest.raises(NotFound) as caught:
                show_agent(app.context, agent_id, alpha, lambda _: False)
            assert caught.value.code is ErrorCode.UNKNOWN_AGENT

    async def test_rooms_that_the_viewer_may_not_read_are_not_told(self) -> None:
        config = network_config(rooms=[room("a", "alpha", "beta"), room("secret", "beta")])
        async with open_test_app(config) as app:
            alpha = Viewer(agents=frozenset({agent_fqid(NETWORK, "alpha")}))
            assert show_agent(app.context, "beta", alpha, lambda _: False).rooms == ("a",)
            assert show_agent(app.context, "beta", EVERYTHING, lambda _: False).rooms == ("a", "secret")
