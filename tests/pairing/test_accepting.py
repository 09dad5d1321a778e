"""Telling the network that invited: whom we believe to be it, and what is said again."""

from pathlib import Path

import pytest

from moltnet.client.dialing import trusting
from moltnet.client.errors import ClientError, ServerAnswered
from moltnet.pairing.accepting import send_acceptance
from moltnet.protocol.invitations import AcceptInvitationRequest
from tests.fakes.certificates import make_certificate
from tests.fakes.http_server import answer, open_scripted_server, raw

ACCEPTED = {"network_id": "lab", "network_name": "Lab", "pairing_id": "net_b", "rooms": ["general"]}
REQUEST = AcceptInvitationRequest("0123456789abcdef", "the-secret", network_id="net_b", base_url="https://net-b.test")


async def test_own_authorities_are_believed_and_no_others_beside(tmp_path: Path) -> None:
    certificate = make_certificate(tmp_path)
    async with open_scripted_server(answer(200, ACCEPTED), tls=certificate.server) as server:
        with pytest.raises(ClientError, match="certificate is not trusted"):
            await send_acceptance(server.url, REQUEST, allow_private=True, environ={})
        accepted = await send_acceptance(
            server.url, REQUEST, allow_private=True, environ={}, tls=trusting(certificate.ca_file)
        )
        assert accepted.rooms == ("general",)


async def test_a_lost_answer_is_asked_for_again_and_a_refusal_is_not() -> None:
    refusal = answer(401, {"code": "not_invited", "error": "no", "request_id": "r"})
    async with open_scripted_server(raw(b"", close=True), answer(503, b""), refusal) as server:
        with pytest.raises(ServerAnswered):
            await send_acceptance(server.url, REQUEST, allow_private=True, environ={})
        assert len({request.body for request in server.requests}) == 1


async def test_a_redirect_takes_the_secret_nowhere() -> None:
    elsewhere = answer(307, b"", headers={"Location": "https://elsewhere.test/v1/pairings/accept"})
    async with open_scripted_server(elsewhere) as server:
        with pytest.raises(ClientError):
            await send_acceptance(server.url, REQUEST, allow_private=True, environ={})
        assert len(server.requests) == 1
