"""One exchange: what a request looks like, what any answer becomes, which connection is used again."""

from contextlib import AbstractAsyncContextManager

import pytest
import trio
import trio.testing

from moltnet.client.address import parse_server_address
from moltnet.client.errors import AnswerTooLarge, ServerMisbehaved, ServerUnreachable
from moltnet.client.http import HttpClient, Request, open_http
from moltnet.client.limits import MAX_CONNECTIONS, MAX_HEAD_BYTES
from tests.fakes.http_server import Reply, SeenRequest, answer, chunked, flood, held, open_scripted_server, raw
from tests.fakes.ports import free_port

GET = Request("GET", "/v1/network")
POST = Request("POST", "/v1/messages", (("Content-Type", "application/json"),), b"{}")


def http_to(url: str, **headers: str) -> AbstractAsyncContextManager[HttpClient]:
    return open_http(parse_server_address(url), headers=headers, environ={})


async def test_a_request_carries_host_headers_and_body() -> None:
    async with open_scripted_server(answer(200, {"ok": True})) as server:
        async with http_to(server.url + "/moltnet/", Authorization="Bearer secret") as http:
            got = await http.exchange(POST)
        assert (got.status, got.body) == (200, b'{"ok":true}')
        [seen] = server.requests
        assert (seen.method, seen.target, seen.body) == ("POST", "/moltnet/v1/messages", b"{}")
        assert seen.headers["host"] == server.url.removeprefix("http://")
        assert seen.headers["authorization"] == "Bearer secret"
        assert seen.headers["content-length"] == "2"


async def test_a_get_has_no_body() -> None:
    async with open_scripted_server(answer(200)) as server, http_to(server.url) as http:
        await http.exchange(GET)
        assert "content-length" not in server.requests[0].headers


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"hello"),
        chunked(b"hel", b"l", b"o"),
        raw(b"HTTP/1.1 200 OK\r\n\r\nhello", close=True),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
        raw(
            b"HTTP/1.1 100 Continue\r\n\r\n",
            b"HTTP/1.1 103 Early Hints\r\n\r\n",
            b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello",
        ),
        raw(*(bytes([byte]) for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello")),
    ],
    ids=["length", "chunked", "until-close", "http-1.0", "informational", "byte-by-byte"],
)
async def test_every_framing_of_a_body_is_read(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, http_to(server.url) as http:
        assert (await http.exchange(GET)).body == b"hello"


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "does not speak HTTP"),
        (raw(b"HTTP/1.1 two hundred\r\n\r\n"), "does not speak HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n"), "does not speak HTTP"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a length\r\n"), "does not speak HTTP"),
        (raw(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n"), "does not speak HTTP"),
        (flood(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000), "does not speak HTTP"),
        (flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "informational"),
        (answer(200, b"x", headers={"Content-Encoding": "gzip"}), "compressed"),
    ],
    ids=["ssh", "status", "length", "chunk", "upgrade", "endless-head", "endless-informational", "compressed"],
)
async def test_an_answer_that_is_no_http_is_misbehaviour(reply: Reply, text: str) -> None:
    async with open_scripted_server(reply) as server, http_to(server.url) as http:
        with pytest.raises(ServerMisbehaved, match=text) as caught:
            await http.exchange(GET)
    assert not caught.value.worth_repeating
    assert len(str(caught.value)) < 1000


def test_the_head_limit_is_above_what_servers_send() -> None:
    assert MAX_HEAD_BYTES >= 16 * 1024


@pytest.mark.parametrize(
    "reply",
    [
        raw(close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", close=True),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", close=True),
    ],
    ids=["at-once", "in-the-head", "in-the-body", "between-chunks"],
)
async def test_a_cut_answer_is_unreachable_and_may_have_been_acted_on(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, http_to(server.url) as http:
        with pytest.raises(ServerUnreachable, match="before its answer was complete") as caught:
            await http.exchange(POST)
        assert caught.value.request_sent
        assert caught.value.worth_repeating
        assert caught.value.server == server.url


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, b"x" * 101),
        chunked(b"x" * 50, b"x" * 51),
        flood(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"),
    ],
    ids=["length", "chunked", "endless", "announced"],
)
async def test_an_answer_above_the_limit_is_cut_off(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, http_to(server.url) as http:
        with pytest.raises(AnswerTooLarge, match="larger than 100 bytes") as caught:
            await http.exchange(GET, max_bytes=100)
    assert caught.value.max_bytes == 100


async def test_an_answer_at_the_limit_is_read() -> None:
    async with open_scripted_server(answer(200, b"x" * 100)) as server, http_to(server.url) as http:
        assert len((await http.exchange(GET, max_bytes=100)).body) == 100


async def test_an_early_refusal_of_a_large_body_is_read() -> None:
    """A server that refuses a body answers and closes before it has read it all."""

    async def refuse(stream: trio.abc.Stream) -> None:
        await stream.receive_some(100)
        await stream.send_all(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        # Read on, so that the kernel does not throw the answer away with a reset.
        while await stream.receive_some():
            pass

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, refuse, listeners)
        async with http_to(f"http://127.0.0.1:{port}") as http:
            got = await http.exchange(Request("POST", "/v1/messages", (), b"x" * 1_000_000))
        nursery.cancel_scope.cancel()
    assert (got.status, got.body) == (413, b"no")


async def test_nobody_listening_is_unreachable_and_nothing_was_sent() -> None:
    async with http_to(f"http://127.0.0.1:{free_port()}") as http:
        with pytest.raises(ServerUnreachable, match="connection refused") as caught:
            await http.exchange(POST)
    assert not caught.value.request_sent


async def test_an_unknown_name_is_unreachable() -> None:
    async with http_to("http://no-such-host.invalid") as http:
        with pytest.raises(ServerUnreachable, match=r"not known|resolution") as caught:
            await http.exchange(GET)
    assert caught.value.server == "http://no-such-host.invalid"


async def test_a_connection_is_used_again() -> None:
    async with open_scripted_server(answer(200), answer(404), chunked(b"x")) as server, http_to(server.url) as http:
        for _ in range(3):
            await http.exchange(GET)
        assert [seen.connection for seen in server.requests] == [0, 0, 0]


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, headers={"Connection": "close"}),
        answer(200, close=True),
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n"),
        raw(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
    ids=["says-close", "closes", "speaks-unasked", "http-1.0"],
)
async def test_a_connection_that_is_not_good_for_more_is_not_used_again(reply: Reply) -> None:
    async with open_scripted_server(reply, answer(200)) as server, http_to(server.url) as http:
        await http.exchange(GET)
        await http.exchange(POST)
        assert [seen.connection for seen in server.requests] == [0, 1]


