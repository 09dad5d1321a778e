"""PicoClaw, as emulations of its gateway and of its command line answer."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, RuntimeKind
from bridge.runtimes.picoclaw import answer_in, as_argument
from bridge.runtimes.picoclaw_events import PicoTurn
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.config.secrets import Secret
from moltnet.protocol.messages import TargetKind
from tests.fakes import picoclaw_cli
from tests.fakes.attachments import attachment_config
from tests.fakes.picoclaw import TOKEN, FakePicoClaw, Session, answer_once, open_fake_picoclaw
from tests.fakes.ports import free_port
from tests.fakes.process_watch import ProcessWatch

ROOM = Conversation("net", TargetKind.ROOM, "general")
ROOM_KEY = "agent:agent-1:net:room:general"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PICOCLAW_QUIET_SECONDS", 0.05)


# The gateway ----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def picoclaw() -> AsyncIterator[FakePicoClaw]:
    async with open_fake_picoclaw() as fake:
        yield fake


def events(url: str, directory: Path, **runtime: Any) -> AttachmentConfig:
    usual = {"events_url": url, "token": Secret(TOKEN), "turn_seconds": 10.0}
    return attachment_config(directory, RuntimeKind.PICOCLAW, **{**usual, **runtime})


async def run(fake: FakePicoClaw, directory: Path, prompt: str = "hello", **runtime: Any) -> str | None:
    async with open_runtime(events(fake.url, directory, **runtime)) as opened:
        return await opened.run_turn(Turn(ROOM, prompt))


async def test_a_turn_is_one_message_in_the_session_of_its_conversation(picoclaw: FakePicoClaw, tmp_path: Path) -> None:
    assert await run(picoclaw, tmp_path, "hellö") == "done"
    assert picoclaw.messages == [(ROOM_KEY, "hellö")]
    assert picoclaw.targets == ["/pico/ws?session_id=agent%3Aagent-1%3Anet%3Aroom%3Ageneral"]
    assert set(picoclaw.frames[0]) == {"type", "id", "session_id", "timestamp", "payload"}


async def test_the_turn_lasts_until_the_agent_stops_typing_and_its_answer_is_heard(
    picoclaw: FakePicoClaw, tmp_path: Path
) -> None:
    """The reference waits one second and hangs up: the answer then goes to nobody."""
    go_on = trio.Event()

    async def slow(session: Session, content: str) -> None:
        await session.say("typing.start")
        await go_on.wait()
        await session.say("message.create", message_id="m1", content="at last")
        await session.say("typing.stop")

    picoclaw.model = slow
    said: list[str | None] = []

    async def take() -> None:
        said.append(await run(picoclaw, tmp_path))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await picoclaw.wait_until(lambda fake: bool(fake.messages))
        assert said == []
        go_on.set()
    assert said == ["at last"]
    assert picoclaw.sessions[ROOM_KEY].lost == 0


async def test_typing_that_pauses_between_two_steps_ends_no_turn(
    picoclaw: FakePicoClaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "PICOCLAW_QUIET_SECONDS", 0.5)

    async def two_steps(session: Session, content: str) -> None:
        for text in ("one", "two"):
            await session.say("typing.start")
            await session.say("message.create", message_id=text, content=text)
            await session.say("typing.stop")

    picoclaw.model = two_steps
    assert await run(picoclaw, tmp_path) == "one\n\ntwo"


async def test_silence_is_success(picoclaw: FakePicoClaw, tmp_path: Path) -> None:
    async def silent(session: Session, content: str) -> None:
        await session.say("typing.start")
        await session.say("typing.stop")

    picoclaw.model = silent
    assert await run(picoclaw, tmp_path) is None


async def test_an_agent_that_never_answers_is_given_up_at_the_turn_limit(
    picoclaw: FakePicoClaw, tmp_path: Path
) -> None:
    async def deaf(session: Session, content: str) -> None:
        await trio.lowlevel.checkpoint()

    picoclaw.model = deaf
    with pytest.raises(TurnFailed, match=r"^picoclaw: stopped after 0\.2 s$") as failure:
        await run(picoclaw, tmp_path, turn_seconds=0.2)
    assert failure.value.retryable
    await picoclaw.wait_until(lambda fake: fake.connections == 0)


async def test_an_error_of_the_gateway_is_the_reason(picoclaw: FakePicoClaw, tmp_path: Path) -> None:
    async def overloaded(session: Session, content: str) -> None:
        await session.say("error", code="rate_limited", message="slow down", request_id="of another")
        await session.say("error", code="internal", message="no model")

    picoclaw.model = overloaded
    with pytest.raises(TurnFailed, match=r"^picoclaw: internal: no model$"):
        await run(picoclaw, tmp_path)
    with pytest.raises(TurnFailed, match=r"^picoclaw: empty_content: message content is empty$"):
        await run(picoclaw, tmp_path, " ")


@pytest.mark.parametrize("token", [None, Secret("spawnfile-internal-pico")])
async def test_a_wrong_token_parks_the_agent_and_none_is_built_in(
    picoclaw: FakePicoClaw, tmp_path: Path, token: Secret | None
) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"answered the upgrade with 401.*runtime\.token") as refused:
        await run(picoclaw, tmp_path, token=token)
    assert "token=" not in picoclaw.targets[0]
    assert token is None or token.reveal() not in refused.value.reason


async def test_a_token_that_no_header_holds_is_not_sent(picoclaw: FakePicoClaw, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^runtime\.token has characters") as refused:
        await run(picoclaw, tmp_path, token=Secret("secret-1\nX-More: 1"))
    assert "secret-1" not in refused.value.reason


async def test_a_gateway_without_the_channel_parks_the_agent(picoclaw: FakePicoClaw, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"with 404.*runtime\.events_url"):
        await run(picoclaw, tmp_path, events_url=picoclaw.url.replace("/pico/ws", "/other"))


@pytest.mark.parametrize("close_when_full", [False, True])
async def test_a_full_gateway_is_tried_again(picoclaw: FakePicoClaw, tmp_path: Path, close_when_full: bool) -> None:
    picoclaw.max_connections, picoclaw.close_when_full = 0, close_when_full
    with pytest.raises(TurnFailed, match=r"too many connections|503") as failure:
        await run(picoclaw, tmp_path)
    assert failure.value.retryable


async def test_a_gateway_that_is_not_there_may_come(tmp_path: Path) -> None:
    async with open_runtime(events(f"ws://127.0.0.1:{free_port()}/pico/ws", tmp_path)) as runtime:
        with pytest.raises(TurnFailed, match="refused") as failure:
            await runtime.run_turn(Turn(ROOM, "hello"))
    assert failure.value.retryable


async def test_turns_of_different_conversations_have_sessions_of_their_own(
    picoclaw: FakePicoClaw, tmp_path: Path
) -> None:
    both = trio.Event()

    async def together(session: Session, content: str) -> None:
        if len(picoclaw.messages) == 2:
            both.set()
        await both.wait()
        await answer_once(session, content)

    picoclaw.model = together
    other = Conversation("net", TargetKind.THREAD, "t1", "general")
    async with open_runtime(events(picoclaw.url, tmp_path)) as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, Turn(ROOM, "one"))
        nursery.start_soon(runtime.run_turn, Turn(other, "two"))
    assert sorted(picoclaw.messages) == [(ROOM_KEY, "one"), ("agent:agent-1:net:thread:t1", "two")]


def test_only_what_the_agent_says_to_others_is_heard() -> None:
    turn = PicoTurn("r1")

    def hear(kind: str, **payload: Any) -> None:
        turn.read(orjson.dumps({"type": kind, "payload": payload}))

    for text in ("no JSON", "[]", "5", '{"type":5}', '{"type":"message.create","payload":[]}', '{"type":"error"'):
        turn.read(text)
    hear("message.create", message_id="a", content="secret thought", thought=True)
    hear("message.update", message_id="a", content="secret thought, longer")
    hear("message.create", message_id="b", content="…", placeholder=True)
    hear("message.create", message_id="c", content="gone")
    said = [turn.said]
    hear("message.delete", message_id="c")
    said.append(turn.said)
    assert said == ["gone", None]
    hear("message.update", message_id="b", content=" answer ")
    hear("error", code="x", message="y", request_id="other")
    assert (turn.said, turn.failure, turn.has_stopped) == ("answer", None, False)
    hear("error", request_id="r1")
    assert turn.failure == "error without a reason"


def test_a_gateway_that_says_ever_more_fills_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest is kept, and of one message no more than is ever posted."""
    monkeypatch.setattr(limits, "MAX_AGENT_MESSAGES", 3)
    monkeypatch.setattr(limits, "MAX_PUBLISHED_BYTES", 10)
    turn = PicoTurn("r1")
    for number in range(10):
        for kind in ("", "thought"):
            payload = {"message_id": f"{kind}{number}", "content": f"{number}" * 50, "kind": kind}
            turn.read(orjson.dumps({"type": "message.create", "payload": payload}))
    assert turn.said == "9" * 11
    assert (len(turn._said), len(turn._inner)) == (3, 3)


