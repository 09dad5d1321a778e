"""The first rule that applies to the document of another network (pairing §4)."""

import attrs
import pytest

from moltnet.pairing.diagnostics import Status, judge
from moltnet.protocol.network import SPOKEN_PROTOCOLS, Capabilities, Network, Protocols

FITTING = Network(
    id="net_b",
    version="1.2.3",
    protocols=SPOKEN_PROTOCOLS,
    capabilities=Capabilities(direct_messages=True, message_pagination="cursor"),
)
NO_CURSOR = Capabilities(direct_messages=True)
NO_DIRECTS = Capabilities(message_pagination="cursor")


def speaking(*, http: str = "", pair: str = "", attach: str = "", capabilities: Capabilities | None = None) -> Network:
    protocols = Protocols(*(tuple(text.split()) for text in (http, attach, pair)))
    return attrs.evolve(FITTING, protocols=protocols, capabilities=capabilities or FITTING.capabilities)


RULES = [
    (FITTING, "net_b", False, Status.CONNECTED, "", ""),
    (FITTING, "", False, Status.CONNECTED, "", ""),
    (
        FITTING,
        "net_c",
        False,
        Status.INCOMPATIBLE,
        "network_id_mismatch",
        'Remote network_id "net_b" does not match configured remote_network_id "net_c".',
    ),
    (
        speaking(http="moltnet.http.v2", pair="moltnet.pair.v1"),
        "net_b",
        False,
        Status.INCOMPATIBLE,
        "unsupported_http_protocol",
        "Remote server does not advertise moltnet.http.v1.",
    ),
    (speaking(), "net_b", False, Status.CONNECTED, "", ""),
    (
        speaking(capabilities=NO_CURSOR),
        "net_b",
        False,
        Status.INCOMPATIBLE,
        "unsupported_http_protocol",
        "Remote server does not advertise moltnet.http.v1.",
    ),
    (
        speaking(http="moltnet.http.v1", pair="moltnet.pair.v2"),
        "net_b",
        False,
        Status.INCOMPATIBLE,
        "unsupported_pair_protocol",
        "Remote server does not advertise moltnet.pair.v1.",
    ),
    (speaking(http="moltnet.http.v1"), "net_b", False, Status.CONNECTED, "", ""),
    (
        attrs.evolve(FITTING, capabilities=NO_CURSOR),
        "net_b",
        True,
        Status.DEGRADED,
        "missing_cursor_pagination",
        "Remote server does not advertise cursor pagination for pairing discovery.",
    ),
    (attrs.evolve(FITTING, capabilities=NO_CURSOR), "net_b", False, Status.CONNECTED, "", ""),
    (
        attrs.evolve(FITTING, capabilities=NO_DIRECTS),
        "net_b",
        True,
        Status.DEGRADED,
        "direct_messages_disabled",
        "Remote server has direct_messages disabled.",
    ),
]


@pytest.mark.parametrize(("network", "configured", "discovery", "status", "reason", "message"), RULES)
def test_the_first_rule_that_applies_decides(
    network: Network, configured: str, discovery: bool, status: Status, reason: str, message: str
) -> None:
    verdict = judge(network, configured, discovery=discovery)
    assert (verdict.status, verdict.reason, verdict.message) == (status, reason, message)


def test_a_network_of_our_own_id_is_none_to_pair_with() -> None:
    verdict = judge(FITTING, "", own_id="net_b")
    assert (verdict.status, verdict.reason) == (Status.INCOMPATIBLE, "self_pairing")
