"""What a benchmark reports, and how it is shown."""

import json
import math

import pytest
from rich.console import Console

from tests.bench import __main__ as program
from tests.bench.measurement import Load, Measurement

CEILING = Measurement("bare", 400, 2.0, "requests", p50_ms=1.0, p99_ms=2.0, server_us=100.0, load_share=0.25)
FOUND = Load(100, 2.0, (1.0, 3.0), 0.05, 0.5).measurement("send", "messages", kib_each=7.5).compared(CEILING)


def test_a_load_becomes_a_rate_with_its_costs() -> None:
    assert (FOUND.per_second, FOUND.ratio, FOUND.compared_with) == (50.0, 0.25, "bare")
    assert FOUND.server_us == pytest.approx(500.0)
    assert (FOUND.load_share, FOUND.kib_each, FOUND.p50_ms, FOUND.p99_ms) == (0.25, 7.5, 2.0, 3.0)


def test_loads_add_up() -> None:
    total = Load() + Load(10, 1.0, (1.0,), 0.5, 0.25) + Load(20, 2.0, (2.0,), 0.5, 0.25)
    assert total == Load(30, 3.0, (1.0, 2.0), 1.0, 0.5)


def test_what_can_not_be_read_is_left_out() -> None:
    unknown = (Load(1, 1.0) + Load(1, 1.0, (), math.nan)).measurement("foreign", "messages", kib_each=math.nan)
    assert (unknown.server_us, unknown.kib_each, unknown.p50_ms) == (None, None, None)
    assert "NaN" not in json.dumps(program.as_json([unknown]))


def test_the_table_shows_only_columns_that_have_something() -> None:
    shown = program.table("send", [CEILING, FOUND])
    assert [column.header for column in shown.columns] == ["what", *program.COLUMNS]
    without = program.table("bare", [CEILING])
    assert [column.header for column in without.columns] == [
        "what", "per second", "unit", "p50 ms", "p99 ms", "server µs", "load"
    ]  # fmt: skip
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    assert "0.25" in capture.get()


def test_foreign_load_is_never_less_than_nothing() -> None:
    before = program.foreign_cpu_seconds()
    after = program.foreign_cpu_seconds()
    # Two clocks with ticks of their own: by one tick of each it may seem to run backwards.
    assert math.isnan(before) or after - before >= -0.1


def test_every_module_with_a_run_is_known_and_says_what_it_can_measure() -> None:
    names = program.benchmark_names()
    assert set(names) >= {"send", "fanout", "attach", "history", "sse", "resume", "storage"}
    any_server = {name for name in names if program.benchmark(name).ANY_SERVER}
    assert {"send", "history", "sse", "fanout"} <= any_server
    assert not any_server & {"resume", "storage"}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [(["sends"], "no benchmark sends"), (["storage", "--url", "http://127.0.0.1:1"], "storage can measure only")],
)
def test_what_can_not_be_run_is_refused(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
    assert problem in capsys.readouterr().err
