"""What a benchmark finds, how it is shown, and what the command line takes."""

import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from tests.bench import __main__ as program
from tests.bench import document, report
from tests.bench.contestants import Running, Started, contestant
from tests.bench.measurement import Figure, Load, spread
from tests.bench.settings import TINY

A = Figure("send", "A", "messages", [Load(200, 2.0, (1.0, 3.0), 0.1, 0.5, 7.5), Load(100, 2.0, (2.0,), 0.1, 0.5, 7.5)])
B = Figure("send", "B", "messages", [Load(100, 2.0, (1.0,), 0.1, 1.9), Load(100, 2.0, (2.0,), 0.2, 1.9)])
BARE = Figure("send", "bare ASGI", "messages", [Load(400, 2.0), Load(400, 2.0)])


def test_a_load_is_a_rate_with_its_costs() -> None:
    load = A.turns[0]
    assert (load.per_second, load.load_share, load.kib_each) == (100.0, 0.25, 7.5)
    assert load.server_us == pytest.approx(500.0)
    assert (load.latency_ms(50), load.latency_ms(99)) == (2.0, 3.0)


def test_what_can_not_be_read_is_not_a_number_and_left_out() -> None:
    load = Load(1, 1.0)
    assert all(math.isnan(each) for each in (load.server_us, load.load_share, load.kib_each, load.latency_ms(50)))
    assert "NaN" not in json.dumps(report.as_json([Figure("send", "A", "messages", [load])]))


def test_a_figure_is_the_median_of_its_turns() -> None:
    assert A.per_second == 75.0
    assert Figure("send", "A", "messages", [Load(1, 1.0), Load(2, 1.0), Load(30, 1.0)]).per_second == 2.0


def test_ratios_are_taken_turn_by_turn() -> None:
    rate, cpu = A.ratio(B, report.rate), A.ratio(B, report.cpu)
    assert rate is not None
    assert (rate.least, rate.middle, rate.most) == (1.0, 1.5, 2.0)
    assert cpu is not None
    assert (cpu.least, cpu.most) == (0.5, 0.5)
    assert A.ratio(B, report.memory) is None
    assert spread([]) is None


def test_the_table_shows_ratios_to_the_second_server_and_shares_of_the_ceilings() -> None:
    shown = report.table("send", [A, B, BARE])
    console = Console(width=200)
    with console.capture() as capture:
        console.print(shown)
    text = capture.get()
    for heading in ("rate by B", "CPU by B", "of bare ASGI", "KiB each"):
        assert heading in text
    assert "memory by B" not in text
    assert "1.5 (1–2)" in text
    assert "38%" in text
    assert "≥ 50" in text  # the generator had no more time


def test_a_server_that_did_nothing_is_shown_as_failed() -> None:
    failed = Figure("send", "B", "messages", [], "send: it fell over")
    shown = report.table("send", [A, failed])
    assert shown.row_count == 2
    assert list(report.failures({"send": [A, failed]})) == ["B: send: it fell over"]
    assert "| send |" in report.markdown({"send": [A, failed]})


def test_the_page_gets_the_table_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    begin, end = document.marks("sqlite")
    page.write_text(f"Before.\n\n{begin}old\n{end}\nAfter.\n")
    document.write_table(report.markdown({"send": [A, B, BARE]}), [contestant("self")], TINY, {"send": 0.5}, page)
    text = page.read_text()
    assert text.startswith(f"Before.\n\n{begin}\n`self` on sqlite, medians of 1 turn of")
    assert "| send | 75 messages/s |" in text
    assert text.endswith(f"{end}\nAfter.\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="no marks for growth"):
        document.replace_marked("growth", "", page)


def test_servers_are_named_on_the_command_line(tmp_path: Path) -> None:
    lane_off = contestant("self:MOLTNET_FASTLANE=0,MOLTNET_X=a=b")
    assert isinstance(lane_off, Started)
    assert lane_off.ours
    assert {"MOLTNET_FASTLANE": "0", "MOLTNET_X": "a=b"}.items() <= lane_off.environment.items()
    running = contestant("http://127.0.0.1:8787", token="t", room_id="lobby", pid=7)
    assert running == Running("http://127.0.0.1:8787", "http://127.0.0.1:8787", "t", "lobby", 7)
    command = contestant("Go=./bin/moltnet start")
    assert isinstance(command, Started)
    assert (command.name, command.ours, command.command[1:]) == ("Go", False, ["start"])
    assert command.command[0] == str(Path("bin/moltnet").absolute())
    assert contestant("/opt/x/moltnet start").name == "moltnet start"
    checkout = contestant(str(Path(__file__).parent.parent.parent))
    assert isinstance(checkout, Started)
    assert checkout.ours
    with pytest.raises(ValueError, match="is not a checkout"):
        contestant(str(tmp_path))
    with pytest.raises(ValueError, match="no server"):
        contestant(" ")


def test_foreign_load_is_never_less_than_nothing() -> None:
    before = program.foreign_cpu_seconds()
    after = program.foreign_cpu_seconds()
    # Two clocks with ticks of their own: by one tick of each it may seem to run backwards.
    assert math.isnan(before) or after - before >= -0.1


def test_two_servers_of_one_name_are_told_apart() -> None:
    assert [each.name for each in program.parsed(["send", "--compare", "self", "self"]).contestants] == [
        "A: self",
        "B: self",
    ]


def test_a_running_server_is_asked_for_what_it_can_show() -> None:
    names = program.parsed(["--url", "http://127.0.0.1:1"]).names
    assert {"send", "history", "sse", "fanout"} <= set(names)
    assert not {"resume", "start", "node", "relay"} & set(names)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["sends"], "no benchmark sends"),
        (["resume", "--url", "http://127.0.0.1:1"], "resume can measure only"),
        (["--url", "http://127.0.0.1:1", "--compare", "self", "self"], "leave out --url"),
        (["--compare", "self", ""], "no server is named"),
    ],
)
def test_what_can_not_be_run_is_refused(arguments: list[str], problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        program.main(arguments)
    assert problem in capsys.readouterr().err
