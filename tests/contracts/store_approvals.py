"""What every store promises about approvals: asked for once, decided once, expired in time, gone with their agent."""

from collections.abc import Sequence
from datetime import datetime

import attrs
import pytest

from moltnet.protocol.approvals import Approval, ApprovalState, approval_id_of
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import AgentId, ApprovalId, MessageId, RoomId, event_id_of_message
from moltnet.protocol.messages import Target, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import Timestamp, parse_timestamp
from moltnet.storage.approval_commands import (
    ApprovalGiven,
    ApprovalMissing,
    ApprovalSettled,
    ApprovalsSwept,
    ApprovalStored,
    AskerMissing,
    DecideApproval,
    RequestApproval,
    SweepApprovals,
    TooManyPending,
)
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import ApprovalFilter, StoredApproval, StoredPage
from moltnet.storage.store import Store, UnknownCursor
from tests.storage.examples import GENERAL, at, create_room, post, register, remove_agent

ALL = ApprovalFilter()
PENDING, APPROVED, DENIED, EXPIRED = ApprovalState


def approval(message_id: str, agent_id: str = "alpha", *, seconds: float = 0, lasts: float = 60) -> Approval:
    event_id = event_id_of_message(message_id)
    return Approval(
        id=approval_id_of(agent_id, event_id),
        agent_id=AgentId(agent_id),
        event_id=event_id,
        message_id=MessageId(message_id),
        state=PENDING,
        requested_at=at(seconds),
        expires_at=at(seconds + lasts),
        sender="molt://net_a/agents/beta",
        target=Target(kind=TargetKind.ROOM, room_id=RoomId(GENERAL)),
        reason="mention",
    )


def ask(wanted: Approval, *, max_pending: int = 9) -> RequestApproval:
    return RequestApproval(wanted, max_pending)


def decide(wanted: Approval, state: ApprovalState = APPROVED, *, seconds: float = 1, by: str = "ops") -> DecideApproval:
    return DecideApproval(wanted.id, state, f"token:{by}", f"{by} says so", at(seconds))


def decided(wanted: Approval, state: ApprovalState = APPROVED, *, seconds: float = 1, by: str = "ops") -> Approval:
    return attrs.evolve(wanted, state=state, decided_at=at(seconds), decided_by=f"token:{by}", note=f"{by} says so")


def expired(wanted: Approval) -> Approval:
    return attrs.evolve(wanted, state=EXPIRED, decided_at=wanted.expires_at)


def sweep(seconds: float, *, forget_before: float | None = None, limit: int = 9) -> SweepApprovals:
    before: datetime | None = None if forget_before is None else parse_timestamp(at(forget_before))
    return SweepApprovals(at(seconds), before, limit)


def approvals_of(page: StoredPage) -> list[str]:
    return [decode(body, Approval).message_id for body in page.items]


async def stored(store: Store, wanted: Approval) -> Approval | None:
    found = await store.approval(wanted.id)
    return None if found is None else found.approval


async def events(store: Store) -> Sequence[tuple[str, Approval | None]]:
    records = await store.events_after(0, 100)
    return [(record.type, decode(record.wire, Event).approval) for record in records]


