from collections.abc import Awaitable, Callable

import attrs
import pytest

from moltnet.app import App
from moltnet.core.access import Viewer
from moltnet.core.errors import Forbidden, Invalid, NotFound, Refused
from moltnet.core.history import (
    direct_messages,
    list_directs,
    list_threads,
    readable_direct,
    readable_thread,
    room_messages,
    thread_messages,
)
from moltnet.protocol.codec import decode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import agent_fqid
from moltnet.protocol.pages import DirectPage, MessagePage, PageInfo, PageRequest, ThreadPage
from tests.fakes.network import (
    NETWORK,
    direct_message,
    network_config,
    open_test_app,
    post,
    post_texts,
    room,
    room_message,
    thread_message,
)

EVERYTHING = Viewer(all_conversations=True)
ALPHA = Viewer(agents=frozenset({agent_fqid(NETWORK, "alpha")}))
STRANGER = Viewer(agents=frozenset({agent_fqid(NETWORK, "stranger")}))


def texts(page: bytes) -> list[str]:
    return [message.parts[0].text for message in decode(page, MessagePage).messages]


async def test_messages_come_oldest_first_and_the_newest_page_first() -> None:
    async with open_test_app() as app:
        await post_texts(app, "one", "two", "three", "four", "five")
        newest = await room_messages(app.context, "general", EVERYTHING, PageRequest(limit=2))
        assert texts(newest) == ["four", "five"]
        older = decode(newest, MessagePage).page
        assert (older.has_more, bool(older.next_before), older.next_after) == (True, True, "")


async def test_paging_backwards_and_forwards_gives_every_message_once() -> None:
    async with open_test_app() as app:
        names = [f"text-{number}" for number in range(11)]
        await post_texts(app, *names)

        async def read_all(page: PageRequest) -> list[str]:
            found: list[str] = []
            while True:
                data = await room_messages(app.context, "general", EVERYTHING, page)
                info = decode(data, MessagePage).page
                found = found + texts(data) if page.after else texts(data) + found
                if not info.has_more:
                    return found
                page = attrs.evolve(page, before=info.next_before, after=info.next_after)

        assert await read_all(PageRequest(limit=4)) == names
        first = decode(await room_messages(app.context, "general", EVERYTHING, PageRequest(limit=500)), MessagePage)
        assert await read_all(PageRequest(limit=4, after=first.messages[0].id)) == names[1:]


async def test_an_empty_page_is_a_list_and_ends_there() -> None:
    async with open_test_app() as app:
        page = await room_messages(app.context, "general", EVERYTHING, PageRequest())
        assert page == b'{"messages":[],"page":{"has_more":false}}'
        await post_texts(app, "only")
        last = decode(await room_messages(app.context, "general", EVERYTHING, PageRequest()), MessagePage).messages[0]
        page = await room_messages(app.context, "general", EVERYTHING, PageRequest(after=last.id))
        assert decode(page, MessagePage) == MessagePage((), PageInfo(has_more=False))


async def test_a_thread_is_a_history_of_its_own() -> None:
    async with open_test_app() as app:
        await post(app, room_message("in the room"))
        await post(app, thread_message("t1", "in the thread"))
        assert texts(await room_messages(app.context, "general", ALPHA, PageRequest())) == ["in the room"]
        assert texts(await thread_messages(app.context, "t1", ALPHA, PageRequest())) == ["in the thread"]
        thread = await readable_thread(app.context, "t1", ALPHA)
        assert (thread.room_id, thread.parent_message_id, thread.message_count) == ("general", "m1", 1)
        listed = await list_threads(app.context, "general", ALPHA, PageRequest())
        assert [each.id for each in decode(listed, ThreadPage).threads] == ["t1"]


async def test_a_direct_conversation_is_for_its_participants() -> None:
    async with open_test_app() as app:
        await post(app, direct_message("d1", "alpha", "beta", text="between us"))
        await post(app, direct_message("d2", "beta", "gamma", sender="beta"))
        assert texts(await direct_messages(app.context, "d1", ALPHA, PageRequest())) == ["between us"]
        for viewer, expected in [(ALPHA, ["d1"]), (EVERYTHING, ["d1", "d2"]), (STRANGER, [])]:
            listed = await list_directs(app.context, viewer, PageRequest())
            assert [each.id for each in decode(listed, DirectPage).dms] == expected


Reading = Callable[[App, Viewer], Awaitable[object]]


def reading(function: Callable[..., Awaitable[object]], name: str, *page: PageRequest) -> Reading:
    return lambda app, viewer: function(app.context, name, viewer, *page)


# What a stranger asks for → the refusal. Of direct conversations it does not even learn that they exist.
REFUSALS = [
    (reading(room_messages, "general", PageRequest()), Forbidden, ErrorCode.NOT_READABLE),
    (reading(room_messages, "nowhere", PageRequest()), NotFound, ErrorCode.UNKNOWN_ROOM),
    (reading(list_threads, "general", PageRequest()), Forbidden, ErrorCode.NOT_READABLE),
    (reading(list_threads, "nowhere", PageRequest()), NotFound, ErrorCode.UNKNOWN_ROOM),
    (reading(readable_thread, "t1"), Forbidden, ErrorCode.NOT_READABLE),
    (reading(readable_thread, "t9"), NotFound, ErrorCode.UNKNOWN_THREAD),
    (reading(thread_messages, "t1", PageRequest()), Forbidden, ErrorCode.NOT_READABLE),
    (reading(thread_messages, "t9", PageRequest()), NotFound, ErrorCode.UNKNOWN_THREAD),
    (reading(readable_direct, "d1"), NotFound, ErrorCode.UNKNOWN_DIRECT_CONVERSATION),
    (reading(readable_direct, "d9"), NotFound, ErrorCode.UNKNOWN_DIRECT_CONVERSATION),
    (reading(direct_messages, "d1", PageRequest()), NotFound, ErrorCode.UNKNOWN_DIRECT_CONVERSATION),
]


@pytest.mark.parametrize(("read", "kind", "code"), REFUSALS)
async def test_a_stranger_reads_nothing(read: Reading, kind: type[Refused], code: ErrorCode) -> None:
    async with open_test_app() as app:
        await post(app, thread_message("t1"))
        await post(app, direct_message("d1", "alpha", "beta"))
        with pytest.raises(kind) as caught:
            await read(app, STRANGER)
        assert caught.value.code is code


# A cursor must be part of the very list that is paged: not of another conversation's.
CURSORS = [
    reading(room_messages, "general", PageRequest(before="m-other")),
    reading(room_messages, "general", PageRequest(after="m-thread")),
    reading(thread_messages, "t1", PageRequest(after="m-room")),
    reading(direct_messages, "d1", PageRequest(before="m-room")),
    reading(list_threads, "general", PageRequest(after="t-other")),
    lambda app, viewer: list_directs(app.context, viewer, PageRequest(before="d9")),
]


@pytest.mark.parametrize("read", CURSORS)
async def test_a_cursor_of_another_list_is_refused(read: Reading) -> None:
    async with open_test_app(network_config(rooms=[room("general", "alpha"), room("other", "alpha")])) as app:
        await post(app, room_message(message_id="m-room"))
        await post(app, room_message(message_id="m-other", room="other"))
        await post(app, thread_message("t1", message_id="m-thread"))
        await post(app, thread_message("t-other", room="other"))
        await post(app, direct_message("d1", "alpha", "beta"))
        with pytest.raises(Invalid, match="not part of this list") as caught:
            await read(app, EVERYTHING)
        assert caught.value.code is ErrorCode.INVALID_CURSOR
