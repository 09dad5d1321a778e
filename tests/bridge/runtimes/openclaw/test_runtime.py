"""Turns as runs of an agent behind a gateway, which is emulated (runtimes §3, real runtimes §5)."""

from collections.abc import Mapping
from typing import Any

import pytest
import trio

from bridge import limits
from bridge.runtimes.openclaw.runtime import TOKEN_VARIABLE, session_key
from bridge.runtimes.runtime import Conversation, TurnFailed
from moltnet.config.secrets import Secret
from moltnet.protocol.messages import TargetKind
from tests.bridge.runtimes.openclaw.emulated import (
    KEY,
    OTHER,
    Agent,
    answering,
    once,
    silence,
    turn,
)
from tests.fakes.openclaw_gateway import Asked, EmulatedGateway

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_turn_is_a_run_that_is_marked_as_not_from_the_owner(agent: Agent, gateway: EmulatedGateway) -> None:
    async with agent.open(turn_seconds=60.0) as runtime:
        await runtime.run_turn(turn())
    (run,) = gateway.params("agent")
    assert run["message"] == "hello"
    assert run["sessionKey"] == KEY
    assert run["inputProvenance"] == {"kind": "inter_session", "sourceChannel": "moltnet"}
    assert run["deliver"] is False
    assert run["timeout"] == 60
    assert run["idempotencyKey"].startswith("moltnet:net:agent-1:msg_1:")
    assert gateway.order() == ["agent", "agent.wait"]


async def test_the_token_goes_into_the_handshake_and_comes_from_the_file_or_the_environment(
    agent: Agent, gateway: EmulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TOKEN_VARIABLE, "from the environment")
    for token in (Secret("from the file"), None):
        async with agent.open(token=token) as runtime:
            await runtime.run_turn(turn())
    assert [params["auth"]["token"] for params in gateway.params("connect")] == [
        "from the file",
        "from the environment",
    ]


async def test_all_turns_share_one_authenticated_connection(agent: Agent, gateway: EmulatedGateway) -> None:
    async with agent.open() as runtime:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(runtime.run_turn, turn())
            nursery.start_soon(runtime.run_turn, turn("there", OTHER))
        await runtime.run_turn(turn("again", message_id="msg_2"))
    assert gateway.connections == 1
    assert len(gateway.params("agent")) == 3


async def test_answers_out_of_order_find_their_turns(agent: Agent, gateway: EmulatedGateway) -> None:
    second_answered = trio.Event()

    async def wait(asked: Asked) -> Mapping[str, Any]:
        if ":msg_1:" in asked.params["runId"]:
            await second_answered.wait()
            return {"status": "ok"}
        return {"status": "error", "error": "the second failed"}

    gateway.handlers["agent.wait"] = wait
    async with agent.open() as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, turn())
        with pytest.raises(TurnFailed, match="the second failed"):
            await runtime.run_turn(turn("there", OTHER, "msg_2"))
        second_answered.set()


async def test_turns_of_one_conversation_are_done_one_after_another(agent: Agent, gateway: EmulatedGateway) -> None:
    async with agent.open() as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, turn())
        nursery.start_soon(runtime.run_turn, turn("more", message_id="msg_2"))
    assert gateway.order() == ["agent", "agent.wait", "agent", "agent.wait"]


async def test_a_run_that_was_finished_under_its_name_needs_no_wait(agent: Agent, gateway: EmulatedGateway) -> None:
    gateway.handlers["agent"] = answering(status="ok", result={"payloads": [{"text": "one"}, {}, {"text": "two"}]})
    async with agent.open() as runtime:
        assert await runtime.run_turn(turn()) == "one\n\ntwo"
    assert gateway.order() == ["agent"]


async def test_a_run_that_takes_long_is_asked_about_again_over_the_same_connection(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    gateway.handlers["agent.wait"] = once(answering(status="timeout"), gateway.usual)
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.order() == ["agent", "agent.wait", "agent.wait"]
    assert gateway.connections == 1


async def test_a_failed_run_may_be_tried_again_under_another_name(agent: Agent, gateway: EmulatedGateway) -> None:
    gateway.handlers["agent.wait"] = once(answering(status="error", error="model down"), gateway.usual)
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="model down") as failed:
            await runtime.run_turn(turn())
        await runtime.run_turn(turn())
    first, second = gateway.params("agent")
    assert failed.value.retryable
    assert first["idempotencyKey"] != second["idempotencyKey"]


async def test_a_run_that_timed_out_at_the_gateway_has_failed(agent: Agent, gateway: EmulatedGateway) -> None:
    gateway.handlers["agent.wait"] = answering(status="timeout", endedAt=5, error="Request timed out")
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="Request timed out"):
            await runtime.run_turn(turn())


