"""``python -m tests.bench profile NAME``: a flame graph of the event loop under load.

With ``MOLTNET_FASTLANE=0`` of the path without the fast lane.
"""

import argparse
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from tests.bench.growth.counted import Counted, open_counted
from tests.bench.growth.dimensions import MEMBERS
from tests.bench.profile.flames import picture, shares, tree
from tests.bench.profile.sampling import Stack, sampled
from tests.bench.rows.stages import agents
from tests.bench.servers import new_directory

READERS: Final = 100
POSTERS: Final = 8
TURN_SECONDS: Final = 2.0
SHOWN_SHARES: Final = 14


async def _send(counted: Counted, seconds: float) -> None:
    await counted.callers.ask(
        "call", **counted.target.address, request=counted.target.post, clients=64, seconds=seconds
    )


async def _history(counted: Counted, seconds: float) -> None:
    await counted.callers.ask("call", **counted.target.address, request=counted.target.page, clients=8, seconds=seconds)


async def _fanout(counted: Counted, seconds: float) -> None:
    target = counted.target
    reply = await counted.callers.ask("call", **target.address, request=target.post, clients=POSTERS, seconds=seconds)
    await counted.agents.ask("expect", messages=reply["amount"])


LOADS: Final[Mapping[str, Callable[[Counted, float], Awaitable[None]]]] = {
    "send": _send,
    "fanout": _fanout,
    "history": _history,
}


async def profile(name: str, samples: int) -> Counter[Stack]:
    """At least so many stacks of a server in this process, under a load that it has had for a while."""
    with new_directory() as directory:
        path = Path(directory, "moltnet.db")
        await MEMBERS.fill(path, READERS)
        async with open_counted(path, counting=False) as counted:
            if name == "fanout":
                await counted.agents.ask("attach", **agents(counted.target, READERS), at_once=50)
            await counted.callers.ask(
                "call", **counted.target.address, request=counted.target.post, clients=8, amount=200
            )
            if name == "fanout":
                await counted.agents.ask("expect", messages=200)
            with sampled() as found:
                while found.total() < samples:
                    await LOADS[name](counted, TURN_SECONDS)
            return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench profile", description=__doc__)
    parser.add_argument("name", choices=LOADS)
    parser.add_argument("--samples", type=int, default=1500, help="how many to take, at least")
    parser.add_argument("--title", default="", help="of the picture")
    parser.add_argument("--picture", type=Path, required=True, help="where to write the SVG")
    given = parser.parse_args(arguments)
    found = trio.run(profile, given.name, given.samples)
    # Everything happens in the scheduler, which is of no interest itself.
    root = tree(found, below="unrolled_run")
    given.picture.parent.mkdir(exist_ok=True)
    given.picture.write_text(picture(given.title or given.name, root), encoding="utf-8")
    print(f"{sum(found.values()):,} samples; innermost function by owner:")
    for owner, share in list(shares(found).items())[:SHOWN_SHARES]:
        print(f"{share:6.1%}  {owner}")
    return 0
