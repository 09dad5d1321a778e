"""Who may read and write: auth §8 and §9 as design §3.1 changed them, one table for each question.

A row is a caller; its cells stand for the rooms, messages or events in the order of the heading. `+` is yes, `.` is no.
"""

import attrs
import pytest

from moltnet.auth.policy import AuthPolicy
from moltnet.config.settings import AuthMode, Scope
from moltnet.core.access import (
    Viewer,
    attached_viewer,
    can_read_direct,
    can_read_room,
    can_see,
    can_write_room,
    require,
    room_access,
    viewer_of,
)
from moltnet.core.errors import Forbidden, Unauthenticated
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import AgentAddress, agent_fqid
from moltnet.protocol.ids import AgentId, DirectId, EventId, NetworkId, RoomId
from moltnet.protocol.rooms import Room, Visibility, WritePolicy
from moltnet.storage.records import THE_PUBLIC, EventRecord
from tests.fakes.credentials import CALLERS, directory_of, static, stored_room
from tests.fakes.network import NETWORK, room

OPERATORS, REGISTERED = WritePolicy.OPERATORS, WritePolicy.REGISTERED_AGENTS
PUBLIC = Visibility.PUBLIC

# Rooms by what matters of them; alpha is a member of the first of each kind.
ROOMS = (
    room("private-alpha", "alpha"),
    room("private-other", "gamma"),
    room("private-remote", "net_b:alpha"),
    room("public-alpha", "alpha", visibility=PUBLIC),
    room("public-other", "gamma", visibility=PUBLIC),
)
DIRECTORY = directory_of(ROOMS, {"alpha": "key:alpha", "beta": "key:beta"})
ALPHA = AgentAddress(NETWORK, AgentId("alpha"))

PRIVATE_BEARER = AuthPolicy(AuthMode.BEARER)
PUBLIC_BEARER = AuthPolicy(AuthMode.BEARER, public_read=True)
OPEN = AuthPolicy(AuthMode.OPEN)
NONE = AuthPolicy(AuthMode.NONE)


def cells(answers: list[bool]) -> str:
    return "".join("+" if answer else "." for answer in answers)


# Over HTTP. Columns: private with alpha, private without, private with another network's alpha, public with, without.
HTTP_READERS = [
    ("nobody asked", NONE, "+++++"),
    ("anonymous", PRIVATE_BEARER, "....."),
    ("anonymous", PUBLIC_BEARER, "...++"),
    ("anonymous", OPEN, "...++"),
    ("observe", PRIVATE_BEARER, "+++++"),
    ("admin", PRIVATE_BEARER, "+++++"),
    # A member reads its rooms; the same name on another network is somebody else.
    ("agent alpha", PRIVATE_BEARER, "+..+."),
    ("agent alpha", PUBLIC_BEARER, "+..++"),
    ("agent alpha", OPEN, "+..++"),
    ("agent beta", PRIVATE_BEARER, "....."),
    ("agent beta", OPEN, "...++"),
    ("write for alpha", PRIVATE_BEARER, "+..+."),
    ("attach for alpha", PRIVATE_BEARER, "+..+."),
    # Without a list of agents and without any of its own there is nobody to read as.
    ("write", PRIVATE_BEARER, "....."),
    ("write", PUBLIC_BEARER, "...++"),
    ("attach", PRIVATE_BEARER, "....."),
    ("pair", PRIVATE_BEARER, "....."),
    ("pair", PUBLIC_BEARER, "...++"),
]


@pytest.mark.parametrize(("caller", "policy", "expected"), HTTP_READERS)
def test_which_rooms_a_caller_of_the_api_reads(caller: str, policy: AuthPolicy, expected: str) -> None:
    viewer = viewer_of(CALLERS[caller], policy, DIRECTORY)
    assert cells([can_read_room(viewer, each, DIRECTORY) for each in _rooms()]) == expected


@pytest.mark.parametrize(
    ("caller", "policy", "expected"),
    [
        ("anonymous", PRIVATE_BEARER, True),
        ("write", PRIVATE_BEARER, True),
        ("pair", PRIVATE_BEARER, True),
        ("anonymous", PUBLIC_BEARER, False),
        ("pair", PUBLIC_BEARER, False),
        ("observe", PRIVATE_BEARER, False),
        ("agent beta", PRIVATE_BEARER, False),  # no room, but its own direct conversations
    ],
)
def test_who_can_read_nothing_at_all_is_told_so(caller: str, policy: AuthPolicy, expected: bool) -> None:
    assert viewer_of(CALLERS[caller], policy, DIRECTORY).sees_nothing is expected


