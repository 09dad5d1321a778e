"""TinyClaw, as an emulation of its queue answers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from bridge import limits
from bridge.config import AttachmentConfig, RuntimeKind
from bridge.runtimes.registry import open_runtime
from bridge.runtimes.runtime import Conversation, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.tinyclaw import TinyClawRuntime, sender_id
from moltnet.config.secrets import Secret
from moltnet.protocol.ids import AgentId
from moltnet.protocol.messages import TargetKind
from tests.fakes.attachments import attachment_config
from tests.fakes.ports import free_port
from tests.fakes.tinyclaw import APOLOGY, FakeTinyClaw, open_fake_tinyclaw

ROOM = Conversation("net", TargetKind.ROOM, "general")
ALPHA = "molt://net/agents/alpha"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TINYCLAW_POLL_SECONDS", 0.01)


@pytest.fixture
async def tinyclaw() -> AsyncIterator[FakeTinyClaw]:
    async with open_fake_tinyclaw() as fake:
        yield fake


def config(url: str, directory: Path, **runtime: Any) -> AttachmentConfig:
    queue = {
        "inbound_url": f"{url}/api/message",
        "outbound_url": f"{url}/api/responses/pending?channel=moltnet",
        "ack_url": f"{url}/api/responses",
        "channel": "moltnet",
    }
    return attachment_config(directory, RuntimeKind.TINYCLAW, **{"turn_seconds": 10.0, **queue, **runtime})


def turn(message_id: str = "msg_1", prompt: str = "hello", conversation: Conversation = ROOM) -> Turn:
    return Turn(conversation, prompt, message_id=message_id, sender=ALPHA)


async def run(fake: FakeTinyClaw, directory: Path, given: Turn, **runtime: Any) -> str | None:
    async with open_runtime(config(fake.url, directory, **runtime)) as opened:
        return await opened.run_turn(given)


async def test_a_turn_is_put_into_the_queue_and_is_over_with_its_response(
    tinyclaw: FakeTinyClaw, tmp_path: Path
) -> None:
    assert await run(tinyclaw, tmp_path, turn(prompt="hellö"), token=Secret("t-1")) == "done"
    assert tinyclaw.messages == [
        {
            "message": "hellö",
            "agent": "agent-1",
            "sender": ALPHA,
            "senderId": "room:general",
            "channel": "moltnet",
            "messageId": "msg_1~agent-1",
        }
    ]
    assert tinyclaw.acked == [1]
    assert {request.headers["authorization"] for request in tinyclaw.requests} == {"Bearer t-1"}


async def test_without_a_token_none_is_sent(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    await run(tinyclaw, tmp_path, turn())
    assert not [request for request in tinyclaw.requests if "authorization" in request.headers]


async def test_the_turn_lasts_until_the_response_is_there(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    tinyclaw.hold()
    finished: list[str | None] = []

    async def take() -> None:
        finished.append(await run(tinyclaw, tmp_path, turn()))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take)
        await tinyclaw.wait_until(lambda fake: len(fake.requests) > 3)
        assert finished == []
        tinyclaw.release()
    assert finished == ["done"]


async def test_responses_of_others_are_left_where_they_are(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    """Weakness 13 of the reference's runtimes."""
    tinyclaw.add_response("msg_1", "to a person")
    tinyclaw.add_response("msg_1~agent-2", "to another agent")
    tinyclaw.add_response("msg_0~agent-1", "to a turn of ours that was given up")
    await run(tinyclaw, tmp_path, turn())
    assert [response["messageId"] for response in tinyclaw.pending] == ["msg_1", "msg_1~agent-2"]


async def test_an_agent_whose_id_ends_like_ours_keeps_its_responses(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    ours = config(tinyclaw.url, tmp_path)
    theirs = attrs.evolve(ours, agent=attrs.evolve(ours.agent, id=AgentId("my.agent-1")))
    tinyclaw.agents = ("agent-1", "my.agent-1")
    tinyclaw.hold()
    async with open_runtime(theirs) as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, turn())
        await tinyclaw.wait_until(lambda fake: len(fake.messages) == 1)
        nursery.cancel_scope.cancel()
    tinyclaw.release()
    await run(tinyclaw, tmp_path, turn("msg_2"))
    assert [response["agent"] for response in tinyclaw.pending] == ["my.agent-1"]


