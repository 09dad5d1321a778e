"""The tests' clock jumps while a thread or a socket works: such tests need real time (style, trap 10)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

TESTS = Path(__file__).parent.parent
CLOCKS = {"autojump_clock", "mock_clock"}
# What works in threads, processes or sockets.
REAL = {
    "open_connection",
    "open_process",
    "open_scripted_server",
    "open_sqlite",
    "open_test_server",
    "open_websocket_wire",
    "run_process",
    "sqlite_path",
    "stream_events",
    "to_thread",
}


async def test_the_clock_still_jumps_while_a_thread_works(autojump_clock: MockClock) -> None:
    with trio.move_on_after(5) as scope:
        release = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.to_thread.run_sync, _work)
            await release.wait()
    assert scope.cancelled_caught


def _work() -> None:
    """A moment's work, as a database does it."""
    sum(range(1_000_000))


def mixed(source: str) -> Iterator[str]:
    """Test functions that take a mock clock and use what needs a real one."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef) and CLOCKS & {argument.arg for argument in node.args.args}:
            names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
            names |= {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}
            names |= {each.arg for each in ast.walk(node) if isinstance(each, ast.keyword) and each.arg}
            if names & REAL:
                yield f"{node.name}: {', '.join(sorted(names & REAL))}"


def test_no_test_mixes_the_mock_clock_with_threads_or_sockets() -> None:
    found = {
        f"{path.relative_to(TESTS)}: {each}"
        for path in TESTS.rglob("test_*.py")
        if path != Path(__file__)
        for each in mixed(path.read_text(encoding="utf-8"))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("async def test(autojump_clock): await trio.to_thread.run_sync(f)", ["test: to_thread"]),
        ("async def test(mock_clock): f(sqlite_path=p)", ["test: sqlite_path"]),
        ("async def test(): await trio.to_thread.run_sync(f)", []),
        ("async def test(autojump_clock): await trio.sleep(1)", []),
    ],
)
def test_a_mixed_test_is_found(source: str, expected: list[str]) -> None:
    assert list(mixed(source)) == expected