class ApprovalContract:
    async def test_who_asks_again_is_told_what_became_of_it(self, store: Store) -> None:
        first = approval("m1")
        again = attrs.evolve(first, requested_at=at(5), expires_at=at(500), reason="room")
        await store.commit([register("alpha", "key1")])
        committed = await store.commit([ask(first), ask(again)])
        assert committed.outcomes == (ApprovalStored(first, created=True), ApprovalStored(first, created=False))
        (record,) = committed.records
        assert (record.type, record.agent_id, record.message_id) == (EventType.APPROVAL_REQUESTED, "alpha", "m1")
        assert decode(record.wire, Event).approval == first
        assert await store.approval(first.id) == StoredApproval(record.seq, first)
        assert await store.approval(ApprovalId("apr_none")) is None
        await store.commit([decide(first)])
        assert (await store.commit([ask(again)])).outcomes == (ApprovalStored(decided(first), created=False),)

    async def test_the_first_decision_counts_and_the_second_is_told(self, store: Store) -> None:
        wanted = approval("m1")
        await store.commit([register("alpha", "key1"), ask(wanted)])
        committed = await store.commit([decide(wanted), decide(wanted, DENIED, seconds=2, by="late")])
        assert committed.outcomes == (ApprovalGiven(decided(wanted)), ApprovalSettled(decided(wanted)))
        assert (await store.commit([decide(wanted, DENIED, seconds=3)])).outcomes == (ApprovalSettled(decided(wanted)),)
        assert await stored(store, wanted) == decided(wanted)
        assert list(await events(store)) == [
            (EventType.APPROVAL_REQUESTED, wanted),
            (EventType.APPROVAL_DECIDED, decided(wanted)),
        ]
        missing = DecideApproval(ApprovalId("apr_none"), DENIED, "token:ops", "", at(1))
        assert (await store.commit([missing])).outcomes == (ApprovalMissing(ApprovalId("apr_none")),)

    async def test_an_approval_expires_whoever_looks_first(self, store: Store) -> None:
        swept, asked, late = (approval(name, lasts=10) for name in ("swept", "asked", "late"))
        await store.commit([register("alpha", "key1"), ask(swept), ask(asked), ask(late)])
        assert (await store.commit([sweep(9.9)])).outcomes == (ApprovalsSwept(0, 0),)
        committed = await store.commit([decide(late, seconds=10), ask(attrs.evolve(asked, requested_at=at(11)))])
        assert committed.outcomes == (ApprovalSettled(expired(late)), ApprovalStored(expired(asked), created=False))
        committed = await store.commit([sweep(10), sweep(10)])
        assert committed.outcomes == (ApprovalsSwept(1, 0), ApprovalsSwept(0, 0))
        (record,) = committed.records
        assert decode(record.wire, Event).approval == expired(swept)
        assert approvals_of(await store.approval_page(ApprovalFilter(state=EXPIRED), PageRequest())) == [
            "swept",
            "asked",
            "late",
        ]

    async def test_a_sweep_takes_the_oldest_and_no_more_than_it_may(self, store: Store) -> None:
        # Timestamps have no fixed width: what lasts 3 s comes before what lasts 3.5 s.
        lasts = {"m1": 3.5, "m2": 3.0, "m3": 0.25, "m4": 20.0}
        wanted = {name: approval(name, lasts=seconds) for name, seconds in lasts.items()}
        await store.commit([register("alpha", "key1"), *map(ask, wanted.values())])
        assert (await store.commit([sweep(15, limit=2)])).outcomes == (ApprovalsSwept(2, 0),)
        states = {name: await stored(store, each) for name, each in wanted.items()}
        assert [name for name, each in states.items() if each is not None and each.is_decided] == ["m2", "m3"]
        assert (await store.commit([sweep(15, limit=2)])).outcomes == (ApprovalsSwept(1, 0),)

    async def test_decided_ones_are_forgotten_one_day_and_pending_ones_never(self, store: Store) -> None:
        early, later, waiting = (approval(name, lasts=1000) for name in ("early", "later", "waiting"))
        await store.commit([register("alpha", "key1"), ask(early), ask(later), ask(waiting)])
        await store.commit([decide(early, seconds=5), decide(later, DENIED, seconds=6.5)])
        assert (await store.commit([sweep(20, forget_before=5)])).outcomes == (ApprovalsSwept(0, 0),)
        assert (await store.commit([sweep(20, forget_before=6)])).outcomes == (ApprovalsSwept(0, 1),)
        assert await stored(store, early) is None
        assert approvals_of(await store.approval_page(ALL, PageRequest())) == ["later", "waiting"]
        committed = await store.commit([sweep(20, forget_before=999), sweep(20, forget_before=999)])
        assert committed.outcomes == (ApprovalsSwept(0, 1), ApprovalsSwept(0, 0))
        assert committed.records == ()
        assert approvals_of(await store.approval_page(ALL, PageRequest())) == ["waiting"]

    async def test_so_many_of_one_agent_wait_and_no_more(self, store: Store) -> None:
        await store.commit([register("alpha", "key1"), register("beta", "key2")])
        first, second, third = (approval(name) for name in ("m1", "m2", "m3"))
        committed = await store.commit(
            [ask(first, max_pending=2), ask(second, max_pending=2), ask(third, max_pending=2)]
        )
        assert committed.outcomes[2] == TooManyPending(2)
        committed = await store.commit([ask(third, max_pending=2), ask(approval("m3", "beta"), max_pending=2)])
        assert [type(each) for each in committed.outcomes] == [TooManyPending, ApprovalStored]
        assert (await store.commit([ask(first, max_pending=2)])).outcomes == (ApprovalStored(first, created=False),)
        committed = await store.commit([ask(third, max_pending=2), decide(first), ask(third, max_pending=2)])
        assert [type(each) for each in committed.outcomes] == [TooManyPending, ApprovalGiven, ApprovalStored]

    async def test_approvals_go_with_their_agent(self, store: Store) -> None:
        wanted, other = approval("m1"), approval("m1", "beta")
        assert (await store.commit([ask(wanted)])).outcomes == (AskerMissing(AgentId("alpha")),)
        await store.commit(
            [register("alpha", "key1"), register("beta", "key2"), ask(wanted), ask(other), decide(wanted)]
        )
        committed = await store.commit(
            [ask(approval("m2")), remove_agent("alpha"), register("alpha", "key3"), ask(wanted)]
        )
        assert committed.outcomes[-1] == ApprovalStored(wanted, created=True)
        assert await stored(store, wanted) == wanted
        assert await stored(store, other) == other
        await store.commit([remove_agent("alpha"), sweep(99)])
        assert approvals_of(await store.approval_page(ALL, PageRequest())) == ["m1"]
        assert await stored(store, wanted) is None

    async def test_approvals_are_listed_like_messages(self, store: Store) -> None:
        await store.commit([create_room(), register("alpha", "key1"), register("beta", "key2"), post("between")])
        mine = [approval(f"a{number}") for number in range(1, 6)]
        await store.commit(
            [ask(each) for each in (*mine[:2], approval("b1", "beta"), *mine[2:], approval("b2", "beta"))]
        )
        await store.commit([decide(mine[0]), decide(mine[3])])
        alpha, both = (AgentId("alpha"),), (AgentId("beta"), AgentId("alpha"), AgentId("beta"))
        id_of = {str(each.message_id): each.id for each in mine}
        pages = [
            (ALL, PageRequest(limit=3), ["a4", "a5", "b2"], True),
            (ALL, PageRequest(before=id_of["a4"]), ["a1", "a2", "b1", "a3"], False),
            (ALL, PageRequest(limit=2, after=id_of["a2"]), ["b1", "a3"], True),
            (ApprovalFilter(alpha), PageRequest(limit=2, before=id_of["a4"]), ["a2", "a3"], True),
            (ApprovalFilter(alpha), PageRequest(limit=9, after=id_of["a1"]), ["a2", "a3", "a4", "a5"], False),
            (ApprovalFilter(both), PageRequest(limit=4), ["a3", "a4", "a5", "b2"], True),
            (ApprovalFilter(both), PageRequest(limit=4, after=id_of["a1"]), ["a2", "b1", "a3", "a4"], True),
            (ApprovalFilter(state=PENDING), PageRequest(limit=3), ["a3", "a5", "b2"], True),
            (ApprovalFilter(alpha, APPROVED), PageRequest(), ["a1", "a4"], False),
            (ApprovalFilter(alpha, PENDING), PageRequest(limit=2, after=id_of["a2"]), ["a3", "a5"], False),
            (ApprovalFilter((), ""), PageRequest(), [], False),
            (ApprovalFilter((AgentId("nobody"),), DENIED), PageRequest(), [], False),
        ]
        for wanted, page, expected, has_more in pages:
            found = await store.approval_page(wanted, page)
            assert (approvals_of(found), found.has_more) == (expected, has_more), (wanted, page)

    @pytest.mark.parametrize("wanted", [ALL, ApprovalFilter((AgentId("alpha"),)), ApprovalFilter((), PENDING)])
    async def test_a_cursor_outside_of_what_is_wanted_is_refused(self, store: Store, wanted: ApprovalFilter) -> None:
        other = approval("m1", "beta")
        await store.commit([register("alpha", "key1"), register("beta", "key2"), ask(other), ask(approval("m1"))])
        cursor = "apr_none" if wanted is ALL else other.id
        for page in (PageRequest(before=cursor), PageRequest(after=cursor)):
            with pytest.raises(UnknownCursor):
                await store.approval_page(wanted, page)

    async def test_a_page_of_long_approvals_is_cut(self, store: Store) -> None:
        long = [attrs.evolve(approval(f"m{number}"), reason="x" * (MAX_PAGE_BYTES // 3)) for number in range(4)]
        await store.commit([register("alpha", "key1"), *map(ask, long)])
        found = await store.approval_page(ALL, PageRequest())
        assert (approvals_of(found), found.has_more) == (["m2", "m3"], True)

    async def test_what_cannot_be_read_as_a_time_is_over(self, store: Store) -> None:
        """A file from elsewhere may hold anything; it must not wait for ever."""
        await store.commit([register("alpha", "key1"), ask(attrs.evolve(approval("m1"), expires_at=Timestamp("2026")))])
        assert (await store.commit([sweep(1)])).outcomes == (ApprovalsSwept(1, 0),)
