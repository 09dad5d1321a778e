"""The large network and one of a tenth of its size, each built once and then only read."""

from pathlib import Path

import pytest
import trio

from moltnet.storage.sql.sqlite import open_sqlite
from tests.fakes.homes import KINDS, Home, home_of
from tests.scale.large_network import fill
from tests.storage.examples import NETWORK


@pytest.fixture(scope="package")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the large network."""
    return _built(tmp_path_factory.mktemp("large"), 1.0)


@pytest.fixture(scope="package")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a tenth of it."""
    return _built(tmp_path_factory.mktemp("small"), 0.1)


def _built(directory: Path, part: float) -> Path:
    path = directory / "moltnet.db"

    async def write() -> None:
        async with open_sqlite(path, NETWORK) as store:
            await fill(store, part=part)

    trio.run(write)
    return path


@pytest.fixture(params=KINDS)
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    return home_of(request.param, request, tmp_path)
