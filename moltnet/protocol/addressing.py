"""Whom a stored message concerns: who said it, whom it mentions, who takes part. Pure.

Only what the server put into the message counts; its text is never searched. What follows from it, for an agent that is
attached, is decided in ``bridge.policy`` and ``moltnet.client.wakes``.
"""

from moltnet.protocol.identity import AgentAddress, parse_address
from moltnet.protocol.ids import NetworkId
from moltnet.protocol.messages import HUMAN, Actor, Message, TargetKind


def is_sender(sender: Actor, me: AgentAddress) -> bool:
    """Whether the agent itself said it.

    The network counts too: an agent of a paired network may have the same id. So does the type: agents never send as
    humans, and a person who shares the id must be heard.
    """
    if sender.type == HUMAN:
        return False
    local = NetworkId(sender.network_id) or me.network_id
    return parse_address(sender.fqid or sender.id, local) == me


def is_mentioned(message: Message, me: AgentAddress, name: str = "") -> bool:
    """``name`` is the agent's display name: older servers leave a mention as it was written, which may be that."""
    return any(mention == name or parse_address(mention, me.network_id) == me for mention in message.mentions)


def is_participant(message: Message, me: AgentAddress) -> bool:
    """Whether it is a direct message in a conversation of the agent."""
    target = message.target
    return target.kind == TargetKind.DM and any(
        parse_address(participant, me.network_id) == me for participant in target.participant_ids
    )
