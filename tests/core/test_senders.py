"""Who may speak as whom: auth §6 and §7 as design §3.6 changed them."""

import pytest

from moltnet.auth.policy import AuthPolicy
from moltnet.config.settings import AuthMode
from moltnet.core.errors import Refused
from moltnet.core.senders import Sender, prove_sender
from moltnet.directory import Directory
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.messages import AGENT, HUMAN, Actor, MessageOrigin
from tests.fakes.credentials import CALLERS, directory_of, static
from tests.fakes.network import NETWORK

NONE, BEARER, OPEN = AuthPolicy(AuthMode.NONE), AuthPolicy(AuthMode.BEARER), AuthPolicy(AuthMode.OPEN)
# alpha and beta have tokens of their own; gamma belongs to the token that the tables call "write".
DIRECTORY = directory_of(agents={"alpha": "key:alpha", "beta": "key:beta", "gamma": "token:tok", "free": "anonymous"})
ALPHA = Actor(type=AGENT, id="alpha")
ACCEPTED = None


def prove(
    actor: Actor,
    caller: str,
    policy: AuthPolicy = BEARER,
    *,
    origin: str = "",
    directory: Directory = DIRECTORY,
) -> Sender:
    return prove_sender(actor, MessageOrigin(origin, "m1"), CALLERS[caller], policy, directory)


