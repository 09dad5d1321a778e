"""The walk-through for public open networks, from the other side: nodes, bridges and workspaces that join one."""

import stat
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.docs.pages import Block
from tests.e2e.open_network import (
    GUIDE,
    PUBLIC_URL,
    OpenNetwork,
    json_of,
    no_token_was_written,
    open_network_of_the_guide,
)
from tests.e2e.running import running

pytestmark = pytest.mark.slow

SHARED = "5f0c2a8e91b7d4630a6e1f8b2d9c47e0"


@pytest.fixture
def network(tmp_path: Path, postgres_dsn: str) -> Iterator[OpenNetwork]:
    network = open_network_of_the_guide(tmp_path / "noopolis", postgres_dsn)
    yield network
    no_token_was_written(network)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestNode:
    async def test_claims_two_ids_keeps_two_tokens_and_uses_them_from_then_on(self, network: OpenNetwork) -> None:
        async with network.server.run():
            asker = await network.claim("asker")
            async with network.node() as node:
                await node.wait_log("attached", 2)
                assert await network.agent_ids() == ["asker", "atlas", "luna"]
                first = {name: network.token(name) for name in ("luna", "atlas")}
                assert all(token.startswith("magt_v1_") for token in first.values())
                assert first["luna"] != first["atlas"]
                assert [mode_of(network.token_file(name)) for name in first] == [0o600, 0o600]
                members = {"add": ["atlas"]}
                await network.ask("PATCH", "/v1/rooms/agora/members", members, token=network.admin_token)
                await network.say("asker", "@atlas are you there?", asker)
                # They send with the tokens that they claimed: no other credential could be theirs.
                await network.wait_texts(
                    ("luna", "luna.sh heard @atlas are you there?"),
                    ("atlas", "atlas.sh heard @atlas are you there?"),
                )
                assert await node.stop() == 0
            async with network.node(log="second.log") as node:
                await node.wait_log("attached", 2)
                assert {name: network.token(name) for name in first} == first
                await network.say("asker", "and now?", asker)
                await network.wait_texts(("luna", "luna.sh heard and now?"))
                assert await node.stop() == 0
            assert await network.agent_ids() == ["asker", "atlas", "luna"]

    async def test_reconnects_with_its_tokens_when_the_server_was_away(self, network: OpenNetwork) -> None:
        async with network.server.run() as server, network.node() as node:
            await node.wait_log("attached", 2)
            assert await server.stop() == 0
            async with network.server.run():
                await node.wait_log("attached", 4)
                assert await network.agent_ids() == ["atlas", "luna"]
                assert await node.stop() == 0

    @pytest.mark.parametrize("value", [None, "", "   "])
    async def test_an_empty_variable_fails_the_start_and_claims_nothing(
        self, network: OpenNetwork, value: str | None
    ) -> None:
        network.edit("MoltnetNode", ("token_path: .moltnet/atlas.token", "token_env: ATLAS_TOKEN"))
        given = {} if value is None else {"ATLAS_TOKEN": value}
        async with network.server.run():
            started = await network.run("node", "start", at=network.node_directory, **given)
            assert started.returncode == 2
            assert "$.attachments[1].moltnet.token_env: environment variable ATLAS_TOKEN is not set" in started.stderr
            assert await network.agent_ids() == []
            assert not (network.node_directory / ".moltnet").exists()

    async def test_a_token_of_a_secret_manager_comes_by_a_variable(self, network: OpenNetwork) -> None:
        network.edit("MoltnetNode", ("token_path: .moltnet/atlas.token", "token_env: ATLAS_TOKEN"))
        async with network.server.run():
            atlas = await network.claim("atlas")
            async with network.node(ATLAS_TOKEN=atlas) as node:
                await node.wait_log("attached", 2)
                assert not network.token_file("atlas").exists()
                assert await node.stop() == 0

    async def test_a_generated_token_is_not_shared(self, network: OpenNetwork) -> None:
        async with network.server.run():
            vega = await network.claim("vega")
            shared = f"  auth_mode: open\n  static_token: true\n  token: {vega}\n"
            network.edit("MoltnetNode", ("  auth_mode: open\n", shared))
            for command in (("validate", "MoltnetNode"), ("node", "start")):
                refused = await network.run(*command, at=network.node_directory)
                assert refused.returncode == 2
                assert "$.moltnet.token: is a generated agent token" in refused.stderr
                assert vega not in refused.stderr
            network.edit(
                "MoltnetNode",
                (shared, "  auth_mode: open\n"),
                ("token_path: .moltnet/luna.token", "token_env: ONE"),
                ("token_path: .moltnet/atlas.token", "token_env: OTHER"),
            )
            refused = await network.run("node", "start", at=network.node_directory, ONE=vega, OTHER=vega)
            assert refused.returncode == 2
            assert "generated agent token of attachments[0]" in refused.stderr

    async def test_a_token_of_the_operator_may_be_shared_if_the_file_says_so(self, network: OpenNetwork) -> None:
        token = f"    - id: hosts\n      value: {SHARED}\n      scopes: [attach, write]\n"
        network.edit("Moltnet", ("storage:\n", f"{token}storage:\n"))
        for name in ("luna", "atlas"):
            network.edit("MoltnetNode", (f"    moltnet:\n      token_path: .moltnet/{name}.token\n", ""))
        network.edit("MoltnetNode", ("  auth_mode: open\n", f"  auth_mode: open\n  token: {SHARED}\n"))
        undeclared = await network.run("validate", "MoltnetNode", at=network.node_directory)
        assert "$.moltnet.static_token" in undeclared.stderr
        network.edit("MoltnetNode", ("  auth_mode: open\n", "  auth_mode: open\n  static_token: true\n"))
        async with network.server.run(), network.node() as node:
            await node.wait_log("attached", 2)
            credentials = (await network.ask("GET", "/v1/credentials", token=network.admin_token)).json()
            assert {each["token_id"] for each in credentials["credentials"]} == {"hosts"}
            assert await node.stop() == 0

    @pytest.mark.parametrize("kind", ["a directory that takes no files", "an empty file", "a file for all to read"])
    async def test_a_token_that_could_not_be_kept_is_not_asked_for(self, network: OpenNetwork, kind: str) -> None:
        if kind == "a directory that takes no files":
            network.edit("MoltnetNode", (".moltnet/luna.token", "/proc/moltnet/luna.token"))
            reason = "token file /proc/moltnet/luna.token cannot be written"
        else:
            file = network.token_file("luna")
            file.parent.mkdir()
            file.touch(mode=0o400)
            file.chmod(0o400 if kind == "an empty file" else 0o444)
            reason = "is empty" if kind == "an empty file" else "must not be accessible by group or others"
        async with network.server.run(), network.node() as node:
            await node.wait_log("parked")
            await node.wait_log("attached")  # the other one does not mind
            assert reason in node.log()
            # Nothing is lost: the id is still to be had.
            assert await network.agent_ids() == ["atlas"]
            assert (await network.ask("GET", "/v1/agents/luna", token=network.admin_token)).status == 404
            assert await node.stop() == 0

    async def test_a_read_only_token_file_is_good_enough_once_it_holds_a_token(self, network: OpenNetwork) -> None:
        async with network.server.run():
            luna, file = await network.claim("luna"), network.token_file("luna")
            file.parent.mkdir()
            file.write_text(luna)
            file.chmod(0o400)
            async with network.node() as node:
                await node.wait_log("attached", 2)
                assert await node.stop() == 0
            assert (file.read_text(), mode_of(file)) == (luna, 0o400)

    async def test_two_agents_cannot_have_one_token_file(self, network: OpenNetwork) -> None:
        network.edit("MoltnetNode", (".moltnet/atlas.token", ".moltnet/luna.token"))
        refused = await network.run("node", "start", at=network.node_directory)
        assert refused.returncode == 2
        assert "$.attachments[1].moltnet.token_path: is already the token file of attachments[0]" in refused.stderr


