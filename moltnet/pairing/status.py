"""How one pairing is, as this server knows it (pairing §4): in memory, and told to others only when it changes.

Several servers of one network each keep their own: each knows what it reached from where it stands.
"""

from collections.abc import Callable

import attrs
import orjson
import trio

from moltnet.config.settings import PairingSettings
from moltnet.log import get_logger
from moltnet.pairing.diagnostics import (
    MISSING_PAGINATION,
    NETWORK_FAILED,
    RELAY_FAILED,
    REQUEST_FAILED,
    Status,
    Verdict,
    judge,
)
from moltnet.pairing.limits import REFUSAL_SECONDS, STATUS_SECONDS
from moltnet.protocol.codec import DecodeError, decode
from moltnet.protocol.messages import TargetKind
from moltnet.protocol.network import Network
from moltnet.protocol.pairings import Pairing, PairingDiagnostics
from moltnet.protocol.times import Timestamp, WallClock, format_timestamp, utc_now

log = get_logger("pairing")

_RELAYING = frozenset({Status.CONNECTED, Status.DEGRADED})
_WORDS = frozenset(Status)
_ANY_TIME = Timestamp("")
_REFUSED = Verdict(Status.ERROR, REQUEST_FAILED, RELAY_FAILED)


@attrs.define(eq=False)
class PairingStatus:
    """The status of the pairing that ``settings`` describe.

    ``on_change`` hears of every real change: another status, reason, version or protocol, not another time of the
    check.
    """

    settings: PairingSettings
    own_id: str = ""
    on_change: Callable[[Pairing], None] = lambda _: None
    wall_clock: WallClock = utc_now
    clock: Callable[[], float] = trio.current_time
    status: str = attrs.field(init=False)
    diagnostics: PairingDiagnostics | None = attrs.field(init=False)
    _checked_at: float | None = attrs.field(init=False, default=None)
    _takes_directs: bool = attrs.field(init=False, default=False)
    _refused_at: float | None = attrs.field(init=False, default=None)
    # What the last check found, which stands behind a refusal.
    _found: Verdict = attrs.field(init=False, default=Verdict(Status.UNKNOWN))

    def __attrs_post_init__(self) -> None:
        self.status = self.settings.status if self.settings.enabled else Status.DISABLED
        self.diagnostics = _configured(self.settings)

    @property
    def pairing(self) -> Pairing:
        """What is told of the pairing: never its token."""
        return Pairing(
            id=self.settings.id,
            remote_network_id=self.settings.remote_network_id,
            remote_network_name=self.settings.remote_network_name,
            remote_base_url=self.settings.remote_base_url,
            status=self.status,
            diagnostics=self.diagnostics,
        )

    @property
    def is_off(self) -> bool:
        """Whether nothing is to be sent or asked on our own account: disabled, or a word that only the file knows."""
        return not self.settings.enabled or self.status not in _WORDS or self.status == Status.DISABLED

    @property
    def takes_directs(self) -> bool:
        """Whether the remote takes direct messages, as far as its last answer said."""
        return self._takes_directs

    def may_relay(self, kind: str) -> bool:
        """Whether a message to a target of this kind (``TargetKind``) may be sent, as things stand.

        Ask for a check first if one is due: a pairing that is unknown or in error may not, and neither may one that
        is incompatible. One whose messages were refused may: nothing else tells when they are not any more.
        """
        status = self._found.status if self._is_refused else self.status
        if self.is_off or status not in _RELAYING:
            return False
        return kind != TargetKind.DM or status == Status.CONNECTED or self._takes_directs

    def refresh_due(self, now: float) -> bool:
        """Whether the status is too old to rely on at ``now``, a time of ``clock``. Never for one that is off."""
        if self.is_off:
            return False
        is_unsure = self.status in (Status.UNKNOWN, Status.ERROR) and not self._is_refused
        return is_unsure or self.seconds_left(now) <= 0

    def seconds_left(self, now: float) -> float:
        """How long the last check may still be relied on; negative if it is too old, or if there was none."""
        return -1.0 if self._checked_at is None else self._checked_at + STATUS_SECONDS - now

    def checked(self, network: Network, *, discovery: bool = False) -> Verdict:
        """The remote has answered with its document. ``discovery``: rooms or agents are to be listed next."""
        verdict = judge(network, self.settings.remote_network_id, own_id=self.own_id, discovery=discovery)
        known = self.diagnostics
        if (
            not discovery
            and verdict.status is Status.CONNECTED
            and known is not None
            and known.reason == MISSING_PAGINATION
        ):
            # Only a check that needs cursors can find that they are there now.
            verdict = Verdict(Status.DEGRADED, known.reason, known.message)
        self._takes_directs = network.capabilities.direct_messages
        self._checked_at = self.clock()
        self._found = verdict
        # Whoever may look at the network may still not hand in messages: that shows when one is taken.
        told = _REFUSED if self._is_refused and verdict.status in _RELAYING else verdict
        self._become(
            told.status,
            PairingDiagnostics(
                checked_at=format_timestamp(self.wall_clock()),
                remote_protocols=network.protocols,
                remote_version=network.version,
                remote_network_id=network.id,
                reason=told.reason,
                message=told.message,
            ),
        )
        return verdict

    def succeeded(self) -> None:
        """A message was taken: what was unknown or in error is connected. What a check has found out stays."""
        if self.is_off or self.status not in (Status.UNKNOWN, Status.ERROR):
            return
        found = self._found if self._is_refused else Verdict(Status.CONNECTED)
        self._refused_at = None
        known = self.diagnostics
        self._become(
            found.status,
            None if known is None else attrs.evolve(known, reason=found.reason, message=found.message),
        )

    def refused(self, reason: str) -> None:
        """The remote answered, and takes no message from us: our token is not good, or it is out of order.

        Until it takes one, a check that passes does not say otherwise, or the status would go back and forth.
        """
        self.failed(reason)
        self._refused_at = self.clock()

    def failed(self, reason: str, *, message: str = RELAY_FAILED) -> None:
        """A call failed. ``reason`` is for the log; ``message`` is what others are told: one of ``diagnostics``."""
        self._refused_at = None
        if not self.settings.enabled:
            return
        if self.status != Status.ERROR:
            log.warning("paired network not reached", pairing=self.settings.id, what=message, reason=reason)
        at = format_timestamp(self.wall_clock())
        known = self.diagnostics or PairingDiagnostics(at)
        self._become(Status.ERROR, attrs.evolve(known, checked_at=at, reason=REQUEST_FAILED, message=message))

    @property
    def _is_refused(self) -> bool:
        """Not for ever: of several servers, another one may be the one that relays by now."""
        return self._refused_at is not None and self.clock() - self._refused_at < REFUSAL_SECONDS

    def check_failed(self, reason: str) -> None:
        """The remote did not answer with its document."""
        self.failed(reason, message=NETWORK_FAILED)

    def _become(self, status: Status, diagnostics: PairingDiagnostics | None) -> None:
        before, self.status, self.diagnostics = (self.status, self.diagnostics), status, diagnostics
        if not self.settings.enabled:
            self.status = Status.DISABLED
        if (before[0], _lasting(before[1])) == (self.status, _lasting(diagnostics)):
            return
        if before[0] != self.status:
            log.info("pairing changed", pairing=self.settings.id, status=self.status, was=before[0])
        self.on_change(self.pairing)


def _lasting(diagnostics: PairingDiagnostics | None) -> PairingDiagnostics | None:
    return None if diagnostics is None else attrs.evolve(diagnostics, checked_at=_ANY_TIME)


def _configured(settings: PairingSettings) -> PairingDiagnostics | None:
    """Diagnostics that the file starts with; those that are none are no reason not to start."""
    if settings.diagnostics is None:
        return None
    try:
        return decode(orjson.dumps(dict(settings.diagnostics)), PairingDiagnostics)
    except (DecodeError, TypeError):
        return None
