"""Claude Code as far as its arguments and the meaning of its events go. The real one is in `test_real_agents.py`."""

import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
import trio

from bridge.config import RuntimeKind
from bridge.process import Ending
from bridge.runtimes.claude_code import ClaudeDialect, ClaudeTranscript
from bridge.runtimes.cli_agent import SessionUnknown
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.sessions import SessionStore
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch

OURS = "01a1f734-7dd1-4843-9ff4-e9a1269f5c38"
FORK = "01a1f734-7dd1-4843-9ff4-e9a1269f5c39"
ROOM = Conversation("net", TargetKind.ROOM, "general")
ROOM_KEY = "agent:agent-1:net:room:general"
OPTIONS = ["--print", "--output-format", "stream-json", "--verbose", "--allowedTools", "Bash(moltnet:*)"]


def event(kind: str, **fields: Any) -> bytes:
    return orjson.dumps({"session_id": OURS, **fields, "type": kind})


INIT = event("system", subtype="init")
SAID = event("assistant", message={"content": [{"type": "text", "text": '{"type":"result","is_error":false}'}]})
DONE = event("result", subtype="success", is_error=False, result="done", permission_denials=[])
UNKNOWN = event(
    "result", subtype="error_during_execution", is_error=True, errors=[f"No conversation found with session ID: {OURS}"]
)


def failed(result: str, **fields: Any) -> bytes:
    return event("result", subtype="success", is_error=True, result=result, **fields)


def read(
    lines: Sequence[bytes], *, exit_code: int = 0, errors: str = "", resumed: str | None = None
) -> tuple[str | None, str | None]:
    """What the agent said last, and the session."""
    transcript = ClaudeTranscript(resumed, OURS)
    for line in lines:
        transcript.read(line)
    return transcript.judge(Ending(exit_code, "", output_truncated=False, errors=errors)), transcript.session_id


@pytest.mark.parametrize(
    "lines",
    [
        [INIT, DONE],
        [INIT, SAID, failed("API Error: 500"), DONE],
        [b"not JSON", b"[]", b"5", b"\xff", b'{"type":5}', b'{"type":"system","subtype":"init"}', b"", DONE],
        [event("system", subtype="init", session_id=["x"]), event("system", subtype="hook_started"), DONE],
    ],
)
def test_a_run_with_a_good_result_is_done_whatever_else_was_said(lines: list[bytes]) -> None:
    assert read(lines) == ("done", OURS)


def test_a_finished_turn_is_done_even_if_claude_fails_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    assert read([INIT, DONE], exit_code=1, errors="could not save a log") == ("done", OURS)
    assert "failed afterwards" in caplog.text


def test_silence_is_success() -> None:
    assert read([event("result", subtype="success", is_error=False)]) == (None, OURS)


@pytest.mark.parametrize(
    ("lines", "exit_code", "reason"),
    [
        ([INIT, DONE, failed("API Error: 500 x")], 1, "claude: API Error: 500 x"),
        ([INIT, failed("API Error: Request rejected (429)", api_error_status=429)], 1, "claude: API Error: Request"),
        ([INIT, event("result", subtype="error_during_execution", is_error=True)], 1, "claude: error_during_execution"),
        ([INIT, event("result", is_error="false")], 0, "claude: ended without a result: exit code 0"),
        ([INIT, SAID], 0, "claude: ended without a result: exit code 0"),  # as after SIGINT
        ([INIT], -9, "claude: ended without a result: killed by signal 9"),
        ([], 1, "claude: ended without a result: exit code 1"),
        ([INIT, failed("It says: not logged in", api_error_status="401")], 1, "claude: It says: not logged in"),
    ],
)
def test_a_run_without_a_good_result_has_failed(lines: list[bytes], exit_code: int, reason: str) -> None:
    with pytest.raises(TurnFailed) as failure:
        read(lines, exit_code=exit_code)
    assert failure.value.reason.startswith(reason)
    assert failure.value.retryable


@pytest.mark.parametrize("subtype", ["error_max_turns", "error_max_budget_usd"])
@pytest.mark.parametrize("is_error", [True, False])
def test_a_turn_that_used_up_what_the_operator_allows_is_not_tried_again(subtype: str, is_error: bool) -> None:
    with pytest.raises(TurnFailed, match=subtype) as failure:
        read([INIT, event("result", subtype=subtype, is_error=is_error)])
    assert not failure.value.retryable


