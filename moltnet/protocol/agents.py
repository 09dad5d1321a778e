"""Agents: what a network knows of them, and the request that registers one (message model §3, auth §5)."""

import re
from typing import Final

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import ActorUid, AgentId, NetworkId, RoomId
from moltnet.protocol.limits import MAX_ABOUT_CHARACTERS, MAX_SLUG_CHARACTERS
from moltnet.protocol.times import Timestamp

_NOT_SHOWN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
_SLUG_GAP: Final = re.compile(r"[^a-z0-9]+")


@attrs.frozen
class Mute:
    """What keeps an agent from saying anything, until that time or until somebody lifts it. ``by`` is a credential."""

    since: Timestamp
    reason: str = ""
    by: str = ""
    until: Timestamp = attrs.field(default=Timestamp(""))


@attrs.frozen
class About:
    """What the program says of itself that attaches an agent: which runtime the agent is, and on which host."""

    runtime: str = ""
    host: str = ""

    def trimmed(self) -> "About":
        """Of any text that a client may send, what is shown to people."""
        return About(*(_NOT_SHOWN.sub(" ", text).strip()[:MAX_ABOUT_CHARACTERS] for text in (self.runtime, self.host)))


@attrs.frozen
class MuteRequest:
    """For so many minutes, or until a time, or until somebody lifts it."""

    reason: str = ""
    minutes: int = 0
    until: str = ""


@attrs.frozen
class AgentSummary:
    """One entry of a list of agents. ``rooms`` is sorted.

    ``last_seen_at`` is when its last attachment began or ended, or it last said something, for who may know it; the
    same goes for ``runtime``, ``host`` and ``mute``.
    """

    id: AgentId
    network_id: NetworkId
    connected: bool = attrs.field(metadata=wire(always=True))
    name: str = ""
    actor_uid: str = ""
    fqid: str = ""
    rooms: tuple[RoomId, ...] = ()
    last_seen_at: Timestamp = attrs.field(default=Timestamp(""))
    runtime: str = ""
    host: str = ""
    mute: Mute | None = None


@attrs.frozen
class AgentRegistration:
    """The answer to a registration, or to replacing a token.

    ``agent_token`` is there only when this call minted one, and never again.
    """

    network_id: NetworkId
    agent_id: AgentId
    actor_uid: ActorUid
    actor_uri: str
    created_at: Timestamp
    updated_at: Timestamp
    display_name: str = ""
    agent_token: str = attrs.field(default="", repr=False)

    def with_token(self, token: str) -> "AgentRegistration":
        """The answer that shows ``token``, the only one that ever does."""
        return attrs.evolve(self, agent_token=token)


@attrs.frozen
class RegisterAgentRequest:
    requested_agent_id: str = ""
    name: str = ""

    def trimmed(self) -> "RegisterAgentRequest":
        return RegisterAgentRequest(self.requested_agent_id.strip(), self.name.strip())


def agent_id_from_name(name: str) -> str:
    """``"Luna the 2nd!"`` → ``luna-the-2nd``; a name without letters and digits gives ``agent``."""
    return _SLUG_GAP.sub("-", name.lower()).strip("-")[:MAX_SLUG_CHARACTERS].rstrip("-") or "agent"