async def test_one_message_may_wake_two_agents_of_one_tinyclaw(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    tinyclaw.agents = ("agent-1", "agent-2")
    first = config(tinyclaw.url, tmp_path)
    second = attrs.evolve(first, agent=attrs.evolve(first.agent, id=AgentId("agent-2")))
    for each in (first, second):
        async with open_runtime(each) as runtime:
            assert await runtime.run_turn(turn()) == "done"
    assert tinyclaw.worked == ["msg_1~agent-1", "msg_1~agent-2"]


async def test_an_answer_that_was_lost_does_not_run_the_model_twice(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    tinyclaw.lose_next_answer = True
    async with open_runtime(config(tinyclaw.url, tmp_path)) as runtime:
        with pytest.raises(TurnFailed) as failure:
            await runtime.run_turn(turn())
        assert failure.value.retryable
        assert await runtime.run_turn(turn()) == "done"
    assert tinyclaw.worked == ["msg_1~agent-1"]


async def test_a_turn_that_was_done_before_a_crash_is_not_done_again(
    tinyclaw: FakeTinyClaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Poison of the reference: a 409 made it receive the same event for ever."""
    monkeypatch.setattr(limits, "TINYCLAW_REPEATED_SECONDS", 0.05)
    assert await run(tinyclaw, tmp_path, turn()) == "done"
    assert await run(tinyclaw, tmp_path, turn()) is None
    assert tinyclaw.worked == ["msg_1~agent-1"]


async def test_a_response_that_is_overdue_is_waited_for_by_the_next_try_too(
    tinyclaw: FakeTinyClaw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TINYCLAW_REPEATED_SECONDS", 0.01)
    tinyclaw.hold()
    async with open_runtime(config(tinyclaw.url, tmp_path, turn_seconds=0.2)) as runtime:
        assert isinstance(runtime, TinyClawRuntime)
        for _ in range(2):
            with pytest.raises(TurnFailed, match=r"^no response within 0\.2 s$") as failure:
                await runtime.run_turn(turn())
            assert failure.value.retryable
        runtime.turn_seconds = 10.0
        tinyclaw.release()
        assert await runtime.run_turn(turn()) == "done"


async def test_an_apology_is_a_response(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    def fail(_message: dict[str, Any]) -> str:
        raise RuntimeError

    tinyclaw.respond = fail
    assert await run(tinyclaw, tmp_path, turn()) == APOLOGY


@pytest.mark.parametrize(("status", "retryable"), [(400, False), (422, False), (429, True), (500, True), (503, True)])
async def test_an_error_of_the_queue_fails_the_turn(
    tinyclaw: FakeTinyClaw, tmp_path: Path, status: int, retryable: bool
) -> None:
    tinyclaw.broken = status
    with pytest.raises(TurnFailed, match=f"answered {status}: queue is unwell") as failure:
        await run(tinyclaw, tmp_path, turn())
    assert failure.value.retryable is retryable


@pytest.mark.parametrize(("status", "advice"), [(401, "look at runtime.token"), (404, "look at the URL")])
async def test_an_error_that_only_the_operator_can_mend_parks_the_agent(
    tinyclaw: FakeTinyClaw, tmp_path: Path, status: int, advice: str
) -> None:
    tinyclaw.broken = status
    with pytest.raises(RuntimeMisconfigured, match=advice):
        await run(tinyclaw, tmp_path, turn())


async def test_a_tinyclaw_that_is_not_there_may_come(tmp_path: Path) -> None:
    async with open_runtime(config(f"http://127.0.0.1:{free_port()}", tmp_path)) as runtime:
        with pytest.raises(TurnFailed, match="refused") as failure:
            await runtime.run_turn(turn())
    assert failure.value.retryable


async def test_a_list_of_responses_that_is_none_is_a_failure(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    with pytest.raises(RuntimeMisconfigured, match="answered 404: Not found"):
        await run(tinyclaw, tmp_path, turn(), outbound_url=f"{tinyclaw.url}/api/other")
    with pytest.raises(TurnFailed, match="answered 400: channel is required"):
        await run(tinyclaw, tmp_path, turn("msg_2"), outbound_url=f"{tinyclaw.url}/api/responses/pending")


async def test_conversations_wait_side_by_side(tinyclaw: FakeTinyClaw, tmp_path: Path) -> None:
    tinyclaw.hold()
    said: list[str | None] = []
    other = Conversation("net", TargetKind.DM, "dm_1")
    async with open_runtime(config(tinyclaw.url, tmp_path)) as runtime, trio.open_nursery() as nursery:

        async def take(given: Turn) -> None:
            said.append(await runtime.run_turn(given))

        nursery.start_soon(take, turn("msg_1"))
        nursery.start_soon(take, turn("msg_2", conversation=other))
        await tinyclaw.wait_until(lambda fake: len(fake.messages) == 2)
        tinyclaw.release()
    assert said == ["done", "done"]
    assert tinyclaw.pending == []


@pytest.mark.parametrize(
    ("conversation", "expected"),
    [
        (ROOM, "room:general"),
        (Conversation("net", TargetKind.DM, "a:b"), "dm:a%3Ab"),
        (Conversation("net", TargetKind.THREAD, "t/1", "general"), "thread:general:t%2F1"),
    ],
)
def test_a_sender_is_a_conversation(conversation: Conversation, expected: str) -> None:
    assert sender_id(conversation) == expected