@pytest.mark.parametrize(
    ("lines", "errors"),
    [
        ([INIT, failed("Not logged in · Please run /login")], ""),
        ([INIT, failed("Failed to authenticate. API Error: 401", api_error_status=401)], ""),
        ([INIT, failed("There's an issue with the selected model", api_error_status=404)], ""),
        ([], "error: unknown option '--nonsense'\n"),
        ([], "Error: Settings file not found: /x.json\n"),
        ([], "--dangerously-skip-permissions cannot be used with root/sudo privileges for security reasons\n"),
    ],
)
def test_what_only_an_operator_can_change_is_a_misconfiguration(lines: list[bytes], errors: str) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^claude: "):
        read(lines, exit_code=1, errors=errors)


def test_a_session_that_claude_lost_is_unknown() -> None:
    with pytest.raises(SessionUnknown):
        read([UNKNOWN], exit_code=1, resumed=OURS)
    with pytest.raises(SessionUnknown):
        read([], exit_code=1, errors=f"No conversation found with session ID: {OURS}", resumed=OURS)


def test_only_what_was_asked_for_can_be_unknown_and_what_a_model_says_is_no_proof() -> None:
    with pytest.raises(TurnFailed):
        read([UNKNOWN], exit_code=1)
    with pytest.raises(TurnFailed):
        read([INIT, failed("No conversation found with session ID: x")], exit_code=1, resumed=OURS)


def test_a_session_in_use_is_tried_again_later() -> None:
    with pytest.raises(TurnFailed, match="another process is using the session") as failure:
        read([], exit_code=1, errors=f"Error: Session ID {OURS} is already in use.")
    assert failure.value.retryable


def test_refused_tools_are_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    denials = [{"tool_name": "Bash"}, {"tool_name": "Bash"}, {"tool_name": "Edit"}, 5, {"tool_name": 5}]
    read([INIT, event("result", is_error=False, permission_denials=denials)])
    [record] = caplog.records
    assert record.__dict__["fields"]["tools"] == ["Bash", "Edit"]


def test_a_fork_is_the_session_from_then_on() -> None:
    assert read([event("system", subtype="init", session_id=FORK), DONE], resumed=OURS) == ("done", FORK)


@pytest.mark.parametrize(
    ("session_id", "is_session"),
    [(OURS, True), (OURS.upper(), True), ("", False), ("a title", False), (f"{OURS}\n", False), (f"{{{OURS}}}", False)],
)
def test_only_a_uuid_is_a_session_id(session_id: str, is_session: bool) -> None:
    assert ClaudeDialect(("claude",)).can_resume(session_id) is is_session


def test_the_arguments_of_a_first_and_of_a_later_turn() -> None:
    dialect = ClaudeDialect(("/opt/claude", "--x"), ("--model", "opus", "--allowedTools", "Read"))
    options = ["/opt/claude", "--x", *OPTIONS, "--model", "opus", "--allowedTools", "Read"]
    first, again = dialect.begin(), dialect.begin()
    assert list(first.argv) == [*options, "--session-id", first.transcript.session_id]
    assert uuid.UUID(first.transcript.session_id).version == 4
    assert again.transcript.session_id != first.transcript.session_id
    assert list(dialect.resume(OURS).argv) == [*options, "--resume", OURS]


# With a stand-in ------------------------------------------------------------------------------------------------------


class StandIn:
    """A conversation with a script that takes Claude's place."""

    def __init__(self, directory: Path, watch: ProcessWatch) -> None:
        self.directory = directory
        self.watch = watch
        self.store = SessionStore(directory / "state" / "sessions.json")

    async def turn(self, script: str, **runtime: Any) -> str | None:
        log = 'for word; do last=$before; before=$word; done; echo "$last $before: $(cat)" >> turns\n'
        command = ("/bin/sh", "-c", log + script, "claude")
        config = attachment_config(self.directory, RuntimeKind.CLAUDE_CODE, command=command, **runtime)
        async with open_runtime(config) as opened:
            return await opened.run_turn(Turn(ROOM, "hello", self.watch.environment))

    def turns(self) -> list[str]:
        return (self.directory / "workspace" / "turns").read_text().splitlines()


@pytest.fixture
def claude(tmp_path: Path, watch: ProcessWatch) -> StandIn:
    return StandIn(tmp_path, watch)


SAYS_DONE = 'echo \'{"type":"result","is_error":false,"result":"done"}\'\n'


