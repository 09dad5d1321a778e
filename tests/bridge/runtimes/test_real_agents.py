"""Claude Code and pi as they are, with a scripted model behind them (real runtimes §4, §6). Codex has its own file.

What becomes of a node that is killed in a turn, of an unknown session and of a model that is down is in
`tests/e2e/test_chain.py`.

That the model was asked as often as a test says, and not once more, is seen in its log of requests.
"""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trio

from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, TurnFailed
from bridge.settings import Endpoint, SandboxKind, SandboxSettings
from moltnet.protocol.messages import TargetKind
from tests.bridge.runtimes.real_agent import ROOM_KEY, RealAgent, runs
from tests.fakes.agent_homes import CLAUDE, PI, RUNTIMES, AgentHome
from tests.fakes.model_server import ModelRequest, ModelServer, Refuse, Reply, Say, open_model_server
from tests.fakes.process_watch import ProcessWatch

pytestmark = pytest.mark.slow


@pytest.fixture
async def model(watch: ProcessWatch) -> AsyncIterator[ModelServer]:
    async with open_model_server() as model:
        yield model


@pytest.fixture(params=[CLAUDE, PI], ids=lambda home: home.kind)
def agent(request: pytest.FixtureRequest, tmp_path: Path, model: ModelServer, watch: ProcessWatch) -> RealAgent:
    home: AgentHome = request.param
    return RealAgent(home, tmp_path, model, watch)


@pytest.fixture
def claude(tmp_path: Path, model: ModelServer, watch: ProcessWatch) -> RealAgent:
    return RealAgent(CLAUDE, tmp_path, model, watch)


async def think_for_ever(request: ModelRequest) -> Reply:
    await trio.sleep_forever()


async def test_two_turns_of_a_conversation_are_one_session_and_each_asks_the_model_once(agent: RealAgent) -> None:
    assert await agent.turn("the password is swordfish") == "done"
    first_session = await agent.session()
    assert await agent.turn("what was it?") == "done"
    assert agent.prompts() == ["the password is swordfish", "what was it?"]
    assert "swordfish" in agent.model.requests[1].history
    assert await agent.session() == first_session is not None


async def test_another_conversation_is_another_session(agent: RealAgent) -> None:
    await agent.turn("the password is swordfish")
    await agent.turn("what was it?", Conversation("net", TargetKind.DM, "d1"))
    assert "swordfish" not in agent.model.requests[1].history


async def test_by_default_its_shell_may_run_moltnet_and_knows_the_turn(agent: RealAgent) -> None:
    program = agent.directory / "bin" / "moltnet"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$MOLTNET_TARGET says $*"\n')
    program.chmod(0o755)
    path = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    agent.model.brain = runs("moltnet send --target 'room:general' --text 'for <@molt://net/agents/b>: \"yes\"'")
    for turn in ("first", "resumed"):
        said = await agent.turn(turn, environment=path)
        assert said is not None
        assert "room:general says send --target room:general" in said
    assert len(agent.model.requests) == 4


async def test_a_large_prompt_arrives_whole_and_none_of_it_is_an_argument(agent: RealAgent) -> None:
    prompt = "-- not an option: " + "ä" * 200_000

    async def look(request: ModelRequest) -> Reply:
        return Say("" if any("ää" in line or "s3cret-t0ken" in line for line in agent.watch.running()) else "unseen")

    agent.model.brain = look
    assert await agent.turn(prompt, environment={"MOLTNET_TOKEN": "s3cret-t0ken"}) == "unseen"
    assert agent.prompts() == [prompt]


async def test_a_stored_id_that_is_no_session_is_replaced_and_the_wake_delivered(agent: RealAgent) -> None:
    await agent.store.remember(ROOM_KEY, "../../general")
    await agent.turn("hello")
    assert agent.prompts() == ["hello"]
    assert uuid.UUID(await agent.session()).version == 4


async def test_a_model_that_is_overloaded_fails_the_turn_for_now(agent: RealAgent) -> None:
    async def refuse(request: ModelRequest) -> Reply:
        return Refuse(429)

    agent.model.brain = refuse
    with pytest.raises(TurnFailed, match="refused by the script") as failure:
        await agent.turn("hello")
    assert failure.value.retryable


@pytest.mark.parametrize("status", [401, 404])
async def test_a_key_or_a_model_that_is_refused_is_a_misconfiguration(agent: RealAgent, status: int) -> None:
    async def refuse(request: ModelRequest) -> Reply:
        return Refuse(status)

    agent.model.brain = refuse
    with pytest.raises(RuntimeMisconfigured):
        await agent.turn("hello")


async def test_arguments_that_it_does_not_know_are_a_misconfiguration(agent: RealAgent) -> None:
    with pytest.raises(RuntimeMisconfigured, match="--nonsense"):
        await agent.turn("hello", args=("--nonsense",))


