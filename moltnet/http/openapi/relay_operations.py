"""Operations on messages that are on their way to paired networks."""

from typing import Final

from moltnet.http.openapi.operation import ADMINS, OBSERVERS, STORED, Operation, Success, Tag, in_path, kept, paged
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.relays import DeadLetterPage, RelayQueues, RelayResult

_PAIRING_ID: Final = in_path("pairing_id", "The pairing, as the configuration names it, or did.", "partner")
_MESSAGE_ID: Final = in_path("message_id", "The message of the dead letter.", "msg_1")
_NO_PAIRING: Final = {404: (ErrorCode.UNKNOWN_PAIRING,)}
_NO_LETTER: Final = {404: (ErrorCode.UNKNOWN_PAIRING, ErrorCode.UNKNOWN_DEAD_LETTER)}

RELAY_OPERATIONS: Final[tuple[Operation, ...]] = (
    Operation(
        "listRelayQueues",
        "GET",
        "/v1/outbox",
        Tag.PAIRINGS,
        "How much waits for each pairing",
        OBSERVERS,
        (kept("All of them, by the pairing's id.", RelayQueues),),
        description="Also pairings that the configuration does not name any more, for as long as something waits for "
        "them or was refused.",
        refusals=STORED,
    ),
    Operation(
        "listDeadLetters",
        "GET",
        "/v1/pairings/{pairing_id}/dead-letters",
        Tag.PAIRINGS,
        "Messages that the network of a pairing refused",
        OBSERVERS,
        (kept("A page of dead letters, in the order of their messages.", DeadLetterPage),),
        description="A message that is refused for good blocks nothing: the messages after it are relayed. It is kept "
        "here with the reason until it is tried again or dropped. What waits for an answer is no dead letter.",
        parameters=(_PAIRING_ID, *paged()),
        refusals={**_NO_PAIRING, **STORED},
    ),
    Operation(
        "retryDeadLetter",
        "POST",
        "/v1/pairings/{pairing_id}/dead-letters/{message_id}/retry",
        Tag.PAIRINGS,
        "Try a dead letter again",
        ADMINS,
        (Success(200, "It waits to be relayed.", RelayResult),),
        description="When the reason is gone: the room exists, or lets the sender write. What has been said since may "
        "have arrived before it.",
        parameters=(_PAIRING_ID, _MESSAGE_ID),
        refusals=_NO_LETTER,
    ),
    Operation(
        "dropDeadLetter",
        "DELETE",
        "/v1/pairings/{pairing_id}/dead-letters/{message_id}",
        Tag.PAIRINGS,
        "Drop a dead letter",
        ADMINS,
        (Success(200, "It is gone, and will not arrive there.", RelayResult),),
        description="The message itself stays in this network.",
        parameters=(_PAIRING_ID, _MESSAGE_ID),
        refusals=_NO_LETTER,
    ),
)
