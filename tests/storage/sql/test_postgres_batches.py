"""A batch of several commands one of which the database can't take: the others are stored, and told so."""

import random
from typing import cast

import attrs
import pytest
import trio
import trio.testing

from moltnet.journal import open_journal
from moltnet.protocol.ids import AgentId, event_id_of_message
from moltnet.storage.commands import AnyCommand, Command, MessageStored, RecordEvents
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import StorageError
from tests.contracts.store_messages import wake
from tests.expected_errors import ExpectedErrors
from tests.fakes.faulty_store import FaultyStore
from tests.storage.crashes import messages_in, whole_log
from tests.storage.examples import NETWORK, create_room, post


def refused_by_a_constraint() -> RecordEvents:
    event = wake("evt_twice")
    return RecordEvents((event, event))


def too_long_for_an_index() -> RecordEvents:
    event = wake("evt_long")
    assert event.agent is not None
    # Nothing that could be compressed.
    agent_id = AgentId(random.Random(1).randbytes(5000).hex())
    return RecordEvents((attrs.evolve(event, agent=attrs.evolve(event.agent, agent_id=agent_id)),))


@pytest.mark.parametrize("bad", [refused_by_a_constraint(), too_long_for_an_index()], ids=["constraint", "index"])
async def test_a_command_that_the_database_refuses_fails_alone(
    postgres_dsn: str, expected_errors: ExpectedErrors, bad: RecordEvents
) -> None:
    """It is a bug of ours, and its own: who waits in the same batch is not told that the storage failed."""
    answered: dict[str, object] = {}
    async with open_postgres(postgres_dsn, NETWORK) as postgres:
        store = FaultyStore(postgres)
        await store.commit([create_room()])
        store.batches.clear()
        async with open_journal(store, lambda committed: None) as journal:

            async def commit(name: str, command: AnyCommand) -> None:
                try:
                    answered[name] = await journal.commit(cast(Command[object], command))
                except StorageError as error:
                    answered[name] = error

            store.hold()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(commit, "first", post("first"))
                await trio.testing.wait_all_tasks_blocked()
                # While it is written, the others become one batch.
                for name in ("m1", "bad", "m2"):
                    nursery.start_soon(commit, name, bad if name == "bad" else post(name))
                await trio.testing.wait_all_tasks_blocked()
                store.release()
        assert 3 in [len(commands) for commands in store.batches]
        refused = answered.pop("bad")
        assert isinstance(refused, StorageError)
        assert "internal failure" in str(refused)
        assert answered == {name: MessageStored(event_id_of_message(name)) for name in ("first", "m1", "m2")}
        records = await whole_log(store)
        assert [record.seq for record in records] == [1, 2, 3, 4]
        assert sorted(messages_in(records)) == ["first", "m1", "m2"]
    expected_errors.take("commit crashed")
