"""Calls to other networks that do what they should not: nothing of it harms, hangs, or leaks the token."""

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from moltnet.config.secrets import Secret
from moltnet.config.settings import PairingSettings
from moltnet.pairing.remote import (
    Accepted,
    Refused,
    RemoteNetwork,
    RemoteRefusedCursor,
    RemoteUnavailable,
    open_remote,
)
from moltnet.protocol.pages import PageRequest
from tests.fakes.certificates import TestCertificate, make_certificate
from tests.fakes.http_server import Reply, answer, flood, held, open_scripted_server, raw, silence
from tests.fakes.network import secret_of
from tests.fakes.ports import free_port

TOKEN = secret_of("pair")
ACCEPTED = {"message_id": "m1", "event_id": "evt_1", "accepted": True}
NETWORK = {"id": "net_b", "name": "B", "version": "1", "protocols": {}, "capabilities": {}}
JSON_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


@asynccontextmanager
async def remote_at(url: str, **settings: Any) -> AsyncIterator[RemoteNetwork]:
    async with open_remote(PairingSettings("b", url, "net_b", token=Secret(TOKEN), **settings), {}) as remote:
        yield remote


async def test_a_message_is_sent_with_the_token_over_one_connection() -> None:
    async with open_scripted_server(answer(202, ACCEPTED), answer(200, ACCEPTED)) as server:
        async with remote_at(server.url) as remote:
            for _ in range(2):
                outcome = await remote.send_message(b'{"id":"m1"}')
                assert isinstance(outcome, Accepted)
                assert outcome.answer.message_id == "m1"
        first = server.requests[0]
        assert (first.method, first.target, first.body) == ("POST", "/v1/messages", b'{"id":"m1"}')
        assert first.headers["authorization"] == f"Bearer {TOKEN}"
        assert [request.connection for request in server.requests] == [0, 0]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 413, 422])
async def test_weakness_2_a_refusal_of_one_message_is_no_failure_of_the_pairing(status: int) -> None:
    body = {"code": "unknown_room", "error": 'unknown room "x"', "request_id": "r"}
    async with open_scripted_server(answer(status, body)) as server, remote_at(server.url) as remote:
        assert await remote.send_message(b"{}") == Refused(status, "unknown_room", 'unknown room "x"')


