"""What every store promises about pages (design §3.13)."""

import pytest

from moltnet.protocol.ids import RoomId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.limits import MAX_PAGE_BYTES
from moltnet.storage.records import History
from moltnet.storage.store import Store, UnknownCursor
from tests.contracts.store_messages import ids_of
from tests.storage.examples import (
    GENERAL,
    create_room,
    direct_post,
    post,
    room_history,
    thread_post,
)


class PageContract:
    @pytest.fixture
    async def conversation(self, store: Store) -> History:
        """Nine messages, with others around them that are not theirs."""
        await store.commit([create_room(), create_room("other")])
        for number in range(1, 10):
            await store.commit(
                [post(f"m{number}"), post(f"other{number}", "other"), thread_post(f"thread{number}", "t1")]
            )
        return room_history()

    @pytest.mark.parametrize(
        ("page", "expected", "has_more"),
        [
            (PageRequest(limit=3), ["m7", "m8", "m9"], True),
            (PageRequest(limit=9), ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9"], False),
            (PageRequest(limit=3, before="m7"), ["m4", "m5", "m6"], True),
            (PageRequest(limit=3, before="m4"), ["m1", "m2", "m3"], False),
            (PageRequest(limit=3, before="m3"), ["m1", "m2"], False),
            (PageRequest(limit=3, before="m1"), [], False),
            (PageRequest(limit=3, after="m3"), ["m4", "m5", "m6"], True),
            (PageRequest(limit=3, after="m6"), ["m7", "m8", "m9"], False),
            (PageRequest(limit=3, after="m8"), ["m9"], False),
            (PageRequest(limit=3, after="m9"), [], False),
        ],
    )
    async def test_a_page_of_messages_tells_whether_more_follow_in_its_direction(
        self, store: Store, conversation: History, page: PageRequest, expected: list[str], has_more: bool
    ) -> None:
        found = await store.message_page(conversation, page)
        assert ids_of(found) == expected
        assert found.has_more is has_more
        assert (found.first_id, found.last_id) == ((expected[0], expected[-1]) if expected else ("", ""))

    @pytest.mark.parametrize("cursor", ["other3", "thread3", "missing", "m"])
    async def test_a_cursor_of_another_conversation_is_refused(
        self, store: Store, conversation: History, cursor: str
    ) -> None:
        for page in (PageRequest(before=cursor), PageRequest(after=cursor)):
            with pytest.raises(UnknownCursor) as refused:
                await store.message_page(conversation, page)
            assert refused.value.cursor == cursor

    async def test_conversations_of_different_kinds_may_share_an_id(self, store: Store) -> None:
        await store.commit([create_room("x"), post("m1", "x"), thread_post("m2", "x", "x"), direct_post("m3", "x")])
        for kind, expected in ((TargetKind.ROOM, "m1"), (TargetKind.THREAD, "m2"), (TargetKind.DM, "m3")):
            assert ids_of(await store.message_page(History(kind, RoomId("x")), PageRequest())) == [expected]

    async def test_pages_of_large_messages_fit_into_one_answer_and_lose_nothing(self, store: Store) -> None:
        ids = [f"m{number}" for number in range(7)]
        text = "x" * (MAX_PAGE_BYTES * 2 // 5)
        await store.commit([create_room(), *(post(each, text=text) for each in ids)])
        seen: list[str] = []
        page = await store.message_page(room_history(), PageRequest())
        assert ids_of(page) == ["m5", "m6"]
        seen = ids_of(page)
        while page.has_more:
            page = await store.message_page(room_history(), PageRequest(before=page.first_id))
            assert sum(map(len, page.items)) <= MAX_PAGE_BYTES
            seen = ids_of(page) + seen
        assert seen == ids
        forwards = await store.message_page(room_history(), PageRequest(after="m0"))
        assert (ids_of(forwards), forwards.has_more) == (["m1", "m2"], True)

    async def test_a_message_larger_than_a_page_comes_alone(self, store: Store) -> None:
        await store.commit([create_room(), post("m1"), post("m2", text="x" * MAX_PAGE_BYTES), post("m3")])
        page = await store.message_page(room_history(), PageRequest(before="m3"))
        assert (ids_of(page), page.has_more) == (["m2"], True)

    @pytest.mark.parametrize(
        ("page", "expected", "has_more"),
        [
            (PageRequest(limit=2), ["a", "b"], True),
            (PageRequest(limit=5), ["a", "b", "c", "d", "e"], False),
            (PageRequest(limit=2, after="b"), ["c", "d"], True),
            (PageRequest(limit=2, after="c"), ["d", "e"], False),
            (PageRequest(limit=2, after="e"), [], False),
            (PageRequest(limit=2, before="d"), ["b", "c"], True),
            (PageRequest(limit=2, before="c"), ["a", "b"], False),
            (PageRequest(limit=2, before="a"), [], False),
        ],
    )
    async def test_lists_are_ordered_by_id_and_paged_from_either_end(
        self, store: Store, page: PageRequest, expected: list[str], has_more: bool
    ) -> None:
        await store.commit([create_room(), create_room("other"), thread_post("m0", "bb", "other")])
        for name in "ceadb":
            await store.commit([thread_post(f"t-{name}", name), direct_post(f"d-{name}", name)])
        threads, more_threads = await store.threads(GENERAL, page)
        directs, more_directs = await store.directs(page, None)
        own, more_own = await store.directs(page, ["beta"])
        assert [thread.id for thread in threads] == expected
        assert [direct.id for direct in directs] == expected
        assert [direct.id for direct in own] == expected
        assert (more_threads, more_directs, more_own) == (has_more, has_more, has_more)

    async def test_a_participant_finds_their_own_conversations_once_each(self, store: Store) -> None:
        for number, members in enumerate([("alpha", "beta"), ("beta", "gamma"), ("gamma", "delta"), ("alpha", "beta")]):
            await store.commit([direct_post(f"m{number}", f"d{number}", members, sender=members[0])])
        for participants, expected in [
            (["alpha"], ["d0", "d3"]),
            (["alpha", "beta"], ["d0", "d1", "d3"]),
            (["net_b:alpha"], []),
            ([], []),
        ]:
            directs, has_more = await store.directs(PageRequest(), participants)
            assert ([direct.id for direct in directs], has_more) == (expected, False)
        page = PageRequest(limit=2, after="d0")
        directs, has_more = await store.directs(page, ["alpha", "beta", "gamma", "delta"])
        assert ([direct.id for direct in directs], has_more) == (["d1", "d2"], True)

    async def test_a_list_refuses_the_cursor_of_something_that_is_not_in_it(self, store: Store) -> None:
        await store.commit([create_room(), create_room("other"), thread_post("m1", "t1"), direct_post("m2", "d1")])
        for page in (PageRequest(after="t1"), PageRequest(before="t1"), PageRequest(after="none")):
            with pytest.raises(UnknownCursor):
                await store.threads(RoomId("other"), page)
        for page in (PageRequest(after="d1"), PageRequest(before="d1"), PageRequest(after="none")):
            with pytest.raises(UnknownCursor):
                await store.directs(page, ["gamma"])
        with pytest.raises(UnknownCursor):
            await store.directs(PageRequest(after="none"), None)
