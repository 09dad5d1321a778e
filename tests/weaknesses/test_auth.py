"""Identity and access where the reference implementation is weak: what this one does instead.

Which weakness each test is about stands in `test_completeness`.
"""

import attrs

from moltnet.config.secrets import Secret
from moltnet.config.server_limits import CAPS_ONLY, Rate
from moltnet.config.settings import AuthMode, Registration
from moltnet.storage.store import Store
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.homes import Home
from tests.fakes.http_client import http_client
from tests.fakes.network import network_config, room, token
from tests.weaknesses.bodies import agent, in_direct, in_thread, said

ALPHA, BETA = token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta")
ADMIN, PAIR, WRITER = token("admin", "admin write"), token("pair", "pair"), token("writer", "write")
BEARER = network_config(mode=AuthMode.BEARER, tokens=[ALPHA, BETA, ADMIN, PAIR, WRITER])


async def test_an_actor_of_another_network_is_no_member_for_having_the_same_name(home: Home) -> None:
    async with home.serve(BEARER) as server:
        pair = http_client(server, "pair")
        for network, code in (("net_b", "room_write_forbidden"), ("lab", "missing_scope")):
            foreign = {"type": "agent", "id": "alpha", "network_id": network, "fqid": f"molt://{network}/agents/alpha"}
            origin = {"network_id": network, "message_id": "m1"}
            answer = await pair.post("/v1/messages", said(sender=foreign, origin=origin))
            assert (answer.status, answer.code) == (403, code)
        assert (await http_client(server, "beta").get("/v1/rooms/general/messages")).json()["messages"] == []


async def test_a_pair_token_speaks_for_the_first_network_that_it_spoke_for(home: Home) -> None:
    rooms = [room("general", "net_b:beta", "net_c:gamma")]
    config = network_config(mode=AuthMode.BEARER, tokens=[PAIR, ADMIN], rooms=rooms)
    for _ in range(2):  # also after a restart
        async with home.serve(config) as server:
            pair = http_client(server, "pair")
            for network, name, status in (("net_b", "beta", 202), ("net_c", "gamma", 403)):
                body = said(sender={"type": "agent", "id": name, "network_id": network}, origin={"network_id": network})
                assert (await pair.post("/v1/messages", body)).status == status


async def test_a_token_of_an_agent_never_sends_as_a_human(home: Home) -> None:
    async with home.serve(BEARER) as server:
        for kind in ("human", " human "):
            for name in ("beta", "alpha", "ada"):
                sender = {"type": kind, "id": name}
                answer = await http_client(server, "alpha").post("/v1/messages", said(sender=sender))
                assert (answer.status, answer.code) == (403, "agent_not_allowed")


async def test_a_member_that_is_not_registered_cannot_be_impersonated(home: Home) -> None:
    rooms = [room("general", "alpha", "ghost")]
    config = network_config(mode=AuthMode.BEARER, tokens=[ALPHA, WRITER], rooms=rooms)
    async with home.serve(config) as server:
        answer = await http_client(server, "writer").post("/v1/messages", said(sender=agent("ghost")))
        assert (answer.status, answer.code) == (403, "agent_not_registered")


async def test_direct_messages_are_for_those_who_take_part(home: Home) -> None:
    async with home.serve(BEARER) as server:
        alpha, beta = http_client(server, "alpha"), http_client(server, "beta")
        await alpha.post("/v1/messages", in_direct("d1", "alpha", "gamma"))
        outsider = await beta.post("/v1/messages", in_direct("d1", "alpha", "beta", sender=agent("beta")))
        assert (outsider.status, outsider.code) == (403, "not_a_participant")
        assert len((await alpha.get("/v1/dms/d1/messages")).json()["messages"]) == 1
        assert (await beta.get("/v1/dms/d1/messages")).status == 404


async def test_members_read_their_private_rooms(home: Home) -> None:
    rooms = [room("vault", "alpha"), room("theirs", "beta")]
    config = network_config(mode=AuthMode.BEARER, tokens=[ALPHA, BETA], rooms=rooms)
    async with home.serve(config) as server:
        alpha = http_client(server, "alpha")
        await alpha.post("/v1/messages", in_thread("t1", "vault"))
        for target in ("/v1/rooms/vault", "/v1/rooms/vault/messages", "/v1/threads/t1", "/v1/artifacts?room_id=vault"):
            assert (await alpha.get(target)).status == 200
            assert (await http_client(server, "beta").get(target)).status == 403


async def test_each_refusal_says_what_it_is_about(home: Home) -> None:
    async with home.serve(BEARER) as server:
        admin = http_client(server, "admin")
        await admin.post("/v1/apply", {"agents": [{"id": "gamma", "credential_key": "token:other"}]})
        remote = {"type": "agent", "id": "beta", "network_id": "net_b"}
        refusals = {
            "another network's actor": await http_client(server, "alpha").post("/v1/messages", said(sender=remote)),
            "an inconsistent actor": await http_client(server, "pair").post(
                "/v1/messages", said(sender=remote, origin={"network_id": "net_c"})
            ),
            "another credential's agent": await http_client(server, "writer").post(
                "/v1/messages", said(sender=agent("gamma"))
            ),
            "an agent not on the list": await http_client(server, "alpha").post(
                "/v1/messages", said(sender=agent("beta"))
            ),
            "a pair token for a local agent": await http_client(server, "pair").post("/v1/messages", said()),
        }
        assert {name: (answer.status, answer.code) for name, answer in refusals.items()} == {
            "another network's actor": (403, "remote_actor_forbidden"),
            "an inconsistent actor": (403, "remote_actor_forbidden"),
            "another credential's agent": (409, "agent_owned_by_other"),
            "an agent not on the list": (403, "agent_not_allowed"),
            "a pair token for a local agent": (403, "missing_scope"),
        }


