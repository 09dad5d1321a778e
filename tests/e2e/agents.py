"""Real agents under a real node for a test: each has its own home, workspace and scripted model."""

import re
import shlex
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import attrs
import trio

from bridge.config import RuntimeKind
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, Turn, TurnFailed
from moltnet.config.secrets import Secret
from moltnet.protocol.messages import TargetKind
from tests.e2e.running import Program, Server, running
from tests.fakes.agent_homes import CLAUDE, CODEX, PI
from tests.fakes.attachments import attachment_config
from tests.fakes.codex_home import FAKE_KEY_NAME, temporary_directory
from tests.fakes.model_server import ModelRequest, ModelServer, Reply, RunShell, Say, open_model_server
from tests.fakes.openclaw_home import TOKEN, GatewayProcess
from tests.fakes.process_watch import MARK_NAME

_CHAT: Final = re.compile(r"^Chat ID: [^:\n]+:(room|dm|thread):(\S+)$", re.MULTILINE)
# Generous: so long may a gateway take to start on a machine with much else to do.
GATEWAY_SECONDS: Final = 240.0
_HOMES: Final = {home.kind: home for home in (CODEX, CLAUDE, PI)}


@attrs.define(eq=False)
class ScriptedMind:
    """The brain behind one agent. It takes the target from the prompt, so the prompt is proved to be sufficient."""

    answers: Mapping[str, str]
    """What it posts when the newest message of a wake is this; to any other it stays silent."""
    hold: trio.Event | None = None
    """While set and unset inside, every new turn waits for it."""

    async def __call__(self, request: ModelRequest) -> Reply:
        if request.shell_output is not None:
            return Say("done")
        if self.hold is not None:
            await self.hold.wait()
        chat = _CHAT.search(request.prompt)
        said = [line.removeprefix("> ") for line in request.prompt.splitlines() if line.startswith("> ")]
        answer = self.answers.get(said[-1]) if said else None
        if chat is None or answer is None:
            return Say("nothing to do")
        target = f"{chat[1]}:{chat[2]}"
        return RunShell(f"moltnet send --target {shlex.quote(target)} --text {shlex.quote(answer)}")


@attrs.frozen
class Agent:
    """One agent of a node, and what its model was asked."""

    id: str
    kind: RuntimeKind
    home: Path
    state: Path
    """What the node keeps about it."""
    mind: ScriptedMind
    model: ModelServer

    def turns(self) -> list[ModelRequest]:
        """The first request of every turn."""
        return [request for request in self.model.requests if request.shell_output is None]

    def point_at(self, address: str) -> None:
        """From its next turn on, its model is there."""
        _HOMES[self.kind].write(self.home, address)


@attrs.frozen
class AgentNode:
    """A configured node with real agents; it can be started again and again."""

    directory: Path
    agents: Mapping[str, Agent]

    @property
    def log_path(self) -> Path:
        return self.directory / "node.log"

    @asynccontextmanager
    async def run(self, environment: Mapping[str, str] | None = None) -> AsyncIterator[Program]:
        """Run the node until the block is left; every agent is attached when the block begins."""
        started = self.log_path.read_text().count("attached") if self.log_path.exists() else 0
        async with running(
            *("node", "start", "MoltnetNode"),
            directory=self.directory,
            log_path=self.log_path,
            environment={FAKE_KEY_NAME: "unused", **temporary_directory(self.directory), **(environment or {})},
        ) as program:
            await program.wait_log("attached", started + len(self.agents))
            yield program

    def hold(self) -> trio.Event:
        """From now on no turn of any agent goes on until the event is set."""
        hold = trio.Event()
        for agent in self.agents.values():
            agent.mind.hold = hold
        return hold

    async def wait_requests(self, number: int, patience_seconds: float) -> None:
        """Wait until every agent's model was asked so often."""
        with trio.fail_after(patience_seconds):
            async with trio.open_nursery() as nursery:
                for agent in self.agents.values():
                    nursery.start_soon(agent.model.wait_requests, number)

    def turn_counts(self) -> Mapping[str, int]:
        return {agent_id: len(agent.turns()) for agent_id, agent in self.agents.items()}

    def request_counts(self) -> Mapping[str, int]:
        """A turn in which an agent says something is two requests: the prompt, and the result of its one command."""
        return {agent_id: len(agent.model.requests) for agent_id, agent in self.agents.items()}


