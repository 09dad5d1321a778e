"""How PostgreSQL would run each statement on a large network: by an index, never through a whole table."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import pytest

from moltnet.storage.sql.migrate import load_migrations
from moltnet.storage.sql.postgres import outbox, statements
from moltnet.storage.sql.postgres.database import PLANNING
from tests.fakes.postgres import PostgresServer

ALL = {**vars(statements), **vars(outbox)}
TEXTS = {name: text for name, text in ALL.items() if name.startswith("SELECT_") and isinstance(text, str)}
HISTORIES = {
    f"{name} {kind} {direction}": text
    for name in ("SELECT_HISTORY", "SELECT_ARTIFACTS", "SELECT_APPROVAL_PAGE")
    for kind, texts in getattr(statements, name).items()
    for direction, text in attrs.asdict(texts).items()
}
WRITES = {name: text for name, text in ALL.items() if name.startswith("DELETE_")}
# Looking at every row of a table, or putting all that was found in order before the first row is handed out.
FULL_SCAN = re.compile(r"Seq Scan|Sort|Hash Join|Merge Join")
ROWS = 30_000
# Shares of a busy network: some rooms hold a tenth of all messages, others a few.
FILL = f"""
INSERT INTO rooms SELECT 'room' || n, 'name', 'private', 'members', '', '', NULL FROM generate_series(1, 2000) AS n;
INSERT INTO room_members
SELECT 'room' || n, 'agent' || (n * 9 + m) % 5000 FROM generate_series(1, 2000) AS n, generate_series(1, 9) AS m;
INSERT INTO agents SELECT 'agent' || n, '', '', '', 'key' || n, '', '' FROM generate_series(1, 5000) AS n;
INSERT INTO threads SELECT 'thread' || n, 'room' || 1 + n % 20, NULL, 1, '' FROM generate_series(1, 5000) AS n;
INSERT INTO dms SELECT 'dm' || n, 1, '' FROM generate_series(1, 5000) AS n;
INSERT INTO dm_participants
SELECT 'dm' || n, 'agent' || m FROM generate_series(1, 5000) AS n, generate_series(1, 2) AS m;
INSERT INTO dm_participants SELECT 'dm' || n, 'agent' || 9 + n FROM generate_series(1, 5000) AS n;
INSERT INTO events SELECT n, 'evt' || n, 'message.created', 'room', NULL, NULL, 'm' || n, '', NULL, '', NULL
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO events SELECT {ROWS} + n, 'wake' || n, 'agent.wake.delivered', NULL, NULL, 'agent' || n % 50, '', '', NULL,
    '', decode(repeat('00', 300), 'hex')
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO messages SELECT n, 'm' || n, (ARRAY['room', 'thread', 'dm'])[1 + n % 3],
    CASE WHEN n % 3 < 2 THEN 'room' || 1 + n % 10 END, CASE WHEN n % 3 = 1 THEN 'thread' || 1 + n % 1000 END,
    CASE WHEN n % 3 = 2 THEN 'dm' || 1 + n % 1000 END, '', '', decode(repeat('00', 500), 'hex')
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO artifacts (id, room_id, thread_id, dm_id, body)
SELECT 'art' || seq, room_id, thread_id, dm_id, decode(repeat('00', 100), 'hex') FROM messages ORDER BY seq;
INSERT INTO approvals SELECT n, 'apr' || n, 'agent' || n % 50, (ARRAY['pending', 'approved', 'denied'])[1 + n % 3], n,
    decode(repeat('00', 300), 'hex')
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO relay_outbox SELECT 'to' || n % 3, n, 'm' || n, 'room:' || n % 10, '', 0, NULL, NULL, NULL,
    CASE WHEN n % 20 = 0 THEN '' END, decode(repeat('00', 500), 'hex')
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO sessions SELECT 'digest' || n, 'key', '', '' FROM generate_series(1, 3000) AS n;
INSERT INTO pair_networks SELECT 'key' || n, 'net' FROM generate_series(1, 3000) AS n;
INSERT INTO directory_changes SELECT 'agent', 'agent' || n, n FROM generate_series(1, 5000) AS n;
ANALYZE;
"""


@attrs.frozen(eq=False)
class Planner:
    """Says how PostgreSQL would run a statement in one of our sessions."""

    server: PostgresServer
    database: str

    def plan(self, text: str) -> str:
        """The plan for any parameters: what a prepared statement comes to after a while."""
        count = max((int(number) for number in re.findall(r"\$(\d+)", text)), default=0)
        values = f"({', '.join(['NULL'] * count)})" if count else ""
        return self.server.sql(
            f"{PLANNING} SET plan_cache_mode = force_generic_plan; PREPARE asked AS {text}; "
            f"EXPLAIN (COSTS off) EXECUTE asked {values}",
            self.database,
        )


@contextmanager
def open_planner(server: PostgresServer, fill: str) -> Iterator[Planner]:
    """For a database of its own with our tables, and with what `fill` puts into them."""
    name = server.new_database()
    for step in load_migrations("postgres"):
        server.sql(step.script, name)
    server.sql(fill, name)
    yield Planner(server, name)
    server.drop_database(name)


@pytest.fixture(scope="module", params=[FILL, ""], ids=["large", "new"])
def planner(postgres_server: PostgresServer, request: pytest.FixtureRequest) -> Iterator[Planner]:
    """For a large network that was counted, and for a new one, whose plans are kept while it grows."""
    with open_planner(postgres_server, request.param) as opened:
        yield opened


@pytest.mark.parametrize(
    "text", [*TEXTS.values(), *HISTORIES.values(), *WRITES.values()], ids=[*TEXTS, *HISTORIES, *WRITES]
)
def test_no_statement_reads_a_whole_table(planner: Planner, text: str) -> None:
    plan = planner.plan(text)
    assert not FULL_SCAN.search(plan), plan


@pytest.mark.parametrize(
    "text",
    [
        "SELECT id FROM messages WHERE created_at > $1",
        "SELECT id FROM messages WHERE target_kind = 'room' AND room_id = $1 ORDER BY created_at",
    ],
)
def test_a_statement_without_an_index_would_be_noticed(planner: Planner, text: str) -> None:
    plan = planner.plan(text)
    assert FULL_SCAN.search(plan), plan


@pytest.mark.parametrize(
    ("texts", "index", "place"),
    [
        (statements.SELECT_HISTORY, "messages_by", "seq"),
        (statements.SELECT_ARTIFACTS, "artifacts_by", "place"),
    ],
)
def test_a_page_starts_at_its_cursor(
    planner: Planner, texts: dict[str, statements.HistoryStatements], index: str, place: str
) -> None:
    for kind, history in texts.items():
        older = planner.plan(history.older)
        newer = planner.plan(history.newer)
        assert re.search(rf"Index Scan Backward using {index}_{kind}\b", older), older
        assert re.search(rf"Index Scan using {index}_{kind}\b", newer), newer
        assert re.search(
            rf"Index Cond: \(\(ROW\({kind}_id, {place}\) < ROW\(\$1, \$2\)\) AND \({kind}_id >= \$1\)\)", older
        )
        assert re.search(
            rf"Index Cond: \(\(ROW\({kind}_id, {place}\) > ROW\(\$1, \$2\)\) AND \({kind}_id <= \$1\)\)", newer
        )


def test_ids_are_in_the_order_of_their_bytes_whatever_the_database_thinks(
    planner: Planner,
) -> None:
    found = planner.server.sql(
        "SELECT table_name || '.' || column_name FROM information_schema.columns "
        "WHERE table_schema = 'public' AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C' "
        "AND (column_name LIKE '%id' OR column_name IN ('key', 'digest', 'credential_key')) ORDER BY 1",
        planner.database,
    )
    # Compared with nothing and ordered by nothing.
    assert found.splitlines() == ["agents.actor_uid", "pair_networks.network_id"]
