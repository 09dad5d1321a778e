"""Where the database is and how to get in: the DSN, read as users of libpq expect, and shown without its password.

What the parameters mean to a connection is asyncpg's business; which of them we take is decided here.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlencode, urlsplit

import attrs

from moltnet.config.secrets import Secret
from moltnet.storage.limits import POSTGRES_CONNECT_SECONDS
from moltnet.storage.store import StorageError

_SCHEMES: Final = ("postgres", "postgresql")
# Passed on: the driver or the server knows what to do with them.
_TAKEN: Final = frozenset(
    {
        "host",
        "port",
        "user",
        "password",
        "passfile",
        "dbname",
        "sslmode",
        "sslrootcert",
        "sslcert",
        "sslkey",
        "sslpassword",
        "sslcrl",
        "sslnegotiation",
        "ssl_min_protocol_version",
        "ssl_max_protocol_version",
        "target_session_attrs",
        "application_name",
        "options",
        "search_path",
    }
)
_FILES: Final = frozenset({"sslrootcert", "sslcert", "sslkey", "sslcrl"})
# Left out: what they ask for is so anyway, or is a matter of taste. `require` asks for a promise that we can't keep.
_NEEDLESS: Final = frozenset(
    {
        "channel_binding",
        "client_encoding",
        "fallback_application_name",
        "gssencmode",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "sslcompression",
        "sslsni",
        "tcp_user_timeout",
    }
)
_HOST: Final = r"(?:\[[0-9a-fA-F:.]+\]|[^:,\[\]@]*)(?::\d{1,5})?"
_HOSTS: Final = re.compile(rf"{_HOST}(?:,{_HOST})*")
_CONNECT_TIMEOUT: Final = "connect_timeout"
_APPLICATION_NAME: Final = "moltnet"


@attrs.frozen
class Dsn:
    """A DSN that can be used. ``address`` is what may be shown of it: hosts, ports and the database."""

    url: Secret
    address: str
    connect_seconds: float = POSTGRES_CONNECT_SECONDS
    _hidden: tuple[str, ...] = attrs.field(default=(), repr=False)

    def without_secrets(self, text: str) -> str:
        """A text of the driver's or the server's, with passwords taken out in whatever spelling they are in it."""
        for secret in self._hidden:
            text = text.replace(secret, "…")
        return text


def parse_dsn(dsn: Secret | str) -> Dsn:
    """Raises ``StorageError`` that says what is wrong and holds no password."""
    text = (dsn.reveal() if isinstance(dsn, Secret) else dsn).strip()
    # Nothing of the original errors is shown: they quote what they can't read, and that may be the password.
    try:
        parts = urlsplit(text)
        asked = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        raise StorageError("the PostgreSQL DSN is not a URL: postgres://user:password@host:port/database") from None
    if parts.scheme not in _SCHEMES:
        raise StorageError("the PostgreSQL DSN must start with postgres:// or postgresql://")
    if parts.netloc.count("@") > 1 or not _HOSTS.fullmatch(parts.netloc.rpartition("@")[2]):
        # A password that ends too early would be taken for a host or a port, and be shown as one.
        raise StorageError(
            "the PostgreSQL DSN is not understood after the password: in user and password write @ as %40, / as %2F, "
            "? as %3F, # as %23 and % as %25; ports are numbers"
        )
    taken, connect_seconds = _parameters(asked)
    return Dsn(
        url=Secret(parts._replace(query=urlencode(taken)).geturl()),
        address=_address(parts, taken),
        connect_seconds=connect_seconds,
        hidden=_secrets_in(parts, asked),
    )


def _parameters(asked: Mapping[str, str]) -> tuple[dict[str, str], float]:
    taken, connect_seconds = {"application_name": _APPLICATION_NAME}, POSTGRES_CONNECT_SECONDS
    for name, value in asked.items():
        if name == _CONNECT_TIMEOUT:
            connect_seconds = _seconds(value)
        elif name in _TAKEN:
            if name in _FILES and not Path(value).is_file():
                # The driver would say it as the system does, and the server would seem to be away.
                raise StorageError(f"{name} in the PostgreSQL DSN names no file: {value}")
            taken[name] = value
        elif name not in _NEEDLESS or value == "require":
            what = f"{name}=require" if name in _NEEDLESS else _shown_name(name)
            raise StorageError(f"the PostgreSQL DSN asks for {what}, which this version does not support: take it out")
    return taken, connect_seconds


def _seconds(text: str) -> float:
    try:
        seconds = int(text)
    except ValueError:
        raise StorageError("connect_timeout in the PostgreSQL DSN must be a number of seconds") from None
    # 0 means "for ever" to libpq; nothing here waits for ever.
    return float(seconds) if seconds > 0 else POSTGRES_CONNECT_SECONDS


def _shown_name(name: str) -> str:
    return f'"{name}"' if re.fullmatch(r"\w{1,40}", name) else "a parameter with a strange name"


def _address(parts: SplitResult, parameters: Mapping[str, str]) -> str:
    hosts = parameters.get("host") or unquote(parts.netloc.rpartition("@")[2]) or "the local server"
    port = parameters.get("port")
    database = parameters.get("dbname") or unquote(parts.path.removeprefix("/"))
    where = f"{hosts}:{port}" if port else hosts
    return f"{where}/{database}" if database else where


def _secrets_in(parts: SplitResult, asked: Mapping[str, str]) -> tuple[str, ...]:
    user = parts.netloc.rpartition("@")[0]
    written = [user.partition(":")[2], asked.get("password", ""), asked.get("sslpassword", "")]
    spellings = {spelling for each in written for spelling in (each, unquote(each)) if spelling}
    # The longest first, so that no piece of one is left.
    return tuple(sorted(spellings, key=len, reverse=True))