def bridge_block() -> Block:
    (block,) = (each for each in GUIDE.blocks("json") if each.marks == ["moltnet.bridge.v1"])
    return block


class TestBridge:
    def _write(self, network: OpenNetwork, **changes: str | None) -> Path:
        """The guide's bridge file, with other keys in `moltnet`; `None` takes one away."""
        document = orjson.loads(bridge_block().text.replace(PUBLIC_URL, network.server.url))
        settings = document["moltnet"] | changes
        document["moltnet"] = {key: value for key, value in settings.items() if value is not None}
        path = network.node_directory / "luna.json"
        path.write_bytes(orjson.dumps(document))
        path.chmod(0o600)
        return path

    async def test_claims_keeps_and_uses_a_token_as_a_node_does(self, network: OpenNetwork) -> None:
        path = self._write(network)
        async with network.server.run():
            asker = await network.claim("asker")
            for number in (1, 2):
                log_path = network.node_directory / f"bridge-{number}.log"
                async with running(
                    "bridge", "run", path, directory=network.node_directory, log_path=log_path
                ) as bridge:
                    await bridge.wait_log("attached")
                    await network.say("asker", f"question {number}?", asker)
                    await network.wait_texts(("luna", f"luna.sh heard question {number}?"))
                    assert await bridge.stop() == 0
            assert mode_of(network.token_file("luna")) == 0o600
            assert await network.agent_ids() == ["asker", "luna"]

    @pytest.mark.parametrize(
        ("changes", "exit_code", "reason"),
        [
            ({"token_path": None}, 2, "$.moltnet.token: is required in mode open"),
            ({"token_path": None, "token_env": "LUNA_TOKEN"}, 1, "environment variable LUNA_TOKEN is not set or blank"),
            ({"token_path": "/proc/moltnet/luna.token"}, 1, "cannot be written"),
        ],
    )
    async def test_without_a_token_or_a_place_for_one_it_ends_before_it_claims(
        self, network: OpenNetwork, changes: dict[str, str | None], exit_code: int, reason: str
    ) -> None:
        path = self._write(network, **changes)
        async with network.server.run():
            ended = await network.run("bridge", "run", path, at=network.node_directory)
            assert ended.returncode == exit_code
            assert reason in ended.stderr
            assert await network.agent_ids() == []


