"""What woke an agent, and what came of it."""

from collections.abc import Callable, Sequence

from moltnet.core.access import Viewer
from moltnet.core.agents import IsConnected, show_agent
from moltnet.core.errors import Forbidden, NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.pages import stored_page_json, unknown_cursor
from moltnet.protocol.codec import encode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import AgentId
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.wakes import PendingWake
from moltnet.storage.store import UnknownCursor

PendingWakes = Callable[[AgentId], Sequence[PendingWake]]
"""What an agent was sent here and has not ACKed, the oldest first."""


async def list_wakes(
    context: NetworkContext,
    agent_id: str,
    viewer: Viewer,
    page: PageRequest,
    connected: IsConnected,
    pending: PendingWakes,
) -> bytes:
    """A page of an agent's wakes as JSON, for the agent itself and for who observes.

    Raises ``NotFound``, ``Forbidden``, ``Invalid`` for a foreign cursor, ``StorageError``.
    """
    agent = show_agent(context, agent_id, viewer, connected)
    if agent.network_id != context.id:
        raise NotFound(ErrorCode.UNKNOWN_AGENT, f'agent "{agent_id}" is woken in its own network')
    if not viewer.all_reports and agent.fqid not in viewer.agents:
        raise Forbidden(
            ErrorCode.MISSING_SCOPE, "wakes are for the agent itself, and for tokens with scope observe or admin"
        )
    try:
        found = await context.store.wake_page(agent.id, page)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    waiting = pending(agent.id)
    head = {
        "agent_id": agent.id,
        "connected": agent.connected,
        "pending_total": len(waiting),
        "pending": waiting[-page.limit :],
    }
    return encode(head)[:-1] + b"," + stored_page_json("wakes", found, page)[1:]
