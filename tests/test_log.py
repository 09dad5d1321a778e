"""What a log line shows, what it hides, and how it reaches `logging`."""

import io
import json
import logging
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import structlog
import trio
from hypothesis import given
from hypothesis import strategies as st

from moltnet import log
from tests.expected_errors import ExpectedErrors

SECRET = "magt_v1_Zm9vYmFy-secret_part"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def lines_of(write: Callable[[structlog.stdlib.BoundLogger], object], *, level: str = "info") -> str:
    """What `write` shows on a plain stream."""
    stream = io.StringIO()
    log.configure(stream=stream, level=level)
    write(log.get_logger("node"))
    return stream.getvalue()


def json_of(write: Callable[[structlog.stdlib.BoundLogger], object]) -> dict[str, Any]:
    """The one JSON line that `write` causes."""
    stream = io.StringIO()
    log.configure(format="json", stream=stream)
    write(log.get_logger("node"))
    assert stream.getvalue().count("\n") == 1
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def test_a_console_line_has_aligned_columns() -> None:
    def write(logger: structlog.stdlib.BoundLogger) -> None:
        logger.info("ready", agent_id="alpha", retry_seconds=0.5, room="the room")
        logger.warning("attachment lost", code=1006)

    first, second = lines_of(write).splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO     node +ready +"
        r'agent_id=alpha retry_seconds=0\.5 room="the room"',
        first,
    )
    assert first.index("agent_id") == second.index("code=1006")


def test_a_json_line_has_utc_time_level_component_event_and_values() -> None:
    line = json_of(lambda logger: logger.info("ready", agent_id="alpha", rooms=["a", "b"]))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "info", "component": "node", "event": "ready", "agent_id": "alpha", "rooms": ["a", "b"]}


def test_the_short_way_to_the_log_tells_and_hides_the_same() -> None:
    fields = {"path": "/v1/rooms", "status": 200, "token": SECRET, "note": f"Bearer {SECRET}", "client": None}

    def write_short(_logger: object) -> None:
        with structlog.contextvars.bound_contextvars(attachment="alpha"):
            log.LineLogger("node").log(logging.INFO, "request", dict(fields))

    def write(logger: structlog.stdlib.BoundLogger) -> None:
        with structlog.contextvars.bound_contextvars(attachment="alpha"):
            logger.info("request", **fields)

    short, long = json_of(write_short), json_of(write)
    del short["time"], long["time"]
    assert short == long
    assert SECRET not in str(short)


def test_the_short_way_keeps_to_the_level() -> None:
    stream = io.StringIO()
    log.configure(stream=stream, level="warning")
    log.LineLogger("node").log(logging.INFO, "request", {})
    assert stream.getvalue() == ""


def test_a_value_named_like_a_column_keeps_both() -> None:
    line = json_of(lambda logger: logger.info("ready", level="seven"))
    assert (line["level"], line["level_"]) == ("info", "seven")


@pytest.mark.parametrize(
    ("stream", "no_colour", "coloured"), [(Terminal, "", True), (Terminal, "1", False), (io.StringIO, "", False)]
)
def test_colours_appear_only_on_a_terminal_that_wants_them(
    stream: type[io.StringIO], no_colour: str, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_colour:
        monkeypatch.setenv("NO_COLOR", no_colour)
    opened = stream()
    log.configure(stream=opened)
    log.get_logger("node").info("ready", agent_id="alpha")
    assert ("\x1b[" in opened.getvalue()) is coloured


def test_text_from_outside_cannot_forge_lines_or_steer_the_terminal() -> None:
    hostile = "x\n2026-01-01 INFO fake \x1b[2J\x9b31m\u202e"

    def write(logger: structlog.stdlib.BoundLogger) -> None:
        logger.info("message", text=hostile)
        logging.getLogger("library").warning(hostile)

    shown = lines_of(write)
    assert len(shown.splitlines()) == 2
    assert shown.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token", "t0ken-value-1"),
        ("access_token", "t0ken-value-1"),
        ("Authorization", "t0ken-value-1"),
        ("client_secret", "t0ken-value-1"),
        ("clientSecret", "t0ken-value-1"),
        ("password", "t0ken-value-1"),
        ("postgres_dsn", "t0ken-value-1"),
        ("api_key", "t0ken-value-1"),
        ("token", b"t0ken-value-1"),
        ("tokens", ["t0ken-value-1"]),
        ("request", {"headers": {"authorization": "t0ken-value-1"}}),
        ("requests", [{"cookie": "t0ken-value-1"}]),
        ("note", "Authorization: Bearer t0ken-value-1"),
        ("note", "basic t0ken-value-1"),
        ("note", "magt_v1_t0ken-value-1"),
        ("note", b"magt_v1_t0ken-value-1"),
        ("note", ["x", ("magt_v1_t0ken-value-1",)]),
        ("note", ValueError("magt_v1_t0ken-value-1")),
        ("url", "postgresql://moltnet:t0ken-value-1@db.example/moltnet"),
        ("url", "http://127.0.0.1:8787/console?access_token=t0ken-value-1&x=1"),
        ("body", '{"token": "t0ken-value-1"}'),
        ("path", Path("/x?token=t0ken-value-1")),
    ],
)
def test_a_secret_is_not_shown(key: str, value: object) -> None:
    def write(logger: structlog.stdlib.BoundLogger) -> None:
        logger.info("called", **{key: value})

    for shown in (lines_of(write), json.dumps(json_of(write))):
        assert "t0ken" not in shown
        assert log.MASK in shown


