"""Pictures of costs and of stacks: they are what they say they are, and well-formed."""

import inspect
import xml.etree.ElementTree as ElementTree
from collections import Counter

from tests.bench.growth.counted import Cost
from tests.bench.growth.curves import Curve, table
from tests.bench.growth.drawing import cost_of
from tests.bench.growth.drawing import picture as picture_of_curves
from tests.bench.profile.flames import picture as picture_of_stacks
from tests.bench.profile.flames import shares, tree
from tests.bench.profile.sampling import Stack, sampled, stack_of

FLAT = Curve("rooms", "POST <a>", False, {size: Cost(1000, 200, 50.0) for size in (10, 100, 1000)})
STEEP = Curve("rooms", "delivery to all", True, {size: Cost(100 * size, 0, 5.0 * size) for size in (10, 100, 1000)})
STACKS: Counter[Stack] = Counter(
    {
        ("main:main", "trio/_core/_run:unrolled_run", "moltnet/core/messaging:send"): 60,
        ("main:main", "trio/_core/_run:unrolled_run", "h11/_connection:next_event"): 30,
        ("main:main",): 10,
    }
)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.text]


def test_curves_are_drawn_as_multiples_of_their_start() -> None:
    svg = picture_of_curves("Cost & growth", [FLAT, STEEP])
    assert {"Cost & growth", "POST <a>", "delivery to all", "n log n", "1,000", "× 100"} <= set(texts(svg))
    assert [cost_of(STEEP, size) for size in STEEP.sizes] == [1.0, 10.0, 100.0]
    assert svg.count("<circle") == 6


def test_the_table_of_growth_has_a_line_for_each_curve() -> None:
    lines = table([FLAT, STEEP]).splitlines()
    assert lines[2] == "| POST <a> | 10 rooms | 1,000 | × 1.00 (1,000) | × 1.00 (200) | × 1.00 (50 µs) |"
    assert lines[3] == "| delivery to all | 10 rooms | 1,000 | × 100 (100,000) |  | × 100 (5,000 µs) |"


def test_stacks_become_a_tree_below_the_function_of_interest() -> None:
    root = tree(STACKS, below="unrolled_run")
    assert root.seen == 90
    (loop,) = root.calls.values()
    assert {name: node.seen for name, node in loop.calls.items()} == {
        "moltnet/core/messaging:send": 60,
        "h11/_connection:next_event": 30,
    }
    assert tree(STACKS).seen == 100
    assert shares(STACKS) == {"moltnet/core": 0.6, "h11": 0.3, "main": 0.1}


def test_the_flame_graph_names_what_is_wide_enough() -> None:
    svg = picture_of_stacks("send ×64", tree(STACKS, below="unrolled_run"))
    shown = texts(svg)
    assert "send ×64" in shown
    assert "moltnet/core/messaging:send 66.7%" in shown
    assert "moltnet/core/messaging:send" in shown


def test_a_busy_process_is_seen_at_its_work() -> None:
    with sampled() as found:
        while not any("test_a_busy_process" in name for stack in found for name in stack):
            sum(range(10_000))
    innermost = next(stack for stack in found if "test_a_busy_process" in stack[-1])
    assert innermost[-1] == "tests/bench/test_pictures:test_a_busy_process_is_seen_at_its_work"


def test_a_module_is_named_as_it_is_imported() -> None:
    assert stack_of(inspect.currentframe())[-1].startswith("tests/bench/test_pictures:")
    assert any(name.startswith("_pytest/") for name in stack_of(inspect.currentframe()))
