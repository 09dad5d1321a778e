"""Codex as far as a stand-in goes: its arguments, the meaning of its events, and which thread continues a conversation.

The stand-in is a shell script that gets the real arguments. The real program is in `test_real_codex.py`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from bridge import limits
from bridge.config import RuntimeKind
from bridge.process import Ending
from bridge.runtimes.cli_agent import SessionUnknown
from bridge.runtimes.codex import CodexDialect, CodexTranscript
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.sessions import SessionStore
from moltnet.protocol.messages import TargetKind
from tests.expected_errors import ExpectedErrors
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch

FIRST = "01a1f734-7dd1-7843-9ff4-e9a1269f5c38"
SECOND = "01a1f734-7dd1-7843-9ff4-e9a1269f5c39"
ROOM = Conversation("net", TargetKind.ROOM, "general")
ROOM_KEY = "agent:agent-1:net:room:general"

STARTED = b'{"type":"thread.started","thread_id":"%b"}' % FIRST.encode()
TROUBLE = b'{"type":"item.completed","item":{"id":"item_0","type":"error","message":"Model metadata not found"}}'
ANSWER = b'{"type":"item.completed","item":{"id":"item_1","type":"agent_message","text":"turn.completed"}}'
RECONNECTING = b'{"type":"error","message":"Reconnecting... 1/5"}'
COMPLETED = b'{"type":"turn.completed","usage":{}}'
FAILED = b'{"type":"turn.failed","error":{"message":"model is down"}}'


# What a run means: pure ---------------------------------------------------------------------------------------------


def judge(
    lines: Sequence[bytes], *, exit_code: int = 0, errors: str = "", resumed: str | None = None
) -> CodexTranscript:
    transcript = CodexTranscript(resumed)
    for line in lines:
        transcript.read(line)
    transcript.judge(Ending(exit_code, "", output_truncated=False, errors=errors))
    return transcript


@pytest.mark.parametrize(
    "lines",
    [
        [STARTED, COMPLETED],
        [STARTED, TROUBLE, ANSWER, COMPLETED],
        [STARTED, RECONNECTING, COMPLETED],
        [b"WARNING: not JSON", b"[]", b"5", b"\xff", b'{"type":5}', STARTED, b"", COMPLETED],
    ],
)
def test_a_completed_turn_is_done_whatever_else_was_said(lines: list[bytes]) -> None:
    assert judge(lines).session_id == FIRST


def test_a_completed_turn_is_done_even_if_codex_fails_afterwards() -> None:
    judge([STARTED, COMPLETED], exit_code=1, errors="could not save a log")


@pytest.mark.parametrize(
    ("lines", "exit_code", "errors", "reason"),
    [
        ([STARTED, FAILED], 1, "", "codex: model is down"),
        ([STARTED, RECONNECTING], 1, "", "codex: Reconnecting... 1/5"),
        ([STARTED, b'{"type":"turn.failed"}'], 1, "", "codex: failed without a reason"),
        ([STARTED, ANSWER], 0, "", "codex: exit code 0"),
        ([], 0, "", "codex: exit code 0"),
        ([STARTED], -15, "", "codex: killed by signal 15"),
        ([], 1, "WARNING: a\nError: no luck\nmore\n", "codex: exit code 1: Error: no luck"),
        ([STARTED], 2, "", "codex: exit code 2"),
    ],
)
def test_a_turn_without_completion_has_failed(lines: list[bytes], exit_code: int, errors: str, reason: str) -> None:
    with pytest.raises(TurnFailed) as failure:
        judge(lines, exit_code=exit_code, errors=errors)
    assert failure.value.reason == reason
    assert failure.value.retryable


@pytest.mark.parametrize(
    ("exit_code", "errors"),
    [
        (2, "WARNING: x\nerror: unexpected argument '--nonsense' found\n\nFor more information, try '--help'.\n"),
        (1, "Error loading config.toml: unknown variant `nonsense`\n"),
    ],
)
def test_arguments_and_settings_that_codex_refuses_are_a_misconfiguration(exit_code: int, errors: str) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^codex: exit code .: [eE]rror"):
        judge([], exit_code=exit_code, errors=errors)


UNKNOWN_THREAD = f"Error: thread/resume: thread/resume failed: no rollout found for thread id {FIRST} (code -32600)"
BUSY_THREAD = f"Error: thread/resume failed: thread {FIRST} already has an active writer (code -32600)"


def test_a_thread_that_codex_lost_is_an_unknown_session() -> None:
    with pytest.raises(SessionUnknown):
        judge([], exit_code=1, errors=UNKNOWN_THREAD, resumed=FIRST)


def test_without_a_thread_to_resume_no_session_is_unknown() -> None:
    with pytest.raises(TurnFailed):
        judge([], exit_code=1, errors=UNKNOWN_THREAD)


def test_a_busy_thread_is_tried_again_later_and_not_replaced() -> None:
    with pytest.raises(TurnFailed, match="another process is using the thread") as failure:
        judge([], exit_code=1, errors=BUSY_THREAD, resumed=FIRST)
    assert failure.value.retryable


def test_another_thread_than_the_one_asked_for_is_an_unknown_session() -> None:
    with pytest.raises(SessionUnknown):
        CodexTranscript(SECOND).read(STARTED)


def test_the_thread_asked_for_is_accepted_in_any_spelling() -> None:
    assert judge([STARTED, COMPLETED], resumed=FIRST.upper()).session_id == FIRST


@pytest.mark.parametrize("name", ["thread_id", "session_id", "conversation_id"])
def test_older_names_of_the_thread_id_are_known(name: str) -> None:
    event = b'{"type":"session.created","%b":"%b"}' % (name.encode(), FIRST.encode())
    assert judge([event, COMPLETED]).session_id == FIRST


@pytest.mark.parametrize(
    ("session_id", "is_thread"),
    [(FIRST, True), (FIRST.upper(), True), ("", False), ("general", False), (f"{FIRST}\n", False), ("--last", False)],
)
def test_only_a_uuid_is_a_thread_id(session_id: str, is_thread: bool) -> None:
    assert CodexDialect(("codex",)).can_resume(session_id) is is_thread


def test_the_arguments_of_a_first_and_of_a_later_turn() -> None:
    dialect = CodexDialect(("/opt/codex", "--enable", "x"), ("--sandbox", "read-only"))
    options = [
        *("/opt/codex", "--enable", "x", "exec", "--json", "--skip-git-repo-check"),
        *("-c", 'sandbox_mode="workspace-write"', "-c", "sandbox_workspace_write.network_access=true"),
        *("-c", 'approval_policy="never"', "-c", "allow_login_shell=false"),
        *("--sandbox", "read-only"),
    ]
    assert list(dialect.argv(None)) == [*options, "-"]
    assert list(dialect.argv(FIRST)) == [*options, "resume", FIRST, "-"]


# Which thread continues a conversation: with a stand-in --------------------------------------------------------------


class StandIn:
    """A conversation with a script that takes Codex's place. `$resumed` is the thread asked for, or empty."""

    def __init__(self, directory: Path, watch: ProcessWatch) -> None:
        self.directory = directory
        self.watch = watch
        self.store = SessionStore(directory / "state" / "sessions.json")

    async def turn(self, script: str, conversation: Conversation = ROOM, **runtime: Any) -> None:
        prelude = 'case "$*" in *" resume "*) resumed=$(echo "$*" | sed "s/.* resume \\([^ ]*\\) -$/\\1/");; esac\n'
        log = 'echo "${resumed:-new}: $(cat)" >> turns\n'
        command = ("/bin/sh", "-c", prelude + log + script, "codex")
        config = attachment_config(self.directory, RuntimeKind.CODEX, command=command, **runtime)
        async with open_runtime(config) as opened:
            await opened.run_turn(Turn(conversation, "hello", self.watch.environment))

    def turns(self) -> list[str]:
        """A line per run so far: the thread that was asked for, and the prompt."""
        return (self.directory / "workspace" / "turns").read_text().splitlines()

    async def thread(self, conversation: Conversation = ROOM) -> str | None:
        return await self.store.find(f"agent:agent-1:{conversation.key}")


