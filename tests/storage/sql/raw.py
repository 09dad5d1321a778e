"""Another program with its own hands on the database file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def raw_connection(path: Path) -> Iterator[sqlite3.Connection]:
    """Transactions are begun by hand."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def raw_value(path: Path, text: str) -> Any:  # whatever the column holds
    with raw_connection(path) as connection:
        return connection.execute(text).fetchone()[0]
