"""What PostgreSQL and its driver complain of, in our words: which failure it is, and what an operator can do about it.

A violated constraint and a value that does not fit are bugs of ours and stay what they are.
"""

import ssl
from typing import Final

import asyncpg  # type: ignore[import-untyped]  # ships no types

from moltnet.storage.sql.postgres.dsn import Dsn
from moltnet.storage.store import StorageError, StorageFull

_ADVICE_ON_DSN: Final = "in storage.postgres.dsn or MOLTNET_POSTGRES_DSN"


class ConnectionLost(StorageError):
    """The server is away, or is not there yet. What was going on is not known, and trying again may help."""


class Collision(StorageError):
    """Two transactions were in each other's way. Nothing was written, and trying again helps."""


_LOST: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
# The last one says that a newer server has changed a table under a statement; the next try prepares it again.
_COLLISIONS: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.InvalidCachedStatementError)
_NO_ROOM: Final = (asyncpg.DiskFullError, asyncpg.ReadOnlySQLTransactionError)
# A value that is too long for an index is one that does not fit, too: it must not fail what waits in the same batch.
_BUGS: Final = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
)


def is_useless_after(error: BaseException) -> bool:
    """Whether a connection is of no use any more: lost, or to a server that has become a standby."""
    return isinstance(error, (*_LOST, asyncpg.ReadOnlySQLTransactionError))


def translated(error: Exception, dsn: Dsn) -> Exception:
    """The error to raise in place of ``error``: ours if it is a failure of the storage, else itself."""
    if isinstance(error, (StorageError, *_BUGS)) or not is_of_the_database(error):
        return error
    reason = _reason(error, dsn)
    where = f"PostgreSQL at {dsn.address}"
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            return StorageError(f"{where} refused to let us in: {reason}; check user and password {_ADVICE_ON_DSN}")
        case asyncpg.InvalidCatalogNameError():
            return StorageError(f"{where}: {reason}; create it (CREATE DATABASE), or name another one {_ADVICE_ON_DSN}")
        case asyncpg.InsufficientPrivilegeError():
            return StorageFull(
                f"{where} does not allow it: {reason}; the user {_ADVICE_ON_DSN} needs USAGE and CREATE on the schema, "
                "and must own the tables or have SELECT, INSERT, UPDATE and DELETE on them"
            )
        case asyncpg.ClientConfigurationError():
            return StorageError(f"{where} can't be connected to: {reason}; check the parameters {_ADVICE_ON_DSN}")
        case ssl.SSLCertVerificationError():
            return StorageError(f"{where} showed a certificate that is not trusted: {reason}; see sslmode, sslrootcert")
        case asyncpg.TooManyConnectionsError():
            return ConnectionLost(f"{where} takes no more connections: {reason}; see max_connections there")
        case _ if isinstance(error, _NO_ROOM):
            return StorageFull(f"{where} can't be written to: {reason}")
        case _ if isinstance(error, _COLLISIONS):
            return Collision(f"{where}: {reason}")
        case _ if isinstance(error, _LOST):
            return ConnectionLost(f"{where} is away: {reason}")
        case _:
            return StorageError(f"{where} failed: {reason}")


def unreachable(error: ConnectionLost, dsn: Dsn) -> StorageError:
    """What is said of a database that could not be reached even once."""
    if isinstance(error.__cause__, OSError):
        return StorageError(f"{error}; is it running, and are host and port right {_ADVICE_ON_DSN}?")
    return StorageError(str(error))


def is_of_the_database(error: Exception) -> bool:
    """Whether the database, the way to it, or the driver complains: all else is a mistake of ours."""
    return isinstance(error, (asyncpg.PostgresError, *_LOST))


def _reason(error: Exception, dsn: Dsn) -> str:
    # A text without words (a timeout's, an end of file's) is named by its class.
    text = " ".join(str(error).split()) or type(error).__name__
    return dsn.without_secrets(text)
