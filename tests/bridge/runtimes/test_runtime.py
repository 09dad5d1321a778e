"""Conversations and their names, and which runtimes there are."""

from pathlib import Path

import pytest

from bridge.config import RuntimeKind
from bridge.runtimes.registry import OPEN, open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn
from moltnet.protocol.ids import DirectId, RoomId, ThreadId
from moltnet.protocol.messages import Target, TargetKind
from tests.fakes.attachments import attachment_config

PROGRAMS = [RuntimeKind.CLAUDE_CODE, RuntimeKind.CODEX, RuntimeKind.COMMAND, RuntimeKind.PI]


@pytest.mark.parametrize(
    ("target", "key", "name"),
    [
        (Target("room", room_id=RoomId("general")), "net:room:general", "room:general"),
        (
            Target("thread", room_id=RoomId("general"), thread_id=ThreadId("t1")),
            "net:thread:t1",
            "thread:general/t1",
        ),
        (Target("dm", dm_id=DirectId("d1")), "net:dm:d1", "dm:d1"),
    ],
)
def test_a_conversation_has_a_key_and_a_target_to_answer_to(target: Target, key: str, name: str) -> None:
    conversation = Conversation.of_target("net", target)
    assert (conversation.key, conversation.target) == (key, name)


def test_an_unknown_kind_of_target_has_no_conversation() -> None:
    with pytest.raises(ValueError, match="galaxy"):
        Conversation.of_target("net", Target("galaxy"))


def test_a_turn_does_not_show_the_agents_token() -> None:
    turn = Turn(Conversation("net", TargetKind.DM, "d1"), "hello", {"MOLTNET_TOKEN": "very secret"})
    assert "very secret" not in repr(turn)


def test_every_kind_of_ours_has_a_module() -> None:
    assert set(OPEN) == set(RuntimeKind)


async def test_a_kind_that_nobody_brings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^runtime kind gpt is brought by no installed package$"):
        async with open_runtime(attachment_config(tmp_path, "gpt")):
            pass


@pytest.mark.parametrize("kind", PROGRAMS)
async def test_a_missing_program_is_found_out_when_the_runtime_is_opened(kind: RuntimeKind, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match=r"^no program moltnet-test-nobody-has-this on the PATH; "):
        async with open_runtime(attachment_config(tmp_path, kind, command=("moltnet-test-nobody-has-this",))):
            pass


@pytest.mark.parametrize("kind", PROGRAMS)
async def test_a_missing_workspace_is_found_out_when_the_runtime_is_opened(kind: RuntimeKind, tmp_path: Path) -> None:
    config = attachment_config(tmp_path, kind, command=("true",), workspace_path=tmp_path / "nothing")
    with pytest.raises(RuntimeMisconfigured, match="nothing is not a directory"):
        async with open_runtime(config):
            pass
