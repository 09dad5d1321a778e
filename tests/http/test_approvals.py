"""Approvals over HTTP: who asks twice asks once, who decides second is told, and what nobody decides expires."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import attrs
import pytest
import trio
import trio.testing

from moltnet.config.settings import AuthMode, MoltnetConfig
from moltnet.core.approvals import request_approval
from moltnet.protocol import limits
from moltnet.protocol.approvals import RequestApprovalRequest, approval_id_of
from moltnet.protocol.ids import event_id_of_message
from moltnet.retention import Retention, sweep_approvals
from moltnet.storage.limits import PRUNE_INTERVAL_SECONDS
from tests.fakes.credentials import static
from tests.fakes.http_client import HttpAnswer, HttpClient, http_client
from tests.fakes.network import (
    TestServer,
    direct_message,
    event_types,
    network_config,
    open_test_app,
    open_test_server,
    post,
    room,
    room_message,
    token,
)

OPS = token("ops", "admin observe write attach")
OPERATOR = static("admin write", token_id="ops")
CONFIG: MoltnetConfig = network_config(
    mode=AuthMode.BEARER,
    tokens=[OPS, token("for-alpha", "attach write", "alpha"), token("for-beta", "attach write", "beta")],
    rooms=[room("general", "alpha"), room("cellar", "beta")],
)


@attrs.define(eq=False)
class SetClock:
    """A wall clock that stands still until it is set."""

    now: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@attrs.define(eq=False)
class Hands:
    """A server with agents and messages in it, and those who ask and decide."""

    server: TestServer
    clock: SetClock

    def client(self, token_id: str = "for-alpha") -> HttpClient:
        return http_client(self.server, token_id)

    async def ask(
        self, message_id: str, agent_id: str = "alpha", *, by: str = "for-alpha", **more: object
    ) -> HttpAnswer:
        body = {"event_id": event_id_of_message(message_id), **more}
        return await self.client(by).post(f"/v1/agents/{agent_id}/approvals", body)

    async def decide(self, approval_id: str, verb: str = "approve", *, by: str = "ops", **body: object) -> HttpAnswer:
        return await self.client(by).post(f"/v1/approvals/{approval_id}/{verb}", body)

    async def listed(self, query: str = "", *, by: str = "ops") -> list[str]:
        answer = await self.client(by).get(f"/v1/approvals{query}")
        assert answer.status == 200
        return [each["message_id"] for each in answer.json()["approvals"]]


@pytest.fixture
async def hands() -> AsyncIterator[Hands]:
    clock = SetClock()
    async with open_test_server(CONFIG, clock=clock) as server:
        for number in range(4):
            message = room_message(f"@alpha number {number}", room="general", sender="beta")
            await post(server.app, attrs.evolve(message, id=f"m{number}"), OPERATOR)
        await post(server.app, attrs.evolve(room_message("hush", room="cellar", sender="beta"), id="hidden"), OPERATOR)
        await post(server.app, attrs.evolve(direct_message("d1", "beta", "ada", sender="beta"), id="private"), OPERATOR)
        yield Hands(server, clock)


async def test_who_asks_is_told_what_waits_and_asks_once(hands: Hands) -> None:
    first = await hands.ask("m1", reason="mention", expires_in_seconds=60)
    event_id = event_id_of_message("m1")
    assert first.status == 201
    assert first.json() == {
        "id": approval_id_of("alpha", event_id),
        "agent_id": "alpha",
        "event_id": event_id,
        "message_id": "m1",
        "state": "pending",
        "requested_at": "2026-01-02T03:04:05Z",
        "expires_at": "2026-01-02T03:05:05Z",
        "sender": "molt://lab/agents/beta",
        "target": {"kind": "room", "room_id": "general"},
        "reason": "mention",
    }
    hands.clock.now += timedelta(seconds=9)
    again = await hands.ask("m1", reason="room", expires_in_seconds=3600)
    assert (again.status, again.json()) == (200, first.json())
    shown = await hands.client().get(f"/v1/approvals/{first.json()['id']}")
    assert shown.json() == first.json()
    assert (await event_types(hands.server.app)).count("approval.requested") == 1


async def test_the_first_decision_counts_and_says_by_whom(hands: Hands) -> None:
    approval_id = (await hands.ask("m1")).json()["id"]
    approved = await hands.decide(approval_id, note=" fine by me ")
    assert approved.status == 200
    expected = {"state": "approved", "decided_by": "token:ops", "decided_at": "2026-01-02T03:04:05Z"}
    assert approved.json().items() >= {**expected, "note": "fine by me"}.items()
    for verb in ("approve", "deny"):
        late = await hands.decide(approval_id, verb)
        assert (late.status, late.code) == (409, "approval_decided")
        assert "was approved at 2026-01-02T03:04:05Z by token:ops" in late.json()["error"]
    assert (await hands.ask("m1")).json() == approved.json()
    assert (await event_types(hands.server.app)).count("approval.decided") == 1
    denied = await hands.client("ops").request("POST", f"/v1/approvals/{(await hands.ask('m2')).json()['id']}/deny")
    assert (denied.status, denied.json()["state"]) == (200, "denied")


async def test_of_many_decisions_at_once_one_counts(hands: Hands) -> None:
    approval_id = (await hands.ask("m1")).json()["id"]
    answers: list[HttpAnswer] = []

    async def decide(verb: str) -> None:
        answers.append(await hands.decide(approval_id, verb))

    async with trio.open_nursery() as nursery:
        for verb in ("approve", "deny") * 5:
            nursery.start_soon(decide, verb)
    (winner,) = (answer for answer in answers if answer.status == 200)
    assert sorted(answer.status for answer in answers) == [200] + 9 * [409]
    shown = await hands.client().get(f"/v1/approvals/{approval_id}")
    assert shown.json() == winner.json()


async def test_what_nobody_decides_expires_whoever_looks_first(hands: Hands) -> None:
    for name in ("m0", "m1", "m2", "m3"):
        assert (await hands.ask(name, expires_in_seconds=60)).status == 201
    ids = [approval_id_of("alpha", event_id_of_message(f"m{number}")) for number in range(4)]
    hands.clock.now += timedelta(seconds=60)
    late = await hands.decide(ids[0])
    assert (late.status, late.code) == (409, "approval_decided")
    assert "expired at 2026-01-02T03:05:05Z" in late.json()["error"]
    assert (await hands.ask("m1")).json()["state"] == "expired"
    assert (await hands.client().get(f"/v1/approvals/{ids[2]}")).json()["state"] == "expired"
    assert await hands.listed("?state=pending") == []
    assert await hands.listed("?state=expired") == ["m0", "m1", "m2", "m3"]
    assert (await event_types(hands.server.app)).count("approval.decided") == 4


async def test_what_has_expired_is_not_shown_as_waiting_however_much_has_expired_with_it(
    hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("moltnet.core.approvals.MAX_PRUNED_ROWS", 1)
    for number in range(3):
        await hands.ask(f"m{number}", expires_in_seconds=1 + number)
    hands.clock.now += timedelta(seconds=10)
    last = approval_id_of("alpha", event_id_of_message("m2"))
    assert (await hands.client("ops").get(f"/v1/approvals/{last}")).json()["state"] == "expired"


async def test_lists_show_what_is_wanted_page_by_page(hands: Hands) -> None:
    for name in ("m0", "m1", "m2"):
        await hands.ask(name)
    await hands.ask("hidden", "beta", by="for-beta")
    await hands.decide(approval_id_of("alpha", event_id_of_message("m1")))
    assert await hands.listed() == ["m0", "m1", "m2", "hidden"]
    assert await hands.listed("?state=approved") == ["m1"]
    assert await hands.listed("?agent=beta") == ["hidden"]
    assert await hands.listed("?agent=alpha&state=pending") == ["m0", "m2"]
    assert await hands.listed(by="for-alpha") == ["m0", "m1", "m2"]
    page = (await hands.client("ops").get("/v1/approvals?limit=2")).json()
    assert [each["message_id"] for each in page["approvals"]] == ["m2", "hidden"]
    assert await hands.listed(f"?before={page['page']['next_before']}") == ["m0", "m1"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?state=maybe", "invalid_field"),
        ("?agent=no%20id", "invalid_field"),
        ("?before=apr_nothing", "invalid_cursor"),
        ("?after=evt_1", "invalid_cursor"),
        ("?before=a&after=b", "invalid_cursor"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(hands: Hands, query: str, code: str) -> None:
    answer = await hands.client("ops").get(f"/v1/approvals{query}")
    assert (answer.status, answer.code) == (422, code)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"event_id": "no id"},
        {"event_id": "evt_1", "reason": "x" * (limits.MAX_APPROVAL_REASON_CHARACTERS + 1)},
        {"event_id": "evt_1", "expires_in_seconds": 0},
        {"event_id": "evt_1", "expires_in_seconds": limits.LONGEST_APPROVAL_SECONDS + 1},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(hands: Hands, body: object) -> None:
    answer = await hands.client().post("/v1/agents/alpha/approvals", body)
    assert (answer.status, answer.code) == (422, "invalid_field")


async def test_a_note_is_bounded(hands: Hands) -> None:
    approval_id = (await hands.ask("m1")).json()["id"]
    answer = await hands.decide(approval_id, note="x" * (limits.MAX_APPROVAL_NOTE_CHARACTERS + 1))
    assert (answer.status, answer.code) == (422, "invalid_field")
    assert (await hands.decide(approval_id, note="x" * limits.MAX_APPROVAL_NOTE_CHARACTERS)).status == 200


@pytest.mark.parametrize("message_id", ["hidden", "private", "nothing"])
async def test_a_message_that_the_agent_may_not_read_is_not_found(hands: Hands, message_id: str) -> None:
    """Or the approval would tell its node who wrote to whom."""
    answer = await hands.ask(message_id)
    assert (answer.status, answer.code) == (404, "unknown_event")


async def test_an_event_that_is_no_message_is_not_found(hands: Hands) -> None:
    (record, *_) = await hands.server.app.context.store.events_after(0, 1)
    answer = await hands.client("ops").post("/v1/agents/alpha/approvals", {"event_id": record.id})
    assert (answer.status, answer.code) == (404, "unknown_event")


@pytest.mark.parametrize(
    ("agent_id", "by", "status", "code"),
    [
        ("beta", "for-alpha", 403, "agent_not_allowed"),
        ("nobody", "ops", 404, "unknown_agent"),
        ("net_b:alpha", "ops", 404, "unknown_agent"),
    ],
)
async def test_only_who_may_attach_as_an_agent_asks_for_it(
    hands: Hands, agent_id: str, by: str, status: int, code: str
) -> None:
    answer = await hands.ask("m1", agent_id, by=by)
    assert (answer.status, answer.code) == (status, code)


async def test_an_unknown_approval_is_not_found(hands: Hands) -> None:
    assert (await hands.client("ops").get("/v1/approvals/apr_nothing")).code == "unknown_approval"
    for verb in ("approve", "deny"):
        answer = await hands.decide("apr_nothing", verb)
        assert (answer.status, answer.code) == (404, "unknown_approval")


async def test_of_one_agent_only_so_many_wait(hands: Hands, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_PENDING_APPROVALS", 2)
    assert [(await hands.ask(name)).status for name in ("m0", "m1", "m2", "m0")] == [201, 201, 429, 200]
    refused = await hands.ask("m2")
    assert (refused.code, refused.headers["retry-after"]) == ("too_many_approvals", "60")
    assert (await hands.ask("hidden", "beta", by="for-beta")).status == 201
    await hands.decide(approval_id_of("alpha", event_id_of_message("m0")), "deny")
    assert (await hands.ask("m2")).status == 201


async def test_decided_ones_go_with_events_of_their_age_and_pending_ones_stay(hands: Hands) -> None:
    for name in ("m0", "m1", "m2"):
        await hands.ask(name, expires_in_seconds=limits.LONGEST_APPROVAL_SECONDS)
    await hands.decide(approval_id_of("alpha", event_id_of_message("m0")), "deny")
    hands.clock.now += timedelta(days=6)
    await hands.decide(approval_id_of("alpha", event_id_of_message("m1")))
    hands.clock.now += timedelta(days=2)
    journal = hands.server.app.context.journal
    await sweep_approvals(journal, Retention(timedelta(days=7)), hands.clock)
    assert await hands.listed() == ["m1", "m2"]


async def test_the_server_lets_them_expire_by_itself(autojump_clock: trio.testing.MockClock) -> None:
    clock = SetClock()
    async with open_test_app(CONFIG, clock=clock) as app:
        claims = static("attach write", "alpha", token_id="for-alpha")
        await post(app, attrs.evolve(room_message("@alpha", room="general", sender="beta"), id="m1"), OPERATOR)
        await request_approval(app.context, "alpha", RequestApprovalRequest(event_id_of_message("m1")), claims)
        await trio.sleep(PRUNE_INTERVAL_SECONDS + 1)
        assert "approval.decided" not in await event_types(app)
        clock.now += timedelta(days=1)
        await trio.sleep(PRUNE_INTERVAL_SECONDS + 1)
        assert "approval.decided" in await event_types(app)
