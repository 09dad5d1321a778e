"""Pairing by invitation: what the invited network says when it accepts, and the answer (decision 0018).

The code that is handed over by people is ``moltnet.pairing.code``.
"""

import attrs

from moltnet.protocol.codec import wire


@attrs.frozen
class AcceptInvitationRequest:
    """The body of ``POST /v1/pairings/accept``.

    ``token`` is what the invited network will present here, ``reply_token`` what it wants to be presented with;
    ``rooms`` are those of the invitation that it shares too.
    """

    invitation_id: str = ""
    secret: str = attrs.field(default="", repr=False)
    network_id: str = ""
    network_name: str = ""
    base_url: str = ""
    token: str = attrs.field(default="", repr=False)
    reply_token: str = attrs.field(default="", repr=False)
    rooms: tuple[str, ...] = ()

    def trimmed(self) -> "AcceptInvitationRequest":
        return AcceptInvitationRequest(
            self.invitation_id.strip(),
            self.secret.strip(),
            self.network_id.strip(),
            self.network_name.strip(),
            self.base_url.strip(),
            self.token.strip(),
            self.reply_token.strip(),
            tuple(room.strip() for room in self.rooms),
        )


@attrs.frozen
class InvitationAccepted:
    """The networks are paired. ``pairing_id`` is how the inviting network calls the pairing."""

    network_id: str = attrs.field(metadata=wire(always=True))
    network_name: str = attrs.field(default="", metadata=wire(always=True))
    pairing_id: str = attrs.field(default="", metadata=wire(always=True))
    rooms: tuple[str, ...] = attrs.field(default=(), metadata=wire(always=True))