def test_a_secret_never_becomes_part_of_a_record(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log.get_logger("node").info(f"called with {SECRET}", token=SECRET, note=f"Bearer {SECRET}")
    assert SECRET not in repr(vars(caplog.records[0]))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("token_id", "attachments"),
        ("token_path", "/srv/alpha.token"),
        ("password_file", "secrets/console"),
        ("agent_id", "alpha"),
        ("token", None),
        ("has_token", True),
        ("url", "http://127.0.0.1:8787/v1/messages?limit=10"),
        ("note", "mode bearer, basics"),
        ("sender", "molt://local/agents/alpha"),
        ("credential_id", "token:ops"),
        ("note", "a token, a password and a secret"),
    ],
)
def test_what_is_no_secret_is_shown(key: str, value: object) -> None:
    assert json_of(lambda logger: logger.info("called", **{key: value}))[key] == value


FRAGMENTS = ("token", "access_token", "password", "SECRET", "dsn", "Bearer", "basic", "magt_v1_", "://", "x")


@given(st.lists(st.sampled_from((*FRAGMENTS, *'=": @\n')), max_size=12).map("".join))
def test_the_quick_look_for_secrets_overlooks_none(text: str) -> None:
    thorough = text
    for pattern, replacement in log._SECRET_VALUES:
        thorough = pattern.sub(replacement, thorough)
    assert log.mask_text(text) == thorough


def test_the_event_text_and_the_exception_are_masked_too() -> None:
    def write(logger: structlog.stdlib.BoundLogger) -> None:
        try:
            raise OSError(f"refused Bearer {SECRET}")
        except OSError:
            logger.warning(f"refused {SECRET}", exc_info=True)

    for shown in (lines_of(write), json.dumps(json_of(write))):
        assert "OSError: refused Bearer ***" in shown
        assert "secret_part" not in shown


def test_the_logs_of_other_libraries_are_masked_and_formatted() -> None:
    line = json_of(lambda _: logging.getLogger("hypercorn.error").warning("header Bearer %s", SECRET))
    assert (line["component"], line["event"]) == ("hypercorn.error", "header Bearer ***")


def test_a_group_names_its_members_and_shows_each_traceback(expected_errors: ExpectedErrors) -> None:
    async def refuse(reason: str) -> None:
        raise ValueError(reason)

    async def both() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(refuse, "no room")
            nursery.start_soon(refuse, "no agent")

    def write(logger: structlog.stdlib.BoundLogger) -> None:
        try:
            trio.run(both)
        except ExceptionGroup:
            logger.exception("attachment failed")

    shown = lines_of(write)
    record = expected_errors.take("attachment failed")
    assert sorted(log.describe_error(record.exc_info[1]).split("; ")) == [  # type: ignore[index, arg-type]  # set above
        "ValueError: no agent",
        "ValueError: no room",
    ]
    assert re.search(r' error="ValueError: no \w+; ValueError: no \w+"', shown)
    assert len(re.findall(r"\| ValueError: no (room|agent)", shown)) == 2
    assert all(line.startswith("    ") for line in shown.splitlines()[1:])


def test_a_large_group_is_named_in_part() -> None:
    group = ExceptionGroup("many", [ExceptionGroup("inner", [OSError(number)]) for number in range(8)])
    assert log.describe_error(group).endswith("; OSError: 4; and 3 more")


def test_an_exception_without_text_is_named_by_its_type() -> None:
    assert log.describe_error(trio.TooSlowError()) == "TooSlowError"


def test_a_long_value_keeps_its_head_and_tail() -> None:
    line = json_of(lambda logger: logger.info("output", stdout="a" * 5_000 + "b" * 5_000))
    assert re.fullmatch(r"a{1000} … 8000 characters left out … b{1000}", line["stdout"])


def test_a_deep_a_wide_and_an_endless_value_are_cut() -> None:
    endless: list[object] = []
    endless.append(endless)
    line = json_of(lambda logger: logger.info("values", endless=endless, wide=list(range(1_000))))
    assert len(line["wide"]) == log.MAX_ITEMS
    assert len(json.dumps(line["endless"])) < 100


def test_a_value_that_cannot_be_shown_does_not_raise() -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    line = json_of(lambda logger: logger.info("values", broken=Broken(), nan=float("nan"), path="\udcff"))
    assert line["broken"] == "<Broken that cannot be shown: RuntimeError>"
    assert (line["nan"], line["path"]) == ("nan", "\udcff")


def test_lines_below_the_level_are_left_out() -> None:
    def write(logger: structlog.stdlib.BoundLogger) -> None:
        logger.debug("detail")
        logger.info("ready")

    assert len(lines_of(write, level="info").splitlines()) == 1
    assert len(lines_of(write, level="DEBUG").splitlines()) == 2


@pytest.mark.parametrize("options", [{"level": "loud"}, {"format": "xml"}])
def test_an_unknown_level_or_format_is_refused(options: dict[str, Any]) -> None:
    before = list(logging.getLogger().handlers)
    with pytest.raises(ValueError, match="unknown log"):
        log.configure(**options)
    assert logging.getLogger().handlers == before


def test_a_second_configuration_replaces_the_first_and_leaves_the_handlers_of_others() -> None:
    others = logging.NullHandler()
    logging.getLogger().addHandler(others)
    first, second = io.StringIO(), io.StringIO()
    log.configure(stream=first)
    log.configure(stream=second)
    log.get_logger("node").info("ready")
    assert first.getvalue() == ""
    assert len(second.getvalue().splitlines()) == 1
    assert others in logging.getLogger().handlers


async def test_values_bound_in_a_task_reach_the_lines_of_its_children_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    logger = log.get_logger("node")

    async def child() -> None:
        logger.info("in a child")

    async def parent() -> None:
        structlog.contextvars.bind_contextvars(agent_id="alpha")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(parent)
    logger.info("outside")
    assert [vars(record)["fields"] for record in caplog.records] == [{"agent_id": "alpha"}, {}]