# The same columns, for an attachment of alpha.
ATTACHED_READERS = [
    ("nobody asked", NONE, "+++++"),
    ("anonymous", OPEN, "+..++"),
    ("agent alpha", PRIVATE_BEARER, "+..+."),
    ("agent alpha", PUBLIC_BEARER, "+..++"),
    ("attach for alpha", PRIVATE_BEARER, "+..+."),
    ("attach", PRIVATE_BEARER, "+..+."),
]


@pytest.mark.parametrize(("caller", "policy", "expected"), ATTACHED_READERS)
def test_which_rooms_an_attachment_of_alpha_gets(caller: str, policy: AuthPolicy, expected: str) -> None:
    viewer = attached_viewer(CALLERS[caller], policy, ALPHA)
    assert cells([can_read_room(viewer, each, DIRECTORY) for each in _rooms()]) == expected


def test_an_attachment_that_observes_sees_everything() -> None:
    viewer = attached_viewer(static("attach observe"), PRIVATE_BEARER, ALPHA)
    assert (viewer.all_conversations, viewer.all_reports) == (True, True)


def test_in_mode_none_an_attachment_sees_all_conversations_and_its_own_reports() -> None:
    viewer = attached_viewer(CALLERS["nobody asked"], NONE, ALPHA)
    assert (viewer.all_conversations, viewer.all_reports) == (True, False)


def test_a_token_without_a_list_reads_as_the_agents_that_it_owns() -> None:
    directory = directory_of(ROOMS, {"alpha": "token:tok"})
    viewer = viewer_of(static("write"), PRIVATE_BEARER, directory)
    assert viewer.agents == {ALPHA.fqid}
    assert viewer_of(static("pair"), PRIVATE_BEARER, directory).agents == frozenset()
    assert viewer_of(static("write", token_id="other"), PRIVATE_BEARER, directory).agents == frozenset()


@pytest.mark.parametrize(
    ("viewer", "participants", "expected"),
    [
        (Viewer(all_conversations=True), ["beta", "gamma"], True),
        (Viewer(agents=frozenset({ALPHA.fqid})), ["alpha", "beta"], True),
        (Viewer(agents=frozenset({ALPHA.fqid})), ["beta", "gamma"], False),
        (Viewer(public_rooms=True), ["alpha", "beta"], False),
        (Viewer(agents=frozenset({agent_fqid("net_b", "alpha")})), ["alpha", "beta"], False),
    ],
)
def test_a_direct_conversation_is_for_those_who_take_part(
    viewer: Viewer, participants: list[str], expected: bool
) -> None:
    assert can_read_direct(viewer, [agent_fqid(NETWORK, name) for name in participants]) is expected


# Events. Columns: message in private-alpha, in private-other, in public-other, in an unknown room, DM of alpha and
# beta, DM of beta and gamma, presence of alpha, presence of beta, a replay gap, a pairing.
EVENTS = (
    EventRecord(1, EventId("e1"), EventType.MESSAGE_CREATED, b"", room_id=RoomId("private-alpha")),
    EventRecord(2, EventId("e2"), EventType.MESSAGE_CREATED, b"", room_id=RoomId("private-other")),
    EventRecord(3, EventId("e3"), EventType.MESSAGE_CREATED, b"", room_id=RoomId("public-other")),
    EventRecord(4, EventId("e4"), EventType.ROOM_CREATED, b"", room_id=RoomId("unheard-of")),
    EventRecord(
        5,
        EventId("e5"),
        EventType.MESSAGE_CREATED,
        b"",
        direct_id=DirectId("d1"),
        addressed=(ALPHA.fqid, agent_fqid(NETWORK, "beta")),
    ),
    EventRecord(
        6,
        EventId("e6"),
        EventType.DM_CREATED,
        b"",
        direct_id=DirectId("d2"),
        addressed=(agent_fqid(NETWORK, "beta"), agent_fqid(NETWORK, "gamma")),
    ),
    EventRecord(7, EventId("e7"), EventType.AGENT_CONNECTED, b"", agent_id=AgentId("alpha")),
    EventRecord(8, EventId("e8"), EventType.AGENT_WAKE_FAILED, b"", agent_id=AgentId("beta")),
    EventRecord(0, EventId("e9"), EventType.REPLAY_GAP, b""),
    EventRecord(10, EventId("e10"), EventType.PAIRING_UPDATED, b""),
)
EVENT_READERS = [
    ("stream, mode none", viewer_of(CALLERS["nobody asked"], NONE, DIRECTORY), NONE, "++++++++++"),
    ("stream, observe", viewer_of(CALLERS["observe"], PRIVATE_BEARER, DIRECTORY), PRIVATE_BEARER, "++++++++++"),
    ("stream, anonymous", viewer_of(CALLERS["anonymous"], OPEN, DIRECTORY), OPEN, "..+.....+."),
    ("stream, alpha", viewer_of(CALLERS["agent alpha"], PRIVATE_BEARER, DIRECTORY), PRIVATE_BEARER, "+...+.+.+."),
    ("attached, mode none", attached_viewer(CALLERS["nobody asked"], NONE, ALPHA), NONE, "+++++++.+."),
    ("attached, alpha", attached_viewer(CALLERS["agent alpha"], PRIVATE_BEARER, ALPHA), PRIVATE_BEARER, "+...+.+.+."),
    ("attached, alpha, open", attached_viewer(CALLERS["agent alpha"], OPEN, ALPHA), OPEN, "+.+.+.+.+."),
    ("attached, admin", attached_viewer(static("attach admin"), PRIVATE_BEARER, ALPHA), PRIVATE_BEARER, "++++++++++"),
]


