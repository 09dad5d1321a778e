"""Headers that keep an answer harmless and private, on every answer, whoever wrote it."""

from collections.abc import Sequence
from contextlib import suppress

import pytest
import trio

from moltnet.config.settings import AuthMode
from moltnet.http.headers import SECURITY
from moltnet.http.http1 import REFUSALS_TOLD
from moltnet.protocol import limits
from moltnet.storage.store import StorageError
from tests.expected_errors import ExpectedErrors
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import PATIENCE_SECONDS, HttpAnswer, http_client, open_connection
from tests.fakes.network import TestServer, network_config, open_test_server, room_message, token

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
BEARER = network_config(mode=AuthMode.BEARER, tokens=[token("ops", "observe write admin")])


def assert_harmless(answer: HttpAnswer) -> None:
    for name, value in SECURITY.items():
        assert answer.headers[name.lower()] == value
    assert answer.headers["x-request-id"]
    assert "server" not in answer.headers


def assert_told_and_not_kept(answer: HttpAnswer, status: int, code: str) -> None:
    """A refusal in the envelope, with the id that the log has."""
    assert_harmless(answer)
    assert (answer.status, answer.code) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert answer.body.endswith(b"}\n")


def test_a_browser_may_do_nothing_with_an_answer() -> None:
    assert dict(SECURITY) == {
        "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
    }


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "target", ["/v1/network", "/v1/rooms", "/v1/rooms/general", "/v1/rooms/general/messages", "/v1/agents"]
)
async def test_what_is_read_is_for_its_reader_and_asked_for_again(target: str, method: str) -> None:
    async with open_test_server(BEARER) as server:
        answer = await http_client(server, "ops").request(method, target)
        assert_harmless(answer)
        assert answer.headers["cache-control"] == "private, no-cache"
        assert set(answer.headers["vary"].split(", ")) == {"Authorization", "Cookie", "Accept-Encoding"}


async def test_what_is_not_read_is_not_kept() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        for answer in (
            await client.get("/healthz"),
            await client.get("/readyz"),
            await client.post("/v1/messages", room_message()),
            await client.post("/v1/agents/register", {"requested_agent_id": "luna"}),
            await client.delete("/v1/rooms/general"),
        ):
            assert answer.status < 300
            assert_harmless(answer)
            assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "code"),
    [
        ("GET", "/v1/rooms", None, 401, "unauthorized"),
        ("GET", "/v1/nothing", None, 404, "unknown_route"),
        ("PUT", "/v1/rooms", None, 405, "method_not_allowed"),
        ("OPTIONS", "/v1/rooms", None, 405, "method_not_allowed"),
        ("GET", "/v1/attach", None, 400, "upgrade_required"),
    ],
)
async def test_a_refusal_is_told_and_not_kept(method: str, target: str, body: object, status: int, code: str) -> None:
    async with open_test_server(BEARER) as server:
        answer = await http_client(server).request(method, target, body, headers={"X-Request-Id": "mine-1"})
        assert_told_and_not_kept(answer, status, code)
        assert answer.headers["x-request-id"] == "mine-1"
        assert ("sec-websocket-version" in answer.headers) is (code == "upgrade_required")


async def test_a_body_that_is_too_large_or_wrong_is_told_and_not_kept() -> None:
    async with open_test_server() as server:
        client = http_client(server)
        large = await client.request("POST", "/v1/messages", b" " * (limits.MAX_BODY_BYTES + 1))
        assert_told_and_not_kept(large, 413, "body_too_large")
        assert_told_and_not_kept(await client.request("POST", "/v1/messages", b"{"), 400, "invalid_json")
        assert_told_and_not_kept(await client.get("/v1/rooms?after=x"), 422, "invalid_cursor")


async def test_a_failing_store_is_told_and_not_kept() -> None:
    store = FaultyStore()
    async with open_test_server(store=store) as server:
        store.read_failure = StorageError("broken")
        answer = await http_client(server).get("/v1/rooms/general/messages")
        assert_told_and_not_kept(answer, 503, "storage_unavailable")


async def test_a_bug_is_told_and_not_kept_and_tells_nothing_of_itself(expected_errors: ExpectedErrors) -> None:
    store = FaultyStore()
    async with open_test_server(store=store) as server:
        store.read_failure = RuntimeError("PLANTED-SECRET")  # what no store should raise
        answer = await http_client(server).get("/v1/rooms/general/messages", X_Request_Id="mine-5")
        assert_told_and_not_kept(answer, 500, "internal_error")
        assert b"PLANTED" not in answer.body
    crash = expected_errors.take("request crashed")
    assert vars(crash)["fields"]["request_id"] == answer.headers["x-request-id"] == "mine-5"


async def test_an_event_stream_is_not_kept() -> None:
    async with open_test_server() as server, http_client(server).stream_events() as source:
        assert source.head is not None
        headers = {name.decode(): value.decode() for name, value in source.head.headers}
        assert headers["cache-control"] == "no-cache"
        for name, value in SECURITY.items():
            assert headers[name.lower()] == value


@pytest.mark.parametrize("target", ["/v1/attach", "/v1/nothing"])
async def test_a_refused_upgrade_is_told_and_not_kept(target: str) -> None:
    async with open_test_server(BEARER) as server:
        answer = await http_client(server).request("GET", target, headers={**UPGRADE, "X-Request-Id": "mine-2"})
        status, code = (401, "unauthorized") if target == "/v1/attach" else (404, "unknown_route")
        assert_told_and_not_kept(answer, status, code)
        assert answer.headers["x-request-id"] == "mine-2"
        assert answer.headers["content-length"] == str(len(answer.body))


