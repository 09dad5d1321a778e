"""What every store promises about the reports of wakes."""

import pytest

from moltnet.protocol.codec import decode
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.ids import AgentId, EventId, MessageId, NetworkId
from moltnet.protocol.pages import PageRequest
from moltnet.storage.commands import RecordEvents
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import StoredPage
from moltnet.storage.store import Store, UnknownCursor
from tests.contracts.store_pruning import prune
from tests.storage.examples import NETWORK, at, create_room, post, register, remove_agent

ALPHA, BETA = AgentId("alpha"), AgentId("beta")


def ids_of(page: StoredPage) -> list[str]:
    return [decode(body, Event).id for body in page.items]


def report(
    name: str,
    agent_id: AgentId = ALPHA,
    kind: EventType = EventType.AGENT_WAKE_DELIVERED,
    *,
    seconds: float = 0,
    error: str = "",
) -> RecordEvents:
    agent = AgentEvent(agent_id, network_id=NetworkId(NETWORK), message_id=MessageId(name), error=error)
    return RecordEvents((Event(EventId(name), kind, NetworkId(NETWORK), at(seconds), agent=agent),))


class WakeContract:
    async def test_wakes_of_an_agent_are_listed_like_messages(self, store: Store) -> None:
        failed = EventType.AGENT_WAKE_FAILED
        await store.commit([create_room(), report("of beta", BETA), post("m1")])
        await store.commit([report("w1"), report("w2", kind=failed), report("c", kind=EventType.AGENT_CONNECTED)])
        await store.commit([report("of beta too", BETA, failed), *(report(f"w{number}") for number in (3, 4, 5))])
        pages = [
            (PageRequest(limit=2), ["w4", "w5"], True),
            (PageRequest(limit=2, before="w4"), ["w2", "w3"], True),
            (PageRequest(limit=2, before="w2"), ["w1"], False),
            (PageRequest(limit=2, after="w2"), ["w3", "w4"], True),
            (PageRequest(limit=3, after="w2"), ["w3", "w4", "w5"], False),
            (PageRequest(limit=3, after="w5"), [], False),
        ]
        for page, expected, has_more in pages:
            found = await store.wake_page(ALPHA, page)
            assert ids_of(found) == expected
            assert found.has_more is has_more
        (event,) = (decode(item, Event) for item in (await store.wake_page(ALPHA, PageRequest(1, before="w3"))).items)
        assert (event.type, event.agent and event.agent.message_id) == (failed, "w2")
        assert (await store.wake_page(AgentId("gamma"), PageRequest())).items == ()

    @pytest.mark.parametrize("cursor", ["of beta", "connected", "missing", "evt_message-m1"])
    async def test_a_cursor_that_is_no_wake_of_this_agent_is_refused(self, store: Store, cursor: str) -> None:
        await store.commit([create_room(), post("m1"), report("of beta", BETA), report("w1")])
        await store.commit([report("connected", kind=EventType.AGENT_CONNECTED)])
        for page in (PageRequest(before=cursor), PageRequest(after=cursor)):
            with pytest.raises(UnknownCursor):
                await store.wake_page(ALPHA, page)

    async def test_a_later_agent_of_that_id_has_none_of_the_earlier(self, store: Store) -> None:
        """Its rooms and the names of its messages are not for everybody who takes the id."""
        await store.commit([register("alpha", "key1"), report("w1"), report("of beta", BETA), report("w2")])
        await store.commit([remove_agent("alpha"), register("alpha", "key2")])
        assert (await store.wake_page(ALPHA, PageRequest())).items == ()
        await store.commit([report("w3")])
        assert ids_of(await store.wake_page(ALPHA, PageRequest())) == ["w3"]
        assert ids_of(await store.wake_page(ALPHA, PageRequest(before="w3"))) == []
        assert ids_of(await store.wake_page(BETA, PageRequest())) == ["of beta"]
        with pytest.raises(UnknownCursor):
            await store.wake_page(ALPHA, PageRequest(after="w1"))

    async def test_wakes_go_with_their_events(self, store: Store) -> None:
        await store.commit([report(f"w{number}", seconds=number) for number in range(1, 7)])
        await store.commit([prune(4)])
        assert ids_of(await store.wake_page(ALPHA, PageRequest())) == ["w4", "w5", "w6"]
        found = await store.wake_page(ALPHA, PageRequest(2, before="w6"))
        assert (ids_of(found), found.has_more) == (["w4", "w5"], False)
        with pytest.raises(UnknownCursor):
            await store.wake_page(ALPHA, PageRequest(before="w3"))

    async def test_a_page_of_long_errors_is_cut(self, store: Store) -> None:
        error = "x" * (MAX_PAGE_BYTES // 3)
        await store.commit([report(f"w{number}", error=error) for number in range(4)])
        found = await store.wake_page(ALPHA, PageRequest())
        assert (ids_of(found), found.has_more) == (["w2", "w3"], True)
        found = await store.wake_page(ALPHA, PageRequest(before="w2"))
        assert (ids_of(found), found.has_more) == (["w0", "w1"], False)
