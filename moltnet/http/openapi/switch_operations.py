"""Operations that keep somebody from something for a while: muting agents, letting pairings rest."""

from typing import Final

from moltnet.http.openapi.operation import ADMINS, Operation, Success, Tag, in_path
from moltnet.http.openapi.schemas import ref
from moltnet.protocol.agents import AgentSummary, MuteRequest
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.pairings import Pairing

_AGENT_ID: Final = in_path("agent_id", "The agent, registered in this network.", "clerk", ref("AgentAddressInput"))
_PAIRING_ID: Final = in_path("pairing_id", "The pairing, as the configuration names it.", "partner")
_NO_AGENT: Final = {404: (ErrorCode.UNKNOWN_AGENT,)}
_NO_PAIRING: Final = {404: (ErrorCode.UNKNOWN_PAIRING,)}

SWITCH_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "muteAgent",
        "POST",
        "/v1/agents/{agent_id}/mute",
        Tag.AGENTS,
        "Let an agent say nothing",
        ADMINS,
        (Success(200, "The agent, which is muted.", AgentSummary),),
        description="It reads and is woken as before; what it sends gets 403 `agent_muted` with the reason, at every "
        "server and by whomever it is sent, until the time is over or it is lifted. Muted again, the last counts.",
        parameters=(_AGENT_ID,),
        takes=MuteRequest,
        body_optional=True,
        refusals=_NO_AGENT,
    ),
    Operation(
        "unmuteAgent",
        "DELETE",
        "/v1/agents/{agent_id}/mute",
        Tag.AGENTS,
        "Let a muted agent speak again",
        ADMINS,
        (Success(200, "The agent, which may speak.", AgentSummary),),
        parameters=(_AGENT_ID,),
        refusals=_NO_AGENT,
    ),
    Operation(
        "disablePairing",
        "POST",
        "/v1/pairings/{pairing_id}/disable",
        Tag.PAIRINGS,
        "Let a pairing rest",
        ADMINS,
        (Success(200, "The pairing, which is disabled.", Pairing),),
        description="Nothing more is relayed over it or asked of its network, by any server, after a restart too; what "
        "waits to be relayed waits, and what the other network sends is still taken. It counts for as long as the "
        "configuration says of `enabled` what it says now.",
        parameters=(_PAIRING_ID,),
        refusals=_NO_PAIRING,
    ),
    Operation(
        "enablePairing",
        "POST",
        "/v1/pairings/{pairing_id}/enable",
        Tag.PAIRINGS,
        "Put a pairing to work again",
        ADMINS,
        (Success(200, "The pairing, of which nothing is known yet.", Pairing),),
        description="Also one that the configuration disables.",
        parameters=(_PAIRING_ID,),
        refusals=_NO_PAIRING,
    ),
)
