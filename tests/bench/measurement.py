"""What a benchmark finds: loads, turn by turn, and figures made of them."""

import math
from collections.abc import Callable, Sequence
from statistics import median, quantiles

import attrs


@attrs.frozen
class Load:
    """What load generators did to a server in one turn, and what it took.

    ``amount`` things were done in ``seconds``. Of very many latencies a part at equal distances is enough. CPU seconds
    and memory that can't be read are not a number. ``load_cpu_seconds`` is the generators'; ``kib_each`` the memory
    that one thing takes in the server.
    """

    amount: int
    seconds: float
    latencies_ms: Sequence[float] = ()
    server_cpu_seconds: float = math.nan
    load_cpu_seconds: float = math.nan
    kib_each: float = math.nan

    @property
    def per_second(self) -> float:
        return self.amount / self.seconds

    @property
    def server_us(self) -> float:
        """The server's CPU time for one thing: what a busy machine changes least."""
        return self.server_cpu_seconds / self.amount * 1e6

    @property
    def load_share(self) -> float:
        """How much of one core the generators used: near 1 they were the limit, not the server."""
        return self.load_cpu_seconds / self.seconds

    def latency_ms(self, percent: int) -> float:
        if not self.latencies_ms:
            return math.nan
        # One latency is its own median and worst.
        return quantiles([*self.latencies_ms, *self.latencies_ms], n=100, method="inclusive")[percent - 1]


@attrs.frozen
class Spread:
    """A median, and the least and the greatest of the same."""

    middle: float
    least: float
    most: float

    def __str__(self) -> str:
        return f"{_short(self.middle)} ({_short(self.least)}–{_short(self.most)})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def spread(values: Sequence[float]) -> Spread | None:
    """Nothing of no values."""
    known = [value for value in values if not math.isnan(value)]
    return Spread(median(known), min(known), max(known)) if known else None


@attrs.frozen
class Figure:
    """What one server did in all turns of one case. ``failure`` says why there are none, or fewer."""

    case: str
    server: str
    unit: str
    turns: Sequence[Load]
    failure: str = ""

    def middle(self, of: Callable[[Load], float]) -> float:
        """The median of a quantity over the turns; not a number if it was not measured."""
        found = spread([of(load) for load in self.turns])
        return math.nan if found is None else found.middle

    @property
    def per_second(self) -> float:
        return self.middle(lambda load: load.per_second)

    def ratio(self, other: "Figure", of: Callable[[Load], float]) -> Spread | None:
        """By the other's, turn by turn: what the machine did meanwhile, it did to both."""
        pairs = zip(self.turns, other.turns, strict=False)
        return spread([of(mine) / of(theirs) for mine, theirs in pairs if of(theirs)])