@asynccontextmanager
async def open_agent_node(
    directory: Path,
    server: Server,
    agents: Mapping[str, tuple[RuntimeKind, Mapping[str, str]]],
    *,
    gateway: GatewayProcess | None = None,
) -> AsyncIterator[AgentNode]:
    """Models for the agents, of which each has a kind and its answers, and the node's config file.

    `gateway` is there for the kind `openclaw`, and ready when the block begins.
    """
    directory.mkdir(parents=True)
    async with AsyncExitStack() as models:
        made: dict[str, Agent] = {}
        for agent_id, (kind, answers) in agents.items():
            mind = ScriptedMind(answers)
            listening = gateway.model if gateway is not None and kind is RuntimeKind.OPENCLAW else None
            model = await models.enter_async_context(open_model_server(mind, listening=listening))
            state = directory / ".moltnet" / "node" / "lab" / agent_id
            made[agent_id] = Agent(agent_id, kind, directory / "homes" / agent_id, state, mind, model)
            if listening is not None and gateway is not None:
                await _warm_up(directory, gateway)
                model.requests.clear()
        path = directory / "MoltnetNode"
        path.write_text(
            f"version: moltnet.node.v1\nmoltnet: {{base_url: {server.url!r}, network_id: lab}}\n"
            f"attachments:\n{''.join(_attachment(directory, agent, gateway) for agent in made.values())}"
        )
        path.chmod(0o600)  # it may hold the gateway's token
        yield AgentNode(directory, made)


def _attachment(directory: Path, agent: Agent, gateway: GatewayProcess | None) -> str:
    return f"""\
  - agent: {{id: {agent.id}, name: {agent.id.title()}}}
    runtime:
      kind: {agent.kind}
{_behind(gateway) if gateway is not None and agent.kind is RuntimeKind.OPENCLAW else _at_home(directory, agent)}
    rooms:
      - {{id: general, wake: mentions}}
    dms: {{enabled: true, wake: all}}
    brakes: {{cooldown_seconds: 0}}
"""


def _at_home(directory: Path, agent: Agent) -> str:
    agent.point_at(agent.model.address)
    workspace = directory / "workspaces" / agent.id
    workspace.mkdir(parents=True)
    return f"""\
      command: {_HOMES[agent.kind].find_program()}
      workspace_path: {workspace}
      home_path: {agent.home}
      env: [{FAKE_KEY_NAME}, {MARK_NAME}]"""


def _behind(gateway: GatewayProcess) -> str:
    """The workspace is the gateway's own: there its agent finds what the node writes for it. No test has the sessions
    of another."""
    return f"""\
      gateway_url: {gateway.url}
      token: {TOKEN}
      session_prefix: agent:main:{uuid4().hex}
      workspace_path: {gateway.workspace}"""


async def _warm_up(directory: Path, gateway: GatewayProcess) -> None:
    """Wait until the gateway has done a turn: the first one loads half of it, and takes longest."""
    (directory / "warm-up").mkdir()
    options = {"gateway_url": gateway.url, "token": Secret(TOKEN), "turn_seconds": GATEWAY_SECONDS}
    conversation = Conversation("lab", TargetKind.ROOM, "warm-up")
    async with open_runtime(attachment_config(directory / "warm-up", RuntimeKind.OPENCLAW, **options)) as runtime:
        with trio.fail_after(GATEWAY_SECONDS):
            while True:
                with suppress(TurnFailed):
                    await runtime.run_turn(Turn(conversation, "hello", message_id=uuid4().hex))
                    return
