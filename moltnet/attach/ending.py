"""How one attachment ends: what its peer is told last, how it is closed, what the reports say (attach protocol §8).

What ended it is an exception; here each becomes an ``Ending``, once. When a seat or a credential ends is decided
elsewhere.
"""

import attrs

from moltnet.attach.link import CloseCode, LinkClosed
from moltnet.broker import StreamEnded
from moltnet.core.errors import Conflict, RateLimited, Refused
from moltnet.journal import JournalClosed
from moltnet.log import get_logger
from moltnet.protocol.errors import ErrorCode, ProtocolViolation
from moltnet.storage.store import StorageError

log = get_logger("attach")


class PeerFailed(Exception):
    """The peer said ERROR."""


@attrs.define(eq=False)
class Ending:
    """How an attachment ends: the ERROR text and close frame that the peer gets, and what reports say of it.

    What ended it first counts. ``code`` is ``None`` when the peer closed first. ``cause`` says more than ``label``
    of one that did not become ready.
    """

    answer: str = ""
    code: CloseCode | None = CloseCode.RESTART
    reason: str = ""
    label: str = "request_context_done"
    error: str = ""
    cause: str = ""
    was_ready: bool = False
    _decided: bool = attrs.field(default=False, init=False)

    def set(self, label: str, *, code: CloseCode | None, reason: str = "", answer: str = "", error: str = "") -> None:
        if self._decided:
            return
        self._decided = True
        self.label, self.code, self.reason, self.answer = label, code, reason or answer, answer
        self.error = error or answer

    @property
    def is_decided(self) -> bool:
        return self._decided

    @property
    def is_failure(self) -> bool:
        """Whether what was not ACKed has failed. After a goodbye of either side it has only not happened yet."""
        return self.label in ("read_error", "client_error")

    def watched(self) -> "_Watch":
        return _Watch(self)


@attrs.frozen
class _Watch:
    """Turns what ends an attachment into its ``Ending``. Bugs pass, after the peer was told to try again."""

    ending: Ending

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        match error:
            case None:
                return True
            case ProtocolViolation():
                self.ending.set("read_error", code=_close_code(error.close_code), answer=error.answer)
            case LinkClosed():
                label = {1000: "client_closed", 1001: "client_going_away"}.get(error.code, "read_error")
                self.ending.set(label, code=None, error=str(error))
            case PeerFailed():
                self.ending.set("client_error", code=CloseCode.RESTART, error=f"client error: {error}")
            case RateLimited() | Conflict(code=ErrorCode.AGENT_ATTACHED_ELSEWHERE):
                self.ending.cause = error.code
                self.ending.set("refused", code=CloseCode.TRY_LATER, answer=error.message)
            case Refused():
                self.ending.cause = error.code
                self.ending.set("refused", code=CloseCode.POLICY, answer=error.message)
            case StreamEnded():
                self.ending.set("request_context_done", code=CloseCode.RESTART, reason="the server is restarting")
            case StorageError() | JournalClosed():
                self.ending.set("event_stream_closed", code=CloseCode.TRY_LATER, reason="storage is unavailable")
            case Exception():
                log.error("attachment crashed", exc_info=error)
                self.ending.set("event_stream_closed", code=CloseCode.TRY_LATER, reason="internal error")
            case _:
                return False
        return True


def _close_code(code: int) -> CloseCode:
    return CloseCode.TOO_BIG if code == CloseCode.TOO_BIG else CloseCode.POLICY
