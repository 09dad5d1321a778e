"""Compressed answers: asked for over a network only, and never larger in memory than a plain one may be."""

import gzip
import zlib
from contextlib import AbstractAsyncContextManager

import pytest

from moltnet.client.address import parse_server_address
from moltnet.client.api import open_client
from moltnet.client.codings import BadCompression, gunzip
from moltnet.client.errors import AnswerTooLarge, ServerMisbehaved
from moltnet.client.http import HttpClient, Request, open_http
from moltnet.protocol.messages import Actor, Part, SendMessageRequest, Target
from moltnet.protocol.pages import PageRequest
from tests.fakes.http_server import Reply, answer, open_scripted_server
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server

GET = Request("GET", "/v1/network")
BOMB = gzip.compress(bytes(10_000_000))
PACKED = gzip.compress(b"hello")


def over_a_network(url: str) -> str:
    """The same server by an address that is not loopback, though the kernel takes it for this host."""
    return url.replace("127.0.0.1", "0.0.0.0")


def http_to(url: str) -> AbstractAsyncContextManager[HttpClient]:
    return open_http(parse_server_address(over_a_network(url)), headers={}, environ={})


@pytest.mark.parametrize(
    ("host", "asked"),
    [("127.0.0.1", "identity"), ("localhost", "identity"), ("0.0.0.0", "gzip")],
)
async def test_compression_is_asked_for_where_it_pays(host: str, asked: str) -> None:
    async with open_scripted_server(answer(200, {})) as server:
        url = server.url.replace("127.0.0.1", host)
        async with open_http(parse_server_address(url), headers={}, environ={}) as http:
            await http.exchange(GET)
        assert server.requests[0].headers["accept-encoding"] == asked


@pytest.mark.parametrize("asked", ["::1", "127.3.4.5", "localhost"])
def test_what_counts_as_this_host(asked: str) -> None:
    bracketed = f"[{asked}]" if ":" in asked else asked
    assert parse_server_address(f"http://{bracketed}:8787").is_this_host
    assert not parse_server_address("http://localhost.example.org").is_this_host


async def test_a_compressed_answer_is_read() -> None:
    reply = answer(200, PACKED, headers={"Content-Encoding": "GZIP"})
    async with open_scripted_server(reply, answer(200, b"plain")) as server:
        async with http_to(server.url) as http:
            assert (await http.exchange(GET)).body == b"hello"
            assert (await http.exchange(GET)).body == b"plain"
        assert [request.connection for request in server.requests] == [0, 0]


def packed(body: bytes, coding: str = "gzip") -> Reply:
    return answer(200, body, headers={"Content-Encoding": coding})


@pytest.mark.parametrize(
    "reply",
    [
        packed(b"no gzip"),
        packed(PACKED[:-1]),
        packed(PACKED + b"more"),
        packed(PACKED[:-8] + bytes(8)),
        packed(PACKED, "gzip, gzip"),
        packed(zlib.compress(b"hello"), "deflate"),
    ],
    ids=["garbage", "cut", "followed", "wrong-sum", "twice", "deflate"],
)
async def test_a_broken_or_unasked_coding_is_misbehaviour(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, http_to(server.url) as http:
        with pytest.raises(ServerMisbehaved, match="compressed"):
            await http.exchange(GET)


async def test_a_bomb_is_cut_off_at_the_limit_of_answers() -> None:
    assert len(BOMB) < 20_000
    async with open_scripted_server(packed(BOMB)) as server, http_to(server.url) as http:
        with pytest.raises(AnswerTooLarge, match="larger than 20000 bytes"):
            await http.exchange(GET, max_bytes=20_000)


def test_no_more_is_unpacked_than_shows_that_it_is_too_much() -> None:
    assert len(gunzip(BOMB, 1000)) == 1001
    assert gunzip(PACKED, 5) == b"hello"
    assert len(gunzip(PACKED, 4)) == 5
    with pytest.raises(BadCompression):
        gunzip(b"", 10)


async def test_a_page_of_our_own_server_arrives_whole() -> None:
    async with (
        open_running_server(bearer_network()) as url,
        open_client(over_a_network(url), ALPHA_TOKEN, environ={}) as alpha,
    ):
        general = Target(kind="room", room_id="general")  # type: ignore[arg-type]  # a plain text is enough here
        for number in range(20):
            text = f"{number} " + "It was the best of times. " * 100
            parts = (Part(kind="text", text=text),)
            await alpha.send(SendMessageRequest(target=general, sender=Actor(type="agent", id="alpha"), parts=parts))
        page = await alpha.messages(general, PageRequest(limit=20))
        assert [message.parts[0].text.split()[0] for message in page.messages] == [str(number) for number in range(20)]
