"""PostgreSQL against the store in memory: the same commands and questions, the same answers."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import hypothesis
import pytest
from hypothesis.stateful import run_state_machine_as_test

from moltnet.storage.sql.postgres.store import open_postgres
from moltnet.storage.store import Store
from tests.fakes.postgres import PostgresServer
from tests.storage.examples import NETWORK
from tests.storage.test_oracle import AgainstMemory

pytestmark = pytest.mark.slow


def test_postgres_answers_as_memory_does(postgres_server: PostgresServer) -> None:
    class PostgresAgainstMemory(AgainstMemory):
        def __init__(self) -> None:
            self._dsn = postgres_server.dsn_of_new_schema()
            super().__init__()

        def open_store(self, directory: Path) -> AbstractAsyncContextManager[Store]:
            return open_postgres(self._dsn, NETWORK)

    run: Callable[..., None] = run_state_machine_as_test
    run(PostgresAgainstMemory, settings=hypothesis.settings(max_examples=15, stateful_step_count=25))
