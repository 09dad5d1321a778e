"""An agent comes back with its cursor after 3,000 messages that it missed, until it has received and ACKed all of them.

From the memory of a server that has been running; and from the database, of a server that was started again.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final

import attrs

from tests.bench.benchmark import Benchmark, Case
from tests.bench.contestants import Contestant
from tests.bench.measurement import Load
from tests.bench.processes import open_generator
from tests.bench.rows.stages import Served, agents
from tests.bench.servers import Setup, Target, new_directory, setup_for
from tests.bench.settings import Settings

POSTERS: Final = 8
PATIENCE_SECONDS: Final = 30.0


@attrs.frozen
class _Missed(Served):
    """A server, and where the agent was."""

    cursor: str


@attrs.frozen
class _Stopped:
    """A server that does not run, and where the agent was."""

    contestant: Contestant
    directory: str
    setup: Setup
    settings: Settings
    cursor: str


async def _miss(target: Target, messages: int) -> str:
    """Attach, see one message, leave; then ``messages`` are posted. Returns the cursor."""
    async with open_generator("callers") as callers, open_generator("attachments") as attachments:
        await attachments.ask("attach", **agents(target, 1))
        await callers.ask("call", **target.address, request=target.post, clients=1, amount=1)
        cursor: str = (await attachments.ask("expect", messages=1))["cursor"]
        await attachments.ask("detach")
        await callers.ask("call", **target.address, request=target.post, clients=POSTERS, amount=messages)
    return cursor


async def _resume(stage: _Missed) -> Load:
    """A latency is that of the whole resume."""
    target, messages = stage.target, stage.settings.missed_messages
    async with open_generator("attachments") as attachments:
        before = target.cpu_seconds()
        attached = await attachments.ask("attach", **agents(target, 1), cursor=stage.cursor)
        read = await attachments.ask("expect", messages=messages, seconds=PATIENCE_SECONDS)
        cpu_seconds = target.cpu_seconds() - before
    seconds = (read["ended_ns"] - attached["started_ns"]) / 1e9
    return Load(messages, seconds, (seconds * 1000,), cpu_seconds, attached["cpu_seconds"] + read["cpu_seconds"])


async def _start_and_resume(stage: _Stopped) -> Load:
    async with stage.contestant.open(stage.directory, stage.setup) as target:
        return await _resume(_Missed(target, stage.settings, stage.cursor))


@asynccontextmanager
async def _open_missed(contestant: Contestant, settings: Settings) -> AsyncIterator[_Missed]:
    with new_directory() as directory:
        async with contestant.open(directory, setup_for(settings, members=1)) as target:
            yield _Missed(target, settings, await _miss(target, settings.missed_messages))


@asynccontextmanager
async def _open_stopped(contestant: Contestant, settings: Settings) -> AsyncIterator[_Stopped]:
    with new_directory() as directory:
        setup = setup_for(settings, members=1)
        async with contestant.open(directory, setup) as target:
            cursor = await _miss(target, settings.missed_messages)
        yield _Stopped(contestant, directory, setup, settings, cursor)


def _missed(settings: Settings) -> Sequence[Case[_Missed]]:
    return [Case(f"resume of {settings.missed_messages:,} events", "events", _resume)]


def _stopped(settings: Settings) -> Sequence[Case[_Stopped]]:
    return [Case(f"resume of {settings.missed_messages:,} events after a restart", "events", _start_and_resume)]


RESUME: Final = Benchmark("resume", "an agent that comes back", _open_missed, _missed, needs_start=True)
REPLAY: Final = Benchmark("replay", "the same after a restart", _open_stopped, _stopped, needs_start=True)
