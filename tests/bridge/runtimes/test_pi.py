"""pi as far as its arguments and the meaning of its exit go, and as an agent behind a URL.

The real program is in `test_real_agents.py`, the protocol of the URL in `test_control.py`.
"""

import uuid
from pathlib import Path
from typing import Any

import pytest

from bridge.config import RuntimeKind
from bridge.process import Ending
from bridge.runtimes.control import ControlRuntime
from bridge.runtimes.pi import PiDialect, PiTranscript
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.sessions import SessionStore
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch

OURS = "01a1f734-7dd1-4843-9ff4-e9a1269f5c38"
ROOM = Conversation("net", TargetKind.ROOM, "general")
ROOM_KEY = "agent:agent-1:net:room:general"


def judge(exit_code: int, output: str = "", errors: str = "") -> str | None:
    transcript = PiTranscript(OURS)
    for line in output.encode().splitlines():
        transcript.read(line)
    return transcript.judge(Ending(exit_code, output, output_truncated=False, errors=errors))


@pytest.mark.parametrize(("output", "said"), [("done\n", "done"), ("", ""), ('{"type":"error"}\n', '{"type":"error"}')])
def test_a_run_that_exits_well_is_done_whatever_was_said(output: str, said: str) -> None:
    assert judge(0, output, "Error: not of pi") == said


@pytest.mark.parametrize(
    ("exit_code", "errors", "reason"),
    [
        (1, "500 overloaded\n", "pi: 500 overloaded"),
        (1, "429 slow down\n", "pi: 429 slow down"),
        (1, "Warning: settings\n\nConnection error.\n", "pi: Connection error."),
        (1, "4010 is no status\n", "pi: 4010 is no status"),
        (143, "", "pi: exit code 143: No API key found"),
        (-9, "", "pi: killed by signal 9: No API key found"),
    ],
)
def test_a_run_that_exits_badly_has_failed_for_now(exit_code: int, errors: str, reason: str) -> None:
    with pytest.raises(TurnFailed) as failure:
        judge(exit_code, "No API key found", errors)
    assert failure.value.reason == reason
    assert failure.value.retryable


@pytest.mark.parametrize(
    "errors",
    [
        "Error: Unknown option: --nonsense\n",
        'Error: Model "nix" not found. Use --list-models to see available models.\n',
        "Warning: x\nNo API key found for the selected model.\n\nUse /login to log into a provider\n",
        "401 invalid x-api-key\n",
        "403 not yours\n",
        "404 no such model\n",
    ],
)
def test_what_only_an_operator_can_change_is_a_misconfiguration(errors: str) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^pi: "):
        judge(1, errors=errors)


@pytest.mark.parametrize(
    ("session_id", "is_session"),
    [(OURS, True), (OURS.upper(), False), ("", False), ("../x", False), (f"{OURS}/x", False), (f"{{{OURS}}}", False)],
)
def test_only_a_name_of_ours_is_a_session(session_id: str, is_session: bool) -> None:
    assert PiDialect(("pi",), Path("/s")).can_resume(session_id) is is_session


def test_the_arguments_of_a_first_and_of_a_later_turn() -> None:
    dialect = PiDialect(("/opt/pi",), Path("/w/sessions"), ("--model", "x"))
    options = ["/opt/pi", "--print", "--model", "x", "--session"]
    first = dialect.begin()
    assert uuid.UUID(first.transcript.session_id).version == 4
    assert list(first.argv) == [*options, f"/w/sessions/{first.transcript.session_id}.jsonl"]
    assert list(dialect.resume(OURS).argv) == [*options, f"/w/sessions/{OURS}.jsonl"]


async def run(directory: Path, watch: ProcessWatch, script: str, **runtime: Any) -> str | None:
    command = ("/bin/sh", "-c", script, "pi")
    config = attachment_config(directory, RuntimeKind.PI, command=command, **runtime)
    async with open_runtime(config) as opened:
        return await opened.run_turn(Turn(ROOM, "hello", watch.environment))


async def test_a_conversation_keeps_its_file_from_the_moment_that_pi_starts(
    tmp_path: Path, watch: ProcessWatch
) -> None:
    with pytest.raises(TurnFailed):
        await run(tmp_path, watch, 'echo "$*" >> seen; kill -9 $$')
    session_id = await SessionStore(tmp_path / "state" / "sessions.json").find(ROOM_KEY)
    assert await run(tmp_path, watch, 'echo "$*" >> seen; cat') == "hello"
    file = f"{tmp_path}/workspace/.moltnet/pi-sessions/{session_id}.jsonl"
    assert (tmp_path / "workspace" / "seen").read_text().splitlines() == [f"--print --session {file}"] * 2


async def test_pi_gets_its_home_and_no_secret_of_the_node(
    tmp_path: Path, watch: ProcessWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PI_CODING_AGENT_DIR", "/home/node/.pi")
    monkeypatch.setenv("GEMINI_API_KEY", "of another agent")
    seen = (await run(tmp_path, watch, "env") or "").splitlines()
    assert {"PI_CODING_AGENT_DIR=/home/node/.pi", "PI_OFFLINE=1", "PI_TELEMETRY=0"} <= set(seen)
    assert not [line for line in seen if line.startswith("GEMINI_API_KEY=")]
    seen = (
        await run(tmp_path, watch, "env", home_path=tmp_path, env=("GEMINI_API_KEY", "PI_OFFLINE")) or ""
    ).splitlines()
    assert f"HOME={tmp_path}" in seen
    assert not [line for line in seen if line.startswith(("PI_CODING_AGENT_DIR=", "PI_OFFLINE="))]


async def test_with_a_control_url_no_program_is_run(tmp_path: Path) -> None:
    config = attachment_config(tmp_path, RuntimeKind.PI, workspace_path=None, control_url="http://127.0.0.1:1/x")
    async with open_runtime(config) as runtime:
        assert isinstance(runtime, ControlRuntime)


async def test_without_a_workspace_and_a_url_there_is_no_pi(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"workspace_path or runtime\.control_url"):
        async with open_runtime(attachment_config(tmp_path, RuntimeKind.PI, workspace_path=None)):
            pass
