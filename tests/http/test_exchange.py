"""One line in the log for each request, stream and attachment, when it has ended, however it did."""

import io
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

import orjson
import pytest
import trio
import trio.testing

from moltnet.asgi import NetworkAsgi
from moltnet.config.settings import AuthMode
from moltnet.http.exchange import Send
from moltnet.log import LogFormat, configure
from moltnet.protocol.codec import unstructure
from moltnet.storage.store import StorageError
from tests.expected_errors import ExpectedErrors
from tests.fakes.asgi_client import open_exchange
from tests.fakes.attach_client import attach, identify_frame, open_websocket_wire
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import bearer, http_client, open_connection
from tests.fakes.network import (
    network_config,
    open_test_app,
    open_test_server,
    post_texts,
    room_message,
    token,
    wait_until,
)

TOKENS = [token("alpha", "attach write", "alpha"), token("ops", "observe write admin")]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS)
OPEN = network_config(mode=AuthMode.OPEN, tokens=TOKENS)
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Lines:
    """The lines of requests so far, at any level."""
    caplog.set_level(logging.DEBUG)

    def found() -> list[dict[str, Any]]:
        return [
            {"level": record.levelname, **vars(record)["fields"]}
            for record in caplog.records
            if record.name == "moltnet.http" and record.getMessage() == "request"
        ]

    return found


class TestARequest:
    async def test_its_line_tells_what_was_asked_by_whom_and_what_became_of_it(self, lines: Lines) -> None:
        async with open_test_server(BEARER) as server:
            answer = await http_client(server, "ops").get("/v1/rooms/general?limit=5", X_Request_Id="r-1")
        (line,) = lines()
        assert line.pop("duration_ms") > 0
        assert line == {
            "level": "INFO",
            "method": "GET",
            "path": "/v1/rooms/general",
            "status": 200,
            "route": "GET /v1/rooms/{roomID}",
            "request_id": "r-1",
            "client": "127.0.0.1",
            "credential_id": "token:ops",
            "body_bytes": len(answer.body),
        }

    async def test_there_is_one_for_each_whatever_the_answer(self, lines: Lines) -> None:
        requests: list[tuple[str, str, int, str, str]] = [
            ("GET", "/v1/network", 200, "GET /v1/network", "INFO"),
            ("GET", "/", 307, "GET /", "INFO"),
            ("GET", "/v1/rooms/nowhere", 404, "GET /v1/rooms/{roomID}", "WARNING"),
            ("GET", "/v1/nothing", 404, "unmatched", "WARNING"),
            ("PUT", "/v1/rooms", 405, "unmatched", "WARNING"),
            ("BREW", "/v1/rooms", 405, "unmatched", "WARNING"),
            ("GET", "//v1/rooms", 404, "unmatched", "WARNING"),
            ("GET", "/v1/attach", 400, "GET /v1/attach", "WARNING"),
            ("HEAD", "/v1/network", 200, "GET /v1/network", "INFO"),
        ]
        async with open_test_server() as server:
            for method, path, *_ in requests:
                await http_client(server).request(method, path)
            await wait_until(lambda: server.app.metrics.http.in_progress == 0)
        assert [
            (line["method"], line["path"], line["status"], line["route"], line["level"]) for line in lines()
        ] == requests

    async def test_its_id_is_the_one_in_the_answer(self, lines: Lines) -> None:
        async with open_test_server() as server:
            answers = [await http_client(server).get(path) for path in ("/v1/network", "/v1/nothing")]
        assert [line["request_id"] for line in lines()] == [answer.headers["x-request-id"] for answer in answers]

    async def test_probes_are_told_only_for_debugging_unless_they_fail(self, lines: Lines) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            client = http_client(server)
            for path in ("/healthz", "/readyz", "/metrics"):
                await client.get(path)
            store.read_failure = StorageError("disk full")
            await client.get("/readyz")
        assert [(line["level"], line["status"]) for line in lines()] == [
            *[("DEBUG", 200)] * 3,
            ("WARNING", 503),
        ]

    async def test_a_crash_is_one_error_and_its_line_is_a_warning(
        self, lines: Lines, monkeypatch: pytest.MonkeyPatch, expected_errors: ExpectedErrors
    ) -> None:
        async with open_test_server() as server:
            monkeypatch.setattr("moltnet.http.network.describe_network", lambda *_: 1 / 0)
            answer = await http_client(server).get("/v1/network")
            assert answer.status == 500
        crash = expected_errors.take("request crashed")
        (line,) = lines()
        assert (line["level"], line["status"]) == ("WARNING", 500)
        assert line["request_id"] == vars(crash)["fields"]["request_id"] == answer.headers["x-request-id"]

    async def test_a_crash_that_no_framework_catches_has_the_same_id_in_answer_and_log(
        self, lines: Lines, monkeypatch: pytest.MonkeyPatch, expected_errors: ExpectedErrors
    ) -> None:
        async with open_test_server() as server:
            monkeypatch.setattr("moltnet.http.attach.require_origin", lambda *_: 1 / 0)
            answer = await http_client(server).request("GET", "/v1/attach", headers=UPGRADE)
        crash = expected_errors.take("request crashed")
        (line,) = lines()
        assert (answer.status, line["status"], line["ended"]) == (500, 500, "crashed")
        assert line["request_id"] == vars(crash)["fields"]["request_id"] == answer.headers["x-request-id"]


