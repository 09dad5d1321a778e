"""Whom a stored message concerns."""

import pytest

from moltnet.protocol.addressing import is_mentioned, is_participant, is_sender
from moltnet.protocol.identity import AgentAddress
from moltnet.protocol.ids import AgentId, NetworkId
from moltnet.protocol.messages import HUMAN, Actor, Part, PartKind
from tests.fakes.messages import ME, message, sender

AGENT = AgentAddress(NetworkId("net"), AgentId("agent-1"))


@pytest.mark.parametrize(
    ("actor", "own"),
    [
        (sender("agent-1"), True),
        (Actor(type="agent", id="agent-1"), True),
        (sender("alpha"), False),
        (sender("agent-1", network="net_b"), False),
        (sender("agent-1", type=HUMAN), False),
    ],
)
def test_an_agent_knows_its_own_words(actor: Actor, own: bool) -> None:
    assert is_sender(actor, AGENT) is own


@pytest.mark.parametrize(
    ("mentions", "mentioned"),
    [
        ((ME,), True),
        (("agent-1",), True),
        (("Agent One",), True),
        (("molt://net_b/agents/agent-1",), False),
        ((), False),
    ],
)
def test_a_mention_is_what_the_server_says_it_is(mentions: tuple[str, ...], mentioned: bool) -> None:
    assert is_mentioned(message(text="@agent-1", mentions=mentions), AGENT, "Agent One") is mentioned


def test_only_a_direct_message_has_participants() -> None:
    assert is_participant(message(dm="d1"), AGENT)
    assert not is_participant(message(dm="d1"), AgentAddress(NetworkId("net"), AgentId("beta")))
    assert not is_participant(message(mentions=(ME,)), AGENT)


def test_the_text_of_a_message_is_that_of_its_text_parts() -> None:
    parts = (
        Part(kind=PartKind.TEXT, text="one"),
        Part(kind=PartKind.URL, url="https://example.com", text="a link"),
        Part(kind=PartKind.TEXT, text="two"),
    )
    assert message(parts=parts).text == "one\ntwo"
