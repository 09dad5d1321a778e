"""What a seed stands for: how large its world is, on which storage, and how bad things get."""

import random

import attrs

from tests.simulation.hosts import DiskWeather
from tests.simulation.wires import Weather


@attrs.frozen
class Plan:
    """Everything that is drawn before a run begins. Chances of `DiskWeather` count while things break only."""

    seed: int
    storm_seconds: float
    sqlite: bool
    senders: int
    attached: int
    streaming: int
    window: int
    weather: Weather
    disk: DiskWeather
    kill_every_seconds: float
    stop_every_seconds: float
    cut_every_seconds: float
    churn: bool
    networks: int = 1
    node_agents: int = 0
    turn_trouble: float = 0.0

    @classmethod
    def of(cls, seed: int) -> "Plan":
        rng = random.Random(f"plan {seed}")
        slow = rng.choice((0.0, 0.01, 0.2, 1.0))
        sqlite = rng.random() < 0.2
        disk = rng.random()
        faults = 0.004 if sqlite else 0.02  # for each statement, or each operation
        return cls(
            seed=seed,
            storm_seconds=rng.uniform(8, 25),
            sqlite=sqlite,
            senders=rng.randint(1, 3),
            attached=rng.randint(1, 3),
            streaming=rng.randint(0, 2),
            window=rng.choice((2, 5, 256)),
            weather=Weather(
                longest_seconds=slow,
                split_chance=rng.choice((0.0, 0.3)),
                kernel_bytes=rng.choice((1_000, 16_000, 65_536)),
            ),
            disk=DiskWeather(
                slowest_seconds=rng.choice((0.0, 0.005, 0.1)),
                stall_chance=rng.choice((0.0, 0.02)),
                stall_seconds=rng.choice((1.0, 8.0)),
                failure_chance=faults if disk < 0.5 else 0.0,
                full_chance=0.3,
                crash_chance=faults if rng.random() < 0.6 else 0.0,
            ),
            kill_every_seconds=rng.choice((0.0, 6.0, 12.0)),
            stop_every_seconds=rng.choice((0.0, 15.0)),
            cut_every_seconds=rng.choice((0.0, 1.0, 4.0)),
            churn=rng.random() < 0.7,
            networks=rng.choice((1, 1, 1, 2, 2, 3)) if rng.random() < 0.7 else 1,
            node_agents=rng.choice((0, 0, 1, 2, 3)),
            turn_trouble=rng.choice((0.0, 0.1)),
        )
