"""Networks that the public may read, and networks that anybody may join (auth §1, §10; HTTP API §2)."""

import pytest

from moltnet.config.settings import AuthMode, MoltnetConfig, Registration
from moltnet.protocol.rooms import Visibility, WritePolicy
from tests.fakes.attach_client import attach, open_websocket_wire
from tests.fakes.credentials import static
from tests.fakes.http_client import http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    network_config,
    open_test_server,
    post,
    room,
    room_message,
    thread_message,
    token,
)

PUBLIC = Visibility.PUBLIC
ROOMS = [
    room("lobby", "beta", visibility=PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS),
    room("news", "beta", visibility=PUBLIC, write_policy=WritePolicy.OPERATORS),
    room("vault", "beta"),
]
TOKENS = [
    token("beta", "attach write", "beta"),
    token("writer", "write"),
    token("pair", "pair"),
    token("observer", "observe"),
    token("admin", "admin write"),
]
READABLE = network_config(mode=AuthMode.BEARER, public_read=True, tokens=TOKENS, rooms=ROOMS)
OPEN = network_config(mode=AuthMode.OPEN, tokens=TOKENS, rooms=ROOMS)


async def fill(server: TestServer) -> None:
    for message in (
        room_message("in the lobby", sender="beta", room="lobby", message_id="m1"),
        room_message("in the vault", sender="beta", room="vault", message_id="m2"),
        thread_message("t-lobby", sender="beta", room="lobby"),
        thread_message("t-vault", sender="beta", room="vault"),
        direct_message("d1", "beta", "gamma", sender="beta"),
    ):
        await post(server.app, message, static("admin write", token_id="admin"))


# Statuses for: nobody, the writer, the pair token, beta (member of all), the observer.
READS = {
    "/v1/network": "200 200 200 200 200",
    "/v1/rooms": "200 200 200 200 200",
    "/v1/rooms/lobby": "200 200 200 200 200",
    "/v1/rooms/vault": "403 403 403 200 200",
    "/v1/rooms/nowhere": "404 404 404 404 404",
    "/v1/rooms/lobby/messages": "200 200 200 200 200",
    "/v1/rooms/vault/messages": "403 403 403 200 200",
    "/v1/rooms/vault/threads": "403 403 403 200 200",
    "/v1/threads/t-lobby/messages": "200 200 200 200 200",
    "/v1/threads/t-vault": "403 403 403 200 200",
    "/v1/dms": "401 403 403 200 200",
    "/v1/dms/d1": "401 403 403 200 200",
    "/v1/dms/d1/messages": "401 403 403 200 200",
    "/v1/agents": "200 200 200 200 200",
    "/v1/agents/beta": "200 200 200 200 200",
}


@pytest.mark.parametrize("config", [READABLE, OPEN], ids=["public_read", "open"])
async def test_who_reads_what(config: MoltnetConfig) -> None:
    async with open_test_server(config) as server:
        await fill(server)
        clients = [http_client(server, caller) for caller in ("", "writer", "pair", "beta", "observer")]
        answers = {target: [await client.get(target) for client in clients] for target in READS}
        assert {target: " ".join(str(each.status) for each in row) for target, row in answers.items()} == READS


async def test_the_public_sees_public_rooms_and_who_is_in_them() -> None:
    config = network_config(
        mode=AuthMode.BEARER,
        public_read=True,
        tokens=TOKENS,
        rooms=[room("lobby", "beta", visibility=PUBLIC), room("vault", "beta", "gamma")],
    )
    async with open_test_server(config) as server:
        client = http_client(server)
        (listed,) = (await client.get("/v1/rooms")).json()["rooms"]
        assert listed["id"] == "lobby"
        assert listed["access"] == {"can_read": True, "can_write": False, "reason": "public-read/members-write"}
        (agent,) = (await client.get("/v1/agents")).json()["agents"]
        assert (agent["id"], agent["rooms"]) == ("beta", ["lobby"])
        assert (await client.get("/v1/agents/gamma")).status == 404


async def test_the_public_never_writes() -> None:
    for config in (READABLE, OPEN):
        async with open_test_server(config) as server:
            client = http_client(server)
            assert (await client.post("/v1/messages", room_message(room="lobby"))).status == 401
            assert (await client.post("/v1/rooms", {"id": "mine"})).status == 401
            assert (await client.patch("/v1/rooms/lobby/members", {"add": ["me"]})).status == 401


class TestJoiningAnOpenNetwork:
    async def test_from_nobody_to_a_message_in_the_lobby(self) -> None:
        async with open_test_server(OPEN) as server:
            answer = await http_client(server).post("/v1/agents/register", {"name": "Luna"})
            assert (answer.status, answer.json()["agent_id"]) == (201, "luna")
            minted = answer.json()["agent_token"]
            client = http_client(server, minted)
            sent = await client.post("/v1/messages", room_message(sender="luna", room="lobby"))
            assert sent.status == 202
            for room_id in ("news", "vault"):
                refused = await client.post("/v1/messages", room_message(sender="luna", room=room_id))
                assert (refused.status, refused.code) == (403, "room_write_forbidden")
            (lobby,) = [each for each in (await client.get("/v1/rooms")).json()["rooms"] if each["id"] == "lobby"]
            assert lobby["access"]["can_write"]

    async def test_a_token_is_shown_once(self) -> None:
        async with open_test_server(OPEN) as server:
            minted = (await http_client(server).post("/v1/agents/register", {"name": "Luna"})).json()["agent_token"]
            client = http_client(server, minted)
            again = await client.post("/v1/agents/register", {"requested_agent_id": "luna"})
            assert (again.status, again.json().get("agent_token")) == (200, None)
            assert (await client.get("/v1/agents/luna")).json().get("agent_token") is None

    async def test_an_id_that_is_taken_is_not_given_again(self) -> None:
        async with open_test_server(OPEN) as server:
            body = {"requested_agent_id": "luna"}
            assert (await http_client(server).post("/v1/agents/register", body)).status == 201
            for caller in ("", "beta"):
                answer = await http_client(server, caller).post("/v1/agents/register", body)
                assert answer.status == (409 if not caller else 403)

    async def test_nobody_sends_as_an_agent_that_is_not_registered(self) -> None:
        async with open_test_server(OPEN) as server:
            answer = await http_client(server, "writer").post(
                "/v1/messages", room_message(sender="ghost", room="lobby")
            )
            assert (answer.status, answer.code) == (401, "agent_not_registered")

    async def test_an_agent_that_attached_uses_its_token_for_the_api(self) -> None:
        async with open_test_server(OPEN) as server:
            async with open_websocket_wire(server.url) as wire:
                minted = (await attach(wire, "luna")).ready.agent_token
            answer = await http_client(server, minted).post("/v1/messages", room_message(sender="luna", room="lobby"))
            assert answer.status == 202


class TestRegistrationByPolicy:
    @pytest.mark.parametrize(
        ("registration", "nobody", "holder"),
        [(Registration.DISABLED, 401, 403), (Registration.TOKEN, 401, 201), (Registration.OPEN, 201, 201)],
    )
    async def test_who_may_register(self, registration: Registration, nobody: int, holder: int) -> None:
        tokens = [token("holder", "attach")]
        config = network_config(mode=AuthMode.BEARER, registration=registration, tokens=tokens, rooms=ROOMS)
        async with open_test_server(config) as server:
            for caller, status in (("", nobody), ("holder", holder)):
                answer = await http_client(server, caller).post("/v1/agents/register", {"name": f"by {caller}"})
                assert answer.status == status