# The command line -----------------------------------------------------------------------------------------------------


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """`picoclaw` in `tmp_path`, with its configuration beside it."""
    path = tmp_path / "picoclaw"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} {picoclaw_cli.__file__} "$@"\n')
    path.chmod(0o755)
    (tmp_path / "config.json").write_text("{}")
    return path


async def run_command(
    program: Path, watch: ProcessWatch, prompt: str, conversation: Conversation = ROOM, **runtime: Any
) -> str | None:
    usual = {"command": (str(program),), "config_path": program.parent / "config.json"}
    config = attachment_config(program.parent, RuntimeKind.PICOCLAW, **{**usual, **runtime})
    async with open_runtime(config) as opened:
        return await opened.run_turn(Turn(conversation, prompt, watch.environment))


async def test_a_process_per_turn_continues_the_session_of_its_conversation(program: Path, watch: ProcessWatch) -> None:
    await run_command(program, watch, "first")
    await run_command(program, watch, "elsewhere", Conversation("net", TargetKind.DM, "dm_1"))
    said = await run_command(program, watch, "SHOW", home_path=None)
    assert said is not None
    assert orjson.loads(said)["earlier"] == ["first"]


async def test_the_process_gets_its_configuration_and_home_and_no_other_secret(
    program: Path, watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_NODE", "x")
    said = await run_command(program, watch, "SHOW", home_path=tmp_path)
    environment = orjson.loads(said or "")["env"]
    home = str(tmp_path)
    expected = {"HOME": home, "PICOCLAW_HOME": home, "CODEX_HOME": f"{home}/.codex"}
    expected |= {"PICOCLAW_CONFIG": f"{home}/config.json"}
    assert expected.items() <= environment.items()
    assert "SECRET_OF_THE_NODE" not in environment
    assert "MOLTNET_TARGET" in environment


async def test_a_process_that_says_nothing_has_done_its_turn(program: Path, watch: ProcessWatch) -> None:
    assert await run_command(program, watch, "SILENT") == ""


async def test_a_process_that_fails_is_tried_again(program: Path, watch: ProcessWatch) -> None:
    with pytest.raises(TurnFailed, match=r"^picoclaw: exit code 1: Error: error processing message: LLM") as failure:
        await run_command(program, watch, "FAIL")
    assert failure.value.retryable


async def test_arguments_of_the_operator_stand_before_the_message(program: Path, watch: ProcessWatch) -> None:
    assert await run_command(program, watch, "-- hello", args=("--model", "m")) == "heard 8 characters"
    with pytest.raises(TurnFailed, match="exit code 2"):
        await run_command(program, watch, "hello", args=("--unknown",))


async def test_a_missing_program_parks_the_agent(program: Path, watch: ProcessWatch) -> None:
    program.unlink()
    with pytest.raises(RuntimeMisconfigured, match="no program"):
        await run_command(program, watch, "hello")


async def test_a_prompt_that_no_command_line_holds_is_cut_and_says_so(program: Path, watch: ProcessWatch) -> None:
    """Weakness 8 of the reference's runtimes: a batch was too long to be started at all."""
    said = await run_command(program, watch, "> ä line\n" * 50_000)
    assert said is not None
    assert said.startswith("heard ")
    shown = as_argument("> ä line\n" * 50_000)
    assert len(shown.encode()) <= limits.MAX_ARGUMENT_BYTES
    assert shown.endswith("> ä line\n(cut here: the rest is too long for a command line; `moltnet read` shows it)\n")
    assert as_argument("a\0b") == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize(("output", "said"), [("\n\N{LOBSTER} one\ntwo\n", "one\ntwo"), ("no mark", None), ("", None)])
def test_the_answer_stands_behind_the_lobster(output: str, said: str | None) -> None:
    assert answer_in(output) == said
