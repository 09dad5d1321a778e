"""Floods of the attach gateway: refused before the upgrade, or closed as "try later", while others come in."""

from contextlib import AsyncExitStack
from typing import Any

import attrs
import pytest
import trio

from moltnet.config.server_limits import NO_LIMITS, Rate
from moltnet.config.settings import AuthMode, MoltnetConfig
from tests.fakes.attach_client import (
    WebSocketWire,
    attach,
    identify_frame,
    open_websocket_wire,
    read_until_closed,
)
from tests.fakes.http_client import http_client, open_connection
from tests.fakes.network import (
    TestServer,
    network_config,
    open_test_server,
    token,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("either_path")

TOKENS = [token("alpha", "attach write", "alpha"), token("beta", "attach write", "beta"), token("node", "attach write")]
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
FLOODER, OTHER = "203.0.113.7", "203.0.113.8"


def limited(mode: AuthMode = AuthMode.BEARER, **limits: Any) -> MoltnetConfig:
    """A network whose only limits are these, behind a proxy on this machine."""
    allowed = attrs.evolve(NO_LIMITS, **limits)
    return network_config(mode=mode, tokens=TOKENS, limits=allowed, trusted_proxies=["127.0.0.1"])


class Arrivals(AsyncExitStack):
    """Attachments that stay until the end of the block."""

    async def arrive(self, server: TestServer, source: str, token_id: str = "") -> WebSocketWire:
        headers = {"X-Forwarded-For": source}
        return await self.enter_async_context(open_websocket_wire(server.url, token_id, headers=headers))


async def refused(server: TestServer, source: str, token_id: str = "") -> tuple[int, str, str]:
    """How an upgrade is refused: status, code and `Retry-After`."""
    headers = {**UPGRADE, "X-Forwarded-For": source}
    answer = await http_client(server, token_id).request("GET", "/v1/attach", headers=headers)
    return answer.status, answer.code, answer.headers.get("retry-after", "")


async def test_handshakes_that_never_come_leave_others_a_place() -> None:
    config = limited(AuthMode.OPEN, pending_handshakes=4, pending_handshakes_per_address=3)
    async with open_test_server(config) as server, Arrivals() as arrivals:
        for _ in range(3):
            assert '"HELLO"' in await (await arrivals.arrive(server, FLOODER)).receive()
        assert await refused(server, FLOODER) == (429, "rate_limited", "5")
        for number in range(3):  # who says who it is leaves the place at once
            await attach(await arrivals.arrive(server, OTHER), f"honest-{number}")
        assert len(server.app.admission.handshakes) == 3


async def test_a_handshake_that_ends_gives_its_place_back() -> None:
    config = limited(AuthMode.OPEN, pending_handshakes=1)
    async with open_test_server(config) as server:
        for _ in range(3):
            async with Arrivals() as arrivals:
                assert '"HELLO"' in await (await arrivals.arrive(server, FLOODER)).receive()
                assert await refused(server, OTHER) == (429, "rate_limited", "5")
            await wait_until(lambda: len(server.app.admission.handshakes) == 0)


async def test_one_credential_does_not_take_all_attachments() -> None:
    config = limited(attachments=5, attachments_per_credential=3)
    async with open_test_server(config) as server:
        async with Arrivals() as arrivals:
            for number in range(3):
                await attach(await arrivals.arrive(server, f"203.0.113.{number}", "node"), f"agent-{number}")
            assert await refused(server, OTHER, "node") == (429, "rate_limited", "5")
            await attach(await arrivals.arrive(server, FLOODER, "alpha"), "alpha")
            await attach(await arrivals.arrive(server, FLOODER, "beta"), "beta")
            assert await refused(server, OTHER, "alpha") == (429, "rate_limited", "5")
        await wait_until(lambda: len(server.app.admission.attachments) == 0)
        async with Arrivals() as arrivals:
            await attach(await arrivals.arrive(server, OTHER, "node"), "agent-9")


async def test_upgrades_count_as_requests_and_bad_tokens_as_guesses() -> None:
    config = limited(requests_per_credential=Rate(0.01, 2), failed_authentications_per_address=Rate(0.01, 2))
    async with open_test_server(config) as server, Arrivals() as arrivals:
        for _ in range(2):
            await attach(await arrivals.arrive(server, FLOODER, "alpha"), "alpha")
        assert await refused(server, OTHER, "alpha") == (429, "rate_limited", "100")
        for number in range(2):
            assert (await refused(server, FLOODER, f"guess-{number}"))[:2] == (401, "invalid_token")
        assert await refused(server, FLOODER, "beta") == (429, "rate_limited", "100")
        await attach(await arrivals.arrive(server, OTHER, "beta"), "beta")


async def test_claims_beyond_those_of_an_address_are_told_to_try_later_and_leave_nothing() -> None:
    config = limited(AuthMode.OPEN, registrations_per_address=Rate(1 / 3600, 2))
    async with open_test_server(config) as server, Arrivals() as arrivals:
        for number in range(2):
            await attach(await arrivals.arrive(server, FLOODER), f"squat-{number}")
        wire_ = await arrivals.arrive(server, FLOODER)
        await wire_.send(identify_frame("squat-2"))
        frames, closed = await read_until_closed(wire_)
        assert frames[-1]["op"] == "ERROR"
        assert "too many registrations" in frames[-1]["error"]
        assert closed.code == 1013
        assert server.app.context.directory.agent("squat-2") is None
        await attach(await arrivals.arrive(server, OTHER), "honest")


async def test_who_has_a_token_attaches_also_where_nobody_may_claim_any_more() -> None:
    config = limited(AuthMode.OPEN, registrations_per_address=Rate(1 / 3600, 1))
    async with open_test_server(config) as server, Arrivals() as arrivals:
        first = await attach(await arrivals.arrive(server, FLOODER), "luna")
        await first.wire.hang_up()
        await attach(await arrivals.arrive(server, FLOODER, first.ready.agent_token), "luna")
        await attach(await arrivals.arrive(server, FLOODER, "alpha"), "alpha")


async def test_two_hundred_handshakes_of_one_address_and_one_honest_agent() -> None:
    config = limited(AuthMode.OPEN, pending_handshakes=200, pending_handshakes_per_address=100)
    async with open_test_server(config) as server, trio.open_nursery() as flood:
        outcomes: list[int] = []

        async def knock() -> None:
            async with open_connection(server.url) as connection:
                await connection.send_request("GET", "/v1/attach", {**UPGRADE, "X-Forwarded-For": FLOODER})
                while b"\r\n\r\n" not in (data := bytes(await connection.stream.receive_some())):
                    pass
                outcomes.append(int(data.split()[1]))
                await trio.sleep_forever()

        for _ in range(200):
            flood.start_soon(knock)
        await wait_until(lambda: len(outcomes) == 200)
        assert sorted(outcomes) == [101] * 100 + [429] * 100
        async with Arrivals() as arrivals:
            assert (await attach(await arrivals.arrive(server, OTHER), "honest")).ready.agent_token
        flood.cancel_scope.cancel()
