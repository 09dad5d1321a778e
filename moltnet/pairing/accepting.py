"""The accepting side of an invitation: one call to the network that invited, with the code's secret.

Which files are changed before and after is ``moltnet.cli.pair_accept``.
"""

import ssl
from collections.abc import Mapping

import trio

from moltnet import __version__
from moltnet.backoff import backoff_delays
from moltnet.client.address import parse_server_address
from moltnet.client.answers import read_answer
from moltnet.client.errors import ClientError
from moltnet.client.guard import AddressGuard
from moltnet.client.http import Request, open_http
from moltnet.pairing.limits import (
    ACCEPT_RETRY_BASE_SECONDS,
    ACCEPT_RETRY_CAP_SECONDS,
    MAX_ACCEPT_TRIES,
    MAX_REMOTE_ANSWER_BYTES,
)
from moltnet.protocol.codec import encode
from moltnet.protocol.invitations import AcceptInvitationRequest, InvitationAccepted

_HEADERS = {"User-Agent": f"moltnet/{__version__}", "Accept": "application/json"}


async def send_acceptance(
    base_url: str,
    request: AcceptInvitationRequest,
    *,
    allow_private: bool,
    environ: Mapping[str, str],
    tls: ssl.SSLContext | None = None,
) -> InvitationAccepted:
    """Tell the network at ``base_url``; again after a lost connection or a 5xx, since a repeat gets the same answer.

    ``tls`` says whom to trust; the system's authorities, unless given.

    Raises ``ClientError`` with what the last try ended in. Cancelled, the other network may have accepted.
    """
    guard = AddressGuard(allow_private=allow_private)
    server = parse_server_address(base_url)
    sent = Request("POST", "/v1/pairings/accept", (("Content-Type", "application/json"),), encode(request))
    async with open_http(server, headers=_HEADERS, environ=environ, tls=tls, guard=guard) as http:
        delays = backoff_delays(base_seconds=ACCEPT_RETRY_BASE_SECONDS, cap_seconds=ACCEPT_RETRY_CAP_SECONDS)
        for tried, delay_seconds in enumerate(delays, start=1):
            try:
                answer = await http.exchange(sent, max_bytes=MAX_REMOTE_ANSWER_BYTES)
                return read_answer(str(server), answer, InvitationAccepted)
            except ClientError as error:
                if not error.worth_repeating or tried == MAX_ACCEPT_TRIES:
                    raise
            await trio.sleep(delay_seconds)
    raise AssertionError("the delays have no end")
