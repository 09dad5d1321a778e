"""One run: every probe once, then again with other random numbers while there is time.

After each the server is looked at. Probes that mostly wait run beside each other, at the end of a round.
"""

import random
from collections.abc import Sequence
from functools import partial
from typing import Final

import trio

from fuzz.client.api_probes import API_PROBES
from fuzz.client.attach_probes import ATTACH_PROBES
from fuzz.client.http_probes import HTTP_PROBES
from fuzz.client.probing import CRASHES, Look, Options, Probe, look_at
from fuzz.client.report import Report
from fuzz.client.stream_probes import STREAM_PROBES
from fuzz.client.wire import Answered, Wire

PROBES: Final = (*HTTP_PROBES, *API_PROBES, *STREAM_PROBES, *ATTACH_PROBES)
TRIES: Final = 3
"""A server that limits how many may connect may have to forget us first."""
_BETWEEN_TRIES_SECONDS: Final = 1.0


class Unreachable(Exception):
    """Nothing answers there, so there is nothing to try."""


async def run(
    url: str, wire: Wire, options: Options, probes: Sequence[Probe], seed: int, seconds: float, rounds: int = 0
) -> Report:
    """Raises ``Unreachable`` if the server does not answer before anything was tried."""
    report = Report(url, seed)
    if not await _answers(wire, options):
        raise Unreachable("no answer to GET /v1/network")
    began = trio.current_time()
    with trio.move_on_after(seconds):
        while not rounds or report.rounds < rounds:
            await _round(report, wire, options, probes, random.Random(f"{seed}/{report.rounds}"))
            report.rounds += 1
    report.seconds = trio.current_time() - began
    report.connections = wire.opened
    last = look_at(report, Probe("afterwards", "The server is still there.", _nothing), wire, options, random.Random(0))
    await _look_at_server(last, "the whole run")
    return report


async def _round(report: Report, wire: Wire, options: Options, probes: Sequence[Probe], rng: random.Random) -> None:
    quick = [probe for probe in probes if not probe.is_slow]
    if report.rounds:
        rng.shuffle(quick)
    for probe in quick:
        look = look_at(report, probe, wire, options, rng)
        await _guarded(look, probe)
        await _look_at_server(look, probe.name)
    async with trio.open_nursery() as nursery:
        for probe in probes:
            if probe.is_slow:
                look = look_at(report, probe, wire, options, random.Random(rng.random()))
                nursery.start_soon(partial(_guarded, look, probe))
    for probe in probes:
        if probe.is_slow:
            await _look_at_server(look_at(report, probe, wire, options, rng), probe.name)


async def _guarded(look: Look, probe: Probe) -> None:
    try:
        await probe.run(look)
    except (OSError, trio.BrokenResourceError) as error:
        # Refused or cut where a connection was wanted; whether the server is gone is looked at next.
        look.saw(f"no connection ({type(error).__name__})")


async def _look_at_server(look: Look, after: str) -> None:
    if not await _answers(look.wire, look.options):
        look.violates(f"after {after}", "the server does not answer any more")


async def _answers(wire: Wire, options: Options) -> bool:
    raw = wire.request("GET", "/v1/network", token=options.token)
    for _ in range(TRIES):
        outcome = await wire.exchange(raw, options.patience_seconds)
        if isinstance(outcome, Answered) and outcome.status not in CRASHES:
            return True
        await trio.sleep(_BETWEEN_TRIES_SECONDS)
    return False


async def _nothing(look: Look) -> None:
    """What comes after everything is looked at by itself."""
