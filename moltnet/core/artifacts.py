"""Listing artifacts: whoever may read a conversation may read them (message model §8; design §3.1)."""

import attrs

from moltnet.core.access import Viewer
from moltnet.core.errors import Invalid, NotFound
from moltnet.core.history import readable_direct, readable_thread
from moltnet.core.network import NetworkContext
from moltnet.core.pages import stored_page_json, unknown_cursor
from moltnet.core.rooms import readable_room
from moltnet.protocol.codec import Problem
from moltnet.protocol.ids import DirectId, RoomId, ThreadId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.records import History, StoredPage
from moltnet.storage.store import UnknownCursor


@attrs.frozen
class ArtifactFilter:
    """Whose artifacts are wanted: of several conversations the innermost, but each must be readable."""

    room_id: str = ""
    thread_id: str = ""
    dm_id: str = ""


async def list_artifacts(context: NetworkContext, wanted: ArtifactFilter, viewer: Viewer, page: PageRequest) -> bytes:
    """A page of artifacts as JSON, ordered as the messages are; a room's include those of its threads.

    A direct conversation that the viewer takes no part in has none, like one that does not exist. Raises ``Invalid``
    without a filter or with a foreign cursor, ``NotFound``, ``Forbidden``.
    """
    if wanted == ArtifactFilter():
        problem = Problem("$.room_id", "is required, or thread_id, or dm_id")
        raise Invalid.from_problems([problem])
    history = None
    if wanted.room_id:
        history = History(TargetKind.ROOM, RoomId(readable_room(context, wanted.room_id, viewer).id))
    if wanted.dm_id:
        history = await _direct_history(context, wanted.dm_id, viewer)
    if wanted.thread_id:
        thread = await readable_thread(context, wanted.thread_id, viewer)
        history = History(TargetKind.THREAD, ThreadId(thread.id))
    try:
        found = await _page(context, history, page)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    return stored_page_json("artifacts", found, page)


async def _direct_history(context: NetworkContext, dm_id: str, viewer: Viewer) -> History | None:
    try:
        direct = await readable_direct(context, dm_id, viewer)
    except NotFound:
        return None
    return History(TargetKind.DM, DirectId(direct.id))


async def _page(context: NetworkContext, history: History | None, page: PageRequest) -> StoredPage:
    if history is not None:
        return await context.store.artifact_page(history, page)
    if cursor := page.before or page.after:
        raise UnknownCursor(cursor)
    return StoredPage(())
