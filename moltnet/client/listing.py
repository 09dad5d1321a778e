"""Lists as a whole, page by page."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from moltnet.client.api import MoltnetClient
from moltnet.protocol.agents import AgentSummary
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.pages import PageInfo, PageRequest
from moltnet.protocol.rooms import DirectConversation, Room, Thread

T = TypeVar("T")

# 20,000 entries. An agent has a handful; the bound is for servers whose pages never end.
MAX_PAGES: Final = 40


async def all_pages(ask: Callable[[PageRequest], Awaitable[tuple[tuple[T, ...], PageInfo]]]) -> list[T]:
    """Everything that ``ask`` has, in its order, in at most ``MAX_PAGES`` pages. Raises what ``ask`` raises."""
    found: list[T] = []
    after = ""
    for _ in range(MAX_PAGES):
        items, page = await ask(PageRequest(limit=MAX_PAGE_ITEMS, after=after))
        found += items
        # The cursor decides: some servers say `has_more` on their last page too.
        if not items or not page.next_after or page.next_after == after:
            break
        after = page.next_after
    return found


async def all_rooms(client: MoltnetClient) -> list[Room]:
    async def some(page: PageRequest) -> tuple[tuple[Room, ...], PageInfo]:
        answer = await client.rooms(page)
        return answer.rooms, answer.page

    return await all_pages(some)


async def all_dms(client: MoltnetClient) -> list[DirectConversation]:
    async def some(page: PageRequest) -> tuple[tuple[DirectConversation, ...], PageInfo]:
        answer = await client.dms(page)
        return answer.dms, answer.page

    return await all_pages(some)


async def all_threads(client: MoltnetClient, room_id: str) -> list[Thread]:
    async def some(page: PageRequest) -> tuple[tuple[Thread, ...], PageInfo]:
        answer = await client.threads(room_id, page)
        return answer.threads, answer.page

    return await all_pages(some)


async def all_agents(client: MoltnetClient) -> list[AgentSummary]:
    async def some(page: PageRequest) -> tuple[tuple[AgentSummary, ...], PageInfo]:
        answer = await client.agents(page)
        return answer.agents, answer.page

    return await all_pages(some)
