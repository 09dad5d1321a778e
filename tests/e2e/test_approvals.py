"""`reply: manual` with processes: a server, a node, an operator at the command line; each of them dies in between."""

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
import trio

from moltnet.cli.exit_codes import ExitCode
from tests.e2e.running import PATIENCE_SECONDS, POLL_SECONDS, Server, human_message, running
from tests.fakes.ports import free_port

pytestmark = pytest.mark.slow

OPS = "ops-2b7e151628aed2a6abf7158809cf4f3c"
AGENTS = "agents-6bc1bee22e409f96e93d7e117393172a"


@attrs.frozen
class Lab:
    """A network and a node of two agents that need approval: `alpha` has a day for it, `hasty` two seconds."""

    server: Server

    @property
    def home(self) -> Path:
        return self.server.directory

    def write(self) -> None:
        self.home.mkdir()
        for name, text in {
            "Moltnet": f"""\
version: moltnet.v1
network: {{id: lab, name: Lab}}
server: {{listen_addr: "{self.server.url.removeprefix("http://")}"}}
auth:
  mode: bearer
  tokens:
    - {{id: ops, value: {OPS}, scopes: [admin, observe, write]}}
    - {{id: agents, value: {AGENTS}, scopes: [attach, write], agents: [alpha, hasty]}}
storage: {{kind: sqlite, sqlite: {{path: data/moltnet.db}}}}
rooms:
  - {{id: general, members: [alpha, hasty]}}
""",
            "MoltnetNode": f"""\
version: moltnet.node.v1
moltnet: {{base_url: "{self.server.url}", network_id: lab, token: {AGENTS}}}
read: mentions
reply: manual
brakes: {{cooldown_seconds: 0}}
attachments:
  - agent: {{id: alpha}}
    runtime: {{kind: command, command: [./note.sh, alpha.txt]}}
    rooms: [{{id: general}}]
  - agent: {{id: hasty}}
    runtime: {{kind: command, command: [./note.sh, hasty.txt]}}
    rooms: [{{id: general}}]
    brakes: {{approval_seconds: 2}}
""",
            "note.sh": '#!/bin/sh\ngrep "^> " >>"$0.$1"\n',
        }.items():
            path = self.home / name
            path.touch(mode=0o600)
            path.write_text(text)
        (self.home / "note.sh").chmod(0o700)

    def noted(self, agent_id: str) -> Sequence[str]:
        """What its program was told."""
        path = self.home / f"note.sh.{agent_id}.txt"
        return path.read_text().splitlines() if path.exists() else []

    async def say(self, text: str) -> None:
        async with self.server.client(OPS) as client:
            await client.send(human_message(text))

    async def moltnet(self, *arguments: str) -> tuple[int, Any]:
        """Run a command where the server's file is: its exit code, and the JSON that it printed."""
        log_path = self.home / "command.log"
        log_path.unlink(missing_ok=True)
        async with running(*arguments, directory=self.home, log_path=log_path) as program:
            with trio.fail_after(PATIENCE_SECONDS):
                code = await program.process.wait()
        text = program.log()
        return code, orjson.loads(text) if code == 0 else text

    async def wait_approvals(self, agent_id: str, state: str, count: int) -> Sequence[dict[str, Any]]:
        """Wait until so many are in this state; they, oldest first."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                code, page = await self.moltnet("approvals", "list", "--agent", agent_id, "--state", state, "--json")
                assert code == 0, page
                found: Sequence[dict[str, Any]] = page["approvals"]
                if len(found) == count:
                    return found

    async def wait_noted(self, agent_id: str, *lines: str) -> None:
        with trio.fail_after(PATIENCE_SECONDS):
            while tuple(self.noted(agent_id)) != lines:
                await trio.sleep(POLL_SECONDS)

    async def wait_status(self, agent_id: str, **wanted: object) -> None:
        """Wait until `moltnet node status` shows this."""
        shown: dict[str, Any] = {}
        with trio.fail_after(PATIENCE_SECONDS):
            while shown.items() & wanted.items() != wanted.items():
                code, report = await self.moltnet("node", "status", "--json")
                agents = {each["agent_id"]: each for each in report["attachments"]} if code == 0 else {agent_id: {}}
                shown = {key: agents[agent_id].get(key) for key in wanted}


async def test_an_operator_decides_whatever_dies_meanwhile(tmp_path: Path) -> None:
    lab = Lab(Server(tmp_path / "lab", f"http://127.0.0.1:{free_port()}"))
    lab.write()
    node_log = lab.home / "node.log"
    async with lab.server.run() as server:
        async with running("node", "start", directory=lab.home, log_path=node_log) as node:
            await node.wait_log("attached", times=2)
            for text in ("@alpha one", "nobody", "@alpha two", "@hasty three", "@alpha four"):
                await lab.say(text)
            one, two, four = await lab.wait_approvals("alpha", "pending", 3)
            assert one["sender"] == "molt://lab/agents/ada"
            await lab.wait_status("alpha", waiting_approvals=3, finished_turns=0)
            await lab.wait_approvals("hasty", "expired", 1)
            await lab.wait_status("hasty", waiting_approvals=0, refused_messages=1, finished_turns=0)
            await node.stop(signal.SIGKILL)
        # Decided while the node is down, just before the server dies.
        assert (await lab.moltnet("approvals", "approve", two["id"], "--note", "go on"))[0] == 0
        await server.kill()
    async with lab.server.run() as server, running("node", "start", directory=lab.home, log_path=node_log) as node:
        await lab.wait_noted("alpha", "> @alpha two")
        await lab.wait_status("alpha", waiting_approvals=2, finished_turns=1)
        code, denied = await lab.moltnet("approvals", "deny", one["id"], "--note", "not today", "--json")
        assert (code, denied["decided_by"], denied["note"]) == (0, "token:ops", "not today")
        code, text = await lab.moltnet("approvals", "approve", one["id"])
        assert code == ExitCode.CONFLICT
        assert "was denied at" in text
        assert "not today" not in text
        await lab.wait_status("alpha", waiting_approvals=1, refused_messages=1)
        # The server is killed while a wake waits and the node is connected.
        await server.kill()
        async with lab.server.run():
            assert (await lab.moltnet("approvals", "approve", four["id"]))[0] == 0
            await lab.wait_noted("alpha", "> @alpha two", "> @alpha four")
            await lab.wait_status("alpha", waiting_approvals=0, finished_turns=2)
            _, page = await lab.moltnet("approvals", "list", "--state", "any", "--json")
            states = [(each["agent_id"], each["state"]) for each in page["approvals"]]
            assert sorted(states) == [
                ("alpha", "approved"),
                ("alpha", "approved"),
                ("alpha", "denied"),
                ("hasty", "expired"),
            ]
            assert (await lab.moltnet("approvals", "show", "apr_nothing"))[0] == ExitCode.NOT_FOUND
            assert await node.stop() == 0
    assert lab.noted("hasty") == []
