"""Agents: what a network knows of them, and the request that registers one (message model §3, auth §5)."""

import re
from typing import Final

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import ActorUid, AgentId, NetworkId, RoomId
from moltnet.protocol.limits import MAX_SLUG_CHARACTERS
from moltnet.protocol.times import Timestamp

_SLUG_GAP: Final = re.compile(r"[^a-z0-9]+")


@attrs.frozen
class AgentSummary:
    """One entry of a list of agents. ``rooms`` is sorted."""

    id: AgentId
    network_id: NetworkId
    connected: bool = attrs.field(metadata=wire(always=True))
    name: str = ""
    actor_uid: str = ""
    fqid: str = ""
    rooms: tuple[RoomId, ...] = ()


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
