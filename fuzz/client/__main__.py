"""The command line of the fuzzer: ``python -m fuzz.client --url URL``. See docs/fuzzing.md."""

import argparse
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from fuzz.client.probing import Options
from fuzz.client.run import PROBES, Unreachable, run
from fuzz.client.wire import BadTarget, Place, Wire

DEFAULT_SECONDS: Final = 60.0
DEFAULT_RATE: Final = 50.0
MOST_RATE: Final = 1000.0
DEFAULT_CONNECTIONS: Final = 16
MOST_CONNECTIONS: Final = 256
FEWEST_CONNECTIONS: Final = 4
"""Some probes hold one and ask over another."""
CLEAN: Final = 0
VIOLATIONS: Final = 1
USAGE: Final = 2


def parser() -> argparse.ArgumentParser:
    described = argparse.ArgumentParser(
        prog="python -m fuzz.client",
        description="Try the protocol limits of a running Moltnet server. Only of one that you may try: it is sent "
        "malformed and hostile requests, and with --room also messages, which stay there.",
    )
    described.add_argument("--url", required=True, help="of the server; there is no default")
    described.add_argument("--token", default="", help="a bearer token; without one most answers are refusals")
    described.add_argument("--room", default="", help="a room to send messages into; without one none are sent")
    described.add_argument("--sender", default="", help="the agent that sends them (default: a person named fuzzer)")
    described.add_argument("--agent", default="", help="an agent to attach as, a member of the room")
    described.add_argument(
        "--rate", type=float, default=DEFAULT_RATE, help="connections a second (default: %(default)g)"
    )
    described.add_argument(
        "--connections", type=int, default=DEFAULT_CONNECTIONS, help="open at once (default: %(default)s)"
    )
    described.add_argument("--seconds", type=float, default=DEFAULT_SECONDS, help="at most (default: %(default)g)")
    described.add_argument(
        "--rounds", type=int, default=0, help="of all probes, at most (default: until the time is up)"
    )
    described.add_argument("--patience", type=float, default=10.0, help="seconds for an answer (default: %(default)g)")
    described.add_argument(
        "--slow", type=float, default=30.0, help="seconds to hold a place for (default: %(default)g)"
    )
    described.add_argument("--seed", type=int, default=None, help="of the random numbers, to repeat a run")
    described.add_argument("--only", action="append", default=[], metavar="PROBE", help="one probe; more than once")
    described.add_argument("--report", type=Path, default=None, metavar="FILE.json", help="where to write the report")
    return described


def main(arguments: Sequence[str] | None = None) -> int:
    described = parser()
    options = described.parse_args(arguments)
    if not 0 < options.rate <= MOST_RATE or not FEWEST_CONNECTIONS <= options.connections <= MOST_CONNECTIONS:
        described.error(f"--rate is at most {MOST_RATE:g}, --connections {FEWEST_CONNECTIONS} to {MOST_CONNECTIONS}")
    names = [probe.name for probe in PROBES]
    if unknown := sorted(set(options.only) - set(names)):
        described.error(f"there is no probe {', '.join(unknown)}; there are {', '.join(names)}")
    try:
        place = Place.parse(options.url)
    except BadTarget as error:
        described.error(str(error))
    seed = random.SystemRandom().randrange(2**32) if options.seed is None else options.seed
    settings = Options(
        token=options.token,
        room=options.room,
        agent=options.agent,
        sender=options.sender,
        patience_seconds=options.patience,
        slow_seconds=options.slow,
    )
    probes = [probe for probe in PROBES if not options.only or probe.name in options.only]
    wire = Wire(place, options.rate, options.connections)
    try:
        report = trio.run(run, options.url, wire, settings, probes, seed, options.seconds, options.rounds)
    except Unreachable as error:
        print(f"{options.url}: {error}", file=sys.stderr)
        return USAGE
    if options.report is not None:
        options.report.write_bytes(report.as_json())
    print("\n".join(report.lines()))
    return VIOLATIONS if report.violated else CLEAN


if __name__ == "__main__":
    sys.exit(main())
