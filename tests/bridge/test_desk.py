"""Dead letters in the hands of an operator: nothing is lost, whether the attachment runs or not."""

import json
from collections.abc import Sequence
from pathlib import Path

import attrs
import pytest

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.dead_letters import FILE_NAME, OLD_FILE_NAME, DeadLetter
from bridge.desk import Desk, NotRetryable
from bridge.errors import StateInUse
from bridge.ledger import TooMuchRetaken, open_ledger
from bridge.policy import Wake, WakeReason
from bridge.render import render_body
from bridge.runtimes.runtime import Conversation, Turn, TurnFailed
from bridge.state_lock import hold_state
from tests.fakes.attach_server import AttachServer
from tests.fakes.attachments import attachment_config
from tests.fakes.lives import ledger_of, living
from tests.fakes.messages import created, message
from tests.fakes.runtime import FakeRuntime


def wake(message_id: str, text: str = "hello") -> Wake:
    each = message(message_id, text=text)
    event_id = created(each).id
    return Wake(event_id, event_id, attrs.evolve(each, parts=()), WakeReason.ROOM, render_body(each))


async def desk_with(config: AttachmentConfig, *message_ids: str) -> Desk:
    """A desk with these messages given up."""
    desk = Desk(config)
    config.state_dir.mkdir(exist_ok=True)
    for message_id in message_ids:
        each = wake(message_id)
        conversation = Conversation.of_target("net", each.message.target)
        await desk.letters.record(conversation, [each], 6, "exit code 1")
    return desk


def ids(letters: Sequence[DeadLetter]) -> list[str]:
    return [letter.message_id for letter in letters]


@pytest.fixture
def alone(tmp_path: Path) -> AttachmentConfig:
    """An attachment that does not run."""
    return attachment_config(tmp_path)


async def test_letters_are_listed_and_dropped_by_either_id(alone: AttachmentConfig) -> None:
    desk = await desk_with(alone, "msg_1", "msg_2", "msg_3")
    assert ids(await desk.letters.read()) == ["msg_1", "msg_2", "msg_3"]
    dropped = await desk.drop(["msg_1", created(message("msg_3")).id, "msg_9"])
    assert ids(dropped) == ["msg_1", "msg_3"]
    assert ids(await desk.letters.read()) == ["msg_2"]


async def test_a_retried_letter_is_in_the_ledger_of_an_attachment_that_does_not_run(alone: AttachmentConfig) -> None:
    desk = await desk_with(alone, "msg_1", "msg_2")
    assert ids(await desk.retry(["msg_1"])) == ["msg_1"]
    assert ids(await desk.letters.read()) == ["msg_2"]
    assert ledger_of(alone).retaken == (wake("msg_1"),)
    # It was begun before, and has all its attempts.
    assert ledger_of(alone).started == {wake("msg_1").event_id: 0}


async def test_a_retried_letter_runs_at_the_next_start_and_says_that_it_was_begun(
    server: AttachServer, config: AttachmentConfig, quick: None
) -> None:
    desk = await desk_with(config, "msg_1")
    await desk.retry(["msg_1"])
    runtime = FakeRuntime()
    async with living(config, runtime) as life:
        await runtime.wait_until(lambda runtime: "msg_1" in runtime.finished)
        await server.wait_attached()
        assert "> hello" in runtime.turns[0].prompt
        assert "Redelivered:" in runtime.turns[0].prompt
        life.drain.set()
        await life.ended.wait()
    assert ledger_of(config).retaken == ()
    again = FakeRuntime()
    async with living(config, again) as life:
        await server.wait_attached(2)
        life.drain.set()
        await life.ended.wait()
    assert again.begun == []


async def test_a_running_attachment_tries_a_letter_again_at_once(
    server: AttachServer, config: AttachmentConfig, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = True

    async def choke(_turn: Turn) -> None:
        if broken:
            raise TurnFailed("the model is on holiday", retryable=False)

    runtime = FakeRuntime(choke)
    desk = Desk(config)
    async with living(config, runtime, desk=desk) as life:
        await server.wait_attached()
        server.publish(given_up := created(message("msg_1", text="are you there?")))
        await server.wait_acked(given_up)
        assert ids(await desk.letters.read()) == ["msg_1"]
        broken = False
        assert ids(await desk.retry(["msg_1"])) == ["msg_1"]
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        assert "> are you there?" in runtime.turns[1].prompt
        assert await desk.letters.read() == ()
        assert await desk.retry(["msg_1"]) == ()
        life.drain.set()
        await life.ended.wait()
    assert ledger_of(config).retaken == ()


async def test_a_crash_between_the_two_files_loses_no_letter(alone: AttachmentConfig) -> None:
    """Then it is in both, and a second retry does not make it two."""
    desk = await desk_with(alone, "msg_1")
    async with open_ledger(alone.state_dir, desk.owner) as ledger:
        await ledger.retake([wake("msg_1")])
    await desk.retry(["msg_1"])
    assert ledger_of(alone).retaken == (wake("msg_1"),)
    assert await desk.letters.read() == ()


async def test_letters_of_an_attachment_that_another_process_runs_are_left_alone(alone: AttachmentConfig) -> None:
    desk = await desk_with(alone, "msg_1")
    async with hold_state(alone.state_dir, desk.owner):
        with pytest.raises(StateInUse):
            await desk.drop(["msg_1"])
        with pytest.raises(StateInUse):
            await desk.retry(["msg_1"])
        assert ids(await desk.letters.read()) == ["msg_1"]


async def test_what_is_tried_again_is_bounded(alone: AttachmentConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_RETAKEN_BYTES", 2500)
    desk = await desk_with(alone, "msg_1", "msg_2", "msg_3")
    await desk.retry(["msg_1", "msg_2"])
    with pytest.raises(TooMuchRetaken):
        await desk.retry(["msg_3"])
    assert ids(await desk.letters.read()) == ["msg_3"]
    assert len(ledger_of(alone).retaken) == 2


async def test_records_of_older_versions_are_listed_and_dropped_and_not_retried(alone: AttachmentConfig) -> None:
    desk = await desk_with(alone, "msg_1")
    path = alone.state_dir / FILE_NAME
    record = json.loads(path.read_text())
    del record["wake"]
    old = {**record, "message_id": "msg_0", "event_id": "evt_old"}
    (alone.state_dir / OLD_FILE_NAME).write_text(json.dumps(old) + '\n{"cut by a loss of po')
    assert ids(await desk.letters.read()) == ["msg_0", "msg_1"]
    with pytest.raises(NotRetryable, match="evt_old"):
        await desk.retry(["evt_old", "msg_1"])
    assert ids(await desk.letters.read()) == ["msg_0", "msg_1"]
    assert ids(await desk.drop(["evt_old"])) == ["msg_0"]
    assert ids(await desk.letters.read()) == ["msg_1"]
