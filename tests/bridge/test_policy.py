"""What wakes an agent, as tables."""

from pathlib import Path

import attrs
import pytest

from bridge.config import AttachmentConfig, DirectBinding, RoomBinding, WakePolicy, WakeRule
from bridge.policy import Ignored, WakeReason, judge, needs_approval
from moltnet.protocol.events import EventType
from moltnet.protocol.ids import NetworkId, RoomId
from moltnet.protocol.messages import HUMAN, Actor, Message, Target
from tests.fakes.attachments import attachment_config
from tests.fakes.messages import ME, created, message, noise, sender

P = WakePolicy


def bound(directory: Path, room: WakePolicy = P.ALL, *, dms: WakePolicy | None = None) -> AttachmentConfig:
    return attrs.evolve(
        attachment_config(directory),
        rooms=(RoomBinding(RoomId("general"), WakeRule(room)),),
        dms=DirectBinding(dms is not None, WakeRule(dms or P.ALL)),
    )


@pytest.mark.parametrize(
    ("policy", "plain", "mention", "thread", "mention_in_thread"),
    [
        (P.ALL, WakeReason.ROOM, WakeReason.MENTION, WakeReason.THREAD, WakeReason.MENTION),
        (P.MENTIONS, Ignored.NOT_MENTIONED, WakeReason.MENTION, Ignored.NOT_MENTIONED, WakeReason.MENTION),
        (P.THREAD_ONLY, Ignored.NOT_A_THREAD, Ignored.NOT_A_THREAD, WakeReason.THREAD, WakeReason.MENTION),
        (P.NEVER, Ignored.NEVER, Ignored.NEVER, Ignored.NEVER, Ignored.NEVER),
        (P.MANUAL, WakeReason.ROOM, WakeReason.MENTION, WakeReason.THREAD, WakeReason.MENTION),
    ],
)
def test_a_room_wakes_as_its_policy_says(
    policy: WakePolicy,
    plain: WakeReason | Ignored,
    mention: WakeReason | Ignored,
    thread: WakeReason | Ignored,
    mention_in_thread: WakeReason | Ignored,
    tmp_path: Path,
) -> None:
    config = bound(tmp_path, policy)
    judged = [
        judge(config, created(each))
        for each in (
            message(),
            message(mentions=(ME,)),
            message(thread="t1"),
            message(thread="t1", mentions=(ME,)),
        )
    ]
    assert judged == [plain, mention, thread, mention_in_thread]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (P.ALL, WakeReason.DM),
        (P.MENTIONS, WakeReason.DM),
        (P.THREAD_ONLY, Ignored.NEVER),
        (P.NEVER, Ignored.NEVER),
        (P.MANUAL, WakeReason.DM),
        (None, Ignored.DMS_DISABLED),
    ],
)
def test_a_direct_message_wakes_as_its_policy_says(
    policy: WakePolicy | None, expected: WakeReason | Ignored, tmp_path: Path
) -> None:
    assert judge(bound(tmp_path, dms=policy), created(message(dm="dm_1"))) == expected


@pytest.mark.parametrize(
    ("read", "plain", "mention"),
    [
        (P.ALL, WakeReason.ROOM, WakeReason.MENTION),
        (P.MENTIONS, Ignored.NOT_MENTIONED, WakeReason.MENTION),
        (P.THREAD_ONLY, Ignored.NOT_A_THREAD, Ignored.NOT_A_THREAD),
        (P.NEVER, Ignored.NEVER, Ignored.NEVER),
    ],
)
def test_with_approval_only_what_would_wake_without_is_asked_for(
    read: WakePolicy, plain: WakeReason | Ignored, mention: WakeReason | Ignored, tmp_path: Path
) -> None:
    config = attrs.evolve(
        bound(tmp_path),
        rooms=(RoomBinding(RoomId("general"), WakeRule(P.MANUAL, read)),),
        dms=DirectBinding(True, WakeRule(P.MANUAL, P.NEVER)),
    )
    assert [judge(config, created(each)) for each in (message(), message(mentions=(ME,)))] == [plain, mention]
    assert judge(config, created(message(dm="dm_1"))) == Ignored.NEVER


