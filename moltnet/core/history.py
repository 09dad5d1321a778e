"""Reading conversations: pages of messages, and what is known of a thread or a direct conversation."""

from moltnet.core.access import Viewer, can_read_direct
from moltnet.core.errors import Forbidden, NotFound
from moltnet.core.excerpts import messages_around, messages_from
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, stored_page_json, unknown_cursor
from moltnet.core.rooms import readable_room
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import DirectId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.records import History
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


async def list_threads(context: NetworkContext, room_id: str, viewer: Viewer, page: PageRequest) -> bytes:
    """A page of a room's threads, by id, as JSON."""
    room = readable_room(context, room_id, viewer)
    try:
        threads, has_more = await context.store.threads(RoomId(room.id), page)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    return id_page_json("threads", threads[::-1] if page.before else threads, page, more_follow=has_more)


async def readable_direct(context: NetworkContext, direct_id: str, viewer: Viewer) -> DirectConversation:
    """Raises ``NotFound`` also for one that the viewer takes no part in, so that ids can't be guessed."""
    _require_directs(context)
    direct = await context.store.direct(DirectId(direct_id))
    if direct is not None:
        participants = (parse_address(p, context.id).fqid for p in direct.participant_ids)
        if can_read_direct(viewer, participants):
            return direct
    raise NotFound(ErrorCode.UNKNOWN_DIRECT_CONVERSATION, f'unknown direct conversation "{direct_id}"')


async def list_directs(context: NetworkContext, viewer: Viewer, page: PageRequest) -> bytes:
    """A page of the direct conversations that the viewer takes part in, or of all if it observes; by id, as JSON."""
    _require_directs(context)
    own = [parse_address(fqid, context.id).local_or_scoped(context.id) for fqid in sorted(viewer.agents)]
    try:
        directs, has_more = await context.store.directs(page, None if viewer.all_conversations else own)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    return id_page_json("dms", directs[::-1] if page.before else directs, page, more_follow=has_more)


def _require_directs(context: NetworkContext) -> None:
    if not context.policy.direct_messages:
        raise Forbidden(ErrorCode.DIRECT_MESSAGES_DISABLED, "direct messages are disabled for this network")


async def _messages(context: NetworkContext, history: History, page: PageRequest) -> bytes:
    if page.around:
        return await messages_around(context, history, page.around, page.limit)
    if page.at is not None:
        return await messages_from(context, history, page.at, page.limit)
    try:
        found = await context.store.message_page(history, page)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    return stored_page_json("messages", found, page)
