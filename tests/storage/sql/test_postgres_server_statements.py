"""How PostgreSQL would run what servers settle among themselves: it costs no more with many seats than with few."""

import re
from collections.abc import Iterator

import pytest

from moltnet.storage.sql.postgres import server_statements as statements
from tests.fakes.postgres import PostgresServer
from tests.storage.sql.test_postgres_statements import Planner, open_planner

TEXTS = {
    name: text
    for name, text in vars(statements).items()
    if isinstance(text, str) and text.lstrip().startswith(("SELECT", "WITH", "INSERT", "UPDATE", "DELETE"))
}
# Once a minute, and there are no more than callers who have asked just now.
SWEEP = TEXTS.pop("FORGET_FULL_BUCKETS")
# There are few servers, so their table may be read whole.
LARGE_SCAN = re.compile(r"Seq Scan on (seats|owners|buckets)\b")
FILL = """
INSERT INTO servers SELECT 'server' || n, now() FROM generate_series(1, 5) AS n;
INSERT INTO owners SELECT 'work' || n, 'server' || 1 + n % 5 FROM generate_series(1, 5000) AS n;
INSERT INTO seats SELECT 'agent' || n, 'server' || 1 + n % 5, 'key', n % 100, 0, n FROM generate_series(1, 20000) AS n;
INSERT INTO buckets SELECT 'bucket' || n, now(), 1 FROM generate_series(1, 20000) AS n;
ANALYZE;
"""


@pytest.fixture(scope="module", params=[FILL, ""], ids=["large", "new"])
def planner(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Planner]:
    with open_planner(postgres_server, request.param) as opened:
        yield opened


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_no_statement_reads_a_whole_table(planner: Planner, text: str) -> None:
    plan = planner.plan(text)
    assert not LARGE_SCAN.search(plan), plan


def test_one_that_does_would_be_noticed(planner: Planner) -> None:
    assert LARGE_SCAN.search(planner.plan(SWEEP))
