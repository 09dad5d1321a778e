"""How a connection to the server ends, split by what can be done about it.

Failures of turns are in `bridge.runtimes.runtime`.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class ConnectionLost(Exception):
    """The connection ended or could not be made, in a way that passes: connect again, later.

    ``retry_after_seconds`` is how long the server wants us to wait at least; 0 if it did not say.
    """

    def __init__(self, reason: str, *, retry_after_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class AttachRefused(Exception):
    """The server will not have this attachment; someone has to change something.

    Not `certain`: the same refusal also has causes that pass within `limits.REFUSAL_PATIENCE_SECONDS`.
    """

    def __init__(self, reason: str, *, certain: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.certain = certain


class Incompatible(AttachRefused):
    """It is another network than the configured one, or a server that we cannot work with."""


class StateInUse(Exception):
    """Another process runs this attachment: its state directory is locked. `pid` is 0 if it is not known."""

    def __init__(self, agent_id: str, pid: int = 0) -> None:
        super().__init__(agent_id, pid)
        self.agent_id = agent_id
        self.pid = pid

    def __str__(self) -> str:
        return f"another node{f' (pid {self.pid})' if self.pid else ''} already runs {self.agent_id}; stop it"


@contextmanager
def single_error() -> Iterator[None]:
    """Around nurseries in a context manager of ours: an exception that is alone in its groups leaves them.

    A nursery puts the exception of the block that we yield to into a group, and nobody outside expects one. Several
    exceptions stay a group, so that a bug is never hidden.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
            error = error.exceptions[0]
        raise error from error.__cause__
