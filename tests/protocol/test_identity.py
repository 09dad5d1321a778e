"""The three spellings of an agent: how they are read, compared and written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.protocol.identity import (
    AgentAddress,
    canonical_member,
    direct_fqid,
    is_qualified,
    member_problem,
    parse_address,
    room_fqid,
    thread_fqid,
)
from moltnet.protocol.ids import AgentId, DirectId, NetworkId, RoomId, ThreadId, id_problem

HERE = NetworkId("net_a")
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,10}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "network_id", "agent_id"),
    [
        ("alpha", "net_a", "alpha"),
        (" alpha\n", "net_a", "alpha"),
        ("net_b:alpha", "net_b", "alpha"),
        (" net_b:alpha ", "net_b", "alpha"),
        ("net_b:alpha:1", "net_b", "alpha:1"),
        ("molt://net_b/agents/alpha", "net_b", "alpha"),
        ("molt://net_b/agents/a/agents/b", "net_b", "a/agents/b"),
        ("molt://net_b:8787/agents/alpha", "net_b:8787", "alpha"),
        (":alpha", "net_a", ":alpha"),
        ("alpha:", "net_a", "alpha:"),
        (" : ", "net_a", ":"),
        ("molt://net_b/rooms/alpha", "net_a", "molt://net_b/rooms/alpha"),
        ("molt:///agents/alpha", "net_a", "molt:///agents/alpha"),
        ("molt://net_b/agents/", "net_a", "molt://net_b/agents/"),
        ("MOLT://net_b/agents/alpha", "MOLT", "//net_b/agents/alpha"),
        ("", "net_a", ""),
    ],
)
def test_an_address_is_read_from_each_spelling(text: str, network_id: str, agent_id: str) -> None:
    assert parse_address(text, HERE) == AgentAddress(NetworkId(network_id), AgentId(agent_id))


@given(IDS, IDS)
def test_every_spelling_of_an_agent_is_the_same_address(network_id: str, agent_id: str) -> None:
    address = AgentAddress(NetworkId(network_id), AgentId(agent_id))
    for spelling in (address.fqid, address.scoped, address.local_or_scoped(HERE)):
        assert parse_address(spelling, HERE) == address
        assert member_problem(spelling) is None
    assert canonical_member(address.fqid, HERE) == canonical_member(address.scoped, HERE)


def test_an_agent_is_bare_at_home_and_scoped_abroad() -> None:
    assert canonical_member("molt://net_a/agents/alpha", HERE) == "alpha"
    assert canonical_member("net_a:alpha", HERE) == "alpha"
    assert canonical_member("molt://net_b/agents/alpha", HERE) == "net_b:alpha"
    assert canonical_member(" alpha ", HERE) == "alpha"


@pytest.mark.parametrize(
    ("text", "qualified"),
    [
        ("alpha", False),
        ("", False),
        (":alpha", False),
        ("molt://net_b", False),
        ("net_b:alpha", True),
        ("molt://net_b/agents/alpha", True),
    ],
)
def test_an_address_is_qualified_if_it_names_its_network(text: str, qualified: bool) -> None:
    assert is_qualified(text) is qualified


@pytest.mark.parametrize(
    ("text", "beginning"),
    [
        ("", "is required"),
        (" \t", "is required"),
        ("al pha", "must start with"),
        ("-alpha", "must start with"),
        ("a" * 129, "must be 128 characters or fewer"),
        ("molt://net_b", "must start with"),
        ("net b:alpha", "network id must start with"),
        ("net_b:al pha", "agent id must start with"),
        ("molt://net b/agents/alpha", "network id must start with"),
        ("molt://net_b/agents/al/pha", "agent id must start with"),
        (f"net_b:{'a' * 129}", "agent id must be 128 characters or fewer"),
        (f"{'n' * 129}:alpha", "network id must be 128 characters or fewer"),
        ("alpha\x00", "must start with"),
    ],
)
def test_what_is_no_member_has_a_reason(text: str, beginning: str) -> None:
    problem = member_problem(text)
    assert problem is not None
    assert problem.startswith(beginning)


def test_a_scoped_member_may_be_as_long_as_two_ids() -> None:
    assert member_problem(f"{'n' * 128}:{'a' * 128}") is None


@given(st.text())
def test_any_text_is_a_member_or_has_a_reason(text: str) -> None:
    address = parse_address(text, HERE)
    valid = id_problem(address.network_id) is None and id_problem(address.agent_id) is None
    assert (member_problem(text) is None) is valid


def test_addresses_of_other_things_are_put_together_without_escaping() -> None:
    assert room_fqid(HERE, RoomId("general")) == "molt://net_a/rooms/general"
    assert thread_fqid(HERE, ThreadId("t1")) == "molt://net_a/threads/t1"
    assert direct_fqid(HERE, DirectId("d1")) == "molt://net_a/dms/d1"
