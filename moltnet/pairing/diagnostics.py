"""What the document of another network says about whether we fit together (pairing §4). Pure."""

from enum import StrEnum
from typing import Final

import attrs

from moltnet.protocol.network import HTTP_PROTOCOL, PAIR_PROTOCOL, Network


class Status(StrEnum):
    """How a pairing is. A config file may start one with another word, which keeps it from being used."""

    UNKNOWN = "unknown"
    CONNECTED = "connected"
    DEGRADED = "degraded"
    INCOMPATIBLE = "incompatible"
    ERROR = "error"
    DISABLED = "disabled"


REQUEST_FAILED: Final = "remote_request_failed"
MISSING_PAGINATION: Final = "missing_cursor_pagination"
NETWORK_FAILED: Final = "Remote network metadata could not be fetched."
RELAY_FAILED: Final = "Remote relay request failed."
ROOMS_FAILED: Final = "Remote rooms could not be fetched."
AGENTS_FAILED: Final = "Remote agents could not be fetched."
_CURSOR: Final = "cursor"


@attrs.frozen
class Verdict:
    """A status with its reason, a stable code, and a message for people; both empty if all is well."""

    status: Status
    reason: str = ""
    message: str = ""


def judge(network: Network, configured_id: str, *, own_id: str = "", discovery: bool = False) -> Verdict:
    """The first rule that applies. ``discovery``: lists of rooms or agents are wanted, which need cursors.

    One rule is not the reference's: a network of our ``own_id`` is this one, or pretends to be.
    """
    protocols, capabilities = network.protocols, network.capabilities
    silent = not (protocols.http or protocols.attach or protocols.pair)
    if configured_id and configured_id != network.id:
        return Verdict(
            Status.INCOMPATIBLE,
            "network_id_mismatch",
            f'Remote network_id "{network.id}" does not match configured remote_network_id "{configured_id}".',
        )
    if own_id and network.id == own_id:
        return Verdict(Status.INCOMPATIBLE, "self_pairing", f'Remote network_id "{network.id}" is this network\'s own.')
    if HTTP_PROTOCOL not in protocols.http and not (silent and capabilities.message_pagination == _CURSOR):
        return Verdict(
            Status.INCOMPATIBLE,
            "unsupported_http_protocol",
            f"Remote server does not advertise {HTTP_PROTOCOL}.",
        )
    if PAIR_PROTOCOL not in protocols.pair and (protocols.pair or not (HTTP_PROTOCOL in protocols.http or silent)):
        return Verdict(
            Status.INCOMPATIBLE,
            "unsupported_pair_protocol",
            f"Remote server does not advertise {PAIR_PROTOCOL}.",
        )
    if discovery and capabilities.message_pagination != _CURSOR:
        return Verdict(
            Status.DEGRADED,
            MISSING_PAGINATION,
            "Remote server does not advertise cursor pagination for pairing discovery.",
        )
    if not capabilities.direct_messages:
        return Verdict(Status.DEGRADED, "direct_messages_disabled", "Remote server has direct_messages disabled.")
    return Verdict(Status.CONNECTED)
