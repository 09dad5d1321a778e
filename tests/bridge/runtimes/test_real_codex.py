"""The real Codex CLI, with a scripted model behind it (real runtimes §3)."""

import os
import sys
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from bridge.config import RuntimeKind
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.sessions import SessionStore
from bridge.settings import Endpoint, SandboxKind, SandboxSettings
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.codex_home import FAKE_KEY_NAME, find_codex, temporary_directory, write_codex_home
from tests.fakes.model_server import (
    Brain,
    ModelRequest,
    ModelServer,
    Refuse,
    Reply,
    RunShell,
    Say,
    open_model_server,
)
from tests.fakes.process_watch import ProcessWatch
from tests.fakes.sandboxes import Box

pytestmark = pytest.mark.slow

ROOM = Conversation("net", TargetKind.ROOM, "general")
ROOM_KEY = "agent:agent-1:net:room:general"


@pytest.fixture
async def model(watch: ProcessWatch) -> AsyncIterator[ModelServer]:
    async with open_model_server() as model:
        yield model


class RealCodex:
    """Turns of the real program. Everything of it is under one directory."""

    def __init__(self, directory: Path, model: ModelServer, watch: ProcessWatch) -> None:
        self.directory = directory
        self.workspace = directory / "workspace"
        self.watch = watch
        self.store = SessionStore(directory / "state" / "sessions.json")
        write_codex_home(directory / "home" / ".codex", model.base_url)

    async def turn(self, prompt: str, conversation: Conversation = ROOM, **runtime: Any) -> None:
        options = {"turn_seconds": 60.0, "home_path": self.directory / "home", **runtime}
        config = attachment_config(self.directory, RuntimeKind.CODEX, command=(str(find_codex()),), **options)
        environment = {**self.watch.environment, **temporary_directory(self.directory), FAKE_KEY_NAME: "any"}
        async with open_runtime(config) as opened:
            await opened.run_turn(Turn(conversation, prompt, environment))

    async def thread(self) -> str | None:
        return await self.store.find(ROOM_KEY)


@pytest.fixture
def codex(tmp_path: Path, model: ModelServer, watch: ProcessWatch) -> RealCodex:
    return RealCodex(tmp_path, model, watch)


def runs(command: str) -> Brain:
    """A brain that runs one shell command per prompt and then says what came out."""

    async def brain(request: ModelRequest) -> Reply:
        output = request.shell_output
        return RunShell(command) if output is None else Say(output)

    return brain


async def test_a_second_turn_knows_the_first(codex: RealCodex, model: ModelServer) -> None:
    await codex.turn("the password is swordfish")
    first_thread = await codex.thread()
    await codex.turn("what was it?")
    assert [request.prompt for request in model.requests] == ["the password is swordfish", "what was it?"]
    assert "swordfish" in model.requests[1].history
    assert await codex.thread() == first_thread


async def test_another_conversation_knows_nothing_of_the_first(codex: RealCodex, model: ModelServer) -> None:
    await codex.turn("the password is swordfish")
    await codex.turn("what was it?", Conversation("net", TargetKind.DM, "d1"))
    assert "swordfish" not in model.requests[1].history


async def test_by_default_its_shell_may_write_and_reach_the_network_and_knows_the_turn(
    codex: RealCodex, model: ModelServer
) -> None:
    host, port = model.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    model.brain = runs(f"exec 3<>/dev/tcp/{host}/{port} && echo $MOLTNET_TARGET $PATH > written")
    for turn in ("first", "resumed"):
        await codex.turn(turn)
        written = codex.workspace / "written"
        seen = written.read_text().strip()
        assert seen.startswith("room:general ")
        assert codex.watch.environment["PATH"] in seen  # a login shell would have made its own
        written.unlink()


async def test_the_operators_arguments_win_over_the_defaults(codex: RealCodex, model: ModelServer) -> None:
    model.brain = runs("touch written")
    for turn in ("first", "resumed"):
        await codex.turn(turn, args=("--sandbox", "read-only"))
    assert len(model.requests) == 4
    assert not (codex.workspace / "written").exists()