@pytest.mark.parametrize(("name", "viewer", "policy", "expected"), EVENT_READERS)
def test_which_events_a_reader_gets(name: str, viewer: Viewer, policy: AuthPolicy, expected: str) -> None:
    assert cells([can_see(viewer, record, policy, DIRECTORY) for record in EVENTS]) == expected, name


def test_without_direct_messages_nobody_gets_them() -> None:
    policy = AuthPolicy(AuthMode.NONE, direct_messages=False)
    viewer = Viewer(all_conversations=True, all_reports=True)
    assert cells([can_see(viewer, record, policy, DIRECTORY) for record in EVENTS]) == "++++..++++"


END_OF_PRIVATE = EventRecord(
    1, EventId("e1"), EventType.ROOM_REMOVED, b"", room_id=RoomId("gone"), addressed=(ALPHA.fqid,)
)
END_OF_PUBLIC = attrs.evolve(END_OF_PRIVATE, addressed=(agent_fqid(NETWORK, "beta"), THE_PUBLIC))


@pytest.mark.parametrize(
    ("name", "viewer", "policy", "expected"),
    [
        (name, viewer, policy, expected)
        for (name, viewer, policy, _), expected in zip(
            EVENT_READERS, ["++", "++", ".+", "+.", "++", "+.", "++", "++"], strict=True
        )
    ],
)
def test_who_could_read_a_room_gets_the_event_of_its_end(
    name: str, viewer: Viewer, policy: AuthPolicy, expected: str
) -> None:
    """The room is in no directory by then; the event itself says who that was."""
    assert cells([can_see(viewer, end, policy, DIRECTORY) for end in (END_OF_PRIVATE, END_OF_PUBLIC)]) == expected, name


def test_a_new_room_of_that_id_does_not_show_the_end_of_the_old_one() -> None:
    directory = directory_of([room("gone", "beta")])
    for fqid, seen in [(ALPHA.fqid, True), (agent_fqid(NETWORK, "beta"), False)]:
        assert can_see(Viewer(agents=frozenset({fqid})), END_OF_PRIVATE, PRIVATE_BEARER, directory) is seen


def test_who_loses_a_room_loses_its_events_at_once() -> None:
    directory = directory_of([room("r", "alpha")])
    viewer = Viewer(agents=frozenset({ALPHA.fqid}))
    record = EventRecord(1, EventId("e1"), EventType.MESSAGE_CREATED, b"", room_id=RoomId("r"))
    assert can_see(viewer, record, PRIVATE_BEARER, directory)
    directory.apply([stored_room(room("r", "beta"))], [])
    assert not can_see(viewer, record, PRIVATE_BEARER, directory)


# Writing as alpha. Columns: the room's policy members, with alpha in it and without; registered_agents, with and
# without; operators, with and without.
WRITE_ROOMS = (
    room("members-in", "alpha"),
    room("members-out", "gamma"),
    room("registered-in", "alpha", write_policy=REGISTERED),
    room("registered-out", "gamma", write_policy=REGISTERED),
    room("operators-in", "alpha", write_policy=OPERATORS),
    room("operators-out", "gamma", write_policy=OPERATORS),
)
WRITERS = [
    ("nobody asked", NONE, "++++++"),
    ("admin write", PRIVATE_BEARER, "++++++"),
    ("agent alpha", PRIVATE_BEARER, "+.++.."),
    ("agent alpha", OPEN, "+.++.."),
    # A static token is an operator's, and no registered agent, even if it is bound to one.
    ("write", PRIVATE_BEARER, "+.+.++"),
    ("write for alpha", PRIVATE_BEARER, "+.+.++"),
    # Nobody's token but alpha's own makes it a registered agent.
    ("agent beta", PRIVATE_BEARER, "+.+..."),
    ("pair", PRIVATE_BEARER, "+.+..."),
    ("admin", PRIVATE_BEARER, "+.+..."),
]