async def test_the_session_is_remembered_before_claude_runs_and_resumed_even_if_it_was_cut(claude: StandIn) -> None:
    with pytest.raises(TurnFailed):
        await claude.turn("kill -9 $$")
    session_id = await claude.store.find(ROOM_KEY)
    assert await claude.turn(SAYS_DONE) == "done"
    assert claude.turns() == [f"--session-id {session_id}: hello", f"--resume {session_id}: hello"]


async def test_an_unknown_session_is_replaced_in_the_same_turn(claude: StandIn) -> None:
    await claude.store.remember(ROOM_KEY, OURS)
    unknown = 'case $last in --resume) echo "No conversation found with session ID: x" >&2; exit 1;; esac\n'
    await claude.turn(unknown + SAYS_DONE)
    session_id = await claude.store.find(ROOM_KEY)
    assert session_id != OURS
    assert claude.turns() == [f"--resume {OURS}: hello", f"--session-id {session_id}: hello"]


async def test_claude_gets_its_home_and_no_secret_of_the_node(
    claude: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", "/home/node/.claude")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "of another agent")
    monkeypatch.setenv("DISABLE_AUTOUPDATER", "0")
    await claude.turn(f"env > seen\n{SAYS_DONE}")
    seen = (tmp_path / "workspace" / "seen").read_text().splitlines()
    assert {"CLAUDE_CONFIG_DIR=/home/node/.claude", "DISABLE_AUTOUPDATER=1"} <= set(seen)
    assert not [line for line in seen if line.startswith("ANTHROPIC_API_KEY=")]
    await claude.turn(
        f"env > seen\n{SAYS_DONE}", home_path=tmp_path / "home", env=("ANTHROPIC_API_KEY", "DISABLE_AUTOUPDATER")
    )
    seen = (tmp_path / "workspace" / "seen").read_text().splitlines()
    assert {f"HOME={tmp_path}/home", "ANTHROPIC_API_KEY=of another agent", "DISABLE_AUTOUPDATER=0"} <= set(seen)
    assert not [line for line in seen if line.startswith("CLAUDE_CONFIG_DIR=")]


async def test_what_claude_leaves_in_its_temporary_directory_goes_with_the_turn(
    claude: StandIn, tmp_path: Path
) -> None:
    await claude.turn(f'mkdir -p "$CLAUDE_CODE_TMPDIR/left" && echo "$CLAUDE_CODE_TMPDIR" > where\n{SAYS_DONE}')
    where = Path((tmp_path / "workspace" / "where").read_text().strip())
    assert where.is_relative_to(tmp_path / "workspace" / ".moltnet")
    assert not where.exists()


async def test_what_a_turn_left_goes_while_another_turn_runs_and_keeps_its_own(claude: StandIn, tmp_path: Path) -> None:
    """Whoever ends does not wait for the others, and takes nothing of theirs."""
    script = """
mkdir -p "$CLAUDE_CODE_TMPDIR/left"
[ "$MOLTNET_CONVERSATION" = net:room:general ] || { echo "$CLAUDE_CODE_TMPDIR" > where; touch began; }
while [ "$MOLTNET_CONVERSATION" != net:room:general ] && [ ! -e go ]; do sleep 0.01; done
[ -d "$CLAUDE_CODE_TMPDIR/left" ] || exit 1
"""
    command = ("/bin/sh", "-c", script + SAYS_DONE, "claude")
    config = attachment_config(tmp_path, RuntimeKind.CLAUDE_CODE, command=command)
    workspace, other = tmp_path / "workspace", Conversation("net", TargetKind.ROOM, "other")
    async with open_runtime(config) as opened, trio.open_nursery() as nursery:
        nursery.start_soon(opened.run_turn, Turn(other, "hello", claude.watch.environment))
        while not (workspace / "began").exists():  # noqa: ASYNC110 - a program makes it
            await trio.sleep(0.01)
        await opened.run_turn(Turn(ROOM, "hello", claude.watch.environment))
        (left,) = (workspace / ".moltnet" / "tmp" / "agent-1").iterdir()
        assert str(left) == (workspace / "where").read_text().strip()
        (workspace / "go").touch()
    assert not left.exists()


async def test_a_link_that_an_agent_leaves_leads_to_nothing_being_deleted(claude: StandIn, tmp_path: Path) -> None:
    precious = tmp_path / "elsewhere" / "agent-1" / "precious"
    precious.mkdir(parents=True)
    await claude.turn(
        f'rm -rf .moltnet/tmp && mkdir -p .moltnet && ln -s "{tmp_path}/elsewhere" .moltnet/tmp\n{SAYS_DONE}'
    )
    await claude.turn(SAYS_DONE)
    assert precious.exists()
