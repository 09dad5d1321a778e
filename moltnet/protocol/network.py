"""What a network says of itself at ``GET /v1/network`` (message model §3), and the protocol versions we speak."""

from typing import Final

import attrs

from moltnet.protocol.codec import wire

HTTP_PROTOCOL: Final = "moltnet.http.v1"
ATTACH_PROTOCOL: Final = "moltnet.attach.v1"
PAIR_PROTOCOL: Final = "moltnet.pair.v1"


@attrs.frozen
class Protocols:
    http: tuple[str, ...] = ()
    attach: tuple[str, ...] = ()
    pair: tuple[str, ...] = ()


@attrs.frozen
class Capabilities:
    event_stream: str = attrs.field(default="", metadata=wire(always=True))
    attachment_protocol: str = attrs.field(default="", metadata=wire(always=True))
    public_read: bool = attrs.field(default=False, metadata=wire(always=True))
    agent_registration: str = attrs.field(default="", metadata=wire(always=True))
    debug_events: bool = False
    human_ingress: bool = attrs.field(default=False, metadata=wire(always=True))
    direct_messages: bool = attrs.field(default=False, metadata=wire(always=True))
    message_pagination: str = attrs.field(default="", metadata=wire(always=True))
    pairings: bool = attrs.field(default=False, metadata=wire(always=True))


@attrs.frozen
class Console:
    can_send_human: bool = attrs.field(default=False, metadata=wire(always=True))


@attrs.frozen
class NetworkWarning:
    severity: str
    code: str
    message: str
    action: str = ""
    docs_url: str = ""


@attrs.frozen
class Network:
    id: str = attrs.field(default="", metadata=wire(always=True))
    name: str = attrs.field(default="", metadata=wire(always=True))
    version: str = attrs.field(default="", metadata=wire(always=True))
    protocols: Protocols = attrs.field(default=Protocols(), metadata=wire(always=True))
    capabilities: Capabilities = attrs.field(default=Capabilities(), metadata=wire(always=True))
    console: Console | None = None
    warnings: tuple[NetworkWarning, ...] = ()


SPOKEN_PROTOCOLS: Final = Protocols(http=(HTTP_PROTOCOL,), attach=(ATTACH_PROTOCOL,), pair=(PAIR_PROTOCOL,))
