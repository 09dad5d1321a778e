"""Whatever stands in a file: it is restored, or refused as damaged, and nothing else happens."""

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio
from hypothesis import strategies as st

from moltnet.storage.backup.format import BackupDamaged
from moltnet.storage.store import WrongNetwork
from tests.storage.backup.places import Place, back_up, fill, restore
from tests.storage.backup.test_damage import Lines, lines_of, write_lines

Step = tuple[Any, Any]

json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Lines:
    directory = tmp_path_factory.mktemp("backup")

    async def make() -> None:
        place = Place("sqlite", directory / "moltnet.db")
        async with place.open() as store:
            await fill(store)
        await back_up(place, directory / "network.backup")

    trio.run(make)
    return lines_of(directory / "network.backup")


def places_in(value: Any) -> Iterator[Step]:
    """Every container and key in it."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places_in(value[key])


@pytest.mark.parametrize("kind", ["sqlite", "json"])
@hypothesis.settings(max_examples=25, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture])
@hypothesis.given(chance=st.data())
def test_a_file_with_other_values_is_restored_or_refused(lines: Lines, kind: str, chance: st.DataObject) -> None:
    changed = copy.deepcopy(lines)
    places = list(places_in(changed[1:-1]))
    container, key = places[chance.draw(st.integers(0, len(places) - 1))]
    container[key] = chance.draw(json_values)
    if not all(isinstance(line, dict) for line in changed):
        return
    with tempfile.TemporaryDirectory() as name:
        file, directory = Path(name) / "network.backup", Path(name) / "to"
        directory.mkdir()
        write_lines(file, changed)

        async def check() -> None:
            place = Place(kind, directory / ("moltnet.db" if kind == "sqlite" else "moltnet.json"))
            try:
                await restore(file, place)
            except (BackupDamaged, WrongNetwork):
                async with place.open() as store:
                    assert (await store.event_bounds()).newest_seq == 0
            else:
                async with place.open() as store:
                    await store.load_directory()

        trio.run(check)
