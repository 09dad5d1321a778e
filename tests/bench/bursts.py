"""A burst of messages to many readers: a few clients post in a closed loop, until every reader has all of them."""

from typing import Final

from tests.bench.measurement import Load
from tests.bench.processes import Generator
from tests.bench.servers import Target

POSTERS: Final = 8
TRIAL_MESSAGES: Final = 24
MAX_MESSAGES: Final = 4000


async def burst(callers: Generator, readers: Generator, target: Target, seconds: float) -> Load:
    """A burst that takes about so long, going by a short one before it. What it counts are deliveries."""
    trial = await _burst(callers, readers, target, TRIAL_MESSAGES)
    messages = int(TRIAL_MESSAGES * seconds / trial.seconds)
    return await _burst(callers, readers, target, min(max(messages, TRIAL_MESSAGES), MAX_MESSAGES))


async def _burst(callers: Generator, readers: Generator, target: Target, messages: int) -> Load:
    before = target.cpu_seconds()
    posted = await callers.ask("call", **target.address, request=target.post, clients=POSTERS, amount=messages)
    # They have been reading all the time.
    read = await readers.ask("expect", messages=messages)
    cpu_seconds = target.cpu_seconds() - before
    return Load(
        read["amount"],
        (read["ended_ns"] - posted["started_ns"]) / 1e9,
        tuple(read["latencies_ms"]),
        cpu_seconds,
        posted["cpu_seconds"] + read["cpu_seconds"],
    )