async def test_a_get_on_a_connection_that_the_server_just_closed_is_sent_again() -> None:
    async with open_scripted_server(answer(200), raw(close=True), answer(200, b"hello")) as server:
        async with http_to(server.url) as http:
            await http.exchange(GET)
            # The server closes without a word only after it has the second request.
            assert (await http.exchange(GET)).body == b"hello"
        assert [seen.connection for seen in server.requests] == [0, 0, 1]


async def test_a_post_on_a_connection_that_the_server_just_closed_is_not_sent_again() -> None:
    async with open_scripted_server(answer(200), raw(close=True)) as server, http_to(server.url) as http:
        await http.exchange(GET)
        with pytest.raises(ServerUnreachable):
            await http.exchange(POST)


async def test_a_redirect_is_not_followed() -> None:
    async with open_scripted_server() as other:
        redirect = answer(307, headers={"Location": other.url})
        async with open_scripted_server(redirect) as server, http_to(server.url, Authorization="Bearer x") as http:
            assert (await http.exchange(GET)).status == 307
        assert other.requests == []


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel"]
)
async def test_a_cancelled_exchange_gives_its_connection_up(begun: bytes) -> None:
    left = trio.Event()

    async def reply(stream: trio.abc.Stream, request: SeenRequest) -> bool:
        await held(begun)(stream, request)
        left.set()
        return False

    async with open_scripted_server(reply, answer(200)) as server, http_to(server.url) as http:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(http.exchange, GET)
            await server.wait_requests(1)
            await trio.testing.wait_all_tasks_blocked(0.01)
            nursery.cancel_scope.cancel()
        await left.wait()
        await http.exchange(GET)
        assert [seen.connection for seen in server.requests] == [0, 1]


async def test_tasks_share_a_client_within_its_connections() -> None:
    """Each reply waits until all connections are in use; one more request than connections still ends."""
    release = trio.Event()

    async def wait_for_all(stream: trio.abc.Stream, request: object) -> bool:
        await release.wait()
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        return True

    async with open_scripted_server(*[wait_for_all] * (MAX_CONNECTIONS + 1)) as server, http_to(server.url) as http:
        async with trio.open_nursery() as nursery:
            for _ in range(MAX_CONNECTIONS + 1):
                nursery.start_soon(http.exchange, GET)
            await server.wait_requests(MAX_CONNECTIONS)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(server.requests) == MAX_CONNECTIONS
            release.set()
        assert max(seen.connection for seen in server.requests) == MAX_CONNECTIONS - 1


async def test_an_open_answer_is_read_as_it_comes() -> None:
    async with open_scripted_server(chunked(b"one", b"two")) as server, http_to(server.url) as http:
        stream = await http.start(GET)
        got = b""
        while piece := await stream.receive_some():
            got += piece
        await stream.aclose()
        assert got == b"onetwo"


async def test_leaving_the_block_closes_what_is_idle() -> None:
    left = trio.Event()

    async def reply(stream: trio.abc.Stream, _request: object) -> bool:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        assert await stream.receive_some() == b""
        left.set()
        return False

    async with open_scripted_server(reply) as server:
        async with http_to(server.url) as http:
            await http.exchange(GET)
            assert not left.is_set()
        with trio.fail_after(5):
            await left.wait()


async def test_a_cancelled_block_closes_everything_that_is_idle() -> None:
    """Closing is a checkpoint: a cancelled block must not stop at the first connection."""
    release, left = trio.Event(), [trio.Event() for _ in range(3)]

    def reply(number: int) -> Reply:
        async def wait_for_all(stream: trio.abc.Stream, _request: object) -> bool:
            await release.wait()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert await stream.receive_some() == b""
            left[number].set()
            return False

        return wait_for_all

    async with open_scripted_server(*map(reply, range(3))) as server:
        with trio.CancelScope() as scope:
            async with http_to(server.url) as http:
                async with trio.open_nursery() as nursery:
                    for _ in range(3):
                        nursery.start_soon(http.exchange, GET)
                    await server.wait_requests(3)
                    release.set()
                scope.cancel()
                await trio.lowlevel.checkpoint()
        with trio.fail_after(5):
            for each in left:
                await each.wait()
