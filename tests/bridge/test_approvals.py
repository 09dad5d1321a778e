"""Wakes that wait for an operator: nothing runs unasked, nothing is lost, and nothing else waits with them."""

import logging
from collections.abc import Callable
from functools import partial

import attrs
import pytest
import trio

from bridge import limits
from bridge.activity import Brake
from bridge.config import AttachmentConfig, DirectBinding, RoomBinding, WakePolicy, WakeRule
from bridge.dead_letters import DeadLetters
from bridge.desk import Desk
from bridge.runtimes.runtime import Conversation
from moltnet.protocol.approvals import ApprovalState
from moltnet.protocol.codec import encode
from moltnet.protocol.ids import AgentId, RoomId
from moltnet.protocol.limits import DELIVERY_WINDOW_EVENTS
from moltnet.protocol.times import Timestamp
from tests.fakes.approvals import ServedApprovals, asked, delivered, told
from tests.fakes.attach_server import AttachServer
from tests.fakes.lives import Life, ledger_of, living
from tests.fakes.messages import created, gap, message, noise
from tests.fakes.runtime import FakeRuntime, Gate

pytestmark = pytest.mark.usefixtures("quick")

MANUAL = WakeRule(WakePolicy.MANUAL, WakePolicy.ALL)
DENIED, EXPIRED = ApprovalState.DENIED, ApprovalState.EXPIRED


@pytest.fixture
def quick(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "APPROVAL_RETRY_BASE_SECONDS", 0.01)
    monkeypatch.setattr(limits, "APPROVAL_RETRY_CAP_SECONDS", 0.05)


@pytest.fixture
def approvals(server: AttachServer) -> ServedApprovals:
    served = ServedApprovals()
    server.approvals = served.answer
    return served


@pytest.fixture
def config(config: AttachmentConfig) -> AttachmentConfig:
    """`general` and direct messages wake with approval, `other` without."""
    rooms = (RoomBinding(RoomId("general"), MANUAL), RoomBinding(RoomId("other")))
    return attrs.evolve(config, rooms=rooms, dms=DirectBinding(True, MANUAL))


def held(config: AttachmentConfig) -> list[str]:
    return [wake.message.id for wake in ledger_of(config).held]


async def waiting(life: Life, count: int) -> None:
    """Until so many wait at the server."""
    await until(lambda: sum(bool(each.approval_id) for each in life.status.approvals.values()) == count)


async def give_up_and_retry(config: AttachmentConfig, desk: Desk) -> None:
    """As if it had been given up, and the node killed before it forgot that the message waits."""
    (wake,) = ledger_of(config).held
    conversation = Conversation.of_target("net", wake.message.target)
    await desk.letters.record(conversation, [wake], 0, "this server has no approvals")
    await desk.retry([wake.message.id])


def has_refused(life: Life) -> bool:
    return life.status.refused_wakes == 1


async def until(condition: Callable[[], bool]) -> None:
    with trio.fail_after(20):
        while not condition():  # noqa: ASYNC110 - nothing tells of a change of a status
            await trio.sleep(0.005)