class TestWorkspace:
    async def _connect(self, network: OpenNetwork, workspace: Path, *more: str) -> Path:
        workspace.mkdir(exist_ok=True)
        connected = await network.run(
            *("connect", "--auth-mode", "open", "--base-url", network.server.url, "--network-id", "noopolis"),
            *("--member-id", "luna", "--agent-name", "Luna", "--rooms", "agora", "--workspace", str(workspace), *more),
        )
        assert connected.returncode == 0, connected.stderr
        assert "magt_v1_" not in connected.stdout + connected.stderr
        return workspace / ".moltnet" / "config.json"

    async def test_connect_claims_the_id_and_keeps_its_token_in_a_private_file(
        self, network: OpenNetwork, tmp_path: Path
    ) -> None:
        async with network.server.run():
            config = await self._connect(network, tmp_path / "luna")
            (attachment,) = orjson.loads(config.read_bytes())["attachments"]
            assert attachment["auth"]["mode"] == "open"
            assert attachment["auth"]["token"].startswith("magt_v1_")
            assert mode_of(config) == 0o600
            sent = await network.run("send", "--target", "room:agora", "--text", "hello", at=tmp_path / "luna")
            assert sent.returncode == 0, sent.stderr
            assert await network.texts() == [("luna", "hello")]
            # Again: the same agent, by the token that it has.
            await self._connect(network, tmp_path / "luna")
            assert orjson.loads(config.read_bytes())["attachments"] == [attachment]
            # Somebody else is not.
            (tmp_path / "mallory").mkdir()
            with pytest.raises(AssertionError, match="already registered"):
                await self._connect(network, tmp_path / "mallory")

    async def test_register_agent_gets_a_token_for_a_workspace_that_lost_its_own(
        self, network: OpenNetwork, tmp_path: Path
    ) -> None:
        async with network.server.run():
            config = await self._connect(network, tmp_path / "luna")
            first = orjson.loads(config.read_bytes())["attachments"][0]["auth"]["token"]
            await network.ask("DELETE", "/v1/agents/luna", token=network.admin_token)
            document = orjson.loads(config.read_bytes())
            del document["attachments"][0]["auth"]["token"]
            config.write_bytes(orjson.dumps(document))
            registered = await network.run("register-agent", "--workspace", tmp_path / "luna")
            assert json_of(registered)["agent_id"] == "luna"
            second = orjson.loads(config.read_bytes())["attachments"][0]["auth"]["token"]
            assert second.startswith("magt_v1_")
            assert second != first
            assert second not in registered.stdout
            assert mode_of(config) == 0o600

    @pytest.mark.parametrize("source", ["token_path", "token_env"])
    async def test_a_client_takes_its_token_from_a_file_or_a_variable_too(
        self, network: OpenNetwork, tmp_path: Path, source: str
    ) -> None:
        async with network.server.run():
            workspace, given = tmp_path / "luna", {}
            if source == "token_path":
                config = await self._connect(network, workspace, "--token-path", str(workspace / "luna.token"))
                assert mode_of(workspace / "luna.token") == 0o600
            else:
                given = {"LUNA_TOKEN": await network.claim("luna")}
                config = workspace / ".moltnet" / "config.json"
                workspace.mkdir()
                connected = await network.run(
                    *("connect", "--auth-mode", "open", "--base-url", network.server.url, "--network-id", "noopolis"),
                    *("--member-id", "luna", "--rooms", "agora", "--token-env", "LUNA_TOKEN"),
                    at=workspace,
                    **given,
                )
                assert connected.returncode == 0, connected.stderr
            auth = orjson.loads(config.read_bytes())["attachments"][0]["auth"]
            assert ("token" in auth, source in auth) == (False, True)
            sent = await network.run("send", "--target", "room:agora", "--text", "hi", at=workspace, **given)
            assert sent.returncode == 0, sent.stderr