@pytest.fixture
def codex(tmp_path: Path, watch: ProcessWatch) -> StandIn:
    return StandIn(tmp_path, watch)


def says(*lines: bytes) -> str:
    return "\n".join(f"echo '{line.decode()}'" for line in lines)


DONE_IN_FIRST = says(STARTED, COMPLETED)
DONE_IN_SECOND = DONE_IN_FIRST.replace(FIRST, SECOND)


async def test_the_next_turn_resumes_the_thread(codex: StandIn) -> None:
    await codex.turn(DONE_IN_FIRST)
    await codex.turn(DONE_IN_FIRST)
    assert codex.turns() == ["new: hello", f"{FIRST}: hello"]
    assert await codex.thread() == FIRST


async def test_each_conversation_has_its_own_thread(codex: StandIn) -> None:
    other = Conversation("net", TargetKind.THREAD, "t1", "general")
    await codex.turn(DONE_IN_FIRST)
    await codex.turn(DONE_IN_SECOND, other)
    assert await codex.thread() == FIRST
    assert await codex.thread(other) == SECOND


async def test_a_turn_that_is_cut_goes_on_in_its_thread(codex: StandIn) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(codex.turn, f"{says(STARTED)}\nsleep 1000")
        with trio.fail_after(30):
            while await codex.thread() is None:  # noqa: ASYNC110 - a file tells nobody that it changed
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel(reason="the test")
    await codex.turn(DONE_IN_FIRST)
    assert codex.turns() == ["new: hello", f"{FIRST}: hello"]


