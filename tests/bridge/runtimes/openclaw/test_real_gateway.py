"""The real OpenClaw gateway, with a scripted model behind it (real runtimes §5).

One gateway serves all tests of this file; each has conversations of its own. A test that restarts it leaves it running.
Its restart between two turns, and a second mention during a turn, are in `tests/e2e/test_chain.py`.
"""

import signal
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from bridge import limits
from bridge.config import RuntimeKind
from bridge.runtimes.openclaw import runtime as runtime_module
from bridge.runtimes.openclaw.device import FILE_NAME
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, Runtime, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.config.secrets import Secret
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.model_server import ModelRequest, ModelServer, Refuse, Reply, RunShell, Say, open_model_server
from tests.fakes.openclaw_home import TOKEN, GatewayProcess, running_gateway
from tests.fakes.tcp_proxy import open_proxy

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with running_gateway(tmp_path_factory.mktemp("openclaw")) as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a machine with much else to do a gateway takes longer to start."""
    monkeypatch.setattr(limits, "GATEWAY_PATIENCE_SECONDS", 240.0)


@pytest.fixture
async def model(gateway: GatewayProcess) -> AsyncIterator[ModelServer]:
    async with open_model_server(listening=gateway.model) as model:
        yield model


@pytest.fixture
def room(request: pytest.FixtureRequest) -> Conversation:
    """A conversation that no other test has."""
    return Conversation("net", TargetKind.ROOM, request.node.name.replace("_", "-")[:100])


class Agent:
    """An attachment to the gateway. Everything of it is under one directory."""

    def __init__(self, directory: Path, gateway: GatewayProcess) -> None:
        self._directory = directory
        self._url = gateway.url

    def open(self, **runtime: Any) -> AbstractAsyncContextManager[Runtime]:
        """The runtime as a new process of the node would open it."""
        options = {"gateway_url": self._url, "token": Secret(TOKEN), "turn_seconds": 250.0, **runtime}
        return open_runtime(attachment_config(self._directory, RuntimeKind.OPENCLAW, **options))

    @property
    def device_file(self) -> Path:
        return self._directory / "state" / FILE_NAME


@pytest.fixture
def agent(tmp_path: Path, gateway: GatewayProcess) -> Agent:
    return Agent(tmp_path, gateway)


class Held:
    """A brain whose turns wait until the test lets them go on."""

    def __init__(self) -> None:
        self.arrived, self.go_on = trio.Event(), trio.Event()

    async def __call__(self, request: ModelRequest) -> Reply:
        self.arrived.set()
        await self.go_on.wait()
        return Say("done")


def turn(room: Conversation, prompt: str, message_id: str = "") -> Turn:
    return Turn(room, prompt, message_id=message_id or f"msg_{prompt.replace(' ', '_')}")


async def test_two_wakes_of_one_conversation_are_one_session_and_one_model_run_each(
    agent: Agent, model: ModelServer, room: Conversation
) -> None:
    async with agent.open() as runtime:
        await runtime.run_turn(turn(room, "the password is swordfish"))
        assert await runtime.run_turn(turn(room, "what was it?")) == "done"
    assert len(model.requests) == 2
    assert "the password is swordfish" in model.requests[0].prompt
    assert "what was it?" in model.requests[1].prompt
    assert "swordfish" in model.requests[1].history
    assert stat.S_IMODE(agent.device_file.stat().st_mode) == 0o600


async def test_another_conversation_knows_nothing_of_the_first(
    agent: Agent, model: ModelServer, room: Conversation
) -> None:
    async with agent.open() as runtime:
        await runtime.run_turn(turn(room, "the password is swordfish"))
        await runtime.run_turn(turn(Conversation("net", TargetKind.DM, room.id), "what was it?"))
    assert "swordfish" not in model.requests[1].history


async def test_rooms_that_differ_in_capital_letters_are_two_sessions(
    agent: Agent, model: ModelServer, room: Conversation
) -> None:
    async with agent.open() as runtime:
        await runtime.run_turn(turn(room, "the password is swordfish"))
        await runtime.run_turn(turn(Conversation("net", TargetKind.ROOM, room.id.upper()), "what was it?"))
    assert "swordfish" not in model.requests[1].history


async def test_the_agents_shell_runs_in_its_workspace(
    agent: Agent, gateway: GatewayProcess, model: ModelServer, room: Conversation
) -> None:
    async def write(request: ModelRequest) -> Reply:
        return RunShell("echo here > written") if request.shell_output is None else Say("done")

    model.brain = write
    async with agent.open() as runtime:
        await runtime.run_turn(turn(room, "write"))
    assert (gateway.workspace / "written").read_text() == "here\n"
    assert len(model.requests) == 2


async def test_what_it_is_told_is_marked_as_not_from_its_owner_and_is_no_command(
    agent: Agent, model: ModelServer, room: Conversation
) -> None:
    async with agent.open() as runtime:
        await runtime.run_turn(turn(room, "/status"))
    assert "/status" in model.requests[0].prompt
    assert "sourceChannel=moltnet isUser=false" in model.requests[0].history


async def test_silence_is_success(agent: Agent, model: ModelServer, room: Conversation) -> None:
    async def silent(request: ModelRequest) -> Reply:
        return Say("NO_REPLY")

    model.brain = silent
    async with agent.open() as runtime:
        assert await runtime.run_turn(turn(room, "nothing to say")) is None
    assert len(model.requests) == 1


async def test_a_model_that_refuses_fails_the_turn_and_the_next_one_works(
    agent: Agent, model: ModelServer, room: Conversation
) -> None:
    async def refuse(request: ModelRequest) -> Reply:
        return Refuse(400)

    model.brain, working = refuse, model.brain
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="LLM request failed") as failed:
            await runtime.run_turn(turn(room, "hello", "msg_1"))
        model.brain = working
        await runtime.run_turn(turn(room, "hello again", "msg_1"))
    assert failed.value.retryable
    assert "hello again" in model.requests[-1].prompt


async def test_a_model_that_never_answers_is_cut_at_the_turn_limit_and_asked_no_more(
    agent: Agent, model: ModelServer, room: Conversation
) -> None:
    model.brain, working = Held(), model.brain
    async with agent.open(turn_seconds=2.0) as runtime:
        with pytest.raises(TurnFailed, match="stopped after 2 s"):
            await runtime.run_turn(turn(room, "hello", "msg_1"))
    model.brain = working
    async with agent.open() as runtime:
        await runtime.run_turn(turn(room, "once more", "msg_1"))
    assert len(model.requests) == 2  # the aborted run did not come back


async def test_a_wrong_token_parks_the_attachment_and_says_what_to_change(agent: Agent, room: Conversation) -> None:
    async with agent.open(token=Secret("another")) as runtime:
        with pytest.raises(RuntimeMisconfigured, match=r"AUTH_TOKEN_MISMATCH.*runtime\.token"):
            await runtime.run_turn(turn(room, "hello"))


async def test_a_missing_token_parks_the_attachment_and_says_what_to_set(agent: Agent, room: Conversation) -> None:
    async with agent.open(token=None) as runtime:
        with pytest.raises(RuntimeMisconfigured, match=r"set runtime\.token"):
            await runtime.run_turn(turn(room, "hello"))


async def test_an_agent_that_the_gateway_does_not_have_parks_the_attachment(agent: Agent, room: Conversation) -> None:
    async with agent.open(session_prefix="agent:nobody") as runtime:
        with pytest.raises(RuntimeMisconfigured, match='"nobody" no longer exists'):
            await runtime.run_turn(turn(room, "hello"))


async def test_without_the_method_agent_chat_send_and_the_history_do(
    agent: Agent, model: ModelServer, room: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As a gateway without them answers: every method is looked for in what it says it has.
    monkeypatch.setattr(runtime_module, "_RUN", "no.agent")
    monkeypatch.setattr(runtime_module, "_WAIT", "no.agent.wait")
    async with agent.open() as runtime:
        assert await runtime.run_turn(turn(room, "the password is swordfish")) == "done"
        assert await runtime.run_turn(turn(room, "what was it?")) == "done"
    assert len(model.requests) == 2
    assert "swordfish" in model.requests[1].history


async def test_a_connection_that_is_lost_during_a_turn_is_made_again_and_the_run_goes_on(
    agent: Agent, gateway: GatewayProcess, model: ModelServer, room: Conversation
) -> None:
    model.brain = held = Held()
    async with (
        open_proxy(gateway.port) as wire,
        agent.open(gateway_url=f"ws://127.0.0.1:{wire.port}") as runtime,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(runtime.run_turn, turn(room, "hello"))
        await held.arrived.wait()
        wire.cut_all()
        held.go_on.set()
    assert len(model.requests) == 1


async def test_a_turn_that_comes_again_after_the_node_was_cut_off_is_not_run_again(
    agent: Agent, gateway: GatewayProcess, model: ModelServer, room: Conversation
) -> None:
    model.brain = held = Held()
    async with (
        open_proxy(gateway.port) as wire,
        agent.open(gateway_url=f"ws://127.0.0.1:{wire.port}") as runtime,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(runtime.run_turn, turn(room, "hello", "msg_1"))
        await held.arrived.wait()
        wire.refusing = True
        wire.cut_all()
        await trio.testing.wait_all_tasks_blocked(0.05)
        nursery.cancel_scope.cancel()  # and nobody can tell the gateway
    async with agent.open() as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, turn(room, "Redelivered: hello", "msg_1"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        held.go_on.set()
    assert len(model.requests) == 1


async def test_a_gateway_that_was_killed_during_a_turn_finishes_it_itself(
    agent: Agent, gateway: GatewayProcess, model: ModelServer, room: Conversation
) -> None:
    model.brain = held = Held()
    async with agent.open() as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, turn(room, "hello"))
        await held.arrived.wait()
        gateway.stop(signal.SIGKILL)
        held.go_on.set()
        gateway.start()
    prompts = [request.prompt for request in model.requests]
    assert len(prompts) == 2
    assert "Your previous turn was interrupted" in prompts[1]  # taken up by the gateway, not begun anew by us
