import attrs
import pytest

from moltnet.core.recipients import mentioned
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.messages import Part, PartKind
from tests.fakes.credentials import directory_of
from tests.fakes.network import NETWORK, direct_message, room, room_message, thread_message

ALIASES = {NETWORK: frozenset({NETWORK}), "Lab": frozenset({NETWORK}), "partner": frozenset({NetworkId("net_b")})}
DIRECTORY = directory_of([room("general", "alpha", "beta", "net_b:beta", "net_b:gamma"), room("empty")])
ALPHA, BETA = f"molt://{NETWORK}/agents/alpha", f"molt://{NETWORK}/agents/beta"
REMOTE_BETA, REMOTE_GAMMA = "molt://net_b/agents/beta", "molt://net_b/agents/gamma"

# What a message says → whom it addresses in the room with alpha, beta, net_b:beta and net_b:gamma.
TEXTS = [
    ("nobody here", ()),
    ("@alpha", (ALPHA,)),
    ("thanks @alpha.", (ALPHA,)),
    ("@alpha, @alpha and @alpha!", (ALPHA,)),
    ("@gamma", (REMOTE_GAMMA,)),
    ("@beta", ()),  # there are two
    (f"@{NETWORK}:beta", (BETA,)),
    ("@Lab:beta", (BETA,)),
    ("@partner:beta", (REMOTE_BETA,)),
    ("@net_b:beta", ()),  # no name for a network here
    (f"<@{REMOTE_BETA}>", (REMOTE_BETA,)),
    (f"@{REMOTE_BETA}", ()),  # recognised, and not a mention
    ("@nobody @delta", ()),
    ("@gamma then @alpha", (REMOTE_GAMMA, ALPHA)),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_whom_a_text_addresses(text: str, expected: tuple[str, ...]) -> None:
    assert mentioned(room_message(text), DIRECTORY, ALIASES) == expected
    assert mentioned(thread_message("t1", text), DIRECTORY, ALIASES) == expected


def test_those_that_are_listed_come_first_and_nobody_twice() -> None:
    request = room_message("@gamma and @alpha", mentions=["alpha", "delta"])
    assert mentioned(request, DIRECTORY, ALIASES) == (ALPHA, REMOTE_GAMMA)


def test_only_members_of_the_room_are_addressed() -> None:
    assert mentioned(room_message("@alpha", room="empty"), DIRECTORY, ALIASES) == ()
    assert mentioned(room_message("@alpha", room="unheard-of"), DIRECTORY, ALIASES) == ()


def test_in_a_direct_conversation_its_participants_are_addressed() -> None:
    request = direct_message("d1", "delta", "net_b:beta", text="@delta @beta @alpha", sender="delta")
    assert mentioned(request, DIRECTORY, ALIASES) == (f"molt://{NETWORK}/agents/delta", REMOTE_BETA)


def test_only_texts_mention() -> None:
    part = Part(kind=PartKind.URL, text="@alpha", url="https://example.com/@alpha", filename="@alpha")
    assert mentioned(attrs.evolve(room_message("plain"), parts=(part,)), DIRECTORY, ALIASES) == ()
