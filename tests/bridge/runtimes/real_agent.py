"""Turns of a real agent CLI in a test, with a scripted model behind it. Everything of it is under one directory."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bridge.config import AttachmentConfig
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, Turn
from bridge.sessions import SessionStore
from moltnet.protocol.messages import TargetKind
from tests.fakes.agent_homes import AgentHome
from tests.fakes.attachments import attachment_config
from tests.fakes.model_server import Brain, ModelRequest, ModelServer, Reply, RunShell, Say
from tests.fakes.process_watch import ProcessWatch

ROOM = Conversation("net", TargetKind.ROOM, "general")
ROOM_KEY = "agent:agent-1:net:room:general"


class RealAgent:
    def __init__(self, home: AgentHome, directory: Path, model: ModelServer, watch: ProcessWatch) -> None:
        self.home = home
        self.directory = directory
        self.workspace = directory / "workspace"
        self.model = model
        self.watch = watch
        self.store = SessionStore(directory / "state" / "sessions.json")
        self.point_at(model.address)

    def point_at(self, address: str) -> None:
        """From now on its model is there."""
        self.home.write(self.directory / "home", address)

    def config(self, **runtime: Any) -> AttachmentConfig:
        options = {"turn_seconds": 60.0, "home_path": self.directory / "home", **runtime}
        command = (str(self.home.find_program()),)
        return attachment_config(self.directory, self.home.kind, command=command, **options)

    async def turn(
        self,
        prompt: str,
        conversation: Conversation = ROOM,
        *,
        environment: Mapping[str, str] | None = None,
        **runtime: Any,
    ) -> str | None:
        async with open_runtime(self.config(**runtime)) as opened:
            return await opened.run_turn(Turn(conversation, prompt, {**self.watch.environment, **(environment or {})}))

    async def session(self) -> str | None:
        return await self.store.find(ROOM_KEY)

    def prompts(self) -> list[str]:
        """What the model was asked, request by request."""
        return [request.prompt for request in self.model.requests]


def runs(command: str) -> Brain:
    """A brain that runs one shell command per prompt and then says what came out."""

    async def brain(request: ModelRequest) -> Reply:
        output = request.shell_output
        return RunShell(command) if output is None else Say(output)

    return brain
