"""Pairings as events and answers show them. Relaying lives in ``moltnet.pairing``."""

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.network import Protocols
from moltnet.protocol.times import Timestamp


@attrs.frozen
class PairingDiagnostics:
    checked_at: Timestamp
    remote_protocols: Protocols = attrs.field(default=Protocols(), metadata=wire(always=True))
    remote_version: str = ""
    remote_network_id: str = ""
    reason: str = ""
    message: str = ""


@attrs.frozen
class Pairing:
    """A link to another network, without its secret."""

    id: str
    remote_network_id: str = attrs.field(default="", metadata=wire(always=True))
    remote_network_name: str = ""
    remote_base_url: str = ""
    status: str = ""
    diagnostics: PairingDiagnostics | None = None
