"""`python -m tests.scale`: what pages cost on SQLite, as a table for docs/performance.md."""

import sqlite3
import tempfile
from pathlib import Path

import trio

from moltnet.storage.sql.sqlite import open_sqlite
from tests.scale.large_network import fill
from tests.scale.sqlite_costs import costs, table
from tests.storage.examples import NETWORK


async def _print_table(directory: Path) -> None:
    paths = {part: directory / f"{part}.db" for part in (1.0, 0.1)}
    for part, path in paths.items():
        async with open_sqlite(path, NETWORK) as store:
            await fill(store, part=part)
    print(f"SQLite {sqlite3.sqlite_version}\n")
    print(table(await costs(paths[1.0], paths[0.1])), end="")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        trio.run(_print_table, Path(made))
