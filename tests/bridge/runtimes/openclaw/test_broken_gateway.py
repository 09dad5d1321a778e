"""Turns against a gateway that refuses, breaks or falls silent, in every way that we could think of."""

from collections.abc import Mapping
from typing import Any

import pytest
import trio
import trio.testing

from bridge import limits
from bridge.runtimes.runtime import RuntimeMisconfigured, TurnFailed
from tests.bridge.runtimes.openclaw.emulated import (
    OTHER,
    Agent,
    answering,
    close,
    once,
    refusing,
    turn,
)
from tests.fakes.openclaw_gateway import Asked, EmulatedGateway
from tests.fakes.tcp_proxy import open_proxy

pytestmark = pytest.mark.usefixtures("quick")


async def test_a_gateway_that_starts_is_tried_until_it_is_ready(agent: Agent, gateway: EmulatedGateway) -> None:
    starting = refusing("UNAVAILABLE", retryable=True, retryAfterMs=5, details={"reason": "startup-sidecars"})
    gateway.handlers["connect"] = once(starting, once(starting, gateway.usual))
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.connections == 3


@pytest.mark.usefixtures("impatient")
async def test_a_gateway_that_never_gets_ready_fails_the_turn_for_now(agent: Agent, gateway: EmulatedGateway) -> None:
    gateway.handlers["connect"] = refusing("UNAVAILABLE", message="gateway starting")
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="gateway starting") as failed:
            await runtime.run_turn(turn())
    assert failed.value.retryable


@pytest.mark.usefixtures("impatient")
async def test_a_gateway_that_is_not_there_fails_the_turn_for_now(agent: Agent) -> None:
    async with agent.open(gateway_url="ws://127.0.0.1:1") as runtime:
        with pytest.raises(TurnFailed, match="connection refused") as failed:
            await runtime.run_turn(turn())
    assert failed.value.retryable


@pytest.mark.parametrize(
    ("code", "details", "reason"),
    [
        ("INVALID_REQUEST", "PROTOCOL_MISMATCH", "speaks protocol 4"),
        ("INVALID_REQUEST", "AUTH_TOKEN_MISMATCH", "not the gateway's"),
        ("NOT_PAIRED", "PAIRING_REQUIRED", "openclaw devices approve; this device is"),
    ],
)
async def test_a_refused_handshake_parks_the_attachment(
    agent: Agent, gateway: EmulatedGateway, code: str, details: str, reason: str
) -> None:
    gateway.handlers["connect"] = refusing(code, details={"code": details})
    async with agent.open() as runtime:
        with pytest.raises(RuntimeMisconfigured, match=reason):
            await runtime.run_turn(turn())
    assert gateway.connections == 1


@pytest.mark.parametrize("garbage", ["", "{", "[1]", '{"type":"res"}', "\x00" * 100])
async def test_garbage_ends_the_connection_and_not_the_run(
    agent: Agent, gateway: EmulatedGateway, garbage: str
) -> None:
    async def spoil(asked: Asked) -> Mapping[str, Any]:
        await asked.connection.send_message(garbage)
        return await trio.sleep_forever()

    gateway.handlers["agent.wait"] = once(spoil, gateway.usual)
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.connections == 2
    assert len(gateway.params("agent")) == 1


