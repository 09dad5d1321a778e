"""Commands of operators: how they find server and token, what they print. Against the real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs
import orjson
import pytest

from moltnet.config.server import load_server_config
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.config.urls import ListenAddress
from tests.cli.conftest import Run, Workspace
from tests.fakes.http_client import http_client
from tests.fakes.network import TestServer, network_config, open_test_server, secret_of, token

OPEN = network_config(mode=AuthMode.OPEN, tokens=[token("ops", "admin"), token("watch", "observe")])


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOLTNET_ADMIN_TOKEN", "MOLTNET_CONFIG"):
        monkeypatch.delenv(name, raising=False)


async def claim(server: TestServer, agent_id: str) -> str:
    answer = await http_client(server).post("/v1/agents/register", {"requested_agent_id": agent_id})
    token: str = answer.json()["agent_token"]
    return token


def write_server_file(directory: Path, port: int, *tokens: str, mode: str = "open") -> Path:
    file = directory / "Moltnet"
    lines = "".join(f"\n    - {token}" for token in tokens)
    file.write_text(
        f'network: {{id: lab}}\nserver: {{listen_addr: ":{port}"}}\n'
        f"auth:\n  mode: {mode}\n  tokens:{lines or ' []'}\nstorage: {{kind: memory}}\n"
    )
    file.chmod(0o600)
    return file


class TestWhichServerAndToken:
    async def test_the_file_beside_us_names_both(self, run: Run, workspace: Workspace) -> None:
        async with open_test_server(OPEN) as server:
            ops = f"{{id: ops, value: {secret_of('ops')}, scopes: [admin]}}"
            watch = f"{{id: watch, value: {secret_of('watch')}, scopes: [observe]}}"
            write_server_file(workspace.path, server.port, watch, ops)
            ran = await run("admin", "agent", "list")
            assert (ran.exit_code, ran.stderr) == (0, "")
            assert ran.json() == {"credentials": [], "page": {"has_more": False}}

    async def test_while_a_token_rotates_the_server_may_know_only_the_older(
        self, run: Run, workspace: Workspace
    ) -> None:
        async with open_test_server(OPEN) as server:
            rotated = (
                f"{{id: ops, value: not-known-yet-0123456789, previous_value: {secret_of('ops')}, scopes: [admin]}}"
            )
            write_server_file(workspace.path, server.port, rotated)
            assert (await run("admin", "agent", "list")).exit_code == 0

    async def test_a_refusal_is_not_tried_with_another_token(self, run: Run, workspace: Workspace) -> None:
        async with open_test_server(OPEN) as server:
            both = [f"{{id: {id}, value: {secret_of(id)}, scopes: [admin]}}" for id in ("watch", "ops")]
            write_server_file(workspace.path, server.port, *both)
            ran = await run("admin", "agent", "list")  # the server knows the first one as observe only
            assert ran.exit_code == 3
            assert "admin" in ran.stderr

    async def test_a_file_without_such_a_token_says_so(self, run: Run, workspace: Workspace) -> None:
        write_server_file(workspace.path, 1, f"{{id: watch, value: {secret_of('watch')}, scopes: [observe]}}")
        ran = await run("reload")
        assert ran.exit_code == 3
        assert "no token with scope admin" in ran.stderr

    async def test_a_port_that_the_server_chooses_must_be_named(self, run: Run, workspace: Workspace) -> None:
        write_server_file(workspace.path, 0, mode="none")
        ran = await run("reload")
        assert ran.exit_code == 2
        assert "--base-url" in ran.stderr

    async def test_elsewhere_they_are_given(
        self, run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with open_test_server(OPEN) as server:
            listing = ("admin", "agent", "list", "--base-url", server.url)
            assert (await run(*listing)).exit_code == 3
            monkeypatch.setenv("MOLTNET_ADMIN_TOKEN", secret_of("ops"))
            assert (await run(*listing)).exit_code == 0
            monkeypatch.setenv("OTHER", "not-a-token-of-this-network")
            assert (await run(*listing, "--token-env", "OTHER")).exit_code == 3
            token_file = workspace.path / "ops.token"
            token_file.write_text(secret_of("ops"))
            token_file.chmod(0o600)
            assert (await run(*listing, "--token-path", "ops.token")).exit_code == 0
            both = await run(*listing, "--token-path", "ops.token", "--token-env", "OTHER")
            assert (both.exit_code, "excludes" in both.stderr) == (2, True)

    async def test_mode_none_needs_no_token(self, run: Run, workspace: Workspace) -> None:
        async with open_test_server(network_config()) as server:
            write_server_file(workspace.path, server.port, mode="none")
            assert (await run("admin", "agent", "list")).exit_code == 0


@asynccontextmanager
async def administered(run: Run, workspace: Workspace) -> AsyncIterator[TestServer]:
    async with open_test_server(OPEN) as server:
        ops = f"{{id: ops, value: {secret_of('ops')}, scopes: [admin]}}"
        write_server_file(workspace.path, server.port, ops)
        yield server


class TestAgents:
    async def test_a_lost_token_is_reset_and_printed_once(self, run: Run, workspace: Workspace) -> None:
        async with administered(run, workspace) as server:
            old = await claim(server, "luna")
            ran = await run("admin", "agent", "reset-token", "luna")
            assert ran.exit_code == 0
            new = ran.json()["agent_token"]
            assert "it comes once" in ran.stderr
            assert (await http_client(server, old).get("/v1/rooms")).status == 401
            assert (await http_client(server, new).get("/v1/rooms")).status == 200

    async def test_or_written_where_it_is_wanted(self, run: Run, workspace: Workspace) -> None:
        async with administered(run, workspace) as server:
            old = await claim(server, "luna")
            (workspace.path / "public.token").write_text("x")
            (workspace.path / "public.token").chmod(0o644)
            refused = await run("admin", "agent", "reset-token", "luna", "--to", "public.token")
            assert refused.exit_code == 2
            assert (await http_client(server, old).get("/v1/rooms")).status == 200  # nothing was lost by that
            ran = await run("admin", "agent", "reset-token", "luna", "--to", "luna.token")
            new = (workspace.path / "luna.token").read_text().strip()
            assert "agent_token" not in ran.json()
            assert new not in ran.stdout + ran.stderr
            assert (await http_client(server, new).get("/v1/rooms")).status == 200

    async def test_revoked_removed_and_listed(self, run: Run, workspace: Workspace) -> None:
        async with administered(run, workspace) as server:
            for name in ("luna", "zed"):
                await claim(server, name)
            assert (await run("admin", "agent", "revoke-token", "luna")).json()["holder"] == "nobody"
            listed = await run("admin", "agent", "list", terminal=True)
            assert [line.split()[:2] for line in listed.stdout.splitlines()] == [
                ["AGENT", "HELD"],
                ["luna", "nobody"],
                ["zed", "agent_token"],
            ]
            paged = await run("admin", "agent", "list", "--limit", "1", terminal=True)
            assert "--after luna" in paged.stderr
            after = await run("admin", "agent", "list", "--after", "luna")
            assert [each["agent_id"] for each in after.json()["credentials"]] == ["zed"]
            removed = await run("admin", "agent", "remove", "luna")
            assert removed.json() == {"kind": "agent", "id": "luna", "removed": True, "mode": "soft"}
            assert (await run("admin", "agent", "remove", "luna")).exit_code == 4


class TestReload:
    @staticmethod
    def loaded_from(server: TestServer, file: Path) -> MoltnetConfig:
        """What the file says, on the port that the test's server listens on."""
        config = load_server_config(file, {}, file.parent)
        return attrs.evolve(config, server=attrs.evolve(config.server, listen_addr=ListenAddress("127.0.0.1", 0)))

    async def test_it_says_what_has_changed(self, run: Run, workspace: Workspace) -> None:
        async with administered(run, workspace) as server:
            file = workspace.path / "Moltnet"
            server.app.load = lambda: self.loaded_from(server, file)
            ran = await run("reload")
            assert ran.exit_code == 0, ran.stderr
            assert orjson.loads(ran.stdout)["reloaded"] is True
            again = await run("reload", terminal=True)
            assert again.stdout == "reloaded: nothing has changed; 0 attachments and streams ended\n"
            write_server_file(
                workspace.path,
                server.port,
                f"{{id: ops, value: {secret_of('ops')}, scopes: [admin, write], expires_at: 2100-01-01T00:00:00Z}}",
                "{id: old, value: old-0123456789abcdef, scopes: [write], expires_at: 2020-01-01T00:00:00Z}",
            )
            changed = await run("reload", terminal=True)
            assert changed.stdout == "reloaded: auth; 0 attachments and streams ended\n"
            assert "auth.tokens[1].expires_at is in the past" in changed.stderr

    async def test_a_refusal_says_why(self, run: Run, workspace: Workspace) -> None:
        async with administered(run, workspace) as server:
            server.app.load = lambda: load_server_config(workspace.path / "Moltnet", {}, workspace.path)
            ran = await run("reload", "--base-url", server.url, "--token-path", "ops.token")
            assert ran.exit_code == 2  # no such token file
            ran = await run("reload")
            assert ran.exit_code == 5
            assert "needs a restart: server.listen_addr" in ran.stderr
