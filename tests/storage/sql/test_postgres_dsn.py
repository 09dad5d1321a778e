"""The DSN: what is taken of it, what is refused, and that no password is shown."""

import re
from pathlib import Path
from urllib.parse import quote

import pytest

from moltnet.config.secrets import Secret
from moltnet.storage.limits import POSTGRES_CONNECT_SECONDS
from moltnet.storage.sql.postgres.dsn import parse_dsn
from moltnet.storage.store import StorageError

PASSWORD = "Pa55-hunter2"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (f"postgres://moltnet:{PASSWORD}@db.example:5433/network", "db.example:5433/network"),
        (f"postgresql://moltnet:{PASSWORD}@db.example/network", "db.example/network"),
        (f"postgres://moltnet:{PASSWORD}@one:1,two:2/network?target_session_attrs=read-write", "one:1,two:2/network"),
        (f"postgres://moltnet:{PASSWORD}@[::1]:5432/network", "[::1]:5432/network"),
        (f"postgres:///network?host=/run/pg&port=5444&user=u&password={PASSWORD}", "/run/pg:5444/network"),
        ("postgres://%2Frun%2Fpg/network", "/run/pg/network"),
        ("postgres:///?dbname=network", "the local server/network"),
        ("postgres://", "the local server"),
    ],
)
def test_an_address_is_shown_without_user_and_password(text: str, address: str) -> None:
    dsn = parse_dsn(Secret(f" {text} "))
    assert dsn.address == address
    assert PASSWORD not in repr(dsn)


def test_what_the_driver_or_the_server_understands_is_passed_on(tmp_path: Path) -> None:
    certificate = tmp_path / "ca.pem"
    certificate.touch()
    asked = f"sslmode=verify-full&sslrootcert={quote(str(certificate), safe='')}&options=-c+geqo%3Doff&search_path=chat"
    url = parse_dsn(f"postgres://u@h/d?{asked}").url.reveal()
    assert url == f"postgres://u@h/d?application_name=moltnet&{asked}"
    assert "application_name=mine" in parse_dsn("postgres://u@h/d?application_name=mine").url.reveal()


def test_what_makes_no_difference_here_is_left_out() -> None:
    url = parse_dsn("postgres://u@h/d?keepalives_idle=10&gssencmode=prefer&channel_binding=prefer").url.reveal()
    assert url == "postgres://u@h/d?application_name=moltnet"


@pytest.mark.parametrize(("asked", "seconds"), [("3", 3.0), ("0", POSTGRES_CONNECT_SECONDS)])
def test_the_time_to_connect_can_be_chosen(asked: str, seconds: float) -> None:
    dsn = parse_dsn(f"postgres://u@h/d?connect_timeout={asked}")
    assert dsn.connect_seconds == seconds
    assert "connect_timeout" not in dsn.url.reveal()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "must start with postgres://"),
        (f"mysql://u:{PASSWORD}@h/d", "must start with postgres://"),
        (f"host=db user=u password={PASSWORD}", "must start with postgres://"),
        (f"postgres://u:{PASSWORD}@more@h/d", "write @ as %40"),
        (f"postgres://u:{PASSWORD}/more@h/d", "write @ as %40"),
        (f"postgres://u:{PASSWORD}#more@h/d", "write @ as %40"),
        (f"postgres://[u:{PASSWORD}@h/d", "is not a URL"),
        (f"postgres://u:{PASSWORD}@h:port/d", "ports are numbers"),
        (f"postgres://u:{PASSWORD}@h/d?sslmode", "is not a URL"),
        (f"postgres://u:{PASSWORD}@h/d?service=chat", 'asks for "service", which this version does not support'),
        (f"postgres://u:{PASSWORD}@h/d?{PASSWORD}=1", "a parameter with a strange name"),
        (f"postgres://u:{PASSWORD}@h/d?channel_binding=require", "asks for channel_binding=require"),
        (f"postgres://u:{PASSWORD}@h/d?sslrootcert=/no/where.pem", "sslrootcert in the PostgreSQL DSN names no file"),
        (f"postgres://u:{PASSWORD}@h/d?connect_timeout=soon", "must be a number of seconds"),
    ],
)
def test_a_dsn_that_can_not_be_used_is_refused_without_showing_it(text: str, reason: str) -> None:
    with pytest.raises(StorageError, match=re.escape(reason)) as refused:
        parse_dsn(text)
    assert PASSWORD not in str(refused.value)
    assert refused.value.__cause__ is None


def test_passwords_are_taken_out_of_what_others_say() -> None:
    dsn = parse_dsn("postgres://u:p%40ss%2Fword@h/d?sslpassword=second")
    said = dsn.without_secrets("bad: p@ss/word, p%40ss%2Fword and second")
    assert said == "bad: …, … and …"
