"""Floods against a running server: whoever asks for too much is told so, and everybody else is served."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

import attrs
import pytest
import trio

from moltnet.config.server_limits import NO_LIMITS, LimitSettings, Rate
from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.protocol import limits as wire
from tests.fakes.http_client import HttpAnswer, HttpConnection, bearer, http_client, open_connection
from tests.fakes.network import (
    TestServer,
    network_config,
    open_test_server,
    room_message,
    token,
    wait_until,
)

TOKENS = [
    token("alpha", "attach write", "alpha"),
    token("beta", "attach write", "beta"),
    token("ops", "observe write admin"),
]


def limited(mode: AuthMode = AuthMode.BEARER, *, proxied: bool = True, **limits: Any) -> MoltnetConfig:
    """A network whose only limits are these; behind a proxy on this machine, so that a test may come from anywhere."""
    return network_config(
        mode=mode,
        tokens=TOKENS,
        limits=attrs.evolve(NO_LIMITS, **limits),
        trusted_proxies=["127.0.0.1"] if proxied else [],
    )


async def ask(
    server: TestServer,
    target: str = "/v1/network",
    *,
    source: str = "",
    as_: str = "",
    method: str = "GET",
    **more: Any,
) -> HttpAnswer:
    headers = {**(bearer(as_) if as_ else {}), **({"X-Forwarded-For": source} if source else {})}
    return await http_client(server).request(method, target, headers=headers, **more)


def check_refused(answer: HttpAnswer, code: str = "rate_limited") -> int:
    """A refusal as it must be; how many seconds it asks for."""
    assert (answer.status, answer.code) == (429, code)
    seconds = answer.headers["retry-after"]
    assert seconds.isdigit()
    assert int(seconds) >= 1
    return int(seconds)


class TestRequests:
    async def test_a_flood_of_one_address_leaves_others_served(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 5))) as server:
            answers = [await ask(server, source="203.0.113.7") for _ in range(8)]
            assert [answer.status for answer in answers] == [200] * 5 + [429] * 3
            assert check_refused(answers[-1]) == 10
            assert (await ask(server, source="203.0.113.8")).status == 200
            assert (await ask(server, source="203.0.113.7", as_="ops")).status == 200

    async def test_nor_do_addresses_of_one_customer_help(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 3))) as server:
            answers = [await ask(server, source=f"2001:db8::{number}") for number in range(1, 5)]
            assert [answer.status for answer in answers] == [200, 200, 200, 429]
            assert (await ask(server, source="2001:db8:0:1::1")).status == 200

    async def test_a_flood_with_one_credential_leaves_others_served_also_at_the_same_address(self) -> None:
        async with open_test_server(limited(requests_per_credential=Rate(0.1, 5))) as server:
            statuses = [(await ask(server, "/v1/rooms", as_="alpha")).status for _ in range(7)]
            assert statuses == [200] * 5 + [429] * 2
            # Another address does not make it another credential.
            check_refused(await ask(server, "/v1/rooms", as_="alpha", source="203.0.113.8"))
            assert (await ask(server, "/v1/rooms", as_="beta")).status == 200

    @pytest.mark.parametrize(
        "target", ["/v1/network", "/nowhere", "/console/", "/v1/attach", "/readyz", "/v1/rooms?x=1"]
    )
    async def test_no_route_is_a_way_around(self, target: str) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 2))) as server:
            for _ in range(2):
                assert (await ask(server, target)).status != 429
            check_refused(await ask(server, target))

    async def test_a_token_that_is_no_good_is_no_way_around_either(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 2))) as server:
            for _ in range(2):
                assert (await ask(server, "/console/", as_="unheard-of")).status == 200
            check_refused(await ask(server, "/console/", as_="unheard-of"))

    async def test_a_refusal_looks_the_same_wherever_it_is_made(self) -> None:
        """Most are made before the framework; with a cookie, which may be a good one, it is asked first."""
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 1))) as server:
            await ask(server)
            refusals = [
                await http_client(server).request("GET", "/v1/network", headers={**cookie, "X-Request-Id": "same"})
                for cookie in ({}, {"Cookie": "theme=dark"})
            ]
            for refused in refusals:
                check_refused(refused)
            early, late = (dict(refused.headers) for refused in refusals)
            for changing in ("date", "retry-after", "vary"):
                early.pop(changing, None), late.pop(changing, None)
            assert early == late
            assert early["x-request-id"] == "same"

    async def test_a_refused_head_has_no_body_and_the_connection_goes_on(self) -> None:
        config = limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 1))
        async with open_test_server(config) as server, open_connection(server.url) as connection:
            for status in (200, 429, 429):
                await connection.send_request("HEAD", "/v1/network", {})
                answer = await connection.receive_answer()
                assert (answer.status, answer.body) == (status, b"")
                connection.next_cycle()

    async def test_upgrades_to_nowhere_are_no_way_around(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 2))) as server:
            upgrade = {
                "Connection": "Upgrade",
                "Upgrade": "websocket",
                "Sec-WebSocket-Version": "13",
                "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            }
            for _ in range(2):
                answer = await http_client(server).request("GET", "/v1/nowhere", headers=upgrade)
                assert (answer.status, answer.code) == (404, "unknown_route")
            check_refused(await http_client(server).request("GET", "/v1/nowhere", headers=upgrade))
            check_refused(await ask(server))

    async def test_a_probe_is_never_refused(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 1))) as server:
            for _ in range(5):
                assert (await ask(server, "/healthz")).status == 200

    async def test_in_mode_none_they_hold_for_addresses_if_somebody_asked_for_them(self) -> None:
        async with open_test_server(limited(AuthMode.NONE, requests_per_credential=Rate(0.1, 3))) as server:
            statuses = [(await ask(server, source="203.0.113.7")).status for _ in range(4)]
            assert statuses == [200] * 3 + [429]
            assert (await ask(server, source="203.0.113.8")).status == 200

    async def test_a_refusal_is_counted(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 1))) as server:
            for _ in range(4):
                await ask(server, source="203.0.113.7")
            registry = server.app.metrics.registry
            assert registry.get_sample_value("moltnet_limited_total", {"limit": "requests"}) == 3


class TestSpoofing:
    async def test_without_a_trusted_proxy_nobody_chooses_an_address(self) -> None:
        config = limited(AuthMode.OPEN, proxied=False, requests_per_address=Rate(0.1, 3))
        async with open_test_server(config) as server:
            statuses = [(await ask(server, source=f"203.0.113.{number}")).status for number in range(5)]
            assert statuses == [200] * 3 + [429] * 2

    async def test_behind_one_what_a_caller_says_itself_does_not_count(self) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 3))) as server:
            statuses = [(await ask(server, source=f"198.51.100.{number}, 203.0.113.7")).status for number in range(5)]
            assert statuses == [200] * 3 + [429] * 2

    async def test_a_proxy_that_nobody_has_named_is_pointed_out_once(self, caplog: pytest.LogCaptureFixture) -> None:
        async with open_test_server(limited(AuthMode.OPEN, proxied=False)) as server:
            await ask(server)
            assert "trusted_proxies" not in caplog.text
            for number in range(3):
                await ask(server, source=f"203.0.113.{number}")
        assert caplog.text.count("trusted_proxies") == 1

    async def test_a_flood_is_told_once_and_not_line_by_line(self, caplog: pytest.LogCaptureFixture) -> None:
        async with open_test_server(limited(AuthMode.OPEN, requests_per_address=Rate(0.1, 1))) as server:
            for number in range(20):
                await ask(server, source=f"203.0.113.{number % 2}")
        told = [record for record in caplog.records if record.levelname == "WARNING"]
        assert [record.getMessage() for record in told].count("limit reached") == 2
        assert not [record for record in told if record.getMessage() == "request"]


class TestGuessing:
    async def test_gets_slow_before_a_token_is_looked_at(self) -> None:
        config = limited(failed_authentications_per_address=Rate(0.1, 5))
        async with open_test_server(config) as server:
            for number in range(5):
                assert (await ask(server, source="203.0.113.7", as_=f"guess-{number}")).status == 401
            refused = await ask(server, source="203.0.113.7", as_="ops")  # even the right one tells nothing now
            assert check_refused(refused) == 10
            assert (await ask(server, source="203.0.113.8", as_="ops")).status == 200

    async def test_headers_that_are_none_count_as_guesses(self) -> None:
        config = limited(failed_authentications_per_address=Rate(0.1, 2))
        async with open_test_server(config) as server:
            for _ in range(2):
                answer = await http_client(server).request("GET", "/healthz", headers={"Authorization": "Basic x"})
                assert answer.status == 200  # not asked there, and not counted: nothing is to be learnt
                answer = await http_client(server).request("GET", "/v1/network", headers={"Authorization": "Basic x"})
                assert answer.status == 401
            check_refused(await ask(server, as_="guess"))

    async def test_who_only_reads_in_public_is_not_kept_out_by_a_guesser_at_its_address(self) -> None:
        config = limited(AuthMode.OPEN, failed_authentications_per_address=Rate(0.1, 1))
        async with open_test_server(config) as server:
            assert (await ask(server, as_="guess")).status == 401
            check_refused(await ask(server, as_="guess"))
            assert (await ask(server)).status == 200


class TestMessages:
    async def test_a_flood_of_one_agent_does_not_silence_another(self) -> None:
        async with open_test_server(limited(messages_per_credential=Rate(0.1, 3))) as server:

            async def send(agent: str, text: str) -> HttpAnswer:
                body = room_message(text, sender=agent)
                return await ask(server, "/v1/messages", as_=agent, method="POST", body=body)

            statuses = [(await send("alpha", f"flood {number}")).status for number in range(5)]
            assert statuses == [202] * 3 + [429] * 2
            assert (await send("beta", "hello")).status == 202
            assert (await ask(server, "/v1/rooms", as_="alpha")).status == 200  # reading goes on
            texts = [part["text"] for part in await self._texts(server)]
            assert texts == ["flood 0", "flood 1", "flood 2", "hello"]

    async def _texts(self, server: TestServer) -> list[dict[str, str]]:
        page = (await ask(server, "/v1/rooms/general/messages", as_="ops")).json()
        return [message["parts"][0] for message in page["messages"]]


class TestRegistrations:
    async def test_one_address_claims_only_so_many_ids(self) -> None:
        config = limited(AuthMode.OPEN, registrations_per_address=Rate(1 / 600, 3))
        async with open_test_server(config) as server:

            async def claim(agent: str, source: str = "203.0.113.7", as_: str = "") -> HttpAnswer:
                body = {"requested_agent_id": agent}
                return await ask(server, "/v1/agents/register", source=source, as_=as_, method="POST", body=body)

            statuses = [(await claim(f"squat-{number}")).status for number in range(3)]
            assert statuses == [201] * 3
            assert check_refused(await claim("squat-3")) == 600
            assert (await claim("honest", source="203.0.113.8")).status == 201
            assert (await claim("by-operator", as_="ops")).status == 201
            assert server.app.context.directory.agent("squat-3") is None


class TestStreams:
    @asynccontextmanager
    async def _stream(self, server: TestServer, *, source: str = "", as_: str = "") -> AsyncIterator[HttpAnswer | None]:
        """An open stream, or the refusal."""
        headers = {**(bearer(as_) if as_ else {}), **({"X-Forwarded-For": source} if source else {})}
        async with open_connection(server.url) as connection:
            await connection.send_request("GET", "/v1/events/stream", headers)
            head = await connection.receive_head()
            if head.status_code == 200:
                yield None
            else:
                body = bytes((await connection.next_event()).data)  # type: ignore[attr-defined]  # the only event left
                fields = {name.decode(): value.decode() for name, value in head.headers}
                yield HttpAnswer(head.status_code, fields, body)

    async def test_one_caller_does_not_take_them_all(self) -> None:
        async with (
            open_test_server(limited(AuthMode.OPEN, streams=5, streams_per_caller=2)) as server,
            AsyncExitStack() as streams,
        ):

            async def opened(source: str = "", as_: str = "") -> bool:
                refused = await streams.enter_async_context(self._stream(server, source=source, as_=as_))
                if refused is not None:
                    check_refused(refused, "too_many_streams")
                return refused is None

            assert [await opened("203.0.113.7") for _ in range(3)] == [True, True, False]
            assert await opened("203.0.113.8")
            assert [await opened("203.0.113.7", "ops") for _ in range(3)] == [True, True, False]
            assert not await opened("203.0.113.9")  # no places at all
            await streams.aclose()
            await wait_until(lambda: len(server.app.admission.streams) == 0)
            assert await opened("203.0.113.9")

    async def test_a_look_at_the_head_takes_none(self) -> None:
        async with open_test_server(limited(streams=1)) as server:
            for _ in range(3):
                assert (await ask(server, "/v1/events/stream", as_="ops", method="HEAD")).status == 200
            assert len(server.app.admission.streams) == 0

    async def test_who_may_not_read_takes_none(self) -> None:
        async with open_test_server(limited(streams=1)) as server:
            assert (await ask(server, "/v1/events/stream")).status == 401
            assert len(server.app.admission.streams) == 0


class TestUnfinishedBodies:
    """Some routes read a body before they know its caller: to sign in, to register."""

    @pytest.fixture
    async def server(self, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TestServer]:
        monkeypatch.setattr(wire, "MAX_UNFINISHED_BODIES", 3)
        monkeypatch.setattr(wire, "MAX_UNFINISHED_BODIES_PER_ADDRESS", 2)
        async with open_test_server(limited()) as server:
            yield server

    @asynccontextmanager
    async def _begun(self, server: TestServer, source: str, body: bytes, framing: str) -> AsyncIterator[HttpConnection]:
        async with open_connection(server.url) as connection:
            head = f"POST /v1/session HTTP/1.1\r\nHost: lab.test\r\nX-Forwarded-For: {source}\r\n{framing}\r\n\r\n"
            connection.expect_answer()
            await connection.stream.send_all(head.encode() + body)
            yield connection

    @pytest.mark.parametrize(
        ("framing", "body"),
        [
            (f"Content-Length: {wire.MAX_BODY_BYTES}", b" " * 20_000),
            ("Transfer-Encoding: chunked", b"4e20\r\n%b\r\n" % (b" " * 20_000)),
        ],
    )
    async def test_are_few_for_each_address_and_in_all(self, server: TestServer, framing: str, body: bytes) -> None:
        places = server.app.admission.bodies
        async with AsyncExitStack() as begun:

            async def begin(source: str) -> HttpConnection:
                return await begun.enter_async_context(self._begun(server, source, body, framing))

            for count in (1, 2):
                await begin("203.0.113.7")
                await wait_until(partial(lambda count: len(places) == count, count))
            check_refused(await (await begin("203.0.113.7")).receive_answer())
            await begin("203.0.113.8")
            await wait_until(lambda: len(places) == 3)
            check_refused(await (await begin("203.0.113.9")).receive_answer())  # no places at all
            # What is short, or came whole, needs none.
            answer = await ask(server, "/v1/messages", as_="ops", method="POST", body=room_message("x" * 60_000))
            assert answer.status == 202
        await wait_until(lambda: len(places) == 0)

    async def test_one_that_comes_whole_leaves_its_place(self, server: TestServer) -> None:
        body = b'{"token": "%b"}' % (b"x" * 40_000)
        async with self._begun(server, "203.0.113.7", body[:20_000], f"Content-Length: {len(body)}") as connection:
            await wait_until(lambda: len(server.app.admission.bodies) == 1)
            await connection.stream.send_all(body[20_000:])
            assert (await connection.receive_answer()).status == 401
            assert len(server.app.admission.bodies) == 0

    async def test_one_that_goes_on_for_ever_ends_at_the_largest_size(self, server: TestServer) -> None:
        chunk = b"10000\r\n%b\r\n" % (b" " * 65_536)
        async with self._begun(server, "203.0.113.7", b"", "Transfer-Encoding: chunked") as connection:
            with suppress(trio.BrokenResourceError):
                for _ in range(wire.MAX_BODY_BYTES // 65_536 + 1):
                    await connection.stream.send_all(chunk)
            answer = await connection.receive_answer()
            assert (answer.status, answer.code) == (413, "body_too_large")
        await wait_until(lambda: len(server.app.admission.bodies) == 0)


class TestReload:
    async def test_other_limits_hold_at_once(self) -> None:
        config = limited(AuthMode.OPEN)
        async with open_test_server(config) as server:
            for _ in range(5):
                assert (await ask(server)).status == 200
            tight: LimitSettings = attrs.evolve(NO_LIMITS, requests_per_address=Rate(0.1, 1))
            server.app.adopt(attrs.evolve(config, server=attrs.evolve(config.server, limits=tight)))
            assert [(await ask(server)).status for _ in range(2)] == [200, 429]
