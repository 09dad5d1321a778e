"""The walk-through for public open networks, step by step, with the guide's own files: a server, strangers, a node."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.e2e.open_network import OpenNetwork, no_token_was_written, open_network_of_the_guide, said
from tests.fakes.attach_client import attach, frame, identify_frame, open_websocket_wire, read_until_closed

pytestmark = pytest.mark.slow

WRONG_HEADERS = [
    "Bearer magt_v1_0123456789012345678901234567890123456789012",
    "Bearer some-token-that-was-replaced",
    "Bearer",
    "bearer lower-case",
    "Basic dXNlcjpwYXNzd29yZA==",
    "some-token-without-a-scheme",
]
PUBLIC_TARGETS = ["/v1/network", "/v1/rooms", "/v1/rooms/agora", "/v1/rooms/agora/messages", "/v1/agents"]


@pytest.fixture
def network(tmp_path: Path, postgres_dsn: str) -> Iterator[OpenNetwork]:
    network = open_network_of_the_guide(tmp_path / "noopolis", postgres_dsn)
    yield network
    no_token_was_written(network)


class TestTheServer:
    async def test_the_files_of_the_guide_are_valid_private_and_start(self, network: OpenNetwork) -> None:
        for directory, name in ((network.server.directory, "Moltnet"), (network.node_directory, "MoltnetNode")):
            assert (directory / name).stat().st_mode & 0o777 == 0o600
            validated = await network.run("validate", name, at=directory)
            assert (validated.returncode, validated.stderr) == (0, "")
        async with network.server.run() as program:
            assert await program.stop() == 0

    async def test_tokens_as_documentation_writes_them_are_refused(self, network: OpenNetwork) -> None:
        network.edit("Moltnet", (network.admin_token, "replace-with-random-admin-token"))
        started = await network.run("start")
        assert started.returncode == 2
        assert "$.auth.tokens[0].value" in started.stderr
        assert "placeholder" in started.stderr

    async def test_anybody_reads_what_is_public_and_hears_it_live(self, network: OpenNetwork) -> None:
        async with network.server.run():
            document = (await network.ask("GET", "/v1/network")).json()
            assert (document["id"], document["name"]) == ("noopolis", "Noopolis")
            rooms = (await network.ask("GET", "/v1/rooms")).json()["rooms"]
            assert [room["id"] for room in rooms] == ["agora"]
            vega = await network.claim("vega")
            async with network.stream() as stream:
                assert (await network.say("vega", "hello, world", vega)).status == 202
                assert (await stream.next_of("message.created")).text == "hello, world"
            assert await network.texts() == [("vega", "hello, world")]
            for hidden in ("/v1/rooms/backoffice", "/v1/rooms/backoffice/messages"):
                assert (await network.ask("GET", hidden)).status == 403
            await network.ask("PATCH", "/v1/rooms/agora/members", {"add": ["vega"]}, token=network.admin_token)
            assert [each["id"] for each in (await network.ask("GET", "/v1/agents")).json()["agents"]] == ["vega"]

    async def test_a_claim_shows_a_token_once_and_the_agent_goes_on_with_it(self, network: OpenNetwork) -> None:
        async with network.server.run():
            vega = await network.claim("vega")
            assert vega.startswith("magt_v1_")
            body = {"requested_agent_id": "vega"}
            again = await network.ask("POST", "/v1/agents/register", body, token=vega)
            assert (again.status, "agent_token" in again.json()) == (200, False)
            assert (await network.ask("POST", "/v1/agents/register", body)).status == 409
            # By attaching, too.
            async with open_websocket_wire(network.server.url) as wire:
                rigel = (await attach(wire, "rigel", network="noopolis")).ready.agent_token
            headers = {"Authorization": f"Bearer {rigel}"}
            async with open_websocket_wire(network.server.url, headers=headers) as wire:
                assert (await attach(wire, "rigel", network="noopolis")).ready.agent_token == ""
            for agent_id in ("vega", "rigel"):
                async with open_websocket_wire(network.server.url) as wire:
                    await wire.send(identify_frame(agent_id, network="noopolis"))
                    frames, closed = await read_until_closed(wire)
                    assert "needs its own token" in frames[-1]["error"]
                    assert closed.code == 1008
                assert (await network.say(agent_id, "me", "")).status == 401
            assert (await network.say("rigel", "me", vega)).status == 403
            assert (await network.say("rigel", "me", rigel)).status == 202

    async def test_a_wrong_header_is_401_and_never_nobody(self, network: OpenNetwork) -> None:
        async with network.server.run():
            for header in WRONG_HEADERS:
                for target in (*PUBLIC_TARGETS, "/v1/events/stream", "/v1/attach"):
                    answer = await network.ask("GET", target, Authorization=header)
                    expected = 400 if target == "/v1/attach" else 401
                    assert answer.status == expected, (target, header)
                claim = {"requested_agent_id": "mallory"}
                refused = await network.ask("POST", "/v1/agents/register", claim, Authorization=header)
                assert (refused.status, refused.code) == (401, "invalid_token")
            assert await network.agent_ids() == []

    async def test_nobody_without_a_token_reads_what_is_private_or_changes_anything(self, network: OpenNetwork) -> None:
        async with network.server.run():
            refused = [
                ("GET", "/v1/dms", None),
                ("GET", "/v1/dms/d1", None),
                ("GET", "/v1/dms/d1/messages", None),
                ("POST", "/v1/rooms", {"id": "mine"}),
                ("PATCH", "/v1/rooms/agora/members", {"add": ["mallory"]}),
                ("DELETE", "/v1/rooms/agora", None),
                ("POST", "/v1/apply", {}),
                ("DELETE", "/v1/agents/vega", None),
                ("GET", "/v1/pairings", None),
                ("GET", "/v1/credentials", None),
                ("POST", "/v1/messages", said("vega", "hello")),
                ("GET", "/metrics", None),
            ]
            for method, target, body in refused:
                answer = await network.ask(method, target, body)
                assert (answer.status, answer.code) == (401, "unauthorized"), target

    async def test_nobody_posts_as_a_human_not_even_the_operator(self, network: OpenNetwork) -> None:
        async with network.server.run():
            vega = await network.claim("vega")
            for token in ("", vega, network.admin_token, network.pair_token):
                for kind in ("human", " human "):
                    body = {**said("ada", "hello"), "from": {"type": kind, "id": "ada"}}
                    answer = await network.ask("POST", "/v1/messages", body, token=token)
                    assert answer.status in (401, 403), (token[:4], kind)
            assert await network.texts() == []

    async def test_the_operator_manages_the_network_with_its_token(self, network: OpenNetwork) -> None:
        async with network.server.run():
            vega, admin = await network.claim("vega"), network.admin_token
            assert (await network.ask("POST", "/v1/rooms", {"id": "forum"}, token=admin)).status == 201
            change = {"add": ["vega"]}
            assert (await network.ask("PATCH", "/v1/rooms/forum/members", change, token=admin)).status == 200
            assert (await network.say("vega", "to the forum", vega, "forum")).status == 202
            assert (await network.ask("GET", "/v1/rooms/forum/messages", token=admin)).status == 200
            assert b"moltnet_http_requests_total" in (await network.ask("GET", "/metrics", token=admin)).body
            assert (await network.ask("DELETE", "/v1/rooms/forum", token=admin)).status == 200
            assert (await network.ask("DELETE", "/v1/agents/vega", token=admin)).status == 200
            assert (await network.say("vega", "still here", vega)).status == 401

    async def test_without_static_tokens_it_runs_and_nobody_administers_it(self, network: OpenNetwork) -> None:
        file = network.server.directory / "Moltnet"
        before, _, rest = file.read_text().partition("  tokens:\n")
        file.write_text(f"{before}storage:{rest.partition('storage:')[2]}")
        async with network.server.run():
            vega = await network.claim("vega")
            assert (await network.say("vega", "hello", vega)).status == 202
            assert (await network.ask("GET", "/metrics")).status == 401
            assert (await network.ask("GET", "/metrics", token=vega)).status == 403
            tried = await network.run("admin", "agent", "list")
            assert tried.returncode != 0
            assert "no token with scope admin" in tried.stderr

    async def test_the_pair_token_is_for_another_network_and_nothing_else(self, network: OpenNetwork) -> None:
        async with network.server.run():
            await network.claim("vega")
            pair = network.pair_token
            assert (await network.say("vega", "as vega", pair)).status == 403
            assert (await network.ask("GET", "/v1/dms", token=pair)).status == 403
            assert (await network.ask("POST", "/v1/rooms", {"id": "x"}, token=pair)).status == 403
            members = {"add": ["elsewhere:beta"]}
            await network.ask("PATCH", "/v1/rooms/agora/members", members, token=network.admin_token)
            sender = {"type": "agent", "id": "beta", "network_id": "elsewhere"}
            relayed = {**said("beta", "from afar"), "from": sender, "origin": {"network_id": "elsewhere"}}
            assert (await network.ask("POST", "/v1/messages", relayed, token=pair)).status == 202
            assert await network.texts() == [("beta", "from afar")]

    async def test_web_pages_of_the_listed_origin_may_attach_and_others_not(self, network: OpenNetwork) -> None:
        async with network.server.run():
            url = network.server.url
            async with open_websocket_wire(url, headers={"Origin": "https://noopolis.example"}) as wire:
                assert (await attach(wire, "browser", network="noopolis")).ready.agent_token
            upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
            for origin in ("https://evil.example", "http://noopolis.example", "null", url):
                headers = {**upgrade, "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Origin": origin}
                refused = await network.ask("GET", "/v1/attach", **headers)
                assert (refused.status, refused.code) == (403, "origin_forbidden")

    async def test_a_session_behind_the_https_proxy_is_for_https_alone(self, network: OpenNetwork) -> None:
        async with network.server.run():
            for scheme, is_secure in (("https", True), ("http", False)):
                answer = await network.ask(
                    "POST", "/v1/session", {"token": network.admin_token}, X_Forwarded_Proto=scheme
                )
                assert ("Secure" in answer.headers["set-cookie"]) is is_secure

    async def test_sizes_and_times_have_limits_for_strangers_too(self, network: OpenNetwork) -> None:
        async with network.server.run():
            body = b'{"name": "' + b"n" * (1 << 20) + b'"}'
            assert (await network.ask("POST", "/v1/agents/register", body)).status == 413
            async with open_websocket_wire(network.server.url) as wire:
                await wire.send(frame("IDENTIFY", network_id="n" * (1 << 20)))
                _, closed = await read_until_closed(wire)
                assert closed.code == 1009
            async with open_websocket_wire(network.server.url) as wire:
                with trio.fail_after(30):
                    frames, closed = await read_until_closed(wire)
                assert [each["op"] for each in frames] == ["HELLO", "ERROR"]
                assert closed.code == 1008
