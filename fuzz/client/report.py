"""What was tried, what the server did, and what of it breaks a promise: as text for people, as JSON for programs."""

import base64
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import attrs
import orjson

MAX_VIOLATIONS: Final = 20
"""Of one probe that are kept; the rest are counted."""
MAX_SHOWN_BYTES: Final = 2048


@attrs.frozen
class Violation:
    """One promise that was broken. ``sent`` are the first bytes of what led to it."""

    probe: str
    case: str
    what: str
    sent: bytes = b""

    def as_json(self) -> dict[str, str]:
        sent = base64.b64encode(self.sent[:MAX_SHOWN_BYTES]).decode()
        return {"probe": self.probe, "case": self.case, "what": self.what, "sent_base64": sent}


@attrs.define(eq=False)
class Tried:
    """One probe: the promise, how often it was held to it, and what came back."""

    name: str
    promise: str
    cases: int = 0
    outcomes: Counter[str] = attrs.field(factory=Counter)
    violations: list[Violation] = attrs.field(factory=list)
    violated: int = 0
    skipped: str = ""


@attrs.define(eq=False)
class Report:
    """Of one run against ``url``, with random numbers from ``seed``."""

    url: str
    seed: int
    probes: dict[str, Tried] = attrs.field(factory=dict)
    rounds: int = 0
    seconds: float = 0.0
    connections: int = 0

    @property
    def violated(self) -> int:
        return sum(tried.violated for tried in self.probes.values())

    @property
    def cases(self) -> int:
        return sum(tried.cases for tried in self.probes.values())

    def as_json(self) -> bytes:
        document: dict[str, Any] = {
            "url": self.url,
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "rounds": self.rounds,
            "connections": self.connections,
            "cases": self.cases,
            "violations": self.violated,
            "probes": [
                {
                    "name": tried.name,
                    "promise": tried.promise,
                    "cases": tried.cases,
                    "outcomes": dict(tried.outcomes.most_common()),
                    "violated": tried.violated,
                    "violations": [each.as_json() for each in tried.violations],
                    **({"skipped": tried.skipped} if tried.skipped else {}),
                }
                for tried in self.probes.values()
            ],
        }
        return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"

    def lines(self) -> Iterator[str]:
        yield f"{self.url}: {self.cases} cases, {self.connections} connections, {self.rounds} rounds, seed {self.seed}"
        for tried in self.probes.values():
            if tried.skipped and not tried.cases:
                yield f"  -  {tried.name}: left out, {tried.skipped}"
                continue
            mark = "!!" if tried.violated else "ok"
            came = ", ".join(f"{outcome} x{count}" for outcome, count in tried.outcomes.most_common(6))
            yield f"  {mark} {tried.name}: {tried.cases} cases: {came}"
            for violation in tried.violations:
                yield f"       {violation.case}: {violation.what}"
            if tried.violated > len(tried.violations):
                yield f"       and {tried.violated - len(tried.violations)} more"
        yield f"{self.violated} violations" if self.violated else "no promise was broken"
