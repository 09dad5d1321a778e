"""The runtime of kind `command`: any program."""

import os
from pathlib import Path
from typing import Any

import pytest
import trio

from bridge import limits
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.process_watch import ProcessWatch

ROOM = Conversation("net", TargetKind.ROOM, "general")


def turn(watch: ProcessWatch, prompt: str = "hello", **fields: str) -> Turn:
    return Turn(ROOM, prompt, watch.environment, **fields)


async def run(script: str, directory: Path, turn: Turn, **runtime: Any) -> None:
    config = attachment_config(directory, command=("/bin/sh", "-c", script), **runtime)
    async with open_runtime(config) as opened:
        await opened.run_turn(turn)


async def test_a_turn_is_one_process_in_the_workspace_with_the_prompt_on_stdin(
    watch: ProcessWatch, tmp_path: Path
) -> None:
    await run('cat > "$0"; pwd >> "$0"', tmp_path, turn(watch, "hellö\n"), args=("heard",))
    workspace = tmp_path / "workspace"
    assert (workspace / "heard").read_text() == f"hellö\n{workspace}\n"


async def test_the_program_learns_where_the_turn_comes_from(watch: ProcessWatch, tmp_path: Path) -> None:
    given = turn(watch, message_id="msg_1", sender="molt://net/agents/beta", reason="mention")
    await run("env > seen", tmp_path, given)
    assert {
        "MOLTNET_CONVERSATION=net:room:general",
        "MOLTNET_TARGET=room:general",
        "MOLTNET_MESSAGE_ID=msg_1",
        "MOLTNET_SENDER=molt://net/agents/beta",
        "MOLTNET_REASON=mention",
    } <= set((tmp_path / "workspace" / "seen").read_text().splitlines())


async def test_the_program_sees_only_what_it_may(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_NODE", "x")
    monkeypatch.setenv("KEY_OF_THIS_AGENT", "y")
    await run("env > seen", tmp_path, turn(watch), env=("KEY_OF_THIS_AGENT",), home_path=tmp_path)
    seen = (tmp_path / "workspace" / "seen").read_text().splitlines()
    assert "KEY_OF_THIS_AGENT=y" in seen
    assert f"HOME={tmp_path}" in seen
    assert not [line for line in seen if line.startswith("SECRET_OF_THE_NODE=")]


async def test_another_exit_code_than_zero_is_a_failed_turn(watch: ProcessWatch, tmp_path: Path) -> None:
    with pytest.raises(TurnFailed, match=r"^exit code 7: no luck today$") as failure:
        await run("echo starting >&2; echo no luck today >&2; exit 7", tmp_path, turn(watch))
    assert failure.value.retryable


async def test_a_program_killed_by_a_signal_is_a_failed_turn(watch: ProcessWatch, tmp_path: Path) -> None:
    with pytest.raises(TurnFailed, match=r"^killed by signal 9$"):
        await run("kill -9 $$", tmp_path, turn(watch))


async def test_a_long_last_word_is_shortened(watch: ProcessWatch, tmp_path: Path) -> None:
    with pytest.raises(TurnFailed) as failure:
        await run("head -c 10000 /dev/zero | tr '\\0' x >&2; exit 1", tmp_path, turn(watch))
    assert len(failure.value.reason) == limits.MAX_REASON_CHARACTERS


async def test_a_program_that_never_ends_is_stopped_at_the_turn_limit(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TERM_GRACE_SECONDS", 0.1)
    with pytest.raises(TurnFailed, match=r"^stopped after 0\.2 s$") as failure:
        await run("trap '' TERM; while :; do sleep 1000; done", tmp_path, turn(watch), turn_seconds=0.2)
    assert failure.value.retryable
    assert watch.running() == []


async def test_a_flooding_program_is_not_tried_again(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_OUTPUT_BYTES", 1000)
    with pytest.raises(TurnFailed, match="printed more than 1000 bytes") as failure:
        await run("yes", tmp_path, turn(watch))
    assert not failure.value.retryable


async def test_an_overlong_prompt_is_refused_before_anything_runs(
    watch: ProcessWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_PROMPT_BYTES", 10)
    with pytest.raises(TurnFailed, match="the prompt is longer than 10 bytes") as failure:
        await run("touch ran", tmp_path, turn(watch, "ä" * 6))
    assert not failure.value.retryable
    assert not (tmp_path / "workspace" / "ran").exists()


async def test_a_program_that_disappears_between_turns_is_a_misconfiguration(
    watch: ProcessWatch, tmp_path: Path
) -> None:
    program = tmp_path / "agent"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    async with open_runtime(attachment_config(tmp_path, command=(str(program),))) as runtime:
        await runtime.run_turn(turn(watch))
        program.unlink()
        with pytest.raises(RuntimeMisconfigured, match=r"cannot execute .*/agent: No such file or directory"):
            await runtime.run_turn(turn(watch))


async def test_turns_of_different_conversations_run_at_the_same_time(watch: ProcessWatch, tmp_path: Path) -> None:
    # Each writes into the pipe that the other one reads: neither can end alone.
    for name in ("a", "b"):
        os.mkfifo(tmp_path / name)
    script = "case $MOLTNET_TARGET in room:a) echo > ../a; read x < ../b;; *) read x < ../a; echo > ../b;; esac"
    config = attachment_config(tmp_path, command=("/bin/sh", "-c", script))
    async with open_runtime(config) as runtime, trio.open_nursery() as nursery:
        for name in ("a", "b"):
            conversation = Conversation("net", TargetKind.ROOM, name)
            nursery.start_soon(runtime.run_turn, Turn(conversation, "hello", watch.environment))


async def test_a_program_that_prints_its_token_does_not_print_it_into_our_logs(
    watch: ProcessWatch, tmp_path: Path
) -> None:
    secret = "3f9c2b7e5d1a8046"
    given = Turn(ROOM, "hello", {**watch.environment, "MOLTNET_TOKEN": secret})
    with pytest.raises(TurnFailed, match=r"^exit code 1: error: \*\*\* is refused$"):
        await run('echo "error: $MOLTNET_TOKEN is refused" >&2; exit 1', tmp_path, given)