async def test_a_frame_beyond_the_limit_ends_the_connection_and_not_the_run(
    agent: Agent, gateway: EmulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_GATEWAY_FRAME_BYTES", 1000)
    gateway.handlers["agent.wait"] = once(answering(status="ok", text="x" * 2000), gateway.usual)
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.connections == 2


async def test_unknown_events_and_answers_that_nobody_asked_for_are_passed_over(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    async def chatter(asked: Asked) -> Mapping[str, Any]:
        for text in (
            '{"type":"event","event":"tick","payload":{"ts":1}}',
            '{"type":"event","event":"nobody.knows.it","payload":[]}',
            '{"type":"res","id":"agent-999","ok":true}',
        ):
            await asked.connection.send_message(text)
        return {"status": "ok"}

    gateway.handlers["agent.wait"] = chatter
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.connections == 1


async def test_a_connection_that_closes_during_a_request_is_made_again_under_the_same_name(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    gateway.handlers["agent"] = once(close, gateway.usual)
    gateway.handlers["agent.wait"] = once(answering(status="timeout"), gateway.usual)
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    first, second = gateway.params("agent")  # the history had no trace of the first
    assert first["idempotencyKey"] == second["idempotencyKey"]
    assert gateway.order() == ["agent", "agent.wait", "chat.history", "agent", "agent.wait"]


@pytest.mark.usefixtures("impatient")
async def test_a_gateway_that_does_not_greet_is_given_up(
    agent: Agent, gateway: EmulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GATEWAY_CONNECT_SECONDS", 0.2)
    gateway.greets = False
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="did not greet as a gateway"):
            await runtime.run_turn(turn())


async def test_a_gateway_that_answers_nothing_more_is_connected_to_again(
    agent: Agent, gateway: EmulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual_seconds = limits.GATEWAY_ANSWER_SECONDS
    monkeypatch.setattr(limits, "GATEWAY_WAIT_SECONDS", 0.01)

    async def begin(asked: Asked) -> Mapping[str, Any]:
        monkeypatch.setattr(limits, "GATEWAY_ANSWER_SECONDS", 0.1)
        return await gateway.usual(asked)

    async def say_nothing(asked: Asked) -> Mapping[str, Any]:
        monkeypatch.setattr(limits, "GATEWAY_ANSWER_SECONDS", usual_seconds)
        return await trio.sleep_forever()

    gateway.handlers |= {"agent": begin, "agent.wait": once(say_nothing, gateway.usual)}
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.connections >= 2


async def test_a_gateway_that_has_stopped_ticking_is_connected_to_again(agent: Agent, gateway: EmulatedGateway) -> None:
    async def stop_ticking(asked: Asked) -> Mapping[str, Any]:
        gateway.tick_ms = 30_000  # the next connection is a healthy one
        return await trio.sleep_forever()

    gateway.tick_ms = 100
    gateway.handlers["agent.wait"] = once(stop_ticking, gateway.usual)
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    assert gateway.connections >= 2


async def test_a_request_that_the_gateway_finds_wrong_is_not_tried_again(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    gateway.handlers["agent"] = refusing("INVALID_REQUEST", message="invalid agent params")
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="invalid agent params") as failed:
            await runtime.run_turn(turn())
    assert not failed.value.retryable


async def test_where_agent_is_refused_chat_send_is_used(agent: Agent, gateway: EmulatedGateway) -> None:
    gateway.handlers["agent"] = refusing("FORBIDDEN", message="not for you")
    async with agent.open() as runtime:
        await runtime.run_turn(turn())
    agent_run, chat = gateway.params("agent")[0], gateway.params("chat.send")[0]
    assert chat == {name: agent_run[name] for name in ("sessionKey", "message", "idempotencyKey", "deliver")}


async def test_where_there_is_no_agent_method_the_history_tells_when_a_run_is_over(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    async def history(asked: Asked) -> Mapping[str, Any]:
        prompt = {"role": "user", "idempotencyKey": gateway.params("chat.send")[0]["idempotencyKey"] + ":user"}
        answer = {"role": "assistant", "stopReason": "stop", "content": [{"type": "text", "text": "done"}]}
        running = len(gateway.params("chat.history")) < 3
        return {
            "messages": [prompt] if running else [prompt, answer],
            "sessionInfo": {"hasActiveRun": running},
        }

    gateway.methods = ("chat.send", "chat.history")
    gateway.handlers["chat.history"] = history
    async with agent.open() as runtime:
        assert await runtime.run_turn(turn()) == "done"
    assert gateway.order() == ["chat.send", *["chat.history"] * 3]


async def test_a_run_that_nobody_takes_up_again_has_failed(
    agent: Agent, gateway: EmulatedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "GATEWAY_RESUME_SECONDS", 0.1)

    async def history(asked: Asked) -> Mapping[str, Any]:
        prompt = {"role": "user", "idempotencyKey": gateway.params("agent")[0]["idempotencyKey"] + ":user"}
        return {"messages": [prompt], "sessionInfo": {"status": "running", "hasActiveRun": False}}

    gateway.handlers |= {"agent.wait": once(close, answering(status="timeout")), "chat.history": history}
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="not taken up again") as failed:
            await runtime.run_turn(turn())
    assert failed.value.retryable
    assert len(gateway.params("agent")) == 1


async def test_a_prompt_beyond_the_limit_is_refused_before_anything_is_sent(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    async with agent.open() as runtime:
        with pytest.raises(TurnFailed, match="prompt is longer") as failed:
            await runtime.run_turn(turn("x" * (limits.MAX_PROMPT_BYTES + 1)))
    assert not failed.value.retryable
    assert gateway.connections == 0


async def test_runs_that_cannot_be_remembered_are_not_begun(agent: Agent, gateway: EmulatedGateway) -> None:
    async with agent.open() as runtime:
        agent.runs.path.mkdir()
        (agent.runs.path.with_name(agent.runs.path.name + ".corrupt")).mkdir()
        (agent.runs.path.with_name(agent.runs.path.name + ".corrupt") / "full").touch()
        with pytest.raises(TurnFailed, match="session store"):
            await runtime.run_turn(turn())
    assert gateway.order() == []


async def test_a_turn_that_is_cut_while_its_prompt_is_on_the_way_spoils_no_later_one(
    agent: Agent, gateway: EmulatedGateway
) -> None:
    async with open_proxy(gateway.port) as wire, agent.open(gateway_url=f"ws://127.0.0.1:{wire.port}") as runtime:
        await runtime.run_turn(turn())
        wire.hold()
        async with trio.open_nursery() as nursery:
            # More than the buffers on the way take.
            nursery.start_soon(runtime.run_turn, turn("x" * limits.MAX_PROMPT_BYTES, message_id="msg_2"))
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
            wire.release()
        await runtime.run_turn(turn("after it", OTHER, "msg_3"))
    assert gateway.order()[-2:] == ["agent", "agent.wait"]
    assert gateway.connections == 1


async def test_half_a_character_is_replaced(agent: Agent, gateway: EmulatedGateway) -> None:
    async with agent.open() as runtime:
        await runtime.run_turn(turn("half \ud83d of it"))
    assert gateway.params("agent")[0]["message"] == "half ? of it"