async def test_an_upgrade_has_its_id_too() -> None:
    async with open_test_server() as server, open_connection(server.url) as connection:
        fields = {"Host": "localhost", **UPGRADE, "X-Request-Id": "mine-6"}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        await connection.stream.send_all(f"GET /v1/attach HTTP/1.1\r\n{head}\r\n".encode())
        answer = b""
        with trio.fail_after(PATIENCE_SECONDS):
            while b"\r\n\r\n" not in answer:
                answer += bytes(await connection.stream.receive_some())
        assert answer.startswith(b"HTTP/1.1 101")
        assert b"\r\nx-request-id: mine-6\r\n" in answer


async def say(server: TestServer, *said: bytes) -> HttpAnswer:
    """The answer to these bytes."""
    with trio.fail_after(PATIENCE_SECONDS):
        return await _say(server, said)


async def _say(server: TestServer, said: Sequence[bytes]) -> HttpAnswer:
    async with open_connection(server.url) as connection:
        for piece in said:
            await connection.stream.send_all(piece)
        # Whatever was said, h11 needs a request to read an answer to.
        connection.expect_answer()
        return await connection.receive_answer()


HEAD = b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nX-Request-Id: mine-3\r\n"


class TestWhatNeverReachesTheApplication:
    """The parser's refusals look like all others."""

    @pytest.mark.parametrize(
        ("said", "status", "code"),
        [
            (b"hello\r\n\r\n", 400, "bad_request"),
            (b"GET /v1/rooms HTTP/1.1\r\n\r\n", 400, "bad_request"),  # without Host
            (b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "bad_request"),
            (b"GET /v1/rooms HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n", 400, "bad_request"),
            (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "bad_request"),
            (HEAD + b"Transfer-Encoding: gzip\r\n\r\n", 501, "bad_request"),
            (b"GET /" + b"x" * 20_000, 414, "request_line_too_long"),
            (HEAD + b"X-Large: " + b"x" * 20_000, 431, "headers_too_large"),
        ],
        ids=["garbage", "no-host", "two-hosts", "bad-header", "two-lengths", "coding", "line", "headers"],
    )
    async def test_is_told_and_logged_and_not_kept(
        self, said: bytes, status: int, code: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with open_test_server() as server:
            answer = await say(server, said)
            assert_told_and_not_kept(answer, status, code)
            assert answer.headers["connection"] == "close"
        (line,) = (vars(record)["fields"] for record in caplog.records if record.message == "request refused")
        assert (line["status"], line["request_id"]) == (status, answer.headers["x-request-id"])

    async def test_a_body_that_breaks_off_into_nonsense_is_told_with_its_own_id(self) -> None:
        async with open_test_server() as server:
            head = HEAD.replace(b"GET /v1/rooms", b"POST /v1/messages") + b"Transfer-Encoding: chunked\r\n\r\n"
            answer = await say(server, head, b"nonsense\r\n")
            assert_told_and_not_kept(answer, 400, "bad_request")
            assert answer.headers["x-request-id"] == "mine-3"

    async def test_what_is_too_long_within_a_body_is_no_request_line(self) -> None:
        async with open_test_server() as server:
            head = HEAD.replace(b"GET /v1/rooms", b"POST /v1/messages") + b"Transfer-Encoding: chunked\r\n\r\n"
            answer = await say(server, head, b"0" * 20_000)
            assert_told_and_not_kept(answer, 400, "bad_request")

    async def test_what_follows_a_body_with_two_lengths_is_not_believed(self) -> None:
        async with open_test_server() as server, open_connection(server.url) as connection:
            both = HEAD.replace(b"GET ", b"POST ") + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
            await connection.stream.send_all(both + HEAD + b"\r\n")
            said = b""
            with trio.fail_after(PATIENCE_SECONDS), suppress(trio.BrokenResourceError):
                while data := await connection.stream.receive_some():
                    said += bytes(data)
        assert said.count(b"HTTP/1.1 ") == 1
        assert b"\r\nconnection: close\r\n" in said.lower()

    async def test_the_log_tells_who_sent_it(self, caplog: pytest.LogCaptureFixture) -> None:
        async with open_test_server() as server:
            await say(server, b"nonsense\r\n\r\n")
        (line,) = [record for record in caplog.records if record.getMessage() == "request refused"]
        assert vars(line)["fields"]["client"] == "127.0.0.1"

    async def test_a_flood_of_it_does_not_fill_the_log(self, caplog: pytest.LogCaptureFixture) -> None:
        async with open_test_server() as server:
            for _ in range(REFUSALS_TOLD.burst + 5):
                assert (await say(server, b"nonsense\r\n\r\n")).status == 400
        lines = [record for record in caplog.records if record.getMessage() == "request refused"]
        assert len(lines) == REFUSALS_TOLD.burst

    @pytest.mark.parametrize("missing", ["Sec-WebSocket-Version", "Sec-WebSocket-Key"])
    async def test_an_upgrade_that_is_none_is_told_and_not_kept(self, missing: str) -> None:
        async with open_test_server() as server:
            headers = {name: value for name, value in UPGRADE.items() if name != missing}
            answer = await http_client(server).request("GET", "/v1/attach", headers={**headers, "X-Request-Id": "m-4"})
            assert_told_and_not_kept(answer, 400, "bad_request")
            assert answer.headers["x-request-id"] == "m-4"
            assert "WebSocket handshake" in answer.json()["error"]
