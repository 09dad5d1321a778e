"""`moltnet node logs`: what is kept of a node's log, for how long, and who gets it."""

import json
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from bridge import limits
from moltnet.log import configure, console_line, get_logger
from node.control import Operation, Refusal, Request, serve_control, socket_path
from node.control_client import ask
from node.recent_logs import LogPage, LogQuery, RecentLogs, keep_recent_logs
from node.supervisor import Node, run_node
from tests.fakes.nodes import Children, node_config

log = get_logger("node.test")


@pytest.fixture(autouse=True)
def level() -> Iterator[None]:
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.INFO)
    yield
    root.setLevel(before)


def events(page: LogPage | None) -> list[str]:
    assert page is not None
    return [json.loads(line)["event"] for line in page.lines]


async def test_lines_are_found_by_agent_level_and_number() -> None:
    with keep_recent_logs() as recent:
        log.info("one", agent_id="alpha")
        log.warning("two", agent_id="beta")
        log.info("three")
        log.debug("below the level of the process")
        log.warning("four", agent_id="alpha")
        assert events(recent.find("", LogQuery())) == ["one", "two", "three", "four"]
        assert events(recent.find("alpha", LogQuery())) == ["one", "four"]
        assert events(recent.find("", LogQuery(level="warning"))) == ["two", "four"]
        assert events(recent.find("", LogQuery(lines=2))) == ["three", "four"]
        assert events(recent.find("", LogQuery(lines=0))) == []
        assert events(recent.find("", LogQuery(after=2))) == ["three", "four"]
        assert recent.find("nobody", LogQuery()) == LogPage((), 4)
    log.info("nobody listens any more")
    assert recent.find("", LogQuery()).last == 4


async def test_a_secret_is_in_no_line() -> None:
    with keep_recent_logs() as recent:
        log.warning("refused", reason="Bearer abcdefgh is unknown", token="abcdefgh")
        (line,) = recent.find("", LogQuery()).lines
    assert "abcdefgh" not in line
    assert "refused" in line


async def test_a_busy_agent_pushes_out_only_its_own_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MAX_LOG_LINES_PER_AGENT", 3)
    recent = RecentLogs()
    recent.add("quiet", logging.ERROR, "parked")
    for number in range(10):
        recent.add("busy", logging.INFO, str(number))
    assert recent.find("", LogQuery()).lines == ("parked", "7", "8", "9")


@pytest.mark.parametrize(("limit", "number"), [("MAX_LOG_LINES", 4), ("MAX_LOG_BYTES", 20)])
async def test_all_lines_together_are_bounded_in_number_and_size(
    limit: str, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, limit, number)
    recent = RecentLogs()
    for each in range(100):
        recent.add(f"agent-{each}", logging.INFO, f"line {each:02}"[:5])
    assert len(recent.find("", LogQuery()).lines) == 4
    assert len(recent.find("agent-99", LogQuery()).lines) == 1
    assert recent.find("agent-1", LogQuery()).lines == ()


async def test_who_follows_is_told_at_once_of_what_concerns_it_and_from_every_thread(autojump_clock: MockClock) -> None:
    with keep_recent_logs() as recent:
        pages: list[LogPage] = []

        async def follow() -> None:
            pages.append(await recent.follow("alpha", LogQuery(after=0)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await wait_all_tasks_blocked()
            log.info("of somebody else", agent_id="beta")
            await wait_all_tasks_blocked()
            assert pages == []
            began = trio.current_time()
            thread = Thread(target=partial(log.info, "from a thread", agent_id="alpha"))
            thread.start()
            thread.join()
        assert [events(page) for page in pages] == [["from a thread"]]
        assert trio.current_time() == began
        # Nothing comes: there is an answer all the same, and no line is passed over by it.
        page = await recent.follow("alpha", LogQuery(after=pages[0].last))
        assert page == LogPage((), 2)
        assert trio.current_time() == began + limits.LOG_WAIT_SECONDS


async def test_a_number_of_an_earlier_process_hides_nothing() -> None:
    recent = RecentLogs()
    recent.add("", logging.INFO, "first")
    assert (await recent.follow("", LogQuery(after=4711))).lines == ("first",)


async def test_the_log_is_read_and_followed_over_the_control_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MAX_LOG_FOLLOWERS", 1)
    config, drain = node_config(tmp_path, "alpha"), trio.Event()
    path = socket_path(config.state_path, config.source)
    answers: list[LogPage | None] = []

    async def follow(after: int) -> None:
        answers.append((await ask(path, Request(Operation.LOGS, "alpha", log=LogQuery(after=after)))).log)

    with keep_recent_logs() as recent:
        async with trio.open_nursery() as around:
            async with trio.open_nursery() as nursery:
                node: Node = await nursery.start(
                    partial(run_node, config, drain=drain, environ={}, run_attachment=Children().run)
                )
                await around.start(serve_control, node, node.reload, recent)
                await wait_all_tasks_blocked()
                answer = await ask(path, Request(Operation.LOGS, "alpha"))
                assert events(answer.log) == ["attached"]
                assert answer.log is not None
                refused = await ask(path, Request(Operation.LOGS, "nobody"))
                assert (refused.refusal, refused.text) == (Refusal.NOT_FOUND, "this node has no agent nobody")

                async with trio.open_nursery() as followers:
                    followers.start_soon(follow, answer.log.last)
                    while not recent._is_waited_for:  # noqa: ASYNC110 - it is the other end of a socket
                        await trio.sleep(0.001)
                    too_many = await ask(path, Request(Operation.LOGS, log=LogQuery(after=0)))
                    assert too_many.refusal == Refusal.CONFLICT
                    log.info("turn finished", agent_id="alpha")
                assert [events(page) for page in answers] == [["turn finished"]]
                drain.set()
            around.cancel_scope.cancel()


async def test_a_line_is_shown_as_the_log_for_people_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    configure(format="console", level="info")
    try:
        with keep_recent_logs() as recent:
            try:
                raise ValueError("no \x1b[2J such thing")
            except ValueError:
                log.warning("100 % failed", agent_id="alpha", reason="two words", event_id="evt_1", exc_info=True)
            (line,) = recent.find("", LogQuery()).lines
    finally:
        configured = logging.getLogger().handlers[-1]
        logging.getLogger().removeHandler(configured)
    assert console_line(line, colours=False) == capsys.readouterr().err.rstrip("\n")
