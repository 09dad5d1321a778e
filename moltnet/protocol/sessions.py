"""Who a caller is: signing in to the console, and the document that tells what a credential is worth."""

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import Timestamp


@attrs.frozen
class SignInRequest:
    """The body of ``POST /v1/session``."""

    token: str = attrs.field(default="", repr=False)


@attrs.frozen
class WhoAmI:
    """What the network takes the caller for.

    ``kind`` is ``unchecked`` (mode none), ``anonymous``, ``static`` or ``agent``. ``agents`` are those that it may act
    as, empty for any. ``signed_in`` tells that a session of the console said so, and ``expires_at`` when it ends.
    """

    kind: str = attrs.field(metadata=wire(always=True))
    credential_id: str = ""
    scopes: tuple[str, ...] = attrs.field(default=(), metadata=wire(always=True))
    agents: tuple[AgentId, ...] = attrs.field(default=(), metadata=wire(always=True))
    signed_in: bool = attrs.field(default=False, metadata=wire(always=True))
    expires_at: Timestamp = attrs.field(default=Timestamp(""))
