"""`GET /metrics`: who may read it, what requests, streams and attachments leave in it, and what they cannot."""

import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
import trio
import trio.testing
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from moltnet.app import App
from moltnet.asgi import NetworkAsgi
from moltnet.config.settings import AuthMode
from moltnet.http.api import make_api
from moltnet.http.metrics import route_name
from moltnet.protocol.rooms import Visibility
from moltnet.storage.store import StorageError
from tests.fakes.asgi_client import open_exchange
from tests.fakes.attach_client import attach, open_websocket_wire, open_wire, read_until_closed
from tests.fakes.faulty_store import FaultyStore
from tests.fakes.http_client import HttpAnswer, http_client
from tests.fakes.network import (
    TestServer,
    network_config,
    open_test_app,
    open_test_server,
    room,
    room_message,
    secret_of,
    token,
    wait_until,
)

TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("watcher", "observe"),
    token("pair", "pair"),
    token("ops", "observe write admin"),
]
BEARER = network_config(mode=AuthMode.BEARER, tokens=TOKENS)
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(text: str) -> Samples:
    """Every sample of a text, by its name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((name, frozenset(labels.items())))


def requests(app: App, route: str, status: int = 200, method: str = "GET") -> float | None:
    """How many requests of a kind have ended."""
    labels = {"method": method, "route": route, "status": str(status)}
    return app.metrics.registry.get_sample_value("moltnet_http_requests_total", labels)


def series(app: App) -> set[tuple[str, frozenset[tuple[str, str]]]]:
    return set(samples_of(app.metrics.text()[0].decode()))


async def scrape(server: TestServer, token_id: str = "") -> Samples:
    answer = await http_client(server, token_id).get("/metrics")
    assert answer.status == 200
    return samples_of(answer.body.decode())


def sender(app: App) -> Callable[[str, str], Awaitable[None]]:
    """How to send many requests past sockets, by method and path; nobody looks at the answers."""
    asgi = NetworkAsgi(app)

    async def send(method: str, path: str) -> None:
        body = iter([{"type": "http.request", "body": b"", "more_body": False}])

        async def receive() -> Mapping[str, Any]:
            for message in body:
                return message
            await trio.sleep_forever()
            raise AssertionError

        async def drop(message: Mapping[str, Any]) -> None:
            await trio.lowlevel.checkpoint()

        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [],
            "client": ("192.0.2.1", 50000),
            "server": ("192.0.2.2", 80),
            "extensions": {},
        }
        await asgi(scope, receive, drop)

    return send


class TestWhoMayRead:
    @pytest.mark.parametrize(
        ("caller", "status"),
        [("", 401), ("unheard-of", 401), ("alpha", 403), ("watcher", 403), ("pair", 403), ("ops", 200)],
    )
    @pytest.mark.parametrize("mode", [AuthMode.BEARER, AuthMode.OPEN])
    async def test_administrators_only(self, mode: AuthMode, caller: str, status: int) -> None:
        public = room("lobby", visibility=Visibility.PUBLIC)
        config = network_config(mode=mode, tokens=TOKENS, rooms=[public], public_read=True)
        async with open_test_server(config) as server:
            answer = await http_client(server, caller).get("/metrics")
            assert answer.status == status
            assert ("moltnet_" in answer.body.decode()) is (status == 200)

    async def test_in_mode_none_everybody(self) -> None:
        async with open_test_server() as server:
            assert value(await scrape(server), "moltnet_store_health") == 1  # the file's rooms have been declared


class TestTheAnswer:
    async def test_its_format_is_chosen_by_the_accept_header(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            plain = await client.get("/metrics")
            assert plain.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
            chosen = await client.get("/metrics", Accept="application/openmetrics-text;version=1.0.0,*/*;q=0.1")
            assert chosen.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
            assert chosen.body.endswith(b"# EOF\n")

    async def test_head_says_the_same_without_it(self) -> None:
        async with open_test_server() as server:
            answer = await http_client(server).request("HEAD", "/metrics")
            assert (answer.status, answer.body) == (200, b"")
            assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"

    async def test_it_is_made_in_a_thread_one_at_a_time(self) -> None:
        threads: list[int] = []

        class Watching(Collector):
            def collect(self) -> Iterator[Metric]:
                threads.append(threading.get_ident())
                yield from ()

        async with open_test_server() as server:
            server.app.metrics.registry.register(Watching())
            threads.clear()
            async with trio.open_nursery() as nursery:
                for _ in range(5):
                    nursery.start_soon(scrape, server)
        assert len(threads) == 5
        assert threading.get_ident() not in threads


class TestRequests:
    @pytest.mark.parametrize(
        ("method", "rule", "name"),
        [
            ("GET", "/v1/rooms/<room_id>", "GET /v1/rooms/{roomID}"),
            ("HEAD", "/v1/rooms/<room_id>", "GET /v1/rooms/{roomID}"),
            ("PATCH", "/v1/rooms/<room_id>/members", "PATCH /v1/rooms/{roomID}/members"),
            ("GET", "/v1/agents/<path:agent_id>", "GET /v1/agents/{agentID}"),
            ("GET", "/v1/pairings/<pairing_id>/rooms", "GET /v1/pairings/{pairingID}/rooms"),
            ("GET", "/v1/dms/<direct_id>", "GET /v1/dms/{dmID}"),
            ("GET", "/console/<path:path>", "GET /console/{path}"),
            ("GET", "/", "GET /"),
        ],
    )
    def test_a_route_is_named_as_in_the_reference(self, method: str, rule: str, name: str) -> None:
        assert route_name(method, rule) == name

    async def test_every_parameter_has_its_name_of_the_reference(self) -> None:
        async with open_test_app() as app:
            names = {route_name("GET", rule.rule) for rule in make_api(app).url_map.iter_rules()}
        parameters = {parameter for name in names for parameter in re.findall(r"\{(\w+)\}", name)}
        assert parameters == {"roomID", "threadID", "dmID", "agentID", "pairingID", "messageID", "approvalID", "path"}

    async def test_they_are_counted_by_route_and_not_by_path(self) -> None:
        async with open_test_server() as server:
            client = http_client(server)
            for target in ("/v1/rooms/general", "/v1/rooms/general?limit=5", "/v1/rooms/nowhere", "/v1/threads/x"):
                await client.get(target)
            await client.post("/v1/messages", room_message())
            await client.request("HEAD", "/v1/rooms/general")
            await wait_until(lambda: server.app.metrics.http.in_progress == 0)
            assert requests(server.app, "GET /v1/rooms/{roomID}") == 2
            assert requests(server.app, "GET /v1/rooms/{roomID}", 404) == 1
            assert requests(server.app, "GET /v1/threads/{threadID}", 404) == 1
            assert requests(server.app, "POST /v1/messages", 202, "POST") == 1
            assert requests(server.app, "GET /v1/rooms/{roomID}", method="HEAD") == 1

    async def test_a_scrape_does_not_see_its_own_end_but_the_next_does(self) -> None:
        async with open_test_server() as server:
            labels = {"method": "GET", "route": "GET /metrics", "status": "200"}
            first = await scrape(server)
            assert value(first, "moltnet_http_requests_total", **labels) is None
            assert value(first, "moltnet_http_requests_in_progress") == 1
            assert value(await scrape(server), "moltnet_http_requests_total", **labels) == 1

    async def test_paths_and_methods_that_somebody_makes_up_are_all_one(self) -> None:
        """Weakness 2 of the reference: each made a series, for ever, for everybody who could reach the port."""
        async with open_test_app(BEARER) as app:
            send = sender(app)
            for method in ("GET", "POST", "PUT", "HEAD", "OPTIONS", "BREW"):
                for path in ("/v1/nothing", "/v1/rooms/x", "/v1/dms/x/messages", "//v1/network"):
                    await send(method, path)
            known = series(app)
            for number in range(2_000):
                method = ("GET", "POST", "PUT", "HEAD", "OPTIONS", f"BREW{number}")[number % 6]
                path = (f"/v1/{number}", f"/v1/rooms/{number}", f"/v1/dms/{number}/messages", f"//{number}")[number % 4]
                await send(method, path)
            assert {name for name, _ in series(app) - known} <= {"moltnet_limited_total"}
            assert len(app.metrics.http._series) < 30

    async def test_paths_of_upgrades_are_no_series_either(self) -> None:
        async with open_test_server() as server:
            for number in range(5):
                await http_client(server).request("GET", f"/v1/{number}", headers=UPGRADE)
            await wait_until(lambda: requests(server.app, "unmatched", 404) == 5)


class TestStreamsAndAttachments:
    async def test_a_stream_counts_as_open_until_it_ends_and_as_a_request_then(self) -> None:
        route = "GET /v1/events/stream"
        async with open_test_server() as server:
            async with http_client(server).stream_events(), http_client(server).stream_events():
                samples = await scrape(server)
                assert value(samples, "moltnet_active_sse_subscribers") == 2
                assert requests(server.app, route) is None
            await wait_until(lambda: requests(server.app, route) == 2)
            assert value(await scrape(server), "moltnet_active_sse_subscribers") == 0

    async def test_asking_for_the_head_of_a_stream_opens_none(self) -> None:
        async with open_test_server() as server:
            await http_client(server).request("HEAD", "/v1/events/stream")
            assert server.app.metrics.http.streams == 0

    async def test_an_attachment_counts_as_open_until_it_ends_and_as_a_request_then(self) -> None:
        async with open_test_server(BEARER) as server:
            async with open_websocket_wire(server.url, "alpha") as wire:
                samples = await scrape(server, "ops")
                assert value(samples, "moltnet_pending_attachments") == 1
                assert value(samples, "moltnet_active_attachments") == 0
                await attach(wire, "alpha")
                samples = await scrape(server, "ops")
                assert value(samples, "moltnet_pending_attachments") == 0
                assert value(samples, "moltnet_active_attachments") == 1
                assert value(samples, "moltnet_attachments_opened_total") == 1
                assert requests(server.app, "GET /v1/attach") is None
            await wait_until(lambda: requests(server.app, "GET /v1/attach") == 1)
            samples = await scrape(server, "ops")
            assert value(samples, "moltnet_active_attachments") == 0
            assert value(samples, "moltnet_attachments_closed_total", ending="client_closed") == 1

    async def test_who_does_not_get_in_is_counted_by_the_reason(self) -> None:
        async with open_test_server(BEARER) as server:
            for token_id, headers in (("watcher", UPGRADE), ("alpha", {**UPGRADE, "Origin": "http://evil.test"})):
                await http_client(server, token_id).request("GET", "/v1/attach", headers=headers)
            async with open_websocket_wire(server.url, "alpha") as wire:
                with pytest.raises(AssertionError, match="not allowed"):
                    await attach(wire, "beta")
            async with open_websocket_wire(server.url, "alpha") as wire:
                await wire.receive()  # HELLO, and away
            await wait_until(lambda: server.app.metrics.http.in_progress == 0)
            samples = await scrape(server, "ops")
            for reason in ("missing_scope", "origin_forbidden", "agent_not_allowed", "client_closed"):
                assert value(samples, "moltnet_attach_failures_total", reason=reason) == 1, reason
            assert value(samples, "moltnet_attachments_opened_total") == 0

    async def test_silence_before_identify_is_a_reason_of_its_own(self, autojump_clock: trio.testing.MockClock) -> None:
        async with open_test_app() as app, open_wire(app) as wire:
            await read_until_closed(wire)
            failures = app.metrics.registry.get_sample_value
            assert failures("moltnet_attach_failures_total", {"reason": "identify_timeout"}) == 1

    async def test_wakes_are_counted_when_they_are_settled(self) -> None:
        async with open_test_server() as server:
            async with open_websocket_wire(server.url) as wire:
                client = await attach(wire, "beta")
                for text in ("@beta one", "@beta two"):
                    await http_client(server).post("/v1/messages", room_message(text))
                await client.ack(await client.next_of("message.created"))
                await client.next_of("message.created")
                await wait_until(lambda: wakes(server.app, "delivered") == 1)
                await wire.hang_up(1006)
            await wait_until(lambda: wakes(server.app, "failed") == 1)


def wakes(app: App, result: str) -> float | None:
    return app.metrics.registry.get_sample_value("moltnet_wakes_total", {"result": result, "reason": "mention"})


class TestEventsAndStorage:
    async def test_events_are_counted_by_type_and_by_place(self) -> None:
        async with open_test_server() as server:
            await http_client(server).post("/v1/messages", room_message())
            samples = await scrape(server)
            assert value(samples, "moltnet_events_published_total", type="message.created") == 1
            assert value(samples, "moltnet_newest_event_seq") == server.app.broker.newest_seq

    async def test_a_reader_that_comes_back_from_far_is_served_by_the_store(self) -> None:
        async with open_test_app() as app:
            first = (await app.context.store.events_after(0, 1))[0]
            async with open_exchange(app, "GET", f"/v1/events/stream?last_event_id={first.id}") as stream:
                await stream.receive_status()
            before = app.metrics.registry.get_sample_value("moltnet_event_store_reads_total")
            app.broker._ring.clear()
            await app.broker.subscribe(0).receive()
            assert before == 0
            assert app.metrics.registry.get_sample_value("moltnet_event_store_reads_total") == 1

    async def test_health_is_what_the_latest_probe_found(self) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            client = http_client(server)
            for failure, status, health in [(StorageError("disk full"), 503, 0), (None, 200, 1)]:
                store.read_failure = failure
                assert (await client.get("/readyz")).status == status
                store.read_failure = None
                assert value(await scrape(server), "moltnet_store_health") == health

    async def test_health_is_what_the_latest_commit_found(self) -> None:
        store = FaultyStore()
        async with open_test_server(store=store) as server:
            client = http_client(server)
            store.failures.append(StorageError("disk full"))
            for status, health in [(503, 0), (202, 1)]:
                assert (await client.post("/v1/messages", room_message())).status == status
                assert value(await scrape(server), "moltnet_store_health") == health


async def test_a_scrape_during_load_is_whole_and_holds_nobody_up() -> None:
    async with open_test_server() as server:
        scrapes: list[Samples] = []
        sent: list[HttpAnswer] = []

        async def send(number: int) -> None:
            for each in range(10):
                message = room_message(f"{number} {each}", message_id=f"m{number}-{each}")
                sent.append(await http_client(server).post("/v1/messages", message))

        async def watch() -> None:
            while len(sent) < 80:
                scrapes.append(await scrape(server))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            for number in range(8):
                nursery.start_soon(send, number)
        counts = [value(each, "moltnet_events_published_total", type="message.created") or 0 for each in scrapes]
        assert counts == sorted(counts)
        assert {answer.status for answer in sent} == {202}
        last = await scrape(server)
        assert value(last, "moltnet_events_published_total", type="message.created") == 80
        labels = {"method": "POST", "route": "POST /v1/messages"}
        assert value(last, "moltnet_http_request_duration_seconds_count", **labels) == 80
        assert value(last, "moltnet_journal_batch_commands_sum") == 81  # and the declaration of the file's rooms


async def test_nothing_that_a_caller_says_is_in_it() -> None:
    secret = "PLANTED-SECRET"
    async with open_test_server(BEARER) as server:
        client = http_client(server)
        for headers in ({"Authorization": f"Bearer {secret_of('ops')}"}, {"Authorization": secret}, {"Cookie": secret}):
            for target in (f"/v1/{secret}", f"/v1/rooms?access_token={secret}", f"/v1/rooms/{secret}"):
                for method in ("GET", "DELETE", "PLANTED-SECRET"):
                    await client.request(method, target, headers=headers)
        async with open_websocket_wire(server.url, "alpha") as wire:
            await attach(wire, "alpha", name=secret)
            await http_client(server, "alpha").post("/v1/messages", room_message(secret, sender="alpha"))
            for accept in ("", "application/openmetrics-text"):
                answer = await http_client(server, "ops").get("/metrics", Accept=accept)
                text = answer.body.decode()
                assert "moltnet_attachments_opened_total 1.0" in text  # it has seen all of this
                assert secret not in text
                assert "alpha" not in text
                assert "general" not in text
