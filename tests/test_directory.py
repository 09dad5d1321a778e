from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.directory import Directory, key_window
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.protocol.times import Timestamp
from moltnet.storage.records import PairNetwork, StoredSession
from tests.fakes.credentials import directory_of, stored_agent, stored_room
from tests.fakes.network import NETWORK, room

ALPHA, REMOTE_ALPHA = agent_fqid(NETWORK, "alpha"), agent_fqid("net_b", "alpha")


def test_a_bare_member_is_a_local_agent_and_nobody_else() -> None:
    directory = directory_of([room("r", "alpha")])
    assert directory.is_member("r", ALPHA)
    assert not directory.is_member("r", REMOTE_ALPHA)
    assert not directory.is_member("r", "alpha")
    assert not directory.is_member("elsewhere", ALPHA)


@pytest.mark.parametrize("spelling", ["net_b:alpha", "molt://net_b/agents/alpha"])
def test_a_remote_member_is_known_in_any_spelling(spelling: str) -> None:
    directory = directory_of([room("r", spelling)])
    assert directory.is_member("r", REMOTE_ALPHA)
    assert not directory.is_member("r", ALPHA)
    assert list(directory.member_fqids()) == [REMOTE_ALPHA]


def test_rooms_come_by_id_and_of_a_member_too() -> None:
    directory = directory_of([room("c", "alpha"), room("a", "alpha"), room("b", "beta")])
    assert [each.id for each in directory.rooms()] == ["a", "b", "c"]
    assert directory.rooms_of(ALPHA) == ["a", "c"]
    assert directory.rooms_of(REMOTE_ALPHA) == []


def test_an_agent_that_changes_hands_leaves_its_old_owner() -> None:
    directory = directory_of(agents={"alpha": "key:old", "beta": "key:old"})
    directory.apply([], [stored_agent("alpha", "key:new")])
    assert [sorted(directory.agents_of(key)) for key in ("key:old", "key:new")] == [["beta"], ["alpha"]]
    directory.apply([], [stored_agent("beta", "key:new")])
    assert [sorted(directory.agents_of(key)) for key in ("key:old", "key:new")] == [[], ["alpha", "beta"]]


def test_a_removed_room_and_agent_are_gone_from_every_index() -> None:
    directory = directory_of([room("a", "alpha"), room("b", "alpha", "beta")], {"alpha": "key"})
    removed = attrs.evolve(stored_room(room("b")), removed_at=Timestamp("2026-01-02T03:04:05Z"))
    for _ in range(2):
        directory.apply([removed], [], [AgentId("alpha"), AgentId("nobody")])
        assert [each.id for each in directory.rooms()] == ["a"]
        assert directory.rooms_of(ALPHA) == ["a"]
        assert list(directory.member_fqids()) == [ALPHA]
        assert (directory.agent("alpha"), directory.agents_of("key")) == (None, frozenset())
    directory.apply([stored_room(room("b", "beta"))], [stored_agent("alpha", "key:new")], [AgentId("alpha")])
    assert [each.id for each in directory.rooms()] == ["a", "b"]
    assert directory.agents_of("key:new") == {"alpha"}


members = st.sets(st.sampled_from(["alpha", "beta", "net_b:alpha", f"molt://{NETWORK}/agents/beta"]), max_size=4)
changes = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), members), max_size=12)


@given(changes)
def test_after_any_changes_it_is_as_if_it_had_been_loaded_so(changes: Sequence[tuple[str, set[str]]]) -> None:
    changed = Directory(NETWORK)
    for room_id, room_members in changes:
        changed.apply([stored_room(room(room_id, *room_members))], [])
    loaded = directory_of([room(room_id, *room_members) for room_id, room_members in dict(changes).items()])
    assert list(changed.rooms()) == list(loaded.rooms())
    assert set(changed.member_fqids()) == set(loaded.member_fqids())
    for fqid in loaded.member_fqids():
        assert changed.rooms_of(fqid) == loaded.rooms_of(fqid)


KEYS = ["a", "c", "e", "g"]


@pytest.mark.parametrize(
    ("before", "after", "limit", "expected", "has_more"),
    [
        ("", "", 2, ["a", "c"], True),
        ("", "", 4, KEYS, False),
        ("", "", 9, KEYS, False),
        ("", "c", 1, ["e"], True),
        ("", "c", 2, ["e", "g"], False),
        ("", "d", 9, ["e", "g"], False),
        ("", "g", 9, [], False),
        ("g", "", 2, ["c", "e"], True),
        ("g", "", 3, ["a", "c", "e"], False),
        ("a", "", 9, [], False),
        ("d", "", 1, ["c"], True),
    ],
)
def test_a_window_of_keys(before: str, after: str, limit: int, expected: list[str], has_more: bool) -> None:
    assert key_window(KEYS, before=before, after=after, limit=limit) == (expected, has_more)


def test_sessions_and_pair_networks_come_with_commits() -> None:
    directory = Directory(NETWORK)
    monday, tuesday = (StoredSession(digest, "token:ops", Timestamp(""), Timestamp("")) for digest in ("mon", "tue"))
    directory.apply_credentials([monday, tuesday], [PairNetwork("token:pair", NetworkId("net_b"))])
    directory.apply_credentials([], [], ["mon", "never there"])
    assert (directory.session("mon"), directory.session("tue")) == (None, tuesday)
    assert list(directory.sessions()) == [tuesday]
    assert (directory.pair_network("token:pair"), directory.pair_network("token:ops")) == (NetworkId("net_b"), None)
