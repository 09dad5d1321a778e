"""A private PostgreSQL server, for the tests that run the API on every store."""

from tests.fakes.postgres import postgres_dsn, postgres_server

__all__ = ["postgres_dsn", "postgres_server"]