async def test_a_large_prompt_arrives_whole(codex: RealCodex, model: ModelServer) -> None:
    prompt = "-- /not an option, no command: " + "ä" * 200_000
    await codex.turn(prompt)
    assert model.requests[0].prompt == prompt


async def test_an_id_that_is_no_thread_is_replaced_and_the_wake_delivered(codex: RealCodex, model: ModelServer) -> None:
    await codex.store.remember(ROOM_KEY, "general")
    await codex.turn("hello")
    first_thread = await codex.thread()
    await codex.turn("again")
    assert [request.prompt for request in model.requests] == ["hello", "again"]
    assert await codex.thread() == first_thread
    assert "hello" in model.requests[1].history


async def test_a_refusing_model_fails_the_turn_and_the_next_one_works(codex: RealCodex, model: ModelServer) -> None:
    async def refuse(request: ModelRequest) -> Reply:
        return Refuse(400)

    working, model.brain = model.brain, refuse
    with pytest.raises(TurnFailed, match=r"^codex: ") as failure:
        await codex.turn("hello")
    assert failure.value.retryable
    model.brain = working
    await codex.turn("again")
    assert model.requests[-1].prompt == "again"


async def test_a_model_that_is_down_fails_the_turn_and_the_next_one_works(codex: RealCodex, model: ModelServer) -> None:
    home = codex.directory / "home" / ".codex"
    nobody_there = "http://127.0.0.1:9/v1"
    write_codex_home(home, nobody_there)
    # Codex's own default: it waits for the network for ever.
    settings = (home / "config.toml").read_text()
    (home / "config.toml").write_text(settings.replace("unbounded_connection_retries = false\n", ""))
    with pytest.raises(TurnFailed, match=r"^stopped after 2 s$"):
        await codex.turn("hello", turn_seconds=2.0)
    write_codex_home(home, model.base_url)
    await codex.turn("again")
    assert [request.prompt for request in model.requests] == ["again"]


async def test_a_turn_that_is_killed_leaves_nothing_and_its_thread_goes_on(
    codex: RealCodex, model: ModelServer
) -> None:
    async def think_for_ever(request: ModelRequest) -> Reply:
        await trio.sleep_forever()

    working, model.brain = model.brain, think_for_ever
    async with trio.open_nursery() as nursery:
        nursery.start_soon(codex.turn, "remember the swordfish")
        await model.wait_requests(1)
        nursery.cancel_scope.cancel(reason="the test")
    assert codex.watch.running() == []
    first_thread = await codex.thread()
    assert first_thread is not None
    model.brain = working
    await codex.turn("again")
    assert await codex.thread() == first_thread
    assert "swordfish" in model.requests[1].history


NODE = """
import sys, trio
from pathlib import Path
from bridge.config import RuntimeKind
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, Turn
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config

async def main(directory, codex, prompt, *environment):
    home = Path(directory, "home")
    config = attachment_config(Path(directory), RuntimeKind.CODEX, command=(codex,), home_path=home)
    conversation = Conversation("net", TargetKind.ROOM, "general")
    async with open_runtime(config) as runtime:
        await runtime.run_turn(Turn(conversation, prompt, dict(line.split("=", 1) for line in environment)))

trio.run(main, *sys.argv[1:])
"""


async def test_if_the_node_is_killed_the_thread_is_free_for_the_next_node(codex: RealCodex, model: ModelServer) -> None:
    async def think_for_ever(request: ModelRequest) -> Reply:
        await trio.sleep_forever()

    working, model.brain = model.brain, think_for_ever
    environment = [f"{name}={value}" for name, value in {**codex.watch.environment, FAKE_KEY_NAME: "any"}.items()]
    command = [sys.executable, "-c", NODE, str(codex.directory), str(find_codex()), "remember swordfish", *environment]
    async with trio.open_nursery() as nursery:
        node = await nursery.start(partial(trio.run_process, command, check=False, cwd=Path(__file__).parents[3]))
        await model.wait_requests(1)
        node.kill()
    await codex.watch.wait_gone()
    first_thread = await codex.thread()
    assert first_thread is not None
    model.brain = working
    await codex.turn("again")
    assert await codex.thread() == first_thread
    assert "swordfish" in model.requests[1].history


