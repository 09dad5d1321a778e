"""Whatever happened to a network: a backup of it, restored in any other kind of store, tells the same."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import hypothesis
import pytest
import trio
from hypothesis import strategies as st

from moltnet.storage.commands import AnyCommand, RecordEvents
from tests.contracts.store_messages import wake
from tests.contracts.store_pruning import prune
from tests.fakes.postgres import PostgresServer
from tests.storage.backup.places import KINDS, back_up, everything_in, place_in, restore
from tests.storage.examples import create_room
from tests.storage.test_oracle import commands, seconds

prunings = st.builds(prune, seconds, st.one_of(st.none(), seconds), st.sampled_from([1, 3, 1000]))
histories = st.lists(st.lists(st.one_of(commands, prunings), min_size=1, max_size=10), min_size=1, max_size=6)


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_backup_restored_elsewhere_tells_the_same(postgres_server: PostgresServer, kind: str, to: str) -> None:
    async def check(batches: Sequence[Sequence[AnyCommand]], directory: Path) -> None:
        (directory / "to").mkdir()
        before = place_in(directory, kind, lambda: postgres_server)
        after = place_in(directory / "to", to, lambda: postgres_server)
        async with before.open() as store:
            await store.commit([create_room("room1", "alpha")])
            for number, batch in enumerate(batches):
                await store.commit([*batch, RecordEvents((wake(f"evt_{number}"),))])
            expected = await everything_in(store)
        await back_up(before, directory / "backup")
        await restore(directory / "backup", after)
        async with after.open() as store:
            assert await everything_in(store) == expected

    @hypothesis.settings(max_examples=5 if "postgres" in (kind, to) else 12)
    @hypothesis.given(histories)
    def any_network(batches: Sequence[Sequence[AnyCommand]]) -> None:
        with tempfile.TemporaryDirectory() as directory:
            trio.run(check, batches, Path(directory))

    any_network()
