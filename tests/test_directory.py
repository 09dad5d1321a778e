from collections.abc import Sequence

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.directory import Directory, keys_beyond
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.protocol.times import Timestamp
from moltnet.storage.records import PairNetwork, StoredSession
from tests.fakes.credentials import directory_of, stored_agent, stored_room
from tests.fakes.network import NETWORK, room

ALPHA, BETA, REMOTE_ALPHA = (
    agent_fqid(*names) for names in ((NETWORK, "alpha"), (NETWORK, "beta"), ("net_b", "alpha"))
)


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
    assert list(directory.known_ids()) == ["net_b:alpha"]


def test_rooms_come_by_id_and_of_a_member_too() -> None:
    directory = directory_of([room("c", "alpha"), room("a", "alpha"), room("b", "beta")])
    assert directory.room_ids() == ["a", "b", "c"]
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
        assert directory.room_ids() == ["a"]
        assert directory.rooms_of(ALPHA) == ["a"]
        assert directory.known_ids() == ["alpha"]
        assert (directory.agent("alpha"), directory.agents_of("key")) == (None, frozenset())
    directory.apply([stored_room(room("b", "beta"))], [stored_agent("alpha", "key:new")], [AgentId("alpha")])
    assert directory.room_ids() == ["a", "b"]
    assert directory.agents_of("key:new") == {"alpha"}


members = st.sets(st.sampled_from(["alpha", "beta", "net_b:alpha", f"molt://{NETWORK}/agents/beta"]), max_size=4)
changes = st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), members), max_size=12)


@given(changes)
def test_after_any_changes_it_is_as_if_it_had_been_loaded_so(changes: Sequence[tuple[str, set[str]]]) -> None:
    changed = Directory(NETWORK)
    for room_id, room_members in changes:
        changed.apply([stored_room(room(room_id, *room_members))], [])
    loaded = directory_of([room(room_id, *room_members) for room_id, room_members in dict(changes).items()])
    assert changed.room_ids() == loaded.room_ids()
    assert changed.known_ids() == loaded.known_ids()
    for fqid in (ALPHA, BETA, REMOTE_ALPHA):
        assert changed.rooms_of(fqid) == loaded.rooms_of(fqid)
        assert changed.is_known(fqid) == loaded.is_known(fqid)


KEYS = ["a", "c", "e", "g"]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("", "", KEYS),
        ("", "c", ["e", "g"]),
        ("", "d", ["e", "g"]),
        ("", "g", []),
        ("g", "", ["e", "c", "a"]),
        ("d", "", ["c", "a"]),
        ("a", "", []),
    ],
)
def test_keys_are_walked_in_the_direction_of_reading(before: str, after: str, expected: list[str]) -> None:
    assert list(keys_beyond(KEYS, before, after)) == expected


def test_everybody_is_known_once_however_often_and_as_long_as_there_is_a_reason() -> None:
    directory = directory_of([room("a", "alpha", "net_b:gamma"), room("b", "alpha")], {"alpha": "key", "delta": "key"})
    assert directory.known_ids() == ["alpha", "delta", "net_b:gamma"]
    directory.apply([stored_room(room("a"))], [], [AgentId("alpha")])
    assert directory.known_ids() == ["alpha", "delta"]
    directory.apply([stored_room(room("b"))], [])
    assert directory.known_ids() == ["delta"]
    directory.apply([], [], [AgentId("delta")])
    assert directory.known_ids() == []


def test_sessions_and_pair_networks_come_with_commits() -> None:
    directory = Directory(NETWORK)
    monday, tuesday = (StoredSession(digest, "token:ops", Timestamp(""), Timestamp("")) for digest in ("mon", "tue"))
    directory.apply_credentials([monday, tuesday], [PairNetwork("token:pair", NetworkId("net_b"))])
    directory.apply_credentials([], [], ["mon", "never there"])
    assert (directory.session("mon"), directory.session("tue")) == (None, tuesday)
    assert list(directory.sessions()) == [tuesday]
    assert (directory.pair_network("token:pair"), directory.pair_network("token:ops")) == (NetworkId("net_b"), None)


def test_whom_mentions_mean_follows_the_members_of_the_room() -> None:
    directory = directory_of([room("r", "alpha")])
    assert directory.addressees("r").resolve(["alpha", "beta", "net_b:alpha"], {}) == (ALPHA,)
    directory.apply([stored_room(room("r", "beta", "net_b:alpha"))], ())
    assert directory.addressees("r").resolve(["alpha", "beta"], {}) == (REMOTE_ALPHA, BETA)
    directory.apply([attrs.evolve(stored_room(room("r")), removed_at=Timestamp("2026-01-01T00:00:00Z"))], ())
    assert directory.addressees("r").resolve(["alpha", "beta"], {}) == ()
    assert directory.addressees("elsewhere").resolve(["alpha"], {}) == ()


def test_the_members_of_a_room_are_read_once_for_all_its_mentions() -> None:
    directory = directory_of([room("r", "alpha"), room("s", "beta")])
    found = directory.addressees("r")
    directory.apply([stored_room(room("s", "alpha"))], ())
    assert directory.addressees("r") is found
