"""All benchmarks, in the order in which they run, and the settings they go by."""

from collections.abc import Mapping
from typing import Any, Final

from tests.bench.benchmark import Benchmark
from tests.bench.rows.deliveries import FEW, MANY, SSE, STUCK
from tests.bench.rows.handshakes import HANDSHAKES, IDLE
from tests.bench.rows.node import NODE
from tests.bench.rows.posts import HISTORY, MIXED, SEND
from tests.bench.rows.relaying import RELAY
from tests.bench.rows.resuming import REPLAY, RESUME
from tests.bench.rows.starting import MEMORY, START
from tests.bench.rows.storing import COMMITS, READS

BENCHMARKS: Final[Mapping[str, Benchmark[Any]]] = {
    each.name: each
    for each in (
        SEND, FEW, MANY, STUCK, HANDSHAKES, IDLE, HISTORY, MIXED, SSE, RESUME, REPLAY, RELAY, NODE, START, MEMORY,
        COMMITS, READS,
    )
}  # fmt: skip
