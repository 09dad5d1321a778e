"""A running server takes over its changed file: by SIGHUP, by `moltnet reload`, under live attachments and streams."""

import os
import pty
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import orjson
import pytest
import trio

from tests.e2e.running import MOLTNET, PATIENCE_SECONDS, Program, Server, human_message, running
from tests.fakes.attach_client import AttachClient, attach, open_websocket_wire
from tests.fakes.ports import free_port

pytestmark = pytest.mark.slow

OPS = "ops-5f2c8a1e9b7d4c30a6e1f8b2d9c47e05"
ALPHA = "alpha-0c9d71b3e8f24a6d95b0e7c1a2f3d846"
ALPHA_NEW = "alpha-b7e41c8a92f64d0fa35d8e6c1b209f77"
BETA = "beta-d19a3f7e5c2b48609e8d7f1a4b6c0e52"


@attrs.frozen
class Configured:
    """A network in mode bearer whose file a test rewrites."""

    server: Server

    @property
    def file(self) -> Path:
        return self.server.directory / "Moltnet"

    def write(self, *tokens: str, mode: str = "bearer", more: str = "") -> None:
        address = self.server.url.removeprefix("http://")
        lines = "\n".join(f"    - {token}" for token in tokens)
        text = f"""\
version: moltnet.v1
network: {{id: lab, name: Lab}}
server: {{listen_addr: "{address}"}}
auth:
  mode: {mode}
  tokens:
{lines}
storage: {{kind: sqlite, sqlite: {{path: data/moltnet.db}}}}
rooms:
  - {{id: general, members: [alpha, beta]}}
{more}
"""
        self.file.touch(mode=0o600)
        self.file.write_text(text)

    async def say(self, text: str) -> None:
        async with self.server.client(OPS) as client:
            await client.send(human_message(text))

    async def attached(self, stack: AsyncExitStack, token: str, agent_id: str) -> AttachClient:
        headers = {"Authorization": f"Bearer {token}"}
        return await attach(
            await stack.enter_async_context(open_websocket_wire(self.server.url, headers=headers)), agent_id
        )

    async def run(self, *arguments: str, **environment: str) -> Program:
        """Run a command in the server's directory until it ends."""
        log_path = self.server.directory / "command.log"
        log_path.unlink(missing_ok=True)
        async with running(
            *arguments, directory=self.server.directory, log_path=log_path, environment=environment
        ) as program:
            with trio.fail_after(PATIENCE_SECONDS):
                await program.process.wait()
            return program


OPS_LINE = f"{{id: ops, value: {OPS}, scopes: [admin, observe, write]}}"
ALPHA_LINE = f"{{id: alphas, value: {ALPHA}, scopes: [attach, write], agents: [alpha]}}"
BETA_LINE = f"{{id: betas, value: {BETA}, scopes: [attach, write], agents: [beta]}}"
ALPHA_BOTH = f"{{id: alphas, value: {ALPHA_NEW}, previous_value: {ALPHA}, scopes: [attach, write], agents: [alpha]}}"
ALPHA_ROTATED = f"{{id: alphas, value: {ALPHA_NEW}, scopes: [attach, write], agents: [alpha]}}"


@pytest.fixture
def network(tmp_path: Path) -> Configured:
    directory = tmp_path / "net"
    directory.mkdir()
    configured = Configured(Server(directory, f"http://127.0.0.1:{free_port()}"))
    configured.write(OPS_LINE, ALPHA_LINE, BETA_LINE)
    return configured


async def test_sighup_rotates_a_token_without_a_gap_and_closes_only_what_lost_its_own(network: Configured) -> None:
    async with network.server.run() as program, AsyncExitStack() as stack:
        alpha = await network.attached(stack, ALPHA, "alpha")
        beta = await network.attached(stack, BETA, "beta")
        network.write(OPS_LINE, ALPHA_BOTH)
        program.process.send_signal(signal.SIGHUP)
        closed = await beta.wait_closed()
        assert (closed.code, closed.reason) == (1008, "the token was revoked")
        moved = await network.attached(stack, ALPHA_NEW, "alpha")
        await network.say("to both")
        assert [await each.next_texts(1) for each in (alpha, moved)] == [["to both"]] * 2

        network.write(OPS_LINE, ALPHA_ROTATED)
        program.process.send_signal(signal.SIGHUP)
        assert (await alpha.wait_closed()).code == 1008
        await network.say("to the new one")
        assert await moved.next_texts(1) == ["to the new one"]
        assert await program.stop() == 0
    log = program.log()
    assert log.count("reloaded") == 2
    assert "Traceback" not in log
    for secret in (OPS, ALPHA, ALPHA_NEW, BETA):
        assert secret not in log


async def test_a_broken_file_changes_nothing_and_the_log_says_where(network: Configured) -> None:
    async with network.server.run() as program, AsyncExitStack() as stack:
        alpha = await network.attached(stack, ALPHA, "alpha")
        network.write(OPS_LINE, ALPHA_LINE, "{id: betas, value: changeme, scopes: [attachh]}")
        program.process.send_signal(signal.SIGHUP)
        await program.wait_log("reload refused")
        for place in ("Moltnet:9: $.auth.tokens[2].value", "Moltnet:9: $.auth.tokens[2].scopes[0]"):
            assert place in program.log()
        await network.say("as before")
        assert await alpha.next_texts(1) == ["as before"]

        network.write(OPS_LINE, ALPHA_LINE, mode="open")
        program.process.send_signal(signal.SIGHUP)
        await program.wait_log("a restart is needed")
        assert (await network.attached(stack, BETA, "beta")).ready.agent_id == "beta"
        assert await program.stop() == 0