async def test_without_a_login_it_is_misconfigured(agent: RealAgent, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(RuntimeMisconfigured, match=r"(?i)not logged in|no api key"):
        await agent.turn("hello", home_path=tmp_path / "empty")


async def test_a_turn_that_is_cut_leaves_nothing_and_its_session_goes_on(agent: RealAgent) -> None:
    await agent.turn("the password is swordfish")
    first_session = await agent.session()
    working, agent.model.brain = agent.model.brain, think_for_ever
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent.turn, "a long turn")
        await agent.model.wait_requests(2)
        nursery.cancel_scope.cancel(reason="the test")
    assert agent.watch.running() == []
    agent.model.brain = working
    await agent.turn("what was it?")
    assert await agent.session() == first_session
    assert "swordfish" in agent.model.requests[2].history


async def test_a_first_turn_that_is_cut_costs_no_later_turn(agent: RealAgent) -> None:
    working, agent.model.brain = agent.model.brain, think_for_ever
    async with trio.open_nursery() as nursery:
        nursery.start_soon(agent.turn, "hello")
        await agent.model.wait_requests(1)
        nursery.cancel_scope.cancel(reason="the test")
    agent.model.brain = working
    await agent.turn("hello again")
    await agent.turn("and again")
    assert agent.prompts() == ["hello", "hello again", "and again"]
    assert "hello again" in agent.model.requests[2].history


async def test_the_turn_limit_ends_the_tools_too(agent: RealAgent) -> None:
    agent.model.brain = runs("setsid sleep 1000 & sleep 1000")
    with pytest.raises(TurnFailed, match=r"^stopped after 4 s$") as failure:
        await agent.turn("hello", turn_seconds=4.0, args=_any_command(agent))
    assert failure.value.retryable
    assert agent.watch.running() == []


async def test_what_a_tool_left_in_the_background_ends_with_the_turn(agent: RealAgent) -> None:
    agent.model.brain = runs("(setsid sleep 1000 > /dev/null 2>&1 &) ; echo left")
    said = await agent.turn("hello", args=_any_command(agent))
    assert said is not None
    assert "left" in said
    assert agent.watch.running() == []


def _any_command(agent: RealAgent) -> tuple[str, ...]:
    return ("--allowedTools", "Bash") if agent.home is CLAUDE else ()


async def test_in_a_sandbox_it_reaches_its_model_and_its_session_goes_on(agent: RealAgent) -> None:
    host, port = agent.model.address.removeprefix("http://").split(":")
    # The programs of the tests may lie where a sandbox shows nothing.
    hosts, readable = (Endpoint(host, int(port)),), (RUNTIMES,)
    sandbox = SandboxSettings(SandboxKind.BUBBLEWRAP, readable=readable, hosts=hosts)
    await agent.turn("the password is swordfish", sandbox=sandbox)
    await agent.turn("what was it?", sandbox=sandbox)
    assert agent.prompts() == ["the password is swordfish", "what was it?"]
    assert "swordfish" in agent.model.requests[1].history


# Claude Code alone ----------------------------------------------------------------------------------------------------


async def test_what_claude_may_not_run_is_told_and_is_no_failure(
    claude: RealAgent, caplog: pytest.LogCaptureFixture
) -> None:
    claude.model.brain = runs("touch written")
    await claude.turn("hello")
    assert not (claude.workspace / "written").exists()
    assert "claude was refused tools" in caplog.text
    await claude.turn("again", args=("--allowedTools", "Bash(touch:*)"))
    assert (claude.workspace / "written").exists()


async def test_the_operators_arguments_win_over_the_rule_for_moltnet(claude: RealAgent) -> None:
    claude.model.brain = runs("moltnet version")
    said = await claude.turn("hello", args=("--disallowedTools", "Bash(moltnet:*)"))
    assert said is not None
    assert "denied" in said


async def test_a_forked_session_is_the_one_that_goes_on(claude: RealAgent) -> None:
    await claude.turn("the password is swordfish")
    first_session = await claude.session()
    for turn in ("fork", "again"):
        await claude.turn(turn, args=("--fork-session",) if turn == "fork" else ())
    assert await claude.session() != first_session
    assert "swordfish" in claude.model.requests[2].history
    assert "fork" in claude.model.requests[2].history


async def test_settings_that_claude_cannot_find_are_a_misconfiguration(claude: RealAgent) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"nowhere\.json"):
        await claude.turn("hello", args=("--settings", "nowhere.json"))


async def test_claude_leaves_no_temporary_files(claude: RealAgent) -> None:
    places = claude.workspace / ".moltnet" / "tmp" / "agent-1"

    async def look(request: ModelRequest) -> Reply:
        return Say(str(len(list(places.glob("*/*")))))

    claude.model.brain = look
    seen = await claude.turn("hello", environment={"TMPDIR": str(claude.directory)})
    assert int(seen or 0) > 0
    assert list(places.iterdir()) == []
