"""Invariant: any bytes give a value of the wanted kind or a ``DecodeError`` that fits into an answer, and nothing else.

And what follows from a value: written and read again it is the same, and every problem that was named has a path.

An input is the name of a kind, a line break, and the bytes of a body.
"""

import sys
from collections.abc import Hashable, Mapping
from typing import Any, Final

from fuzz.campaign import Target, main, shape
from moltnet.protocol.administration import ApplyRequest
from moltnet.protocol.agents import RegisterAgentRequest
from moltnet.protocol.approvals import DecisionRequest, RequestApprovalRequest
from moltnet.protocol.codec import DecodeError, decode, encode
from moltnet.protocol.events import Event
from moltnet.protocol.invitations import AcceptInvitationRequest
from moltnet.protocol.limits import MAX_FRAME_BYTES, MAX_REPORTED_PROBLEMS
from moltnet.protocol.messages import Message, SendMessageRequest
from moltnet.protocol.rooms import CreateRoomRequest, RestoreRoomRequest, UpdateRoomMembersRequest
from moltnet.protocol.sessions import SignInRequest

KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (
        *(SendMessageRequest, CreateRoomRequest, RestoreRoomRequest, UpdateRoomMembersRequest, RegisterAgentRequest),
        *(ApplyRequest, DecisionRequest, RequestApprovalRequest, AcceptInvitationRequest, SignInRequest),
        *(Message, Event),
    )
}
TOKENS: Final = (
    *(f"{name}\n".encode() for name in KINDS),
    *(
        token.encode()
        for token in (
            *('"id":', '"target":', '"kind":', '"room"', '"thread"', '"dm"', '"room_id":', '"thread_id":', '"dm_id":'),
            *('"participant_ids":', '"parent_message_id":', '"from":', '"type":', '"agent"', '"human"', '"parts":'),
            *('"text"', '"text":', '"data"', '"data":', '"url":', '"mentions":', '"origin":', '"network_id":'),
            *('"members":', '"add":', '"remove":', '"visibility":', '"public"', '"write_policy":', '"rooms":'),
            *('"agents":', '"credential_key":', '"name":', '"event_id":', '"created_at":', '"2026-01-01T00:00:00Z"'),
            *("{", "}", "[", "]", ",", ":", '"', "\\", "\\ud800", "\\u0000", "NaN", "1e999", "-0"),
        )
    ),
)


def check(data: bytes) -> Hashable:
    """Raises if a body breaks the invariant; otherwise says what became of it."""
    name, _, body = data.partition(b"\n")
    kind = KINDS.get(name.decode(errors="replace"))
    if kind is None:
        return "no kind"
    try:
        value = decode(body, kind)
    except DecodeError as error:
        _check_answerable(error)
        return name, shape(str(error))
    again = decode(encode(value), kind)
    if again != value:
        raise AssertionError(f"{value} was written and read as {again}")
    return name, "a value"


def _check_answerable(error: DecodeError) -> None:
    if not 1 <= len(error.problems) <= MAX_REPORTED_PROBLEMS:
        raise AssertionError(f"{len(error.problems)} problems were reported") from error
    if len(str(error).encode()) > MAX_FRAME_BYTES:
        raise AssertionError("what is wrong is longer than any answer") from error
    for problem in error.problems:
        if not problem.path.startswith("$") or not problem.message:
            raise AssertionError(f"{problem} says nothing of where and what") from error


TARGET: Final = Target("bodies", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