class TestTheCaller:
    async def test_is_named_by_its_credential_and_never_with_it(self, lines: Lines) -> None:
        async with open_test_server(OPEN) as server:
            registered = await http_client(server).post("/v1/agents/register", {"requested_agent_id": "luna"})
            minted = registered.json()["agent_token"]
            for caller in ("ops", minted, "", "unheard-of"):
                await http_client(server, caller).get("/v1/rooms")
        assert [line.get("credential_id") for line in lines()] == [
            "anonymous",
            "token:ops",
            "agent:luna",
            "anonymous",
            None,
        ]
        assert minted not in str(lines())

    async def test_is_nobody_where_nobody_is_asked(self, lines: Lines) -> None:
        async with open_test_server() as server:
            await http_client(server).get("/v1/rooms")
        assert "credential_id" not in lines()[0]


class TestAStream:
    async def test_has_its_line_when_it_ends(self, lines: Lines) -> None:
        async with open_test_server(BEARER) as server:
            async with http_client(server, "ops").stream_events() as source:
                await http_client(server, "ops").post("/v1/messages", room_message())
                await source.next_of("message.created")
                assert [line["route"] for line in lines()] == ["POST /v1/messages"]
            await wait_until(lambda: len(lines()) == 2)
        line = lines()[1]
        assert (line["level"], line["status"], line["ended"]) == ("INFO", 200, "client_left")
        assert (line["route"], line["credential_id"]) == ("GET /v1/events/stream", "token:ops")
        assert line["body_bytes"] > len("event: message.created")
        assert line["duration_ms"] > lines()[0]["duration_ms"]

    async def test_that_the_server_ends_is_a_whole_answer(self, lines: Lines) -> None:
        async with open_test_app() as app, open_exchange(app, "GET", "/v1/events/stream") as stream:
            await stream.receive_status()
            app.drain()
            await stream.ended.wait()
        (line,) = lines()
        assert (line["status"], "ended" in line) == (200, False)


class TestHangingUp:
    async def test_before_the_answer_is_told_as_499(self, lines: Lines) -> None:
        store = FaultyStore()
        async with open_test_app(store=store) as app:
            store.hold()
            async with open_exchange(app, "POST", "/v1/messages", room_message()) as exchange:
                await trio.testing.wait_all_tasks_blocked()
                exchange.hang_up()
                await exchange.ended.wait()
            store.release()
            labels = {"method": "POST", "route": "POST /v1/messages", "status": "499"}
            assert app.metrics.registry.get_sample_value("moltnet_http_requests_total", labels) == 1
        (line,) = lines()
        assert (line["level"], line["status"], line["ended"]) == ("WARNING", 499, "client_left")

    async def test_over_a_socket_is_told_in_the_same_way(self, lines: Lines) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            store.hold()
            async with open_connection(server.url) as connection:
                await connection.send_request("POST", "/v1/messages", {}, orjson.dumps(unstructure(room_message())))
                await wait_until(lambda: len(store.batches) == 2)  # the first declares the file's rooms
            await wait_until(lambda: len(lines()) == 1)
            store.release()
        assert (lines()[0]["status"], lines()[0]["ended"]) == (499, "client_left")

    async def test_after_the_answer_is_nothing_to_tell(self, lines: Lines) -> None:
        async with open_test_server() as server:
            async with open_connection(server.url) as connection:
                await connection.send_request("GET", "/v1/network", {})
                await connection.receive_answer()
            await wait_until(lambda: len(lines()) == 1)
        assert "ended" not in lines()[0]

    async def test_within_the_answer_keeps_its_status(self, lines: Lines) -> None:
        async with open_test_app() as app:
            await post_texts(app, "one")
            async with open_exchange(app, "GET", "/v1/rooms/general/messages", chunks=0) as exchange:
                assert await exchange.receive_status() == 200
                exchange.hang_up()
                await exchange.ended.wait()
        (line,) = lines()
        assert (line["level"], line["status"], line["ended"]) == ("INFO", 200, "client_left")

    async def test_a_cancelled_server_tells_what_it_cut(self, lines: Lines) -> None:
        async with open_test_app() as app:
            asgi = NetworkAsgi(app)
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(serve_one, asgi, "/v1/events/stream")
                    await trio.testing.wait_all_tasks_blocked()
                    scope.cancel()
        (line,) = lines()
        assert (line["level"], line["status"], line["ended"]) == ("INFO", 200, "cancelled")


async def take(message: Mapping[str, Any]) -> None:
    await trio.lowlevel.checkpoint()


