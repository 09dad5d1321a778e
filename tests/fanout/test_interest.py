"""Who is to see an event, beside the rule that says it for one reader (`moltnet.core.access.can_see`)."""

from collections.abc import Iterable, Sequence

import attrs
from hypothesis import given
from hypothesis import strategies as st

from moltnet.auth.policy import AuthPolicy
from moltnet.config.settings import AuthMode, Registration
from moltnet.core.access import Viewer, can_see
from moltnet.directory import Directory
from moltnet.fanout.interest import Interest
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, DirectId, EventId, RoomId
from moltnet.protocol.rooms import Room, Visibility
from moltnet.protocol.times import Timestamp
from moltnet.storage.records import THE_PUBLIC, EventRecord, StoredRoom
from tests.fakes.network import NETWORK

AGENTS = ("alpha", "beta", "gamma")
ROOMS = ("one", "two", "gone")
FQIDS = tuple(agent_fqid(NETWORK, agent) for agent in AGENTS)


@attrs.define(eq=False)
class Network:
    """As much of a network's context as the rules ask for."""

    policy: AuthPolicy
    directory: Directory = attrs.field(factory=lambda: Directory(NETWORK))

    def put(self, room_id: str, members: Iterable[str], visibility: Visibility) -> None:
        room = Room(
            id=RoomId(room_id),
            network_id=NETWORK,
            fqid=f"molt://{NETWORK}/rooms/{room_id}",
            name=room_id,
            members=tuple(members),
            visibility=visibility,
            created_at=Timestamp(""),
        )
        self.directory.apply([StoredRoom(room)], [])


VIEWERS = st.builds(
    Viewer,
    all_conversations=st.booleans(),
    all_reports=st.booleans(),
    public_rooms=st.booleans(),
    agents=st.frozensets(st.sampled_from(FQIDS)),
)
ADDRESSED = st.lists(st.sampled_from([*FQIDS, THE_PUBLIC]), unique=True).map(tuple)
RECORDS = st.one_of(
    st.builds(
        lambda room, kind, addressed: record(kind, room_id=RoomId(room), addressed=addressed),
        st.sampled_from(ROOMS),
        st.sampled_from([EventType.MESSAGE_CREATED, EventType.ROOM_REMOVED]),
        ADDRESSED,
    ),
    st.builds(lambda addressed: record(EventType.DM_CREATED, direct_id=DirectId("d"), addressed=addressed), ADDRESSED),
    st.builds(lambda agent: record(EventType.AGENT_CONNECTED, agent_id=AgentId(agent)), st.sampled_from(AGENTS)),
    st.sampled_from([EventType.PAIRING_UPDATED, EventType.REPLAY_GAP]).map(lambda kind: record(kind)),
)
MEMBERSHIPS = st.lists(
    st.tuples(st.sampled_from(ROOMS[:2]), st.sets(st.sampled_from(AGENTS)), st.sampled_from(Visibility)), max_size=4
)


def record(
    kind: EventType,
    *,
    room_id: RoomId = RoomId(""),
    direct_id: DirectId = DirectId(""),
    agent_id: AgentId = AgentId(""),
    addressed: tuple[str, ...] = (),
) -> EventRecord:
    return EventRecord(
        1, EventId("evt_1"), kind, b"{}", room_id=room_id, direct_id=direct_id, agent_id=agent_id, addressed=addressed
    )


def policy(*, direct_messages: bool = True) -> AuthPolicy:
    return AuthPolicy(
        mode=AuthMode.BEARER,
        public_read=False,
        registration=Registration.DISABLED,
        human_ingress=True,
        direct_messages=direct_messages,
    )


def found(interest: Interest[int], event: EventRecord) -> list[int]:
    return sorted(reader for circle in interest.circles(event) for reader in circle.readers)


@given(st.lists(VIEWERS, max_size=6), st.lists(RECORDS, max_size=4), MEMBERSHIPS, MEMBERSHIPS, st.booleans())
def test_it_finds_just_those_who_may_see_an_event(
    viewers: Sequence[Viewer],
    events: Sequence[EventRecord],
    before: Sequence[tuple[str, set[str], Visibility]],
    after: Sequence[tuple[str, set[str], Visibility]],
    direct_messages: bool,
) -> None:
    network = Network(policy(direct_messages=direct_messages))
    interest = Interest[int](network)  # type: ignore[arg-type]  # it is asked for no more than this
    present: dict[int, Viewer] = {}

    def check() -> None:
        for event in events:
            seeing = [
                reader
                for reader, viewer in present.items()
                if can_see(viewer, event, network.policy, network.directory)
            ]
            assert found(interest, event) == seeing

    for membership in before:
        network.put(*membership)
    for reader, viewer in enumerate(viewers):
        present[reader] = interest.add(reader, viewer)
        check()
    for membership in after:
        network.put(*membership)
        check()
    network.policy = policy(direct_messages=not direct_messages)
    check()
    for reader in range(0, len(viewers), 2):
        interest.discard(reader, present.pop(reader))
        check()


def test_nothing_is_left_of_readers_that_have_gone() -> None:
    network = Network(policy())
    interest = Interest[int](network)  # type: ignore[arg-type]
    viewer = Viewer(True, True, True, frozenset(FQIDS))
    for reader in range(3):
        interest.add(reader, viewer)
    assert sorted(interest) == [0, 1, 2]
    for reader in range(3):
        interest.discard(reader, viewer)
    tables = [value for field in attrs.fields(Interest) if isinstance(value := getattr(interest, field.name), dict)]
    assert tables
    assert not any(tables)


def test_readers_with_one_view_share_it() -> None:
    interest = Interest[int](Network(policy()))  # type: ignore[arg-type]
    first, second = (interest.add(reader, Viewer(agents=frozenset({FQIDS[0]}))) for reader in range(2))
    assert first is second
