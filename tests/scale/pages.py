"""The pages whose cost is compared: each list of a large network at its start, in its middle and at its end."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final

import attrs

from moltnet.config.settings import MoltnetConfig, NetworkSettings
from moltnet.protocol.ids import RoomId
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.storage.records import History
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.store import Store
from tests.fakes.network import network_config
from tests.scale import large_network as network
from tests.storage.examples import GENERAL, NETWORK, direct_history, room_history, thread_history

PAGE_ITEMS: Final = 90
"""Every third item of a list is linked, and this many of each kind is there on either side of every cursor."""
OWN: Final = ("alpha", network.agent_id(1))
"""Who asks for its own direct conversations: one takes part in all of them, one in few."""


@attrs.frozen
class Listing:
    """One list: `read` gives a page's length and whether more follow; `route` is the same over HTTP."""

    name: str
    count: int
    cursor: Callable[[int], str]
    read: Callable[[Store, PageRequest], Awaitable[tuple[int, bool]]]
    route: str
    statement: str
    """What SQLite is asked for the items after a cursor."""
    step: int = 1
    """Of how many numbers one is in the list."""

    def target(self, page: PageRequest) -> str:
        """The request for a page of it."""
        query = f"limit={page.limit}&before={page.before}&after={page.after}"
        return f"{self.route}{'&' if '?' in self.route else '?'}{query}"

    def places(self) -> Iterator[tuple[str, PageRequest]]:
        """Full pages by where they are: no cursor, then before and after one."""
        yield "first", PageRequest(PAGE_ITEMS)
        beside = (PAGE_ITEMS + 1) * self.step
        middle = self.count // 2 // self.step * self.step
        last = (self.count - 1) // self.step * self.step
        for name, after, before in (("start", 0, beside), ("middle", middle, middle), ("end", last - beside, last)):
            yield f"{name}, after", PageRequest(PAGE_ITEMS, after=self.cursor(after))
            yield f"{name}, before", PageRequest(PAGE_ITEMS, before=self.cursor(before))


def _messages(history: History) -> Callable[[Store, PageRequest], Awaitable[tuple[int, bool]]]:
    async def read(store: Store, page: PageRequest) -> tuple[int, bool]:
        found = await store.message_page(history, page)
        return len(found.items), found.has_more

    return read


def _artifacts(history: History) -> Callable[[Store, PageRequest], Awaitable[tuple[int, bool]]]:
    async def read(store: Store, page: PageRequest) -> tuple[int, bool]:
        found = await store.artifact_page(history, page)
        return len(found.items), found.has_more

    return read


async def _threads(store: Store, page: PageRequest) -> tuple[int, bool]:
    return _length(await store.threads(RoomId(GENERAL), page))


async def _all_directs(store: Store, page: PageRequest) -> tuple[int, bool]:
    return _length(await store.directs(page, None))


async def _own_directs(store: Store, page: PageRequest) -> tuple[int, bool]:
    return _length(await store.directs(page, OWN))


def _length(found: tuple[Sequence[Any], bool]) -> tuple[int, bool]:
    return len(found[0]), found[1]


def _artifact_of(message_id: Callable[[int], str]) -> Callable[[int], str]:
    return lambda number: network.artifact_id(message_id(number))


FIRST_THREAD, FIRST_DIRECT = network.thread_id(0), network.direct_id(0)
LISTINGS: Final = (
    Listing(
        "messages of a room",
        network.MESSAGES,
        network.message_id,
        _messages(room_history()),
        f"/v1/rooms/{GENERAL}/messages",
        statements.SELECT_HISTORY[TargetKind.ROOM].newer,
    ),
    Listing(
        "messages of a thread",
        network.REPLIES,
        network.reply_id,
        _messages(thread_history(FIRST_THREAD)),
        f"/v1/threads/{FIRST_THREAD}/messages",
        statements.SELECT_HISTORY[TargetKind.THREAD].newer,
    ),
    Listing(
        "messages of a DM",
        network.REPLIES,
        network.whisper_id,
        _messages(direct_history(FIRST_DIRECT)),
        f"/v1/dms/{FIRST_DIRECT}/messages",
        statements.SELECT_HISTORY[TargetKind.DM].newer,
    ),
    Listing(
        "artifacts of a room",
        network.MESSAGES,
        _artifact_of(network.message_id),
        _artifacts(room_history()),
        f"/v1/artifacts?room_id={GENERAL}",
        statements.SELECT_ARTIFACTS[TargetKind.ROOM].newer,
        step=network.LINK_EVERY,
    ),
    Listing(
        "artifacts of a thread",
        network.REPLIES,
        _artifact_of(network.reply_id),
        _artifacts(thread_history(FIRST_THREAD)),
        f"/v1/artifacts?thread_id={FIRST_THREAD}",
        statements.SELECT_ARTIFACTS[TargetKind.THREAD].newer,
        step=network.LINK_EVERY,
    ),
    Listing(
        "artifacts of a DM",
        network.REPLIES,
        _artifact_of(network.whisper_id),
        _artifacts(direct_history(FIRST_DIRECT)),
        f"/v1/artifacts?dm_id={FIRST_DIRECT}",
        statements.SELECT_ARTIFACTS[TargetKind.DM].newer,
        step=network.LINK_EVERY,
    ),
    Listing(
        "threads of a room",
        network.THREADS,
        network.thread_id,
        _threads,
        f"/v1/rooms/{GENERAL}/threads",
        statements.SELECT_THREADS_AFTER,
    ),
    Listing("all DMs", network.DIRECTS, network.direct_id, _all_directs, "/v1/dms", statements.SELECT_DIRECTS_AFTER),
    Listing(
        "DMs of two agents", network.DIRECTS, network.direct_id, _own_directs, "", statements.SELECT_PARTICIPANT_AFTER
    ),
)


def config() -> MoltnetConfig:
    """Settings that let everybody read all of the large network, and change nothing in it."""
    settings = network_config(rooms=())
    return attrs.evolve(settings, network=NetworkSettings(NETWORK, "Net A"))