async def test_a_turn_beyond_its_time_is_aborted_at_the_gateway(agent: Agent, gateway: EmulatedGateway) -> None:
    async with agent.open(turn_seconds=1.0) as runtime:
        await runtime.run_turn(turn())
        gateway.handlers["agent.wait"] = silence
        with pytest.raises(TurnFailed, match="stopped after 1 s") as failed:
            await runtime.run_turn(turn("more", message_id="msg_2"))
    run = gateway.params("agent")[1]
    assert gateway.params("chat.abort") == [{"sessionKey": KEY, "runId": run["idempotencyKey"]}]
    assert failed.value.retryable


async def test_a_cancelled_turn_is_aborted_at_the_gateway_also_if_that_does_not_answer(
    agent: Agent, gateway: EmulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GATEWAY_ABORT_SECONDS", 0.2)
    waiting, aborted = trio.Event(), trio.Event()

    async def wait(asked: Asked) -> Mapping[str, Any]:
        waiting.set()
        return await trio.sleep_forever()

    async def abort(asked: Asked) -> Mapping[str, Any]:
        aborted.set()
        return await trio.sleep_forever()

    gateway.handlers |= {"agent.wait": wait, "chat.abort": abort}
    async with agent.open() as runtime, trio.open_nursery() as nursery:
        nursery.start_soon(runtime.run_turn, turn())
        await waiting.wait()
        nursery.cancel_scope.cancel()
    await aborted.wait()


async def test_a_turn_that_an_earlier_life_has_finished_is_not_run_again(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    await agent.runs.remember(KEY, "moltnet:net:agent-1:msg_1:0123")
    async with agent.open() as runtime:
        await runtime.run_turn(turn("Redelivered: hello"))
        assert gateway.order() == ["agent.wait"]
        await runtime.run_turn(turn("more", message_id="msg_2"))
    assert gateway.order() == ["agent.wait", "agent", "agent.wait"]


@pytest.mark.parametrize("answer", [{"status": "error", "stopReason": "rpc"}, {"status": "timeout"}])
async def test_a_turn_whose_earlier_run_failed_or_never_was_is_run(
    agent: Agent, gateway: EmulatedGateway, answer: Mapping[str, Any]
) -> None:
    await agent.runs.remember(KEY, "moltnet:net:agent-1:msg_1:0123")
    gateway.handlers["agent.wait"] = once(answering(**answer), gateway.usual)
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert len(gateway.params("agent")) == 1


async def test_a_run_for_a_message_whose_id_begins_like_ours_is_another_turns(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    """Who sends a message chooses its id, and ids have colons."""
    await agent.runs.remember(KEY, "moltnet:net:agent-1:msg_1:x:0123")
    async with agent.open() as runtime:
        await runtime.run_turn(turn(message_id="msg_1"))
    assert gateway.order() == ["agent.wait", "agent", "agent.wait"]


async def test_another_turn_waits_until_the_run_of_an_earlier_life_is_over(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    await agent.runs.remember(KEY, "moltnet:net:agent-1:msg_0:0123")
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.order() == ["agent.wait", "agent", "agent.wait"]


async def test_a_turn_that_comes_again_because_its_end_was_not_written_down_is_not_run_again(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    reply = {"disposition": "visible", "text": "done"}
    gateway.handlers["agent.wait"] = answering(status="ok", terminalReply=reply)
    for _ in range(2):
        async with agent.open() as runtime:
            assert await runtime.run_turn(turn()) == "done"
    assert gateway.order() == ["agent", "agent.wait", "agent.wait"]


async def test_a_run_that_is_known_to_be_over_is_not_asked_about_by_the_next_turn(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
        await runtime.run_turn(turn("more", message_id="msg_2"))
    assert gateway.order() == ["agent", "agent.wait"] * 2


@pytest.mark.parametrize(
    "reply", [{"disposition": "silent", "text": "NO_REPLY"}, {"disposition": "empty"}, {"disposition": "visible"}, None]
)
async def test_an_agent_that_stays_silent_has_no_last_word(
    agent: Agent, gateway: EmulatedGateway, reply: Mapping[str, Any] | None
) -> None:
    gateway.handlers["agent.wait"] = answering(status="ok", terminalReply=reply)
    async with agent.open() as runtime:
        assert await runtime.run_turn(turn()) is None


def test_a_session_names_the_agent_of_the_gateway_and_the_conversation() -> None:
    thread = Conversation("net", TargetKind.THREAD, "t1", "general")
    assert session_key("agent:ops", thread) == "agent:ops:moltnet:net:thread:t1"


def test_sessions_that_the_gateway_would_mix_up_or_refuse_have_names_of_their_own() -> None:
    upper, lower = (session_key("agent:main", Conversation("net", TargetKind.ROOM, id)) for id in ("Ops", "ops"))
    assert upper != lower
    assert upper == upper.lower()
    longs = {session_key("agent:main", Conversation("net", TargetKind.ROOM, "x" * 600 + end)) for end in "ab"}
    assert len(longs) == 2
    assert all(len(key) <= limits.MAX_GATEWAY_SESSION_CHARACTERS for key in longs)