def test_an_approval_is_needed_where_the_policy_says_manual(tmp_path: Path) -> None:
    room, thread, direct = (each.target for each in (message(), message(thread="t1"), message(dm="dm_1")))
    elsewhere = message(room="other").target
    manual, usual = bound(tmp_path, P.MANUAL, dms=P.ALL), bound(tmp_path, P.ALL, dms=P.MANUAL)
    assert [needs_approval(manual, each) for each in (room, thread, direct, elsewhere)] == [True, True, False, False]
    assert [needs_approval(usual, each) for each in (room, thread, direct, elsewhere)] == [False, False, True, False]


@pytest.mark.parametrize(
    ("participants", "expected"),
    [
        (("agent-1", "alpha"), WakeReason.DM),
        (("net:agent-1", "alpha"), WakeReason.DM),
        ((ME, "alpha"), WakeReason.DM),
        (("beta", "alpha"), Ignored.NOT_A_PARTICIPANT),
        (("other:agent-1", "alpha"), Ignored.NOT_A_PARTICIPANT),
        (("Agent One", "alpha"), Ignored.NOT_A_PARTICIPANT),
        ((), Ignored.NOT_A_PARTICIPANT),
    ],
)
def test_a_direct_message_of_others_wakes_nobody(
    participants: tuple[str, ...], expected: WakeReason | Ignored, tmp_path: Path
) -> None:
    direct = message(dm="dm_1")
    direct = attrs.evolve(direct, target=attrs.evolve(direct.target, participant_ids=participants))
    assert judge(bound(tmp_path, dms=P.ALL), created(direct)) == expected


@pytest.mark.parametrize(
    ("mention", "expected"),
    [
        (ME, WakeReason.MENTION),
        ("net:agent-1", WakeReason.MENTION),
        ("agent-1", WakeReason.MENTION),
        ("Agent One", WakeReason.MENTION),
        ("agent one", Ignored.NOT_MENTIONED),
        ("agent-10", Ignored.NOT_MENTIONED),
        ("molt://other/agents/agent-1", Ignored.NOT_MENTIONED),
    ],
)
def test_a_mention_names_the_agent_in_any_spelling_and_no_other(
    mention: str, expected: WakeReason | Ignored, tmp_path: Path
) -> None:
    assert judge(bound(tmp_path, P.MENTIONS), created(message(mentions=("x", mention)))) == expected


def test_a_name_in_the_text_is_no_mention(tmp_path: Path) -> None:
    assert judge(bound(tmp_path, P.MENTIONS), created(message(text=f"@agent-1 <@{ME}>"))) is Ignored.NOT_MENTIONED


@pytest.mark.parametrize(
    ("author", "expected"),
    [
        (sender("agent-1"), Ignored.OWN_MESSAGE),
        (Actor(type="agent", id="agent-1"), Ignored.OWN_MESSAGE),
        (Actor(type="agent", id="net:agent-1"), Ignored.OWN_MESSAGE),
        # Weakness 14 of the reference: an agent of a paired network with the same id is someone else.
        (sender("agent-1", network="other"), WakeReason.ROOM),
        (Actor(type="agent", id="agent-1", network_id="other"), WakeReason.ROOM),
        (sender("agent-1", type=HUMAN), WakeReason.ROOM),
    ],
)
def test_only_the_agents_own_messages_are_suppressed(
    author: Actor, expected: WakeReason | Ignored, tmp_path: Path
) -> None:
    assert judge(bound(tmp_path), created(message(sender=author))) == expected


@pytest.mark.parametrize(
    ("strange", "expected"),
    [
        (message(room="other"), Ignored.ROOM_NOT_BOUND),
        (message(network_id=NetworkId("other")), Ignored.OTHER_NETWORK),
        (message(target=Target(kind="hallway")), Ignored.UNKNOWN_TARGET),
    ],
)
def test_what_is_not_bound_wakes_nobody(strange: Message, expected: Ignored, tmp_path: Path) -> None:
    assert judge(bound(tmp_path), created(strange)) is expected


def test_only_new_messages_wake(tmp_path: Path) -> None:
    assert judge(bound(tmp_path), noise(1)) is Ignored.NOT_A_MESSAGE
    thread = attrs.evolve(created(message()), type=EventType.THREAD_CREATED)
    assert judge(bound(tmp_path), thread) is Ignored.NOT_A_MESSAGE


def test_the_first_binding_of_a_room_counts(tmp_path: Path) -> None:
    never, always = (RoomBinding(RoomId("general"), WakeRule(policy)) for policy in (P.NEVER, P.ALL))
    config = attrs.evolve(bound(tmp_path), rooms=(never, always))
    assert judge(config, created(message())) is Ignored.NEVER
