"""Pairings at work: checks on a schedule, changes of the file, crashes of one that its neighbours do not notice."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from moltnet.config.settings import PairingSettings
from moltnet.pairing.limits import FIRST_CHECK_SECONDS, STATUS_SECONDS
from moltnet.pairing.links import Link, Links, LinkService, open_links
from moltnet.pairing.remote import RemoteUnavailable
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.pairings import Pairing
from tests.expected_errors import ExpectedErrors
from tests.fakes.http_server import Reply, answer, open_scripted_server, silence
from tests.fakes.ports import free_port

DOCUMENT: dict[str, Any] = {
    "id": "net_b",
    "version": "1",
    "protocols": {"http": ["moltnet.http.v1"], "pair": ["moltnet.pair.v1"]},
    "capabilities": {"direct_messages": True, "message_pagination": "cursor"},
}
FITTING = answer(200, DOCUMENT)
BROKEN = answer(500, b"")


def pairing(url: str, pairing_id: str = "b", **settings: Any) -> PairingSettings:
    return PairingSettings(pairing_id, url, "net_b", **settings)


@asynccontextmanager
async def links_to(
    *pairings: PairingSettings, told: list[Pairing] | None = None, services: tuple[LinkService, ...] = ()
) -> AsyncIterator[Links]:
    heard = [] if told is None else told
    async with open_links(pairings, own_id="lab", on_change=heard.append, services=services, environ={}) as links:
        yield links


async def test_a_pairing_is_checked_soon_after_the_start_and_then_on_a_schedule(patient_clock: MockClock) -> None:
    told: list[Pairing] = []
    async with (
        open_scripted_server(FITTING, FITTING, FITTING) as server,
        links_to(pairing(server.url), told=told) as links,
    ):
        await server.wait_requests(1)
        assert trio.current_time() >= FIRST_CHECK_SECONDS
        await server.wait_requests(3)
        assert trio.current_time() >= 2 * STATUS_SECONDS
        await wait_all_tasks_blocked(0.02)
        assert [each.status for each in links.pairings()] == ["connected"]
    assert [each.status for each in told] == ["connected"]


async def test_a_pairing_in_error_is_asked_again_until_it_is_back(patient_clock: MockClock) -> None:
    told: list[Pairing] = []
    async with open_scripted_server(BROKEN, BROKEN, FITTING) as server, links_to(pairing(server.url), told=told):
        await server.wait_requests(3)
        await wait_all_tasks_blocked(0.02)
        assert trio.current_time() < STATUS_SECONDS
    assert [each.status for each in told] == ["error", "connected"]


async def test_what_is_switched_off_is_never_asked(patient_clock: MockClock) -> None:
    async with (
        open_scripted_server() as server,
        links_to(pairing(server.url, "b", enabled=False), pairing(server.url, "c", status="paused")) as links,
    ):
        await trio.sleep(10 * STATUS_SECONDS)
        disabled = links.get("b")
        assert disabled is not None
        with pytest.raises(RemoteUnavailable, match="disabled"):
            await disabled.check()


async def test_a_slow_remote_holds_up_no_other(patient_clock: MockClock) -> None:
    async with (
        open_scripted_server(silence()) as slow,
        open_scripted_server(FITTING) as quick,
        links_to(pairing(slow.url, "slow"), pairing(quick.url, "quick")) as links,
    ):
        await quick.wait_requests(1)
        await slow.wait_requests(1)
        await wait_all_tasks_blocked(0.01)
        assert {each.id: each.status for each in links.pairings()} == {"quick": "connected", "slow": "unknown"}


async def test_a_changed_file_ends_what_it_dropped_and_leaves_the_rest_alone() -> None:
    ended: list[str] = []

    async def serve(link: Link) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(link.id)

    port = free_port()
    kept, dropped, changed = (pairing(f"http://127.0.0.1:{port}", each) for each in ("kept", "dropped", "changed"))
    async with links_to(kept, dropped, changed, services=(serve,)) as links:
        await wait_all_tasks_blocked()
        before, gone = links.get("kept"), links.get("dropped")
        assert gone is not None
        links.adopt([kept, pairing(f"http://127.0.0.1:{port}", "changed", rooms=frozenset())])
        await wait_all_tasks_blocked()
        assert sorted(ended) == ["changed", "dropped"]
        assert links.get("kept") is before
        assert [link.id for link in links] == ["changed", "kept"]
        with pytest.raises(RemoteUnavailable, match="has ended"):
            await gone.check()
    assert sorted(ended) == ["changed", "changed", "dropped", "kept"]


async def test_a_service_that_crashes_begins_again_and_its_neighbour_goes_on(
    patient_clock: MockClock, expected_errors: ExpectedErrors
) -> None:
    runs: list[str] = []

    async def fragile(link: Link) -> None:
        runs.append(link.id)
        if runs.count("b") == 1 and link.id == "b":
            raise ZeroDivisionError
        await trio.sleep_forever()

    off = [pairing("http://127.0.0.1:1", each, status="off") for each in ("b", "c")]
    async with links_to(*off, services=(fragile,)):
        await trio.sleep(60)
        assert sorted(runs) == ["b", "b", "c"]
    expected_errors.take("pairing crashed")


NOT_TO_BE_LISTED: list[Reply] = [
    answer(200, {**DOCUMENT, "id": "net_c"}),
    answer(200, {**DOCUMENT, "capabilities": {"direct_messages": True}}),
    answer(200, {**DOCUMENT, "id": "lab"}),
    BROKEN,
]


@pytest.mark.parametrize("reply", NOT_TO_BE_LISTED)
async def test_a_network_that_does_not_fit_is_not_asked_for_its_lists(reply: Reply) -> None:
    async with open_scripted_server(reply) as server, links_to(pairing(server.url)) as links:
        link = links.get("b")
        assert link is not None
        with pytest.raises(RemoteUnavailable):
            await link.rooms(PageRequest())
        assert len(server.requests) == 1


NO_SCOPE = answer(403, {"code": "missing_scope", "error": "this needs a token with scope pair", "request_id": "r"})
BAD_TOKEN = answer(401, {"code": "invalid_token", "error": "invalid token", "request_id": "r"})
TAKEN = answer(202, {"message_id": "m1", "event_id": "evt_1", "accepted": True})


@pytest.mark.parametrize("refusal", [NO_SCOPE, BAD_TOKEN])
async def test_a_token_that_may_look_and_not_send_is_one_change_of_the_status(refusal: Reply) -> None:
    told: list[Pairing] = []
    async with (
        open_scripted_server(FITTING, refusal, FITTING, refusal, FITTING, TAKEN) as server,
        links_to(pairing(server.url), told=told) as links,
    ):
        link = links.get("b")
        assert link is not None
        for _ in range(2):
            await link.check()
            with pytest.raises(RemoteUnavailable):
                await link.send_message(b"{}")
        await link.check()
        assert [each.status for each in told] == ["connected", "error"]
        await link.send_message(b"{}")
    assert [each.status for each in told] == ["connected", "error", "connected"]


async def test_a_remote_that_asks_us_to_slow_down_is_connected() -> None:
    slower = answer(429, {"code": "rate_limited", "error": "too many", "request_id": "r"}, headers={"Retry-After": "1"})
    told: list[Pairing] = []
    async with (
        open_scripted_server(FITTING, slower) as server,
        links_to(pairing(server.url), told=told) as links,
    ):
        link = links.get("b")
        assert link is not None
        await link.check()
        with pytest.raises(RemoteUnavailable):
            await link.send_message(b"{}")
    assert [each.status for each in told] == ["connected"]