@pytest.mark.parametrize(("caller", "policy", "expected"), WRITERS)
def test_which_rooms_take_messages_of_alpha(caller: str, policy: AuthPolicy, expected: str) -> None:
    directory = directory_of(WRITE_ROOMS, {"alpha": "key:alpha", "beta": "key:beta"})
    rooms = [directory.room(each.id) for each in WRITE_ROOMS]
    answers = [can_write_room(CALLERS[caller], ALPHA, each, policy, directory) for each in rooms if each is not None]
    assert cells(answers) == expected


@pytest.mark.parametrize(
    ("member", "expected"), [("net_b:alpha", True), ("molt://net_b/agents/alpha", True), ("alpha", False)]
)
def test_an_actor_of_another_network_needs_to_be_listed_with_its_network(member: str, expected: bool) -> None:
    directory = directory_of([room("r", member)])
    remote = AgentAddress(NetworkId("net_b"), AgentId("alpha"))
    the_room = directory.room("r")
    assert the_room is not None
    assert can_write_room(CALLERS["pair"], remote, the_room, PRIVATE_BEARER, directory) is expected


@pytest.mark.parametrize("member", ["alpha", f"{NETWORK}:alpha", f"molt://{NETWORK}/agents/alpha"])
def test_a_local_member_may_be_listed_in_any_spelling(member: str) -> None:
    directory = directory_of([room("r", member)])
    the_room = directory.room("r")
    assert the_room is not None
    assert can_write_room(CALLERS["agent alpha"], ALPHA, the_room, PRIVATE_BEARER, directory)
    assert can_read_room(Viewer(agents=frozenset({ALPHA.fqid})), the_room, directory)


# What room documents tell the caller: may it read and write public-alpha, and why.
ROOM_DOCUMENTS = [
    ("nobody asked", NONE, "++", "private/members-write"),
    ("anonymous", OPEN, "+.", "public-read/members-write"),
    ("agent alpha", OPEN, "++", "public-read/members-write"),
    ("agent beta", OPEN, "+.", "public-read/members-write"),
    ("agent alpha", PRIVATE_BEARER, "++", "private/members-write"),
    ("observe", PRIVATE_BEARER, "+.", "private/members-write"),
    ("admin", PRIVATE_BEARER, "+.", "private/members-write"),
    ("admin write", PRIVATE_BEARER, "++", "private/members-write"),
]


@pytest.mark.parametrize(("caller", "policy", "expected", "reason"), ROOM_DOCUMENTS)
def test_a_room_document_tells_the_caller_what_it_may(
    caller: str, policy: AuthPolicy, expected: str, reason: str
) -> None:
    the_room = DIRECTORY.room("public-alpha")
    assert the_room is not None
    viewer = viewer_of(CALLERS[caller], policy, DIRECTORY)
    access = room_access(CALLERS[caller], viewer, the_room, policy, DIRECTORY)
    assert cells([access.can_read, access.can_write]) == expected
    assert access.reason == reason


@pytest.mark.parametrize("caller", ["nobody asked", "admin", "admin write"])
def test_a_caller_with_the_scope_is_let_in(caller: str) -> None:
    require(CALLERS[caller], Scope.ADMIN)
    require(CALLERS[caller], Scope.PAIR, Scope.ADMIN)


def test_without_a_credential_one_is_asked_for() -> None:
    with pytest.raises(Unauthenticated) as caught:
        require(CALLERS["anonymous"], Scope.ADMIN)
    assert caught.value.code is ErrorCode.UNAUTHORIZED


def test_with_too_little_the_needed_scopes_are_named() -> None:
    with pytest.raises(Forbidden, match="observe or admin") as caught:
        require(CALLERS["write"], Scope.OBSERVE, Scope.ADMIN)
    assert caught.value.code is ErrorCode.MISSING_SCOPE


def _rooms() -> list[Room]:
    return [found for each in ROOMS if (found := DIRECTORY.room(each.id)) is not None]
