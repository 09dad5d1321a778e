"""What can grow, and what is done meanwhile: messages stored, rooms, members, attachments, mentions in a message."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import attrs

from moltnet.protocol.limits import MAX_BATCH_COMMANDS
from moltnet.storage.commands import AnyCommand
from moltnet.storage.sql.sqlite import open_sqlite
from tests.bench.growth.counted import Counted, Do, open_counted
from tests.bench.load.wire import STAMP
from tests.bench.rows.stages import agents
from tests.storage.examples import GENERAL, NETWORK, create_room, post

# At a time: enough that connecting does not count, and few enough to be counted step by step.
AMOUNT: Final = 8
POSTS: Final = 2
REPLAYED: Final = 256
ROOM_MEMBERS: Final = 256


@attrs.frozen
class Dimension:
    """``commands`` make a network with so many of it. Each of ``operations`` says what it does to the server of that.

    ``linear`` ones may cost as much as there are: the delivery to all, for one. As many agents as there are may be
    ``attached``.
    """

    name: str
    sizes: Sequence[int]
    commands: Callable[[int], Iterator[AnyCommand]]
    operations: Mapping[str, Callable[[Counted, int], Do]]
    linear: Sequence[str] = ()
    attached: bool = False

    @asynccontextmanager
    async def open(self, path: Path, size: int, *, counting: bool) -> AsyncIterator[Counted]:
        """A server on the database at ``path``, which `fill` has filled."""
        async with open_counted(path, counting=counting) as counted:
            if self.attached:
                await counted.agents.ask("attach", **agents(counted.target, size), at_once=50)
                await counted.agents.ask("hold", seconds=1.0)  # until it is written who is here
            yield counted

    async def fill(self, path: Path, size: int) -> None:
        """In batches, as the journal writes them when much is waiting."""
        commands = self.commands(size)
        async with open_sqlite(path, NETWORK) as store:
            while batch := list(islice(commands, MAX_BATCH_COMMANDS)):
                await store.commit(batch)


def _posting(counted: Counted, size: int) -> Do:
    return partial(counted.call, counted.target.post, AMOUNT)


def _getting(path: str) -> Callable[[Counted, int], Do]:
    def getting(counted: Counted, size: int) -> Do:
        return partial(counted.call, counted.target.get(path.format(middle=f"m{size // 2}")), AMOUNT)

    return getting


def _replaying(counted: Counted, size: int) -> Do:
    async def replay() -> int:
        assert len(await counted.store.events_after(size // 2, REPLAYED)) == REPLAYED
        return 1

    return replay


def _mentioning(counted: Counted, size: int) -> Do:
    return partial(counted.call, counted.target.posting(STAMP.decode() + "Hello @agent-7, what do you say?"), AMOUNT)


def _mentioning_all(counted: Counted, size: int) -> Do:
    names = " ".join(f"@agent-{number}" for number in range(size))
    return partial(counted.call, counted.target.posting(STAMP.decode() + names), AMOUNT)


def _joining(counted: Counted, size: int) -> Do:
    """Somebody is added and removed again."""
    path = f"/v1/rooms/{GENERAL}/members"

    async def join_and_leave() -> int:
        for body in ('{"add":["visitor"]}', '{"remove":["visitor"]}'):
            await counted.call(counted.target.patch(path, body))
        return 2

    return join_and_leave


def _delivering(counted: Counted, size: int) -> Do:
    async def deliver() -> int:
        target = counted.target
        await counted.agents.ask("one_by_one", **target.address, request=target.post, times=POSTS)
        return POSTS

    return deliver


def _attaching(counted: Counted, size: int) -> Do:
    numbers = iter(range(size, 1_000_000, 2))

    async def attach() -> int:
        await counted.agents.ask("attach", **agents(counted.target, 2, first=next(numbers)))
        return 2

    return attach


def _messages(size: int) -> Iterator[AnyCommand]:
    yield create_room(GENERAL, "alpha")
    for number in range(size):
        yield post(f"m{number}", text="x" * 200)


def _rooms(size: int) -> Iterator[AnyCommand]:
    yield create_room(GENERAL, "alpha", "agent-7")
    for number in range(size):
        yield create_room(f"room-{number:06}", "alpha", f"agent-{number % 1000}")


def _members(size: int) -> Iterator[AnyCommand]:
    yield create_room(GENERAL, "alpha", *(f"agent-{number}" for number in range(size)))


def _mentions(size: int) -> Iterator[AnyCommand]:
    return _members(ROOM_MEMBERS)


MESSAGES: Final = Dimension(
    "messages stored",
    (1_000, 10_000, 100_000, 1_000_000),
    _messages,
    {
        "POST of a message": _posting,
        "newest 100 messages": _getting("/v1/rooms/general/messages?limit=100"),
        "100 messages from the middle": _getting("/v1/rooms/general/messages?limit=100&before={middle}"),
        "replay of 256 events from the middle": _replaying,
    },
)
ROOMS: Final = Dimension(
    "rooms",
    (10, 100, 1_000, 10_000),
    _rooms,
    {
        "POST of a message": _posting,
        "POST with a mention": _mentioning,
        "a page of rooms": _getting("/v1/rooms?limit=10"),
        "a page of agents": _getting("/v1/agents?limit=2"),
    },
)
MEMBERS: Final = Dimension(
    "members of the room",
    (10, 100, 1_000, 10_000),
    _members,
    {
        "POST of a message": _posting,
        "POST with a mention": _mentioning,
        "a member joins or leaves": _joining,
        "a page of agents": _getting("/v1/agents?limit=10"),
    },
    linear=("a member joins or leaves",),
)
ATTACHMENTS: Final = Dimension(
    "attachments",
    (10, 30, 100, 300, 1_000),
    _members,
    {"POST, delivered to all": _delivering, "one more handshake": _attaching},
    linear=("POST, delivered to all",),
    attached=True,
)
MENTIONS: Final = Dimension(
    "mentions in a message",
    (1, 4, 16, 64, 256),
    _mentions,
    {"POST with so many mentions": _mentioning_all},
    linear=("POST with so many mentions",),
)
DIMENSIONS: Final = (MESSAGES, ROOMS, MEMBERS, ATTACHMENTS, MENTIONS)