@pytest.mark.parametrize(
    "reply",
    [
        answer(401, {"code": "invalid_token", "error": "invalid token"}),
        answer(404, b"<html>not here</html>"),
        answer(403, b""),
        answer(405, {"detail": "no"}),
        answer(500, {"code": "internal_error", "error": "internal server error"}),
        answer(503, b"busy"),
        answer(202, b"not json"),
        answer(202, {"accepted": "yes"}),
        answer(202, b""),
        answer(202, b"[" * 100_000),
        answer(302, b"", headers={"Location": "http://169.254.169.254/latest"}),
        answer(307, b"", headers={"Location": "https://elsewhere.test/v1/messages"}),
        raw(b"SSH-2.0-OpenSSH_9.6\r\n", close=True),
        raw(b"", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{", close=True),
        raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", close=True),
        raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", close=True),
    ],
)
async def test_anything_but_an_answer_of_a_network_is_unavailable_and_may_be_tried_again(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, remote_at(server.url) as remote:
        with pytest.raises(RemoteUnavailable) as caught:
            await remote.send_message(b"{}")
        assert TOKEN not in str(caught.value)
        assert len(server.requests) == 1  # no redirect was followed


async def test_a_remote_that_is_busy_says_when_to_come_back() -> None:
    busy = answer(429, {"code": "rate_limited", "error": "too many"}, headers={"Retry-After": "7"})
    async with open_scripted_server(busy) as server, remote_at(server.url) as remote:
        with pytest.raises(RemoteUnavailable) as caught:
            await remote.send_message(b"{}")
        assert caught.value.retry_after_seconds == 7


HUGE: list[Reply] = [
    raw(JSON_HEAD + b"Content-Length: 999999999\r\n\r\n{", close=True),
    flood(JSON_HEAD + b"\r\n", b" " * 65_536),
    flood(JSON_HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + b" " * 0x8000 + b"\r\n"),
    answer(200, gzip.compress(b" " * 50_000_000), headers={"Content-Encoding": "gzip"}),
    flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
]


@pytest.mark.parametrize("reply", HUGE)
async def test_an_answer_without_end_is_cut(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, remote_at(server.url) as remote:
        with pytest.raises(RemoteUnavailable):
            await remote.network()


@pytest.mark.parametrize("reply", [silence(), held(JSON_HEAD + b"Content-Length: 500\r\n\r\n", b"{")])
async def test_a_remote_that_never_answers_is_given_up_on(reply: Reply, patient_clock: MockClock) -> None:
    async with open_scripted_server(reply) as server, remote_at(server.url) as remote:
        with pytest.raises(RemoteUnavailable, match="no complete answer within 10 s"):
            await remote.network()


@pytest.mark.parametrize(
    "reply",
    [
        answer(500, {"code": "x", "error": f"Bearer {TOKEN}"}),
        answer(200, {**NETWORK, "name": TOKEN}),
        answer(302, b"", headers={"Location": f"https://x.test/{TOKEN}"}),
        raw(f"HTTP/1.1 {TOKEN}\r\n\r\n".encode(), close=True),
    ],
)
async def test_a_token_that_comes_back_is_shown_to_nobody(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, remote_at(server.url) as remote:
        with pytest.raises(RemoteUnavailable) as caught:
            await remote.network()
        assert TOKEN not in str(caught.value)
        assert TOKEN not in repr(remote)


async def test_weakness_7_pages_and_cursors_pass_through() -> None:
    page = {"rooms": [], "page": {"has_more": True, "next_after": "m"}}
    async with (
        open_scripted_server(
            answer(200, page), answer(422, {"code": "unprocessable_entity", "error": "bad"})
        ) as server,
        remote_at(server.url) as remote,
    ):
        assert (await remote.rooms(PageRequest(7, after="k"))).page.next_after == "m"
        with pytest.raises(RemoteRefusedCursor):
            await remote.agents(PageRequest(before="gone"))
        assert [request.target for request in server.requests] == [
            "/v1/rooms?limit=7&after=k",
            "/v1/agents?before=gone",
        ]


async def test_nobody_at_home_is_unavailable() -> None:
    async with remote_at(f"http://127.0.0.1:{free_port()}") as remote:
        with pytest.raises(RemoteUnavailable, match="refused"):
            await remote.network()


@pytest.fixture
def certificate(tmp_path: Path) -> TestCertificate:
    return make_certificate(tmp_path)


async def test_a_certificate_is_verified_and_an_own_authority_can_be_named(certificate: TestCertificate) -> None:
    async with open_scripted_server(answer(200, NETWORK), tls=certificate.server) as server:
        async with remote_at(server.url) as remote:
            with pytest.raises(RemoteUnavailable, match="certificate is not trusted"):
                await remote.network()
        async with remote_at(server.url, ca_file=certificate.ca_file) as remote:
            assert (await remote.network()).id == "net_b"


async def test_plain_http_where_tls_is_expected_and_a_ca_file_that_is_gone(tmp_path: Path) -> None:
    async with open_scripted_server() as server:
        async with remote_at(server.url.replace("http:", "https:")) as remote:
            with pytest.raises(RemoteUnavailable, match="TLS"):
                await remote.network()
        async with remote_at("https://127.0.0.1:1", ca_file=tmp_path / "gone.pem") as remote:
            with pytest.raises(RemoteUnavailable, match="can't be asked"):
                await remote.network()


@pytest.mark.parametrize(
    ("url", "allow", "refused"),
    [
        ("http://127.0.0.1:{port}", None, False),
        ("http://localhost:{port}", None, False),
        ("http://127.0.0.1:{port}", False, True),
        ("http://localhost:{port}", False, True),
        ("http://127.0.0.1:{port}", True, False),
    ],
)
async def test_only_an_address_that_the_file_names_or_allows_may_be_private(
    url: str, allow: bool | None, refused: bool
) -> None:
    async with open_scripted_server(*([] if refused else [answer(200, NETWORK)])) as server:
        port = server.url.rpartition(":")[2]
        async with remote_at(url.format(port=port), allow_private_address=allow) as remote:
            if refused:
                with pytest.raises(RemoteUnavailable, match="allow_private_address"):
                    await remote.network()
            else:
                assert (await remote.network()).id == "net_b"


async def test_a_call_that_is_cancelled_leaves_nothing_open() -> None:
    async with (
        open_scripted_server(silence()) as server,
        remote_at(server.url) as remote,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(remote.network)
        await server.wait_requests(1)
        nursery.cancel_scope.cancel()
