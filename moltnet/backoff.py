"""How long to wait before the next try: delays that double, with jitter, up to a cap.

Only numbers live here. Who sleeps, how often, and what resets the delays is the caller's business: a fresh iterator
starts over.
"""

import random
from collections.abc import Iterator

JITTER = 0.2
"""Share by which a delay may differ from its nominal value: enough to spread clients that lost the same server."""


def backoff_delays(*, base_seconds: float, cap_seconds: float, rng: random.Random | None = None) -> Iterator[float]:
    """Delays in seconds, without end: nominally `base_seconds`, then double each time until `cap_seconds`.

    Each is drawn evenly from the nominal value ± 20 %, cut to the range from base to cap. The range is cut before the
    draw, so that neither the first delay nor the capped ones pile up on one value. `rng` makes them repeatable.

    Raises:
        ValueError: unless 0 < base_seconds <= cap_seconds < infinity.
    """
    if not 0 < base_seconds <= cap_seconds < float("inf"):
        raise ValueError(f"need 0 < base_seconds <= cap_seconds, got {base_seconds} and {cap_seconds}")
    return _delays(base_seconds, cap_seconds, rng if rng is not None else random.Random())


def _delays(base_seconds: float, cap_seconds: float, rng: random.Random) -> Iterator[float]:
    nominal_seconds = base_seconds
    while True:
        shortest = max(base_seconds, nominal_seconds * (1 - JITTER))
        longest = min(cap_seconds, nominal_seconds * (1 + JITTER))
        # uniform() may round past its upper end.
        yield min(longest, rng.uniform(shortest, longest))
        nominal_seconds = min(cap_seconds, nominal_seconds * 2)
