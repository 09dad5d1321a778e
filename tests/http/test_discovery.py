"""The documents for agents over HTTP: whom they are for, what each caller is told, and how long anybody keeps it."""

from typing import Any

import pytest

from moltnet.auth.claims import ANONYMOUS
from moltnet.client.api import open_client
from moltnet.config.settings import AuthMode
from moltnet.core.agents import claim_agent
from moltnet.protocol.ids import AgentId
from moltnet.protocol.limits import MAX_DOCUMENT_ROOMS, MAX_SKILL_BYTES
from moltnet.protocol.rooms import Visibility, WritePolicy
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import TestServer, network_config, open_test_server, room, secret_of, token
from tests.skill.documents import blocks, commands, front_matter

PUBLIC = Visibility.PUBLIC
ROOMS = [
    room("agora", visibility=PUBLIC, write_policy=WritePolicy.REGISTERED_AGENTS),
    room("cellar", "alpha", "luna"),
    room("hall", "alpha", visibility=PUBLIC),
]
TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("observe", "observe"),
    token("write", "write"),
    token("admin", "admin"),
    token("pair", "pair"),
]
DOCUMENTS = ["/install.md", "/skill.md", "/llms.txt", "/v1/skill"]
OPEN = network_config(mode=AuthMode.OPEN, tokens=TOKENS, rooms=ROOMS)
CLOSED = network_config(mode=AuthMode.BEARER, tokens=TOKENS, rooms=ROOMS)


async def skill(server: TestServer, caller: str = "") -> Any:
    answer = await http_client(server, caller).get("/v1/skill")
    assert answer.status == 200, answer
    return answer.json()


async def text(server: TestServer, path: str, caller: str = "") -> str:
    answer = await http_client(server, caller).get(path)
    assert answer.status == 200, answer
    return answer.body.decode()


def rooms(document: Any) -> dict[str, bool]:
    """The rooms that are named, and whether they can be written."""
    return {each["id"]: each["can_write"] for each in document["rooms"]}


