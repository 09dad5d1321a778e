"""What a probe works with: the wire, who it is, random numbers, and where it tells what it saw."""

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import attrs

from fuzz.client.report import MAX_VIOLATIONS, Report, Tried, Violation
from fuzz.client.wire import Answered, Garbled, Outcome, Silent, Wire

MAX_BODY_BYTES: Final = 1024 * 1024
"""What the protocol lets a request have."""
CRASHES: Final = frozenset({500, 502, 504})
"""A server that can't, or may not now, says 501, 503, 505 or 507; these say that something went wrong inside."""


@attrs.frozen
class Options:
    """How a run goes. Without a ``room`` nothing is sent into one; without an ``agent`` nobody attaches."""

    token: str = attrs.field(default="", repr=False)
    room: str = ""
    agent: str = ""
    sender: str = ""
    patience_seconds: float = 10.0
    slow_seconds: float = 30.0


@attrs.define(eq=False)
class Look:
    """One probe at work."""

    wire: Wire
    options: Options
    rng: random.Random
    tried: Tried

    def saw(self, outcome: object) -> None:
        self.tried.cases += 1
        self.tried.outcomes[str(outcome)] += 1

    def violates(self, case: str, what: str, sent: bytes = b"") -> None:
        self.tried.violated += 1
        if len(self.tried.violations) < MAX_VIOLATIONS:
            self.tried.violations.append(Violation(self.tried.name, case, what, sent))

    def skip(self, reason: str) -> None:
        self.tried.skipped = reason

    async def ask(self, case: str, raw: bytes, *, may_wait: bool = False) -> Outcome:
        """Send bytes; note what came, and what no server may do: crash, answer no HTTP, or leave us without an end."""
        outcome = await self.wire.exchange(raw, self.options.patience_seconds)
        self.note(case, outcome, raw, may_wait=may_wait)
        return outcome

    def note(self, case: str, outcome: Outcome, raw: bytes, *, may_wait: bool = False) -> None:
        self.saw(outcome)
        match outcome:
            case Answered(status=status) if status in CRASHES:
                self.violates(case, f"answered {outcome}", raw)
            case Silent() if not may_wait:
                self.violates(case, f"neither an answer nor an end within {outcome.seconds:g} s", raw)
            case Garbled():
                self.violates(case, f"answered with no HTTP: {outcome.text}", raw)
            case Answered() if self._shows_token(outcome, raw):
                self.violates(case, "the answer holds the token", raw)

    def _shows_token(self, outcome: Answered, raw: bytes) -> bool:
        token = self.options.token
        # What we put elsewhere than into its own header may be said back.
        held = raw.replace(f"Bearer {token}".encode(), b"")
        shown = outcome.body.decode("latin-1") + "\n".join(outcome.headers.values())
        return bool(token) and token in shown and token.encode() not in held

    async def call(
        self, case: str, method: str, path: str, body: bytes | None = None, *, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """A proper request, with our token."""
        raw = self.wire.request(method, path, body, token=self.options.token, headers=headers)
        return await self.ask(case, raw)


@attrs.frozen
class Probe:
    """``run`` tries everything once, in an order and with values of its random numbers."""

    name: str
    promise: str
    run: Callable[[Look], Awaitable[None]]
    is_slow: bool = False
    """It mostly waits, and runs beside others that do."""


def look_at(report: Report, probe: Probe, wire: Wire, options: Options, rng: random.Random) -> Look:
    """The look of one probe; what it tells is added to what it told before."""
    tried = report.probes.setdefault(probe.name, Tried(probe.name, probe.promise))
    return Look(wire, options, rng, tried)
