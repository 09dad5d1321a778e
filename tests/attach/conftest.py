"""PostgreSQL for the tests that try every kind of store."""

from tests.fakes.postgres import postgres_dsn, postgres_server

__all__ = ["postgres_dsn", "postgres_server"]