async def test_a_name_that_is_taken_gets_an_ending_and_never_another_owner(home: Home) -> None:
    async with home.serve(network_config(mode=AuthMode.OPEN)) as server:
        first, second = [
            (await http_client(server).post("/v1/agents/register", {"name": "Luna"})).json() for _ in range(2)
        ]
        assert first["agent_id"] == "luna"
        assert second["agent_id"].startswith("luna-")
        taken = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "luna"})
        assert (taken.status, taken.code) == (409, "agent_owned_by_other")
        longest = await http_client(server).post("/v1/agents/register", {"name": "n" * 257})
        assert (longest.status, longest.code) == (422, "invalid_field")


async def test_the_operator_keeps_names_and_strangers_cannot_take_all_others(home: Home) -> None:
    config = network_config(
        mode=AuthMode.OPEN, limits=attrs.evolve(CAPS_ONLY, registrations_per_address=Rate(1 / 3600, 3))
    )
    config = attrs.evolve(config, auth=attrs.evolve(config.auth, reserved_agents=("admin", "moltnet-*")))
    async with home.serve(config) as server:
        client = http_client(server)
        kept = await client.post("/v1/agents/register", {"requested_agent_id": "Admin"})
        assert (kept.status, kept.code) == (403, "agent_reserved")
        statuses = [
            (await client.post("/v1/agents/register", {"requested_agent_id": f"squatter-{number}"})).status
            for number in range(3)
        ]
        assert statuses == [201, 201, 429]


async def test_an_agents_token_can_be_replaced_revoked_and_recovered(home: Home) -> None:
    config = network_config(mode=AuthMode.OPEN, tokens=[ADMIN])
    async with home.serve(config) as server:
        admin = http_client(server, "admin")
        first = (await http_client(server).post("/v1/agents/register", {"requested_agent_id": "luna"})).json()
        luna = http_client(server, first["agent_token"])
        second = (await luna.post("/v1/agents/luna/token", {})).json()["agent_token"]
        assert (await luna.get("/v1/credentials")).status == 401
        listed = (await http_client(server, second).get("/v1/credentials")).json()["credentials"]
        assert [each["agent_id"] for each in listed] == ["luna"]
        assert second not in str(listed)
        assert (await http_client(server, second).delete("/v1/agents/luna/token")).status == 200
        assert (await http_client(server, second).get("/v1/credentials")).status == 401
        # The id is not lost with its token: the operator gives out a new one.
        third = (await admin.post("/v1/agents/luna/token", {})).json()["agent_token"]
    async with home.serve(config) as server:
        for value, status in ((first["agent_token"], 401), (second, 401), (third, 200)):
            assert (await http_client(server, value).get("/v1/credentials")).status == status


async def test_a_configured_token_changes_its_value_without_a_gap(home: Home) -> None:
    rotating = attrs.evolve(ALPHA, value=Secret("PLANTED-SECRET-OF-new"), previous_value=ALPHA.value)
    config = network_config(mode=AuthMode.BEARER, tokens=[ALPHA])
    async with home.serve(config) as server:
        assert (await http_client(server, "alpha").post("/v1/messages", said())).status == 202
    async with home.serve(attrs.evolve(config, auth=attrs.evolve(config.auth, tokens=(rotating,)))) as server:
        for value in ("alpha", "new"):
            assert (await http_client(server, value).post("/v1/messages", said())).status == 202


async def test_a_token_is_looked_up_without_asking_the_store(home: Home) -> None:
    opened: list[FaultyStore] = []

    def counted(store: Store) -> Store:
        opened.append(FaultyStore(store))
        return opened[0]

    config = network_config(mode=AuthMode.BEARER, registration=Registration.OPEN, tokens=[ALPHA, ADMIN])
    async with home.serve(config, wrap=counted) as server:
        claimed = (await http_client(server).post("/v1/agents/register", {"name": "Luna"})).json()
        opened[0].read_count = 0
        unknown = f"magt_v1_{'x' * 43}"
        for credential, status in ((claimed["agent_token"], 200), (unknown, 401), ("alpha", 200)):
            assert (await http_client(server, credential).get("/v1/rooms")).status == status
        assert opened[0].read_count == 0


async def test_who_was_there_before_sign_in_gets_a_token_from_the_operator(home: Home) -> None:
    async with home.serve() as server:
        await http_client(server).post("/v1/agents/register", {"requested_agent_id": "alpha"})
    config = network_config(mode=AuthMode.BEARER, tokens=[token("new", "attach write", "alpha"), ADMIN])
    async with home.serve(config) as server:
        assert (await http_client(server, "new").post("/v1/messages", said())).status == 202
