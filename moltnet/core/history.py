"""Reading conversations: pages of messages, and what is known of a thread or a direct conversation."""

from collections.abc import Sequence

from moltnet.core.access import Viewer, can_read_direct
from moltnet.core.errors import Forbidden, Invalid, NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.rooms import page_info, readable_room
from moltnet.protocol.codec import Problem, encode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import DirectId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import DirectPage, PageInfo, PageRequest, ThreadPage
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.records import History, StoredPage
from moltnet.storage.store import UnknownCursor


async def room_messages(context: NetworkContext, room_id: str, viewer: Viewer, page: PageRequest) -> bytes:
    """A page of a room's own messages (not those of its threads), as JSON. Raises ``NotFound``, ``Forbidden``."""
    room = readable_room(context, room_id, viewer)
    return await _messages(context, History(TargetKind.ROOM, room.id), page)


async def thread_messages(context: NetworkContext, thread_id: str, viewer: Viewer, page: PageRequest) -> bytes:
    thread = await readable_thread(context, thread_id, viewer)
    return await _messages(context, History(TargetKind.THREAD, thread.id), page)


async def direct_messages(context: NetworkContext, direct_id: str, viewer: Viewer, page: PageRequest) -> bytes:
    direct = await readable_direct(context, direct_id, viewer)
    return await _messages(context, History(TargetKind.DM, direct.id), page)


async def readable_thread(context: NetworkContext, thread_id: str, viewer: Viewer) -> Thread:
    thread = await context.store.thread(ThreadId(thread_id))
    if thread is None:
        raise NotFound(ErrorCode.UNKNOWN_THREAD, f'unknown thread "{thread_id}"')
    readable_room(context, thread.room_id, viewer)
    return thread


async def list_threads(context: NetworkContext, room_id: str, viewer: Viewer, page: PageRequest) -> ThreadPage:
    room = readable_room(context, room_id, viewer)
    try:
        threads, has_more = await context.store.threads(RoomId(room.id), page)
    except UnknownCursor as error:
        raise bad_cursor(error, page) from None
    return ThreadPage(tuple(threads), _id_page_info(threads, page, has_more=has_more))


async def readable_direct(context: NetworkContext, direct_id: str, viewer: Viewer) -> DirectConversation:
    """Raises ``NotFound`` also for one that the viewer takes no part in, so that ids can't be guessed."""
    _require_directs(context)
    direct = await context.store.direct(DirectId(direct_id))
    if direct is not None:
        participants = (parse_address(p, context.id).fqid for p in direct.participant_ids)
        if can_read_direct(viewer, participants):
            return direct
    raise NotFound(ErrorCode.UNKNOWN_DIRECT_CONVERSATION, f'unknown direct conversation "{direct_id}"')


async def list_directs(context: NetworkContext, viewer: Viewer, page: PageRequest) -> DirectPage:
    """Direct conversations that the viewer takes part in, or all of them if it observes."""
    _require_directs(context)
    own = [parse_address(fqid, context.id).local_or_scoped(context.id) for fqid in sorted(viewer.agents)]
    try:
        directs, has_more = await context.store.directs(page, None if viewer.all_conversations else own)
    except UnknownCursor as error:
        raise bad_cursor(error, page) from None
    return DirectPage(tuple(directs), _id_page_info(directs, page, has_more=has_more))


def _require_directs(context: NetworkContext) -> None:
    if not context.policy.direct_messages:
        raise Forbidden(ErrorCode.DIRECT_MESSAGES_DISABLED, "direct messages are disabled for this network")


async def _messages(context: NetworkContext, history: History, page: PageRequest) -> bytes:
    try:
        found = await context.store.message_page(history, page)
    except UnknownCursor as error:
        raise bad_cursor(error, page) from None
    return stored_page_json("messages", found, page)


def stored_page_json(name: str, found: StoredPage, page: PageRequest) -> bytes:
    """The page as JSON, around items that are served as they were stored."""
    if page.after:
        info = PageInfo(found.has_more, next_after=found.last_id if found.has_more else "")
    else:
        info = PageInfo(found.has_more, next_before=found.first_id if found.has_more else "")
    return f'{{"{name}":['.encode() + b",".join(found.items) + b'],"page":' + encode(info) + b"}"


def _id_page_info(items: Sequence[Thread | DirectConversation], page: PageRequest, *, has_more: bool) -> PageInfo:
    first, last = (items[0].id, items[-1].id) if items else ("", "")
    return page_info(first, last, page, has_more=has_more)


def bad_cursor(error: UnknownCursor, page: PageRequest) -> Invalid:
    """The refusal of a cursor that the store does not know in this list."""
    name = "before" if page.before else "after"
    message = f'{name}: "{error.cursor}" is not part of this list'
    return Invalid(message, [Problem(f"$.{name}", "is not part of this list")], ErrorCode.INVALID_CURSOR)