# Who asks to send as the local agent of this id → accepted, or the status class and code of the refusal.
AGENTS = [
    # Mode none: everybody is anybody, but what belongs to a credential stays with it.
    ("nobody asked", NONE, "unregistered", ACCEPTED),
    ("nobody asked", NONE, "free", ACCEPTED),
    ("nobody asked", NONE, "alpha", ("Conflict", ErrorCode.AGENT_OWNED_BY_OTHER)),
    # An agent's own token.
    ("agent alpha", BEARER, "alpha", ACCEPTED),
    ("agent alpha", OPEN, "alpha", ACCEPTED),
    ("agent alpha", BEARER, "beta", ("Forbidden", ErrorCode.AGENT_NOT_ALLOWED)),
    ("agent alpha", OPEN, "unregistered", ("Forbidden", ErrorCode.AGENT_NOT_ALLOWED)),
    # Static tokens: what they own, nothing that is not registered, nothing of others.
    ("write", BEARER, "gamma", ACCEPTED),
    ("write", OPEN, "gamma", ACCEPTED),
    ("write", BEARER, "unregistered", ("Forbidden", ErrorCode.AGENT_NOT_REGISTERED)),
    ("write", OPEN, "unregistered", ("Unauthenticated", ErrorCode.AGENT_NOT_REGISTERED)),
    ("write", BEARER, "alpha", ("Conflict", ErrorCode.AGENT_OWNED_BY_OTHER)),
    ("write for alpha", BEARER, "beta", ("Forbidden", ErrorCode.AGENT_NOT_ALLOWED)),
    ("write for alpha", BEARER, "alpha", ("Conflict", ErrorCode.AGENT_OWNED_BY_OTHER)),
    # Scopes.
    ("anonymous", BEARER, "alpha", ("Unauthenticated", ErrorCode.UNAUTHORIZED)),
    ("anonymous", OPEN, "alpha", ("Unauthenticated", ErrorCode.UNAUTHORIZED)),
    ("observe", BEARER, "gamma", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("attach", BEARER, "gamma", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("pair", BEARER, "gamma", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("admin", BEARER, "gamma", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    # Admin and write together may speak as anybody here.
    ("admin write", BEARER, "alpha", ACCEPTED),
    ("admin write", BEARER, "unregistered", ACCEPTED),
    ("admin write", OPEN, "unregistered", ACCEPTED),
]


@pytest.mark.parametrize(("caller", "policy", "agent_id", "refusal"), AGENTS)
def test_who_may_send_as_a_local_agent(
    caller: str, policy: AuthPolicy, agent_id: str, refusal: tuple[str, ErrorCode] | None
) -> None:
    assert _refusal(Actor(type=AGENT, id=agent_id), caller, policy) == refusal


# The same for the human ada, whom nobody registers, and for a human who calls itself alpha.
HUMANS = [
    ("nobody asked", NONE, "ada", ACCEPTED),
    ("nobody asked", NONE, "alpha", ACCEPTED),
    ("anonymous", BEARER, "ada", ("Unauthenticated", ErrorCode.UNAUTHORIZED)),
    ("anonymous", OPEN, "ada", ("Unauthenticated", ErrorCode.UNAUTHORIZED)),
    ("agent alpha", BEARER, "ada", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("agent alpha", OPEN, "alpha", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("observe", BEARER, "ada", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("admin", BEARER, "ada", ("Forbidden", ErrorCode.MISSING_SCOPE)),
    ("write", BEARER, "ada", ACCEPTED),
    ("write", OPEN, "ada", ACCEPTED),
    # A token for agents never speaks as a human, and a human never as an agent.
    ("write for alpha", BEARER, "ada", ("Forbidden", ErrorCode.AGENT_NOT_ALLOWED)),
    ("write for alpha", BEARER, "alpha", ("Forbidden", ErrorCode.AGENT_NOT_ALLOWED)),
    ("write", BEARER, "alpha", ("Conflict", ErrorCode.AGENT_OWNED_BY_OTHER)),
    ("admin write", BEARER, "alpha", ACCEPTED),
]


@pytest.mark.parametrize(("caller", "policy", "human_id", "refusal"), HUMANS)
def test_who_may_send_as_a_human(
    caller: str, policy: AuthPolicy, human_id: str, refusal: tuple[str, ErrorCode] | None
) -> None:
    assert _refusal(Actor(type=HUMAN, id=human_id), caller, policy) == refusal


@pytest.mark.parametrize("mode", list(AuthMode))
def test_where_humans_are_shut_out_not_even_an_administrator_sends_as_one(mode: AuthMode) -> None:
    policy = AuthPolicy(mode, human_ingress=False)
    caller = "nobody asked" if mode is AuthMode.NONE else "admin write"
    assert _refusal(Actor(type=HUMAN, id="ada"), caller, policy) == ("Forbidden", ErrorCode.HUMAN_INGRESS_DISABLED)
    assert _refusal(Actor(type=AGENT, id="free"), caller, policy) is None


# Actors of the network net_b, by how they say so, and who relays them.
SAYS_SO = {
    "by id": Actor(type=AGENT, id="net_b:alpha", network_id="net_b"),
    "by FQID as id": Actor(type=AGENT, id="molt://net_b/agents/alpha", network_id="net_b"),
    "by network": Actor(type=AGENT, id="alpha", network_id="net_b"),
    "by FQID": Actor(type=AGENT, id="alpha", network_id="net_b", fqid="molt://net_b/agents/alpha"),
}


@pytest.mark.parametrize("actor", SAYS_SO.values(), ids=SAYS_SO.keys())
@pytest.mark.parametrize("actor_type", [AGENT, HUMAN])
def test_a_pair_token_relays_actors_of_the_network_of_origin(actor: Actor, actor_type: str) -> None:
    sender = prove(Actor(actor_type, actor.id, "Alpha of B", actor.network_id, actor.fqid), "pair", origin="net_b")
    expected = Actor(actor_type, "alpha", "Alpha of B", "net_b", "molt://net_b/agents/alpha")
    assert sender.actor == expected
    assert sender.address.fqid == expected.fqid


@pytest.mark.parametrize(
    ("actor", "origin"),
    [
        (Actor(type=AGENT, id="alpha"), "net_b"),  # a local actor under a foreign origin
        (Actor(type=AGENT, id="alpha", network_id=NETWORK), "net_b"),
        (Actor(type=AGENT, id="net_c:alpha", network_id="net_b"), "net_b"),
        (Actor(type=AGENT, id="alpha", network_id="net_c"), "net_b"),
        (Actor(type=AGENT, id="net_b:alpha"), "net_b"),  # it must say so in its network, too
        (Actor(type=AGENT, id="alpha", network_id="net_b", fqid="molt://net_c/agents/alpha"), "net_b"),
        (Actor(type=AGENT, id="alpha", network_id="net_b", fqid=f"molt://{NETWORK}/agents/alpha"), "net_b"),
    ],
)
def test_an_actor_must_belong_to_the_network_of_origin_in_all_its_fields(actor: Actor, origin: str) -> None:
    assert _refusal(actor, "pair", BEARER, origin=origin) == ("Forbidden", ErrorCode.REMOTE_ACTOR_FORBIDDEN)


RELAYERS = [
    ("nobody asked", NONE, ("Forbidden", ErrorCode.REMOTE_ACTOR_FORBIDDEN)),
    ("anonymous", BEARER, ("Unauthenticated", ErrorCode.UNAUTHORIZED)),
    ("agent alpha", BEARER, ("Forbidden", ErrorCode.REMOTE_ACTOR_FORBIDDEN)),
    ("write", BEARER, ("Forbidden", ErrorCode.REMOTE_ACTOR_FORBIDDEN)),
    ("admin write", BEARER, ("Forbidden", ErrorCode.REMOTE_ACTOR_FORBIDDEN)),
    ("pair", BEARER, ACCEPTED),
    ("pair", OPEN, ACCEPTED),
]


@pytest.mark.parametrize("actor_type", [AGENT, HUMAN])
@pytest.mark.parametrize(("caller", "policy", "refusal"), RELAYERS)
def test_who_may_relay(caller: str, policy: AuthPolicy, refusal: tuple[str, ErrorCode] | None, actor_type: str) -> None:
    actor = Actor(type=actor_type, id="alpha", network_id="net_b")
    assert _refusal(actor, caller, policy, origin="net_b") == refusal


@pytest.mark.parametrize("actor", SAYS_SO.values(), ids=SAYS_SO.keys())
@pytest.mark.parametrize("caller", ["agent alpha", "write", "admin write", "pair"])
def test_without_a_foreign_origin_nobody_sends_as_an_actor_of_another_network(actor: Actor, caller: str) -> None:
    assert _refusal(actor, caller, BEARER) == ("Forbidden", ErrorCode.REMOTE_ACTOR_FORBIDDEN)


@pytest.mark.parametrize(("origin", "refused"), [("net_b", False), ("net_c", True)])
def test_a_pair_token_is_bound_to_one_network(origin: str, refused: bool) -> None:
    actor = Actor(type=AGENT, id="alpha", network_id=origin)
    claims = static("pair", network="net_b")
    if refused:
        with pytest.raises(Refused, match="belongs to network") as caught:
            prove_sender(actor, MessageOrigin(origin, "m1"), claims, BEARER, DIRECTORY)
        assert caught.value.code is ErrorCode.REMOTE_ACTOR_FORBIDDEN
    else:
        assert prove_sender(actor, MessageOrigin(origin, "m1"), claims, BEARER, DIRECTORY).actor.network_id == "net_b"


def test_an_origin_that_is_this_network_is_no_relay() -> None:
    assert prove(ALPHA, "agent alpha", origin=NETWORK).actor.id == "alpha"
    assert _refusal(ALPHA, "pair", BEARER, origin=NETWORK) == ("Forbidden", ErrorCode.MISSING_SCOPE)


@pytest.mark.parametrize("claimed_id", ["alpha", f"{NETWORK}:alpha", f"molt://{NETWORK}/agents/alpha"])
def test_name_and_address_of_a_local_agent_come_from_its_registration(claimed_id: str) -> None:
    claimed = Actor(type=AGENT, id=claimed_id, name="Somebody Else", fqid=f"molt://{NETWORK}/agents/beta")
    sender = prove(claimed, "agent alpha")
    assert sender.actor == Actor(AGENT, "alpha", "Alpha", NETWORK, f"molt://{NETWORK}/agents/alpha")


def test_a_human_and_an_unregistered_agent_choose_their_names() -> None:
    assert prove(Actor(type=HUMAN, id="ada", name="Ada"), "write").actor.name == "Ada"
    assert prove(Actor(type=AGENT, id="new", name="New"), "admin write").actor.name == "New"


def _refusal(actor: Actor, caller: str, policy: AuthPolicy, *, origin: str = "") -> tuple[str, ErrorCode] | None:
    """The class and code of a refusal; `None` if the sender is accepted, as the actor that it claimed to be."""
    try:
        sender = prove(actor, caller, policy, origin=origin)
    except Refused as refused:
        return type(refused).__name__, refused.code
    assert sender.actor.type == actor.type
    assert sender.actor.fqid == sender.address.fqid
    return None
