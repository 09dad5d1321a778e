"""What a benchmark is: a stage for each server, and cases that are measured on it in turns. And how one is run."""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, contextmanager
from typing import Any, Generic, TypeVar

import attrs

from moltnet.log import leaves_of
from tests.bench.contestants import Contestant
from tests.bench.measurement import Figure, Load
from tests.bench.processes import LoadFailed
from tests.bench.servers import ServerEnded
from tests.bench.settings import Settings

Stage = TypeVar("Stage")


@attrs.frozen
class Case(Generic[Stage]):
    """One row: what is done to a server on its stage. ``turns`` if it takes too long to be done as often as others."""

    name: str
    unit: str
    measure: Callable[[Stage], Awaitable[Load]]
    turns: int | None = None


@attrs.frozen
class Benchmark(Generic[Stage]):
    """Cases that share a stage.

    ``ceilings`` take part beside the servers. One that ``needs_start`` can't measure a server that it did not start: it
    needs rooms of its own, starts it again, or reads its files. ``only_ours`` is what no other implementation has.
    ``alone`` has no servers but its ceilings.
    """

    name: str
    summary: str
    open_stage: Callable[[Contestant, Settings], AbstractAsyncContextManager[Stage]]
    cases: Callable[[Settings], Sequence[Case[Stage]]]
    ceilings: Sequence[Contestant] = ()
    needs_start: bool = False
    only_ours: bool = False
    alone: bool = False

    def takes(self, contestant: Contestant) -> bool:
        """Whether it can measure this server."""
        return (
            (contestant.starts or not self.needs_start) and (contestant.ours or not self.only_ours) and not self.alone
        )


async def run_benchmark(
    benchmark: Benchmark[Any], contestants: Sequence[Contestant], settings: Settings
) -> Sequence[Figure]:
    """All cases, all servers that can take part and the ceilings, in turns.

    A server that fails at a case is left out of those after it.
    """
    failures: dict[str, str] = {}
    figures = []
    async with AsyncExitStack() as stack:
        stages: dict[str, Any] = {}
        for each in [*filter(benchmark.takes, contestants), *benchmark.ceilings]:
            with _noted(failures, each.name, benchmark.name):
                stages[each.name] = await stack.enter_async_context(benchmark.open_stage(each, settings))
        for case in benchmark.cases(settings):
            loads = await _take_turns(case, stages, failures, settings.turns)
            loads |= {name: [] for name in failures if name not in stages}
            figures += [
                Figure(case.name, name, case.unit, turns, failures.get(name, "")) for name, turns in loads.items()
            ]
    return figures


async def _take_turns(
    case: Case[Any], stages: Mapping[str, Any], failures: dict[str, str], turns: int
) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in stages}
    for turn in range(min(case.turns or turns, turns)):
        order = list(stages) if turn % 2 == 0 else list(stages)[::-1]
        for name in order:
            if name not in failures:
                with _noted(failures, name, case.name):
                    loads[name].append(await case.measure(stages[name]))
    return loads


@contextmanager
def _noted(failures: dict[str, str], name: str, what: str) -> Iterator[None]:
    """A server or a generator that gives up is a finding; anything else is our mistake."""
    try:
        yield
    except (LoadFailed, ServerEnded) as failure:
        failures[name] = f"{what}: {failure}"
    except BaseExceptionGroup as group:
        expected, bugs = group.split((LoadFailed, ServerEnded))
        if expected is None or bugs is not None:
            raise
        failures[name] = f"{what}: {next(leaves_of(expected))}"