async def serve_one(asgi: NetworkAsgi, path: str, send: Send = take, kind: str = "http") -> None:
    """A request, or the beginning of an attachment, whose client does not leave."""
    scope: Mapping[str, Any] = {
        "type": kind,
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [],
        "client": None,
        "server": None,
        "extensions": {},
    }
    messages: list[Mapping[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]
    if kind == "websocket":
        identify = {"type": "websocket.receive", "text": identify_frame("alpha"), "bytes": None}
        messages = [{"type": "websocket.connect"}, identify]

    async def receive() -> Mapping[str, Any]:
        if messages:
            return messages.pop(0)
        await trio.sleep_forever()
        raise AssertionError

    await asgi(scope, receive, send)


class TestAnAttachment:
    async def test_has_its_line_when_it_ends_with_the_ending_of_its_reports(self, lines: Lines) -> None:
        async with open_test_server(BEARER) as server:
            async with open_websocket_wire(server.url, "alpha", headers={"X-Request-Id": "a-1"}) as wire:
                await attach(wire, "alpha")
                assert lines() == []
            await wait_until(lambda: len(lines()) == 1)
        (line,) = lines()
        assert line.pop("duration_ms") > 0
        assert line == {
            "level": "INFO",
            "method": "GET",
            "path": "/v1/attach",
            "status": 200,
            "route": "GET /v1/attach",
            "request_id": "a-1",
            "client": "127.0.0.1",
            "credential_id": "token:alpha",
            "ended": "client_closed",
        }

    async def test_that_is_refused_has_the_status_of_its_answer(self, lines: Lines) -> None:
        async with open_test_server(BEARER) as server:
            for caller, target, headers in [
                ("", "/v1/attach", {}),
                ("ops", "/v1/attach", {}),
                ("alpha", "/v1/attach", {"Origin": "http://evil.test"}),
                ("alpha", "/v1/network", {}),
            ]:
                await http_client(server, caller).request("GET", target, headers={**UPGRADE, **headers})
            await wait_until(lambda: len(lines()) == 4)
        assert [(line["level"], line["status"], line["route"]) for line in lines()] == [
            ("WARNING", 401, "GET /v1/attach"),
            ("WARNING", 403, "GET /v1/attach"),
            ("WARNING", 403, "GET /v1/attach"),
            ("WARNING", 404, "unmatched"),
        ]

    async def test_that_is_cut_by_a_second_signal_is_told(self, lines: Lines) -> None:
        async with open_test_app() as app:
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(serve_one, NetworkAsgi(app), "/v1/attach", take, "websocket")
                    await trio.testing.wait_all_tasks_blocked()
                    assert len(app.gateway.registry) == 1
                    scope.cancel()
        (line,) = lines()
        assert (line["level"], line["status"], line["ended"]) == ("INFO", 200, "cancelled")


class TestWhatIsWritten:
    @pytest.mark.parametrize("log_format", ["console", "json"])
    async def test_no_secret_is_in_it_in_either_format(self, log_format: LogFormat) -> None:
        stream = io.StringIO()
        configure(format=log_format, level="debug", stream=stream)
        secret = "PLANTED-SECRET"
        async with open_test_server(BEARER) as server:
            for headers in (
                bearer("ops"),
                {"Authorization": secret},
                {"Cookie": f"x={secret}"},
                {"X-Request-Id": "a b"},
            ):
                await http_client(server).request("GET", f"/v1/rooms?access_token={secret}", headers=headers)
                await http_client(server).request("GET", f"/v1/attach?token={secret}", headers={**UPGRADE, **headers})
        written = stream.getvalue()
        assert written.count("path") == 8
        assert secret not in written

    async def test_a_machine_reads_it_as_one_object(self) -> None:
        stream = io.StringIO()
        configure(format="json", stream=stream)
        async with open_test_server(BEARER) as server:
            await http_client(server, "ops").get("/v1/rooms")
        (line,) = [json.loads(text) for text in stream.getvalue().splitlines() if '"request"' in text]
        assert (line["level"], line["component"], line["event"]) == ("info", "http", "request")
        assert (line["route"], line["status"], line["credential_id"]) == ("GET /v1/rooms", 200, "token:ops")

    async def test_a_path_cannot_forge_a_line(self) -> None:
        stream = io.StringIO()
        configure(stream=stream)
        async with open_test_server() as server:
            await http_client(server).get("/v1/x%0A2026-01-01%20INFO%20fake%1B%5B2J")
        (line,) = [text for text in stream.getvalue().splitlines() if "request" in text]
        assert "fake" in line
        assert line.isprintable()


async def test_a_crash_beyond_the_answer_is_told_and_leaves_nothing_open(lines: Lines) -> None:
    async def choke(message: Mapping[str, Any]) -> None:
        raise ZeroDivisionError

    async with open_test_app() as app:
        with pytest.RaisesGroup(ZeroDivisionError, flatten_subgroups=True):
            await serve_one(NetworkAsgi(app), "/v1/events/stream", choke)
        assert (app.metrics.http.in_progress, app.metrics.http.streams) == (0, 0)
    (line,) = lines()
    assert line["ended"] == "crashed"
