"""A writer that also removes what is old, killed at random moments: the log stays whole from its oldest event on."""

import random
from pathlib import Path

import pytest

from moltnet.protocol.codec import decode
from moltnet.protocol.messages import Message
from moltnet.protocol.pages import PageRequest
from moltnet.storage.records import History
from moltnet.storage.store import Store
from tests.fakes.postgres import PostgresServer
from tests.storage.backup.places import KINDS, place_in
from tests.storage.crashes import acknowledged_until_killed, whole_log
from tests.storage.examples import direct_history, room_history, thread_history

ROUNDS = 10
MAX_BATCHES_BEFORE_KILL = 20

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
async def test_a_kill_while_pruning_loses_no_message_and_no_new_event(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    def server() -> PostgresServer:
        found: PostgresServer = request.getfixturevalue("postgres_server")
        return found

    place = place_in(tmp_path, kind, server)
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    newest_seq = 0
    for number in range(ROUNDS):
        name = f"prune{number}"
        acknowledged = acknowledged_until_killed(place.at, name, chance.randrange(1, MAX_BATCHES_BEFORE_KILL), 3)
        async with place.open() as store:
            bounds = await store.event_bounds()
            records = await whole_log(store)
            assert [record.seq for record in records] == list(range(bounds.oldest_seq, bounds.newest_seq + 1))
            assert bounds.newest_seq >= newest_seq + len(acknowledged)
            assert newest_seq < 60 or bounds.oldest_seq > 1
            newest_seq = bounds.newest_seq
            found = [
                message
                for history in (room_history(), thread_history(f"thread-{name}"), direct_history(f"dm-{name}"))
                for message in await messages_of(store, history)
            ]
        assert len(found) == len(set(found))
        assert set(acknowledged) <= set(found)


async def messages_of(store: Store, history: History) -> list[str]:
    """The ids of all messages of a conversation, the newest first."""
    page = await store.message_page(history, PageRequest(500))
    found = [decode(body, Message).id for body in reversed(page.items)]
    while page.has_more:
        page = await store.message_page(history, PageRequest(500, before=page.first_id))
        found += [decode(body, Message).id for body in reversed(page.items)]
    return [str(each) for each in found]
