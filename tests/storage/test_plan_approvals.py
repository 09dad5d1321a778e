"""Whatever is asked, decided and swept in whatever order: a wake is decided once, and only while it waits."""

from collections import Counter
from collections.abc import Sequence

import hypothesis
import trio
from hypothesis import strategies as st

from moltnet.protocol.approvals import DECISIONS, Approval, ApprovalState
from moltnet.protocol.codec import decode
from moltnet.protocol.events import Event, EventType
from moltnet.storage.approval_commands import ApprovalGiven
from moltnet.storage.commands import AnyCommand
from moltnet.storage.memory import MemoryStore
from tests.contracts.store_approvals import approval, ask, decide, sweep
from tests.storage.examples import NETWORK, at, register

LASTS_SECONDS = 50
names = st.sampled_from(["m1", "m2", "m3"])
seconds = st.integers(0, 100)
questions = st.builds(lambda name, when: ask(approval(name, seconds=when, lasts=LASTS_SECONDS)), names, seconds)
decisions = st.builds(
    lambda name, state, when, by: decide(approval(name), state, seconds=when, by=by),
    names,
    st.sampled_from(DECISIONS),
    seconds,
    st.sampled_from(["ops", "night", "boss"]),
)
sweeps = st.builds(lambda when: sweep(when), seconds)
batches = st.lists(st.lists(st.one_of(questions, decisions, sweeps), min_size=1, max_size=8), max_size=6)


@hypothesis.given(batches)
def test_a_wake_is_decided_once_and_stays_so(batches: Sequence[Sequence[AnyCommand]]) -> None:
    given, told, stored = trio.run(carry_out, batches)
    decided = Counter(each.id for each in told)
    assert all(count == 1 for count in decided.values())
    by_id = {each.id: each for each in told}
    # Who was told that it decided did so, and nobody else.
    assert {each.id: each for each in given} == {
        id: each for id, each in by_id.items() if each.state is not ApprovalState.EXPIRED
    }
    for each in stored:
        assert each == by_id.get(each.id, each)
        assert each.is_decided == (each.id in by_id)
        if each.state in DECISIONS:
            assert each.decided_at
            assert each.decided_by.startswith("token:")
        if each.state is ApprovalState.EXPIRED:
            assert (each.decided_at, each.decided_by) == (each.expires_at, "")


async def carry_out(
    batches: Sequence[Sequence[AnyCommand]],
) -> tuple[list[Approval], list[Approval], list[Approval]]:
    """What was given as a decision to somebody, what events told, and what is stored in the end."""
    store, given = MemoryStore(NETWORK), list[Approval]()
    await store.commit([register("alpha", "key1")])
    for batch in batches:
        outcomes = (await store.commit(batch)).outcomes
        given += [each.approval for each in outcomes if isinstance(each, ApprovalGiven)]
    events = [decode(record.wire, Event) for record in await store.events_after(0, 1000)]
    told = [each.approval for each in events if each.type == EventType.APPROVAL_DECIDED and each.approval is not None]
    found = [await store.approval(approval(name).id) for name in ("m1", "m2", "m3")]
    return given, told, [each.approval for each in found if each is not None]


def test_nothing_is_decided_after_its_time() -> None:
    late = decide(approval("m1"), seconds=LASTS_SECONDS)
    batch: Sequence[AnyCommand] = [ask(approval("m1", lasts=LASTS_SECONDS)), late]
    given, told, _ = trio.run(carry_out, [batch])
    assert given == []
    assert [(each.state, each.decided_at) for each in told] == [(ApprovalState.EXPIRED, at(LASTS_SECONDS))]