async def test_an_unknown_thread_is_replaced_in_the_same_turn(codex: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    await codex.store.remember(ROOM_KEY, FIRST)
    await codex.turn(f'if [ "$resumed" ]; then echo "{UNKNOWN_THREAD}" >&2; exit 1; fi\n{DONE_IN_SECOND}')
    assert codex.turns() == [f"{FIRST}: hello", "new: hello"]
    assert await codex.thread() == SECOND
    assert "session unknown to the runtime" in caplog.text


async def test_an_unknown_thread_is_forgotten_even_if_the_new_one_fails(codex: StandIn) -> None:
    await codex.store.remember(ROOM_KEY, FIRST)
    with pytest.raises(TurnFailed):
        await codex.turn(f'echo "{UNKNOWN_THREAD}" >&2; exit 1')
    assert await codex.thread() is None


async def test_a_run_in_another_thread_than_asked_for_is_stopped(codex: StandIn) -> None:
    await codex.store.remember(ROOM_KEY, FIRST)
    await codex.turn(f'if [ "$resumed" ]; then {DONE_IN_SECOND}; sleep 1000; fi\n{DONE_IN_SECOND}')
    assert codex.turns() == [f"{FIRST}: hello", "new: hello"]
    assert await codex.thread() == SECOND


async def test_a_busy_thread_stays_the_conversations_thread(codex: StandIn) -> None:
    await codex.store.remember(ROOM_KEY, FIRST)
    with pytest.raises(TurnFailed, match="another process is using the thread"):
        await codex.turn(f'echo "{BUSY_THREAD}" >&2; exit 1')
    assert codex.turns() == [f"{FIRST}: hello"]
    assert await codex.thread() == FIRST


async def test_a_stored_id_that_is_no_thread_is_not_passed_on(codex: StandIn, caplog: pytest.LogCaptureFixture) -> None:
    await codex.store.remember(ROOM_KEY, "my favourite thread")
    await codex.turn(DONE_IN_FIRST)
    assert codex.turns() == ["new: hello"]
    assert await codex.thread() == FIRST
    assert "stored session id is none of this runtime's" in caplog.text


async def test_a_thread_that_cannot_be_remembered_does_not_cost_the_turn(
    codex: StandIn, monkeypatch: pytest.MonkeyPatch, expected_errors: ExpectedErrors
) -> None:
    monkeypatch.setattr(limits, "MAX_SESSION_FILE_BYTES", 0)
    state = codex.directory / "state"
    (state / "sessions.json.corrupt").mkdir(parents=True)  # so that the unusable file cannot be set aside
    (state / "sessions.json").write_text("{}")
    await codex.turn(DONE_IN_FIRST)
    expected_errors.take("session not remembered")


async def test_an_unreadable_store_fails_the_turn_before_a_thread_is_lost(codex: StandIn) -> None:
    (codex.directory / "state").touch()
    with pytest.raises(TurnFailed, match="session store") as failure:
        await codex.turn(DONE_IN_FIRST)
    assert failure.value.retryable
    assert not (codex.directory / "workspace" / "turns").exists()


async def test_turns_of_one_conversation_do_not_overlap(codex: StandIn, tmp_path: Path) -> None:
    script = f"mkdir running || exit 1\nsleep 0.05\nrmdir running\n{DONE_IN_FIRST}"
    command = ("/bin/sh", "-c", script, "codex")
    config = attachment_config(tmp_path, RuntimeKind.CODEX, command=command)
    async with open_runtime(config) as runtime, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(runtime.run_turn, Turn(ROOM, "hello", codex.watch.environment))


async def test_a_turn_that_waits_for_the_thread_can_be_cancelled(codex: StandIn, tmp_path: Path) -> None:
    command = ("/bin/sh", "-c", f"{says(STARTED)}; sleep 1000", "codex")
    config = attachment_config(tmp_path, RuntimeKind.CODEX, command=command)
    turn = Turn(ROOM, "hello", codex.watch.environment)
    async with open_runtime(config) as runtime:
        with trio.move_on_after(0.2) as both:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(runtime.run_turn, turn)
                nursery.start_soon(runtime.run_turn, turn)
        assert both.cancelled_caught
    await codex.turn(DONE_IN_FIRST)
    assert codex.watch.running() == []


async def test_codex_gets_its_home_and_no_secret_of_the_node(
    codex: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_API_KEY", "its own")
    monkeypatch.setenv("OPENAI_API_KEY", "of another agent")
    await codex.turn(f"env > seen\n{DONE_IN_FIRST}", home_path=tmp_path / "home")
    seen = (tmp_path / "workspace" / "seen").read_text().splitlines()
    assert {f"HOME={tmp_path}/home", f"CODEX_HOME={tmp_path}/home/.codex", "CODEX_API_KEY=its own"} <= set(seen)
    assert "MOLTNET_TARGET=room:general" in seen
    assert not [line for line in seen if line.startswith("OPENAI_API_KEY=")]


async def test_without_a_home_of_its_own_codex_uses_the_nodes(
    codex: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CODEX_HOME", "/home/node/.codex")
    await codex.turn(f"env > seen\n{DONE_IN_FIRST}")
    assert "CODEX_HOME=/home/node/.codex" in (tmp_path / "workspace" / "seen").read_text().splitlines()
