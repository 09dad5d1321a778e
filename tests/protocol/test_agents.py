"""Agents on the wire, and ids made from their names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moltnet.protocol.agents import AgentRegistration, AgentSummary, RegisterAgentRequest, agent_id_from_name
from moltnet.protocol.codec import encode
from moltnet.protocol.ids import ActorUid, AgentId, NetworkId, is_id
from moltnet.protocol.limits import MAX_ID_CHARACTERS
from moltnet.protocol.times import Timestamp

NOW = Timestamp("2026-01-01T00:00:00Z")


@pytest.mark.parametrize(
    ("name", "agent_id"),
    [
        ("Luna", "luna"),
        ("Luna the 2nd!", "luna-the-2nd"),
        ("  a  --  b  ", "a-b"),
        ("Ünïcödé", "n-c-d"),
        ("月", "agent"),
        ("", "agent"),
        ("-_-", "agent"),
        ("a" * 99 + " b", "a" * 99),
        ("a" * 1000, "a" * 100),
        ("a\x00b", "a-b"),
    ],
)
def test_an_id_is_made_from_the_letters_and_digits_of_a_name(name: str, agent_id: str) -> None:
    assert agent_id_from_name(name) == agent_id


@given(st.text())
def test_any_name_gives_a_valid_id_with_room_for_what_sets_it_apart(name: str) -> None:
    agent_id = agent_id_from_name(name)
    assert is_id(agent_id)
    assert not agent_id.endswith("-")
    assert len(f"{agent_id}-0123abcd") <= MAX_ID_CHARACTERS


def test_a_registration_request_is_trimmed() -> None:
    assert RegisterAgentRequest(" luna ", "\tLuna\n").trimmed() == RegisterAgentRequest("luna", "Luna")


def test_an_agent_that_is_away_says_so() -> None:
    assert encode(AgentSummary(AgentId("a"), NetworkId("n"), connected=False)) == (
        b'{"id":"a","network_id":"n","connected":false}'
    )


def test_a_token_is_in_the_answer_only_if_it_was_minted_and_never_in_a_repr() -> None:
    registration = AgentRegistration(
        NetworkId("n"), AgentId("a"), ActorUid("actor_1"), "molt://n/agents/a", NOW, NOW, agent_token="secret-1"
    )
    assert b'"agent_token":"secret-1"' in encode(registration)
    assert "secret-1" not in repr(registration)
    again = AgentRegistration(NetworkId("n"), AgentId("a"), ActorUid("actor_1"), "molt://n/agents/a", NOW, NOW)
    assert b"agent_token" not in encode(again)