async def test_a_tool_that_runs_when_the_turn_is_cut_ends_too(codex: RealCodex, model: ModelServer) -> None:
    started = codex.workspace / "started"
    codex.workspace.mkdir()
    os.mkfifo(started)
    model.brain = runs(f"echo yes > {started}; sleep 1000")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(codex.turn, "hello")
        assert await trio.to_thread.run_sync(started.read_text, abandon_on_cancel=True) == "yes\n"
        nursery.cancel_scope.cancel(reason="the test")
    assert codex.watch.running() == []


async def test_what_a_tool_left_in_the_background_ends_with_the_turn(codex: RealCodex, model: ModelServer) -> None:
    model.brain = runs("setsid sleep 1000 > /dev/null 2>&1 & echo left")
    await codex.turn("hello")
    assert "left" in (model.requests[1].shell_output or "")
    assert codex.watch.running() == []


async def test_a_thread_in_use_elsewhere_is_not_replaced(codex: RealCodex, model: ModelServer) -> None:
    await codex.turn("hello")
    first_thread = await codex.thread()
    release = trio.Event()

    async def wait(request: ModelRequest) -> Reply:
        await release.wait()
        return Say("done")

    model.brain = wait
    async with trio.open_nursery() as nursery:
        nursery.start_soon(codex.turn, "a long turn")
        await model.wait_requests(2)
        with pytest.raises(TurnFailed, match="another process is using the thread") as failure:
            await codex.turn("meanwhile")  # as by another node with the same store
        release.set()
    assert failure.value.retryable
    assert await codex.thread() == first_thread


async def test_arguments_that_codex_does_not_know_are_a_misconfiguration(codex: RealCodex) -> None:
    with pytest.raises(RuntimeMisconfigured, match="--nonsense"):
        await codex.turn("hello", args=("--nonsense",))


async def test_settings_that_codex_cannot_read_are_a_misconfiguration(codex: RealCodex) -> None:
    (codex.directory / "home" / ".codex" / "config.toml").write_text("not = = toml")
    with pytest.raises(RuntimeMisconfigured, match=r"config\.toml"):
        await codex.turn("hello")


async def test_a_missing_codex_home_is_a_misconfiguration(codex: RealCodex, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match="CODEX_HOME"):
        await codex.turn("hello", home_path=tmp_path / "nowhere")


async def test_in_a_sandbox_it_reaches_its_model_and_its_shell_nothing_else(
    box: Box, codex: RealCodex, model: ModelServer, tmp_path: Path
) -> None:
    host, port = model.base_url.removeprefix("http://").removesuffix("/v1").split(":")
    (tmp_path / "secret").write_text("x")
    model.brain = runs(
        f"(exec 3<>/dev/tcp/{host}/{port}) && echo model > written; (exec 3<>/dev/tcp/{host}/9) && echo more > written;"
        f" touch /etc/moltnet-test {tmp_path}/other; cat {tmp_path}/secret >> written; ls -A /proc | grep -c '^[0-9]'"
    )
    sandbox = SandboxSettings(SandboxKind.BUBBLEWRAP, hidden=(tmp_path,), hosts=(Endpoint(host, int(port)),))
    for _turn in ("first", "resumed"):
        await codex.turn("go", sandbox=sandbox, args=("--sandbox", "danger-full-access"))
        assert (box.workspace / "written").read_text() == "model\n"
        (box.workspace / "written").unlink()
    assert len(model.requests) == 4
    assert not (tmp_path / "other").exists()
    assert not Path("/etc/moltnet-test").exists()
