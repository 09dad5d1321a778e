import attrs
import pytest

from moltnet.attach.delivery import AttachedAgent, Reporter, wake_of
from moltnet.fanout.frames import SharedFrame
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.messages import SendMessageRequest, Target
from moltnet.protocol.times import Timestamp
from moltnet.protocol.wakes import PendingWake
from tests.fakes.network import (
    NETWORK,
    direct_message,
    network_config,
    open_test_app,
    post,
    room,
    room_message,
    thread_message,
)

ALPHA = agent_fqid(NETWORK, "alpha")
NOW = Timestamp("2026-01-02T03:04:05Z")
AGENT = AttachedAgent(NETWORK, "alpha", ALPHA, "Alpha")


async def event_of(message: SendMessageRequest) -> SharedFrame:
    """The `message.created` event that a message becomes."""
    async with open_test_app(network_config(rooms=[room("general", "alpha", "beta")])) as app:
        await post(app, message)
        return SharedFrame((await app.context.store.events_after(0, 10))[-1], NETWORK)


# A message → why it wakes alpha.
MESSAGES = [
    (room_message("hello @alpha", sender="beta", message_id="m1"), "mention"),
    (room_message("hello", sender="beta", message_id="m1", mentions=["alpha"]), "mention"),
    (thread_message("t1", "hello @alpha", sender="beta", message_id="m1"), "mention"),
    (direct_message("d1", "alpha", "beta", sender="beta", message_id="m1"), "dm"),
    (direct_message("d1", "alpha", "beta", text="@alpha", sender="beta", message_id="m1"), "dm"),
    (room_message("hello", sender="beta", message_id="m1"), None),
    (room_message("hello @beta", sender="gamma", message_id="m1"), None),
    (direct_message("d1", "beta", "gamma", sender="beta", message_id="m1"), None),
    # What an agent says itself never wakes it.
    (room_message("I am @alpha", sender="alpha", message_id="m1"), None),
    (direct_message("d1", "alpha", "beta", sender="alpha", message_id="m1"), None),
]


@pytest.mark.parametrize(("message", "reason"), MESSAGES)
async def test_what_wakes_an_agent_and_why(message: SendMessageRequest, reason: str | None) -> None:
    wake = wake_of(await event_of(message), ALPHA, lambda: NOW)
    assert (None if wake is None else wake.reason) == reason


@pytest.mark.parametrize("kind", [kind for kind in EventType if kind is not EventType.MESSAGE_CREATED])
async def test_only_messages_wake(kind: EventType) -> None:
    frame = await event_of(MESSAGES[0][0])
    other = attrs.evolve(frame.record, type=kind)
    assert wake_of(SharedFrame(other, NETWORK), ALPHA, lambda: NOW) is None


async def test_a_wake_tells_where_it_came_from_but_holds_no_text() -> None:
    wake = wake_of(await event_of(MESSAGES[2][0]), ALPHA, lambda: NOW)
    assert wake is not None
    assert (wake.message_id, wake.target) == ("m1", thread_message("t1").target)
    assert "hello" not in repr(wake)


def test_the_reports_of_an_attachment() -> None:
    reporter = Reporter(AGENT, lambda: NOW)
    wake = PendingWake("m1", "dm", NOW, Target(kind="dm"))
    reports = [
        reporter.connected(),
        reporter.disconnected("read_error"),
        reporter.wake_delivered(wake),
        reporter.wake_failed(wake, "gone"),
    ]
    assert [report.type for report in reports] == [
        "agent.connected",
        "agent.disconnected",
        "agent.wake.delivered",
        "agent.wake.failed",
    ]
    assert len({report.id for report in reports}) == 4
    for report in reports:
        assert report.agent is not None
        assert (report.agent.agent_id, report.agent.fqid, report.agent.name) == ("alpha", ALPHA, "Alpha")
    details = [(agent.reason, agent.message_id, agent.target, agent.error) for r in reports if (agent := r.agent)]
    assert details == [
        ("", "", None, ""),
        ("", "", None, ""),
        ("dm", "m1", Target(kind="dm"), ""),
        ("dm", "m1", Target(kind="dm"), "gone"),
    ]


def test_why_an_attachment_came_and_went_is_told_only_for_debugging() -> None:
    reporter = Reporter(AGENT, lambda: NOW, debug=True)
    reports = [reporter.connected(), reporter.disconnected("read_error")]
    assert [report.agent and report.agent.reason for report in reports] == ["attachment_ready", "read_error"]
