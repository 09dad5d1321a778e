"""A server of one test: commits batches as fast as it can and says which messages it has acknowledged.

    python -m tests.storage.sql.committing_child PATH NAME [BATCHES]

The store is a JSON file if the path ends so, PostgreSQL if it is a DSN, else an SQLite database. A line is written
after each commit: the ids of its messages. Message ids are `NAME-BATCH-NUMBER-OF-SIZE`, so that a batch of which only a
part survived can be told. A NAME that begins with `prune` also removes the oldest fifty events with each batch.
"""

import os
import sys
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from pathlib import Path

import trio

from moltnet.storage.commands import AnyCommand, CreateRoom, Prune
from moltnet.storage.snapshot import open_json
from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.sql.sqlite import open_sqlite
from moltnet.storage.store import Store
from tests.storage.examples import NETWORK, direct_post, post, room, thread_post

ENDLESS = 10**9
_FAR_AWAY = datetime(9999, 1, 1, tzinfo=UTC)


def open_at(place: str) -> AbstractAsyncContextManager[Store]:
    if place.startswith("postgres://"):
        return open_postgres(place, NETWORK)
    path = Path(place)
    return open_json(path, NETWORK) if path.suffix == ".json" else open_sqlite(path, NETWORK)


async def commit_batches(place: str, name: str, batches: int) -> None:
    async with open_at(place) as store:
        await store.commit([CreateRoom(room())])
        os.write(1, b"\n")
        for batch in range(batches):
            # Of one to forty messages: some go in alone, some fill several statements and pages of the log.
            size = 1 + batch * 7 % 40
            ids = [f"{name}-{batch}-{number}-{size}" for number in range(size)]
            kinds = (
                post,
                lambda each: thread_post(each, f"thread-{name}"),
                lambda each: direct_post(each, f"dm-{name}"),
            )
            commands: list[AnyCommand] = [kinds[number % 3](each) for number, each in enumerate(ids)]
            if name.startswith("prune"):
                commands.append(Prune(_FAR_AWAY, None, 50))
            await store.commit(commands)
            os.write(1, " ".join(ids).encode() + b"\n")


if __name__ == "__main__":
    trio.run(commit_batches, sys.argv[1], sys.argv[2], int(sys.argv[3]) if len(sys.argv) > 3 else ENDLESS)