async def test_a_wake_waits_until_it_is_approved_and_then_runs(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    async with living(config, runtime := FakeRuntime()) as life:
        await server.wait_attached()
        wake = created(message("msg_1"))
        await told(server, noise(0), wake)
        await asked(server, approvals, wake)
        await waiting(life, 1)
        (shown,) = life.status.approvals.values()
        assert (shown.conversation, shown.sender, shown.reason) == (
            "net:room:general",
            "molt://net/agents/alpha",
            "room",
        )
        assert (shown.approval_id, shown.expires_at) == (approvals.known[wake.id].id, approvals.expires_at)
        assert (runtime.begun, held(config)) == ([], ["msg_1"])
        server.publish(approvals.decide(wake))
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
    assert (held(config), life.status.approvals, approvals.asked) == ([], {}, [wake.id])
    assert "Redelivered" not in runtime.turns[0].prompt


@pytest.mark.parametrize("state", [DENIED, EXPIRED])
async def test_what_is_denied_or_not_decided_in_time_wakes_nobody(
    server: AttachServer,
    config: AttachmentConfig,
    approvals: ServedApprovals,
    state: ApprovalState,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with living(config, runtime := FakeRuntime()) as life:
        await server.wait_attached()
        wake, after = created(message("msg_1")), created(message("msg_2", room="other"))
        await told(server, noise(0), wake)
        await asked(server, approvals, wake)
        await told(server, approvals.decide(wake, state), after)
        assert (life.status.refused_wakes, life.status.approvals) == (1, {})
    assert (runtime.begun, held(config)) == (["msg_2"], [])
    assert ("denied" if state is DENIED else "not approved in time") in caplog.text
    async with living(config, again := FakeRuntime()):
        await server.wait_attached(2)
        await told(server, created(message("msg_3", room="other")))
    assert again.begun == ["msg_3"]


async def test_a_direct_message_and_the_very_first_event_wait_too(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    server.tells_place = False
    first, direct = created(message("msg_1")), created(message("msg_2", dm="dm_1"))
    async with living(config, FakeRuntime()):
        await server.wait_attached()
        await told(server, first, direct)
        await asked(server, approvals, first, direct)
    assert held(config) == ["msg_1", "msg_2"]
    assert (ledger_of(config).cursor, ledger_of(config).kept) == (direct.id, None)


async def test_what_waits_takes_no_place_in_the_window_and_holds_nothing_back(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More wait than a server delivers unacknowledged, and other rooms are served as if they did not."""
    monkeypatch.setattr(limits, "MAX_HELD_WAKES", 10_000)
    wakes = [created(message(f"msg_{number}")) for number in range(DELIVERY_WINDOW_EVENTS + 10)]
    async with living(config, runtime := FakeRuntime()):
        await server.wait_attached()
        await told(server, noise(0), *wakes)
        await told(server, created(message("quick", room="other")))
        assert runtime.finished == ["quick"]
    assert len(held(config)) == len(wakes)


async def test_decisions_made_while_the_node_was_down_are_found_at_its_start(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    wakes = [created(message(f"msg_{number}")) for number in range(3)]
    async with living(config, FakeRuntime()):
        await delivered(server, approvals, *wakes)
    # Nobody tells it: the events are gone, as after a long time.
    approvals.decide(wakes[2])
    approvals.decide(wakes[0])
    approvals.decide(wakes[1], DENIED)
    async with living(config, runtime := FakeRuntime()) as life:
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_0", "msg_2"])
        assert life.status.refused_wakes == 1
    assert held(config) == []


async def test_a_node_killed_in_an_approved_turn_does_it_again_and_one_killed_after_it_does_not(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    gate, wake = Gate(), created(message("msg_1"))
    async with living(config, FakeRuntime(gate)) as life:
        await delivered(server, approvals, wake)
        server.publish(approvals.decide(wake))
        await life.runtime.wait_until(lambda runtime: runtime.running == 1)
    assert held(config) == ["msg_1"]
    async with living(config, again := FakeRuntime()):
        await again.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        assert "Redelivered" in again.turns[0].prompt
    async with living(config, never := FakeRuntime()):
        await told(server, created(message("msg_2", room="other")))
    assert never.begun == ["msg_2"]


async def test_approved_wakes_of_one_conversation_run_in_their_order(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    """The third is approved first and runs; the second is approved before the first, while that turn runs."""
    gate = Gate()
    wakes = [created(message(f"msg_{number}")) for number in range(3)]
    async with living(config, runtime := FakeRuntime(gate)):
        await delivered(server, approvals, *wakes)
        await told(server, approvals.decide(wakes[2]))
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        await told(server, approvals.decide(wakes[1]), approvals.decide(wakes[0]))
        for event in wakes:
            assert event.message is not None
            gate.let(event.message.id)
        await runtime.wait_until(lambda runtime: len(runtime.turns) == 2 and not runtime.running)
    prompt = runtime.turns[1].prompt
    assert prompt.index("msg_0") < prompt.index("msg_1")


async def test_an_approval_of_another_agent_decides_nothing(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    """A token that observes sees those of all agents."""
    wake = created(message("msg_1"))
    async with living(config, runtime := FakeRuntime()) as life:
        await delivered(server, approvals, wake)
        decided = approvals.decide(wake)
        assert decided.approval is not None
        other = attrs.evolve(decided, approval=attrs.evolve(decided.approval, agent_id=AgentId("agent-2")))
        await told(server, other, created(message("msg_2", room="other")))
        assert (runtime.begun, list(life.status.approvals)) == (["msg_2"], [wake.id])


async def test_a_server_that_cannot_be_asked_is_asked_again_and_shown(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    approvals.refusal = (429, b'{"error":"256 wakes wait","code":"too_many_approvals"}')
    wake = created(message("msg_1"))
    async with living(config, runtime := FakeRuntime()) as life:
        await server.wait_attached()
        await told(server, noise(0), wake)
        await server.wait_until(lambda _: len(approvals.asked) > 2)
        assert "256 wakes wait" in life.status.approvals_problem
        assert life.status.approvals[wake.id].approval_id == ""
        approvals.refusal = None
        await waiting(life, 1)
        server.publish(approvals.decide(wake))
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        assert life.status.approvals_problem == ""


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        ((404, b'{"error":"404 page not found"}'), "this server has no approvals"),
        ((405, b""), "this server has no approvals"),
        ((404, b'{"error":"there is no such route","code":"unknown_route"}'), "this server has no approvals"),
        ((404, b'{"error":"no message is known","code":"unknown_event"}'), "does not know this message any more"),
    ],
)
async def test_what_cannot_be_asked_about_is_for_the_operator_of_the_node(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals, refusal: tuple[int, bytes], reason: str
) -> None:
    """As with every server of the reference."""
    approvals.refusal = refusal
    desk = Desk(config)
    async with living(config, runtime := FakeRuntime(), desk=desk) as life:
        await server.wait_attached()
        await told(server, noise(0), created(message("msg_1")))
        await server.wait_until(lambda _: len(approvals.asked) == 1)
        await until(lambda: bool(life.status.given_up_wakes) and not ledger_of(config).held)
        (letter,) = await desk.letters.read()
        assert (letter.message_id, letter.attempts) == ("msg_1", 0)
        assert reason in letter.reason
        assert runtime.begun == []
        await desk.retry(["msg_1"])
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
    assert approvals.asked == [letter.event_id]


async def test_more_than_may_wait_become_dead_letters_at_once(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_HELD_WAKES", 2)
    async with living(config, FakeRuntime()) as life:
        await server.wait_attached()
        await told(server, noise(0), *(created(message(f"msg_{number}")) for number in range(4)))
        assert life.status.given_up_wakes == 2
    assert held(config) == ["msg_0", "msg_1"]
    letters = await DeadLetters(config.state_dir).read()
    assert [(letter.message_id, letter.reason) for letter in letters] == [
        (f"msg_{number}", "too many messages wait for approval already") for number in (2, 3)
    ]


async def test_long_messages_that_wait_are_bounded_by_their_size(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_HELD_BYTES", 5000)
    async with living(config, FakeRuntime()) as life:
        await server.wait_attached()
        await told(server, noise(0), created(message("msg_1", "x" * 3000)), created(message("msg_2", "x" * 3000)))
        assert life.status.given_up_wakes == 1
    assert held(config) == ["msg_1"]


async def test_an_answer_about_another_message_decides_nothing(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    wake, other = created(message("msg_1")), created(message("msg_2"))
    approvals.answer(b'{"event_id": "%b"}' % other.id.encode())
    approvals.decide(other)
    approvals.refusal = (200, encode(approvals.known[other.id]))
    async with living(config, runtime := FakeRuntime()) as life:
        await server.wait_attached()
        await told(server, noise(0), wake)
        await server.wait_until(lambda _: approvals.asked.count(wake.id) > 2)
        assert life.status.approvals_problem == "the server answered about another message"
        assert runtime.begun == []


async def test_a_letter_that_a_crash_had_left_waiting_too_is_retried_once(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    """It is approved while it is retried."""
    gate, wake, desk = Gate(), created(message("msg_1")), Desk(config)
    async with living(config, runtime := FakeRuntime(gate), desk=desk) as life:
        await delivered(server, approvals, wake)
        await give_up_and_retry(config, desk)
        await runtime.wait_until(lambda runtime: runtime.running == 1)
        await told(server, approvals.decide(wake))
        gate.let("msg_1")
        gate.let("msg_2")
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        await told(server, created(message("msg_2", room="other")))
        assert (runtime.begun, life.status.approvals) == (["msg_1", "msg_2"], {})


async def test_what_waits_no_more_when_the_attachment_starts_again_is_not_shown(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    """The status outlives the run, and while the attachment was parked the message was given up and retried."""
    wake, desk = created(message("msg_1")), Desk(config)
    async with living(config, FakeRuntime()) as before:
        await server.wait_attached()
        await told(server, noise(0), wake)
        await waiting(before, 1)
    await give_up_and_retry(config, desk)
    async with living(config, runtime := FakeRuntime(), status=before.status):
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])
        assert before.status.approvals == {}


async def test_after_a_hole_in_the_log_everything_is_asked_about_again(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    wake = created(message("msg_1"))
    async with living(config, runtime := FakeRuntime()) as life:
        await server.wait_attached()
        await told(server, noise(0), wake)
        await waiting(life, 1)
        approvals.decide(wake)  # the event about it is in the hole
        server.publish(gap("evt_old"))
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_1"])


async def test_an_approval_whose_time_is_over_is_asked_about_again(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clocks of both may differ, and the server may be restored from a backup: no event needs to come."""
    monkeypatch.setattr(limits, "APPROVAL_RECHECK_SECONDS", 0.01)
    wake = created(message("msg_1"))
    for expires_at in (Timestamp("2001-01-01T00:00:00Z"), Timestamp("some day")):
        approvals.expires_at = expires_at
        approvals.known.clear()
        approvals.asked.clear()
        async with living(attrs.evolve(config, state_dir=config.state_dir / expires_at), FakeRuntime()) as life:
            await server.wait_until(lambda server: server.peers[-1].is_ready if server.peers else False)
            await told(server, created(message("msg_0", room="other")), wake)
            await server.wait_until(lambda _: len(approvals.asked) > 2)
            approvals.decide(wake, EXPIRED)
            await until(partial(has_refused, life))
        server.events.clear()
        server.peers.clear()


async def test_approved_wakes_are_held_by_the_brakes_like_others(
    server: AttachServer, config: AttachmentConfig, approvals: ServedApprovals
) -> None:
    config = attrs.evolve(config, brakes=attrs.evolve(config.brakes, turns_per_hour=1))
    wakes = [created(message(f"msg_{number}")) for number in range(2)]
    async with living(config, runtime := FakeRuntime()) as life:
        await delivered(server, approvals, *wakes)
        server.publish(approvals.decide(wakes[0]))
        await runtime.wait_until(lambda runtime: runtime.finished == ["msg_0"])
        await told(server, approvals.decide(wakes[1]))
        await until(lambda: bool(life.status.waiting_wakes == 1 and life.status.activities))
        (activity,) = life.status.activities.values()
        await until(lambda: activity.brake is Brake.BUDGET)
        assert (life.status.approvals, runtime.begun) == ({}, ["msg_0"])
    assert held(config) == ["msg_1"]