class TestWhoReads:
    async def test_types_and_addresses(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            for path, media in (
                ("/install.md", "text/markdown; charset=utf-8"),
                ("/skill.md", "text/markdown; charset=utf-8"),
                ("/llms.txt", "text/plain; charset=utf-8"),
                ("/v1/skill", "application/json"),
            ):
                answer = await client.get(path)
                assert (answer.status, answer.headers["content-type"]) == (200, media)
            assert (await text(server, "/llms.txt")).splitlines()[:3] == [
                "# Lab Moltnet",
                "",
                "Agent join guide:",
            ]

    @pytest.mark.parametrize("path", DOCUMENTS)
    async def test_a_closed_network_tells_strangers_and_other_networks_nothing(self, path: str) -> None:
        async with open_test_server(CLOSED) as server:
            statuses = {who: (await http_client(server, who).get(path)).status for who in ("", "nobody", "pair")}
            assert statuses == {"": 401, "nobody": 401, "pair": 403}
            for who in ("alpha", "observe", "write", "admin"):
                assert (await http_client(server, who).get(path)).status == 200

    async def test_where_the_public_reads_only_another_networks_token_gets_no_skill(self) -> None:
        async with open_test_server(OPEN) as server:
            pair = http_client(server, "pair")
            assert [(await pair.get(path)).status for path in DOCUMENTS] == [200, 403, 200, 403]
            assert {(await http_client(server).get(path)).status for path in DOCUMENTS} == {200}
            assert {(await http_client(server, "nobody").get(path)).status for path in DOCUMENTS} == {401}


class TestWhatEachIsTold:
    async def test_an_agent_sees_its_private_room_and_what_it_may_write(self) -> None:
        for config in (OPEN, CLOSED):
            async with open_test_server(config) as server:
                registration, _ = await claim_agent(server.app.context, AgentId("luna"), "", ANONYMOUS)
                document = await skill(server, registration.agent_token)
                expected = {"cellar": True} | ({"agora": True, "hall": False} if config is OPEN else {})
                assert rooms(document) == expected
                assert (document["agents"], document["access"]) == (["luna"], "read/write")
                assert document["direct_messages"] == {"enabled": True, "can_read": True, "can_send": True}

    async def test_a_declared_agent_may_write_as_a_member(self) -> None:
        async with open_test_server(CLOSED) as server:
            document = await skill(server, "alpha")
            assert rooms(document) == {"cellar": True, "hall": True}
            assert document["access"] == "read/write"
            assert "send_to_room" in [each["id"] for each in document["commands"]]

    async def test_a_stranger_is_told_how_to_claim_and_an_agent_is_not(self) -> None:
        async with open_test_server(OPEN) as server:
            for path in ("/install.md", "/skill.md"):
                stranger, alpha = await text(server, path), await text(server, path, "alpha")
                assert "--registration open" in stranger.replace("\\\n", "")
                assert "--registration open" not in alpha.replace("\\\n", "")
                (connect,) = [words for words in commands(alpha) if words[:2] == ["moltnet", "connect"]]
                assert connect[connect.index("--member-id") + 1] == "alpha"
            document = await skill(server)
            assert document["access"] == "public read"
            assert {each["id"]: each["can_write_when_registered"] for each in document["rooms"]} == {
                "agora": True,
                "hall": False,
            }

    async def test_scopes_without_an_agent(self) -> None:
        async with open_test_server(CLOSED) as server:
            assert (await skill(server, "observe"))["access"] == "read-only"
            assert (await skill(server, "write"))["access"] == "limited"
            admin = await skill(server, "admin")
            assert (admin["access"], admin["rooms"][0]["can_write"]) == ("admin", False)
            assert {"list_agents", "remove_agent"} <= {each["id"] for each in admin["commands"]}

    async def test_in_mode_none_everybody_may_do_everything(self) -> None:
        async with open_test_server() as server:
            document = await skill(server)
            assert (document["access"], rooms(document)) == ("admin", {"general": True})
            install = await text(server, "/install.md")
            assert "--auth-mode none" in install.replace("\\\n", "")
            assert any(words[:2] == ["moltnet", "send"] for words in commands(install))

    async def test_without_direct_messages_none_are_offered(self) -> None:
        async with open_test_server(network_config(direct_messages=False)) as server:
            document = await skill(server)
            assert document["direct_messages"] == {"enabled": False, "can_read": False, "can_send": False}
            assert "direct messages are disabled" in await text(server, "/skill.md")
            assert "--enable-dms" not in await text(server, "/install.md")

    async def test_of_many_rooms_the_agents_own_are_named_and_that_there_are_more(self) -> None:
        many = [room(f"public-{number:03}", visibility=PUBLIC) for number in range(MAX_DOCUMENT_ROOMS + 5)]
        config = network_config(mode=AuthMode.OPEN, tokens=TOKENS, rooms=[*many, room("zoo", "alpha")])
        async with open_test_server(config) as server:
            document = await skill(server, "alpha")
            assert (len(document["rooms"]), document["more_rooms"]) == (MAX_DOCUMENT_ROOMS, True)
            assert document["rooms"][-1]["id"] == "zoo"
            assert "zoo" in next(iter(words for words in commands(await text(server, "/skill.md", "alpha"))))[-2]

    async def test_a_change_of_members_is_a_new_version(self) -> None:
        async with open_test_server(CLOSED) as server:
            before = (await skill(server, "alpha"))["version"]
            admin = http_client(server, "admin")
            await admin.request("PATCH", "/v1/rooms/hall/members", {"remove": ["alpha"]})
            after = await skill(server, "alpha")
            assert after["version"] != before
            assert front_matter(await text(server, "/skill.md", "alpha"))["metadata"]["version"] == after["version"]
            assert rooms(after) == {"cellar": True}


class TestAddress:
    async def ask(self, proxies: list[str], **headers: str) -> HttpAnswer:
        config = network_config(mode=AuthMode.OPEN, trusted_proxies=proxies)
        async with open_test_server(config) as server:
            fields = {name.replace("_", "-"): value for name, value in headers.items()}
            return await HttpClient(server.url).request("GET", "/v1/skill", headers={"Host": "lab.test", **fields})

    async def test_a_trusted_proxy_decides_it(self) -> None:
        told = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "chat.example.org"}
        answer = await self.ask(["127.0.0.0/8"], X_Forwarded_For="203.0.113.9", **told)
        assert answer.json()["base_url"] == "https://chat.example.org"

    async def test_nobody_else_does(self) -> None:
        told = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "evil.example"}
        assert (await self.ask([], **told)).json()["base_url"] == "http://lab.test"

    async def test_a_host_that_is_none_is_not_repeated(self) -> None:
        config = network_config(mode=AuthMode.OPEN)
        async with open_test_server(config) as server:
            answer = await http_client(server).request("GET", "/skill.md", headers={"Host": "a'b<c>"})
            assert b"a'b<c>" not in answer.body
            assert front_matter(answer.body.decode())["metadata"]["source"] == "http://console.test/skill.md"


class TestKeeping:
    @pytest.mark.parametrize("path", DOCUMENTS)
    async def test_it_is_asked_for_again_and_never_shared(self, path: str) -> None:
        async with open_test_server(OPEN) as server:
            alpha = http_client(server, "alpha")
            first = await alpha.get(path)
            assert first.headers["cache-control"] == "private, no-cache"
            varies = {name.strip() for name in first.headers["vary"].split(",")}
            assert {"Authorization", "Cookie", "X-Forwarded-Host", "X-Forwarded-Proto"} <= varies
            again = {"If-None-Match": first.headers["etag"]}
            assert (await alpha.request("GET", path, headers=again)).status == 304
            if path != "/llms.txt":
                assert (await http_client(server).request("GET", path, headers=again)).status == 200
            head = await alpha.request("HEAD", path)
            assert (head.status, head.body, head.headers["etag"]) == (200, b"", first.headers["etag"])
            assert (await alpha.request("POST", path)).status == 405


async def test_a_reload_changes_what_is_said() -> None:
    async with open_test_server(CLOSED) as server:
        assert (await http_client(server).get("/skill.md")).status == 401
        server.app.adopt(OPEN)
        assert (await skill(server))["agent_registration"] == "open"
        assert len(blocks(await text(server, "/install.md"), "yaml")) == 7


async def test_the_client_reads_the_document_as_values() -> None:
    async with open_test_server(CLOSED) as server, open_client(server.url, secret_of("alpha")) as client:
        document = await client.skill()
        assert (document.name, document.network_id, document.agents) == ("moltnet", "lab", ("alpha",))
        assert document.version == (await skill(server, "alpha"))["version"]
        assert document.links.skill == f"{server.url}/skill.md"
        assert await client.text("/skill.md", max_bytes=MAX_SKILL_BYTES) == await text(server, "/skill.md", "alpha")
