"""A network with much in it: ids run from 0 in each list, so the start, the middle and the end of each are known."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import attrs

from moltnet.protocol.limits import MAX_BATCH_COMMANDS
from moltnet.protocol.rooms import Visibility
from moltnet.storage.commands import AnyCommand, AppendMessage, CreateRoom, RegisterAgent
from moltnet.storage.store import Store
from tests.storage.examples import GENERAL, create_room, direct_post, link, post, register, thread_post, with_parts

ROOMS: Final = 200
AGENTS: Final = 2_000
MESSAGES: Final = 10_000
THREADS: Final = 2_000
DIRECTS: Final = 5_000
# In the first thread and in the first direct conversation, beside what opens them.
REPLIES: Final = 3_000
# Every third message is more than text.
LINK_EVERY: Final = 3


def room_id(number: int) -> str:
    """The last room by id is `general`'s neighbour, not `general` itself."""
    return f"room-{number:05}"


def agent_id(number: int) -> str:
    return f"agent-{number:05}"


def message_id(number: int) -> str:
    return f"m{number:05}"


def thread_id(number: int) -> str:
    return f"t{number:05}"


def reply_id(number: int) -> str:
    """A message of the first thread."""
    return f"reply-{number:05}"


def direct_id(number: int) -> str:
    return f"d{number:05}"


def whisper_id(number: int) -> str:
    """A message of the first direct conversation."""
    return f"whisper-{number:05}"


def artifact_id(of_message: str) -> str:
    return f"art_{of_message}_0"


async def fill(store: Store, *, part: float = 1.0) -> None:
    """Everything, or only a part of each: what costs more with all of it does not cost the page."""
    await commit_all(store, commands(part))


async def commit_all(store: Store, wanted: Iterable[AnyCommand]) -> None:
    """In batches, as the journal writes them when much is waiting."""
    waiting = iter(wanted)
    while batch := list(islice(waiting, MAX_BATCH_COMMANDS)):
        await store.commit(batch)


def commands(part: float) -> Iterator[AnyCommand]:
    messages, threads, directs, replies = (int(count * part) for count in (MESSAGES, THREADS, DIRECTS, REPLIES))
    yield from registrations(part)
    yield create_room(GENERAL, "alpha", agent_id(0))
    yield from rooms(part)
    for number in range(messages):
        yield _linked(number, post(message_id(number)))
    for number in range(threads):
        yield thread_post(f"opens-{thread_id(number)}", thread_id(number))
    for number in range(directs):
        yield direct_post(
            f"opens-{direct_id(number)}", direct_id(number), ("alpha", agent_id(number % int(AGENTS * part)))
        )
    for number in range(replies):
        yield _linked(number, thread_post(reply_id(number), thread_id(0)))
        yield _linked(number, direct_post(whisper_id(number), direct_id(0), ("alpha", agent_id(0))))


def registrations(part: float) -> Iterator[RegisterAgent]:
    return (register(agent_id(number), f"token:{number}") for number in range(int(AGENTS * part)))


def rooms(part: float) -> Iterator[CreateRoom]:
    """All but `general`; every agent is in one of them."""
    count, agents = int(ROOMS * part) - 1, int(AGENTS * part)
    return (
        create_room(room_id(number), *(agent_id(member) for member in range(number, agents, count)))
        for number in range(count)
    )


def public_rooms(part: float) -> Iterator[CreateRoom]:
    return (attrs.evolve(each, room=attrs.evolve(each.room, visibility=Visibility.PUBLIC)) for each in rooms(part))


def _linked(number: int, command: AppendMessage) -> AppendMessage:
    return command if number % LINK_EVERY else with_parts(command, link("https://example.com/"))
