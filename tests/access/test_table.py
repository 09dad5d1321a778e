"""`docs/access.md` is true: every cell of it, on every storage."""

from pathlib import Path

import pytest

from moltnet.storage.factory import MEMORY
from tests.access.table import all_modes, columns_of, expected, tried
from tests.fakes.homes import KINDS, home_of

FULLEST_MODE = "bearer with public_read"


# Who may do what is decided above the stores: the fast suite has every mode on one of them, and one mode on each.
CASES = [
    pytest.param(kind, mode, marks=() if kind == MEMORY or mode == FULLEST_MODE else pytest.mark.slow)
    for kind in KINDS
    for mode in all_modes()
]


@pytest.mark.parametrize(("kind", "mode"), CASES)
async def test_a_network_answers_as_the_table_says(
    kind: str, mode: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    async with home_of(kind, request, tmp_path).open_store() as store:
        table = await tried(mode, store)
    wanted = expected(mode)
    differences = [
        f"{name} | {column}: {row[column]}, the table says {wanted.get(name, {}).get(column)}"
        for name, row in table.items()
        for column in columns_of(mode)
        if row[column] != wanted.get(name, {}).get(column)
    ]
    assert differences == []
    assert wanted.keys() == table.keys()
