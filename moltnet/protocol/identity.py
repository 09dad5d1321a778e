"""Addresses of agents: ``alpha``, ``net_b:alpha`` and ``molt://net_b/agents/alpha`` (message model §2).

An ``AgentAddress`` is the parsed form; a bare id belongs to the network that reads it. Rules that decide what an
address may do live in ``moltnet.core``.
"""

from typing import Final

import attrs

from moltnet.protocol.ids import AgentId, DirectId, NetworkId, RoomId, ThreadId, id_problem

FQID_PREFIX: Final = "molt://"
_AGENTS: Final = "/agents/"


@attrs.frozen
class AgentAddress:
    """One agent of one network."""

    network_id: NetworkId
    agent_id: AgentId

    @property
    def fqid(self) -> str:
        return agent_fqid(self.network_id, self.agent_id)

    @property
    def scoped(self) -> str:
        return f"{self.network_id}:{self.agent_id}"

    @property
    def spellings(self) -> tuple[str, str, str]:
        """Every text that names this agent where it is at home."""
        return self.agent_id, self.scoped, self.fqid

    def local_or_scoped(self, local: NetworkId) -> str:
        """The form used in lists of members: bare if the agent belongs to ``local``.

        An id may hold colons; where the short form would then name another agent, it is a longer one.
        """
        text = self.agent_id if self.network_id == local else self.scoped
        if ":" in self.agent_id or ":" in self.network_id:
            return next((each for each in (text, self.scoped) if parse_address(each, local) == self), self.fqid)
        return text


def agent_fqid(network_id: str, agent_id: str) -> str:
    return f"{FQID_PREFIX}{network_id}{_AGENTS}{agent_id}"


def room_fqid(network_id: NetworkId, room_id: RoomId) -> str:
    return f"{FQID_PREFIX}{network_id}/rooms/{room_id}"


def thread_fqid(network_id: NetworkId, thread_id: ThreadId) -> str:
    return f"{FQID_PREFIX}{network_id}/threads/{thread_id}"


def direct_fqid(network_id: NetworkId, direct_id: DirectId) -> str:
    return f"{FQID_PREFIX}{network_id}/dms/{direct_id}"


def parse_address(text: str, local: NetworkId) -> AgentAddress:
    """Read any of the three forms; a bare id is an agent of ``local``. The parts are not validated."""
    trimmed = text.strip()
    if trimmed.startswith(FQID_PREFIX):
        network, found, agent = trimmed[len(FQID_PREFIX) :].partition(_AGENTS)
        if found and network.strip() and agent.strip():
            return AgentAddress(NetworkId(network), AgentId(agent))
    else:
        network, found, agent = trimmed.partition(":")
        if found and network.strip() and agent.strip():
            return AgentAddress(NetworkId(network), AgentId(agent))
    return AgentAddress(local, AgentId(trimmed))


def is_qualified(text: str) -> bool:
    """Whether ``text`` names its network: scoped or an FQID."""
    marker = NetworkId("")
    return parse_address(text, marker).network_id != marker


def member_problem(text: str) -> str | None:
    """Why ``text`` is not a valid member id, as a phrase that follows the field's name; ``None`` if it is one."""
    if not text.strip():
        return "is required"
    address = parse_address(text, NetworkId(""))
    if address.network_id:
        problem = id_problem(address.network_id)
        if problem is not None:
            return f"network id {problem}"
        problem = id_problem(address.agent_id)
        return None if problem is None else f"agent id {problem}"
    return id_problem(address.agent_id)


def canonical_member(text: str, local: NetworkId) -> str:
    """One spelling per agent: bare for local ones, ``network:agent`` for others."""
    return parse_address(text, local).local_or_scoped(local)