async def test_the_command_finds_the_server_by_its_file(network: Configured) -> None:
    async with network.server.run() as program, AsyncExitStack() as stack:
        alpha = await network.attached(stack, ALPHA, "alpha")
        network.write(OPS_LINE, ALPHA_LINE, more="  - {id: new, members: [alpha]}")
        reloaded = await network.run("reload")
        assert reloaded.process.returncode == 0, reloaded.log()
        assert orjson.loads(reloaded.log()) == {"reloaded": True, "changed": ["auth", "rooms"], "ended": 0}
        async with network.server.client(ALPHA) as client:
            assert (await client.room("new")).members == ("alpha",)

        # The operator's own token, under the same id: the server knows only the older of the two by now.
        network.write(OPS_LINE.replace(OPS, f"{OPS}-new, previous_value: {OPS}"), ALPHA_LINE)
        rotated = await network.run("reload")
        assert rotated.process.returncode == 0, rotated.log()
        async with network.server.client(f"{OPS}-new") as client:
            await client.send(human_message("by the new one"))
        assert await alpha.next_texts(1) == ["by the new one"]

        network.write("{id: ops}")
        refused = await network.run("reload")
        assert refused.process.returncode == 2
        assert "$.auth.tokens[0].value" in refused.log()
        away = await network.run("reload", "--base-url", network.server.url, "--token-env", "T", T=OPS)
        assert away.process.returncode == 2
        assert "$.auth.tokens[0].value" in away.log()
        wrong = await network.run("reload", "--base-url", network.server.url, MOLTNET_ADMIN_TOKEN=ALPHA)
        assert wrong.process.returncode == 3
        assert await program.stop() == 0


async def test_a_lost_token_is_reset_by_the_operator(network: Configured) -> None:
    network.write(OPS_LINE, ALPHA_LINE, mode="open")
    async with network.server.run() as program, AsyncExitStack() as stack:
        luna = await attach(await stack.enter_async_context(open_websocket_wire(network.server.url)), "luna")
        lost = luna.ready.agent_token
        reset = await network.run("admin", "agent", "reset-token", "luna", "--to", "luna.token")
        assert reset.process.returncode == 0, reset.log()
        token_file = network.server.directory / "luna.token"
        new = token_file.read_text().strip()
        assert token_file.stat().st_mode & 0o777 == 0o600
        assert new not in reset.log()
        closed = await luna.wait_closed()
        assert (closed.code, closed.reason) == (1008, "the agent's token was replaced")
        assert (await network.attached(stack, new, "luna")).ready.agent_id == "luna"

        listed = await network.run("admin", "agent", "list")
        holders = {each["agent_id"]: each["holder"] for each in orjson.loads(listed.log())["credentials"]}
        assert holders == {"alpha": "configured_token", "luna": "agent_token"}
        declared = await network.run("admin", "agent", "reset-token", "alpha")
        assert declared.process.returncode == 5
        removed = await network.run("admin", "agent", "remove", "luna")
        assert orjson.loads(removed.log()) == {"kind": "agent", "id": "luna", "removed": True, "mode": "soft"}
        again = await network.run("admin", "agent", "revoke-token", "luna")
        assert again.process.returncode == 4
        assert await program.stop() == 0
        for secret in (lost, new, OPS, ALPHA):
            assert secret not in program.log()


@asynccontextmanager
async def in_a_terminal(network: Configured) -> AsyncIterator[tuple[trio.Process, int]]:
    """The server in the foreground of a terminal of its own; closing the number is closing the window."""
    window, terminal = pty.openpty()
    with (network.server.directory / "terminal.log").open("wb") as log:
        process = await trio.lowlevel.open_process(
            ["setsid", "--ctty", str(MOLTNET), "start"],
            cwd=network.server.directory,
            stdin=terminal,
            stdout=log,
            stderr=log,
        )
    os.close(terminal)
    try:
        yield process, window
    finally:
        with trio.CancelScope(shield=True):
            if process.returncode is None:
                process.kill()
            await process.wait()


async def test_closing_the_terminal_still_ends_a_server_that_runs_in_it(network: Configured) -> None:
    async with in_a_terminal(network) as (process, window):
        log_path = network.server.directory / "terminal.log"
        await network.server.wait_ready(Program(process, log_path))
        os.close(window)
        with trio.fail_after(PATIENCE_SECONDS):
            assert await process.wait() == 0
        assert "reloaded" not in log_path.read_text()


async def test_under_hypercorn_the_command_reloads_too(network: Configured) -> None:
    address, log_path = network.server.url.removeprefix("http://"), network.server.directory / "server.log"
    async with running(
        *("-k", "trio", "-b", address, "moltnet.asgi:app"),
        directory=network.server.directory,
        log_path=log_path,
        program=MOLTNET.parent / "hypercorn",
    ) as program:
        await network.server.wait_ready(program)
        network.write(OPS_LINE, ALPHA_LINE)
        reloaded = await network.run("reload")
        assert reloaded.process.returncode == 0, reloaded.log()
        refused = await network.run("reload", "--base-url", network.server.url, MOLTNET_ADMIN_TOKEN=BETA)
        assert (refused.process.returncode, "401" in refused.log()) == (3, True)
