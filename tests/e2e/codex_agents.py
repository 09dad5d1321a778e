"""Real Codex agents for a test: each with its own home, workspace and scripted model."""

import re
import shlex
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import attrs
import trio

from tests.e2e.running import Program, Server, running
from tests.fakes.codex_home import FAKE_KEY_NAME, find_codex, temporary_directory, write_codex_home
from tests.fakes.model_server import ModelRequest, ModelServer, Reply, RunShell, Say, open_model_server

Answer = Callable[[str], str | None]
"""From the newest wake's text to what the agent posts; None: it stays silent."""

_CHAT = re.compile(r"^Chat ID: [^:\n]+:(room|dm|thread):(\S+)$", re.MULTILINE)


@attrs.define(eq=False)
class ScriptedMind:
    """The brain behind one agent. It takes the target from the prompt, so the prompt is proved to be sufficient."""

    answer: Answer
    hold: trio.Event | None = None
    """While set and unset inside, every new turn waits for it."""

    async def __call__(self, request: ModelRequest) -> Reply:
        if request.shell_output is not None:
            return Say("done")
        if self.hold is not None:
            await self.hold.wait()
        chat = _CHAT.search(request.prompt)
        text = self.answer(request.prompt)
        if chat is None or text is None:
            return Say("nothing to do")
        target = f"{chat[1]}:{chat[2]}"
        return RunShell(f"moltnet send --target {shlex.quote(target)} --text {shlex.quote(text)}")


@attrs.frozen
class CodexAgent:
    id: str
    mind: ScriptedMind
    model: ModelServer

    def turns(self) -> list[ModelRequest]:
        """The first request of every turn."""
        return [request for request in self.model.requests if request.shell_output is None]


@attrs.frozen
class CodexNode:
    """A configured node with one real Codex per agent; it can be started again and again."""

    directory: Path
    agents: Mapping[str, CodexAgent]

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Program]:
        """Run the node until the block is left; every agent is attached when the block begins."""
        log_path = self.directory / "node.log"
        started = log_path.read_text().count("attached") if log_path.exists() else 0
        async with running(
            "node",
            "start",
            "MoltnetNode",
            directory=self.directory,
            log_path=log_path,
            environment={FAKE_KEY_NAME: "unused", **temporary_directory(self.directory)},
        ) as program:
            await program.wait_log("attached", started + len(self.agents))
            yield program


@asynccontextmanager
async def open_codex_node(directory: Path, server: Server, answers: Mapping[str, Answer]) -> AsyncIterator[CodexNode]:
    """Models for the agents, and the node's config file."""
    codex = find_codex()
    directory.mkdir(parents=True)
    async with AsyncExitStack() as models:
        agents = {}
        attachments = []
        for agent_id, answer in answers.items():
            mind = ScriptedMind(answer)
            model = await models.enter_async_context(open_model_server(mind))
            agents[agent_id] = CodexAgent(agent_id, mind, model)
            home, workspace = directory / "homes" / agent_id, directory / "workspaces" / agent_id
            workspace.mkdir(parents=True)
            write_codex_home(home / ".codex", model.base_url)
            attachments.append(
                f"""\
  - agent: {{id: {agent_id}, name: {agent_id.title()}}}
    runtime:
      kind: codex
      command: {codex}
      workspace_path: {workspace}
      home_path: {home}
      env: [{FAKE_KEY_NAME}]
    rooms:
      - {{id: general, wake: mentions}}
    dms: {{enabled: true, wake: all}}
"""
            )
        (directory / "MoltnetNode").write_text(
            f"version: moltnet.node.v1\nmoltnet: {{base_url: {server.url!r}, network_id: lab}}\n"
            f"attachments:\n{''.join(attachments)}"
        )
        yield CodexNode(directory, agents)
