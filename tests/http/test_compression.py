"""Large answers take less on the wire, for clients that want that; nothing else is compressed."""

import gzip
from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing

from moltnet.config.settings import AuthMode
from moltnet.http import compression
from moltnet.http.compression import Compressor, is_compressible
from moltnet.protocol import limits
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import TestServer, network_config, open_test_server, post, room, room_message, token

TEXT = "It was the best of times, it was the worst of times. "
MESSAGES = "/v1/rooms/general/messages"


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """About 1 MiB of messages in `general`, some 12 KiB in `small`, none in `empty`."""
    async with open_test_server(network_config(rooms=[room(id) for id in ("general", "small", "empty")])) as server:
        for number in range(30):
            await post(server.app, room_message(f"{number} {TEXT * 600}"))
        for number in range(30):
            await post(server.app, room_message(f"{number} {TEXT}", room="small"))
        yield server


async def read(client: HttpClient, target: str, method: str = "GET", accept: str = "gzip") -> HttpAnswer:
    return await client.request(method, target, headers={"Accept-Encoding": accept})


@pytest.mark.parametrize("target", [MESSAGES, "/v1/rooms/small/messages", "/console/built/console.js"])
async def test_a_large_answer_is_compressed_for_who_asks(server: TestServer, target: str) -> None:
    client = http_client(server)
    plain, packed = await client.get(target), await read(client, target)
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["content-length"] == str(len(packed.body))
    assert len(packed.body) < len(plain.body) / 2
    assert gzip.decompress(packed.body) == plain.body
    assert packed.headers["content-type"] == plain.headers["content-type"]
    for answer in (plain, packed):
        assert "Accept-Encoding" in answer.headers["vary"]


@pytest.mark.parametrize("accept", ["", "identity", "br, zstd", "gzip;q=0", "*;q=0", "gzip;q=0.1, identity"])
async def test_who_does_not_ask_gets_it_plain(server: TestServer, accept: str) -> None:
    answer = await read(http_client(server), MESSAGES, accept=accept)
    assert "content-encoding" not in answer.headers
    assert len(answer.json()["messages"]) == 30


async def test_both_forms_share_a_tag(server: TestServer) -> None:
    """It is weak: it names what is said, not how it is sent."""
    client = http_client(server)
    plain, packed = await client.get(MESSAGES), await read(client, MESSAGES)
    assert plain.headers["etag"] == packed.headers["etag"]
    again = await client.request(
        "GET", MESSAGES, headers={"If-None-Match": plain.headers["etag"], "Accept-Encoding": "gzip"}
    )
    assert (again.status, again.body, "content-encoding" in again.headers) == (304, b"", False)


async def test_head_tells_what_get_would(server: TestServer) -> None:
    client = http_client(server)
    got, head = await read(client, MESSAGES), await read(client, MESSAGES, "HEAD")
    assert head.body == b""
    for name in ("content-encoding", "content-length", "content-type", "etag", "vary", "cache-control"):
        assert head.headers[name] == got.headers[name]


@pytest.mark.parametrize("target", ["/v1/rooms/empty/messages", "/v1/network", "/v1/nothing", "/healthz"])
async def test_a_small_answer_is_not_worth_it(server: TestServer, target: str) -> None:
    answer = await read(http_client(server), target)
    assert len(answer.body) < limits.MIN_COMPRESSED_BYTES
    assert "content-encoding" not in answer.headers


async def test_an_event_stream_is_never_compressed(server: TestServer) -> None:
    """A compressor would hold back events until it has enough of them."""
    client = http_client(server)
    head = await read(client, "/v1/events/stream", "HEAD")
    assert "content-encoding" not in head.headers
    oldest = (await server.app.context.store.events_after(0, 1))[0].id
    async with client.stream_events(last_event_id=oldest) as source:
        assert source.head is not None
        assert b"content-encoding" not in dict(source.head.headers)


async def test_an_answer_with_a_new_token_is_never_compressed() -> None:
    """Its length would tell what the token has in common with the name beside it, which the caller chose."""
    async with open_test_server(network_config(mode=AuthMode.OPEN)) as server:
        body = {"requested_agent_id": "luna", "name": "n" * limits.MAX_NAME_CHARACTERS}
        client = http_client(server)
        answer = await client.request("POST", "/v1/agents/register", body, headers={"Accept-Encoding": "gzip"})
        assert answer.status == 201
        assert answer.json()["agent_token"]
        assert answer.headers["cache-control"] == "no-store"


async def test_no_answer_to_a_write_is_compressed(server: TestServer) -> None:
    client = http_client(server)
    members = [f"{'m' * 100}{number}" for number in range(100)]
    answer = await client.request(
        "POST", "/v1/rooms", {"id": "big", "members": members}, headers={"Accept-Encoding": "gzip"}
    )
    assert (answer.status, "content-encoding" in answer.headers) == (201, False)
    assert len(answer.body) > limits.MIN_COMPRESSED_BYTES


async def test_a_large_answer_does_not_hold_up_others() -> None:
    """It is compressed in a thread; of those there are few, and who waits for one can be cancelled."""
    on_loop = trio.lowlevel.current_trio_token()
    threads = list[bool]()

    def watching(body: bytes) -> bytes:
        try:
            threads.append(trio.lowlevel.current_trio_token() is not on_loop)
        except RuntimeError:
            threads.append(True)
        return body

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compression, "gzip", watching)
        compressor = Compressor()
        for size, in_thread in [
            (limits.MAX_INLINE_COMPRESSION_BYTES, False),
            (limits.MAX_INLINE_COMPRESSION_BYTES + 1, True),
        ]:
            await compressor.compress(bytes(size))
            assert threads.pop() is in_thread


async def test_who_waits_for_a_thread_may_be_cancelled() -> None:
    limiter = trio.CapacityLimiter(1)
    compressor = Compressor(limiter)
    async with limiter, trio.open_nursery() as nursery:
        nursery.start_soon(compressor.compress, bytes(limits.MAX_INLINE_COMPRESSION_BYTES + 1))
        await trio.testing.wait_all_tasks_blocked()
        assert limiter.statistics().tasks_waiting == 1
        nursery.cancel_scope.cancel()
    assert limiter.statistics().tasks_waiting == 0


async def test_a_private_page_is_compressed_for_its_reader() -> None:
    config = network_config(mode=AuthMode.BEARER, tokens=[token("ops", "observe")], rooms=[room("general")])
    async with open_test_server(config) as server:
        assert "content-encoding" not in (await read(http_client(server), MESSAGES)).headers
        assert (await read(http_client(server, "ops"), MESSAGES)).status == 200


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/html; charset=utf-8", True),
        ("text/plain; version=0.0.4", True),
        ("image/svg+xml", True),
        ("text/event-stream", False),
        ("image/png", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_which_types_are_worth_compressing(content_type: str, expected: bool) -> None:
    assert is_compressible(content_type) is expected
