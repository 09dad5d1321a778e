"""Lists as a whole, page by page."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, Protocol, TypeVar

from moltnet.client.api import MoltnetClient
from moltnet.protocol.agents import AgentSummary
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.pages import PageInfo, PageRequest
from moltnet.protocol.rooms import DirectConversation, Room, Thread

T = TypeVar("T")


class Page(Protocol):
    """An answer that is a part of a list, under a name of its own."""

    @property
    def page(self) -> PageInfo: ...


P = TypeVar("P", bound=Page)

# 20,000 entries. An agent has a handful; the bound is for servers whose pages never end.
MAX_PAGES: Final = 40


async def all_pages(ask: Callable[[PageRequest], Awaitable[P]], items_of: Callable[[P], Sequence[T]]) -> list[T]:
    """Everything that ``ask`` has, in its order, in at most ``MAX_PAGES`` pages. Raises what ``ask`` raises."""
    found: list[T] = []
    after = ""
    for _ in range(MAX_PAGES):
        answer = await ask(PageRequest(limit=MAX_PAGE_ITEMS, after=after))
        items, following = items_of(answer), answer.page.next_after
        found += items
        # The cursor decides: some servers say `has_more` on their last page too.
        if not items or not following or following == after:
            break
        after = following
    return found


async def all_rooms(client: MoltnetClient) -> list[Room]:
    return await all_pages(client.rooms, lambda answer: answer.rooms)


async def all_dms(client: MoltnetClient) -> list[DirectConversation]:
    return await all_pages(client.dms, lambda answer: answer.dms)


async def all_threads(client: MoltnetClient, room_id: str) -> list[Thread]:
    return await all_pages(partial(client.threads, room_id), lambda answer: answer.threads)


async def all_agents(client: MoltnetClient) -> list[AgentSummary]:
    return await all_pages(client.agents, lambda answer: answer.agents)
