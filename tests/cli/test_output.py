import re
from datetime import UTC, datetime

import click
import pytest

from moltnet.cli.output import MAX_SHOWN_CHARACTERS, columns, harmless, local_time, message_lines, table, time_in_words
from moltnet.protocol.ids import MessageId, NetworkId, RoomId
from moltnet.protocol.messages import Actor, Message, MessageOrigin, Part, Target
from moltnet.protocol.times import Timestamp


def message(*parts: Part, name: str = "Alpha", at: str = "2025-01-02T03:04:05.123456789Z") -> Message:
    return Message(
        id=MessageId("m1"),
        network_id=NetworkId("net_a"),
        origin=MessageOrigin("net_a", "m1"),
        target=Target(kind="room", room_id=RoomId("general")),
        sender=Actor(type="agent", id="alpha", name=name),
        parts=parts,
        created_at=Timestamp(at),
    )


def shown(value: Message) -> list[str]:
    return [click.unstyle(line) for line in message_lines(value)]


def test_a_message_is_a_line_with_time_and_sender() -> None:
    [line] = shown(message(Part(kind="text", text="hello")))
    assert re.fullmatch(r"2025-01-0[123] \d\d:04:05 Alpha: hello", line)


def test_further_lines_and_parts_are_indented() -> None:
    lines = shown(
        message(
            Part(kind="text", text="one\n\ntwo\n"),
            Part(kind="url", url="https://example.org"),
            Part(kind="file", filename="a.txt", media_type="text/plain"),
            Part(kind="data", data={"a": [1]}),
            Part(kind="image"),
        )
    )
    assert lines[0].endswith("Alpha: one")
    assert lines[1:] == [
        "",
        "    two",
        "    [url] https://example.org",
        "    [file] a.txt text/plain",
        '    [data] {"a":[1]}',
        "    [image]",
    ]


def test_a_huge_text_is_cut_for_people() -> None:
    lines = shown(message(Part(kind="text", text="x" * (MAX_SHOWN_CHARACTERS + 7))))
    assert lines[0].endswith("x" * MAX_SHOWN_CHARACTERS)
    assert lines[1:] == ["    … 7 more characters; --json shows all"]
    whole = "x" * MAX_SHOWN_CHARACTERS
    assert shown(message(Part(kind="text", text=whole)))[0].endswith(f": {whole}")


def test_a_message_without_parts_and_name_shows_its_sender() -> None:
    [line] = shown(message(name=""))
    assert line.endswith(" alpha:")


def test_a_message_cannot_steer_the_terminal() -> None:
    lines = message_lines(
        message(Part(kind="text", text="a\x1b[2Jb\rc\u202ed\x07"), name="\x1b]0;evil\x07\nroot: done")
    )
    text = click.unstyle("".join(lines))
    assert text.isprintable()
    assert r"a\x1b[2Jb" in text
    assert r"\nroot: done: " in text


@pytest.mark.parametrize("at", ["yesterday", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "\x1b[2J"])
def test_any_timestamp_is_shown(at: str) -> None:
    [line] = shown(message(Part(kind="text", text="x"), at=at))
    assert line.endswith("Alpha: x")
    assert line.isprintable()


NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "words"),
    [
        ("2026-11-20T11:59:30Z", "just now"),
        ("2026-11-20T11:58:59Z", "1 minute ago"),
        ("2026-11-20T09:00:00Z", "3 hours ago"),
        ("2026-11-18T11:00:00Z", "2 days ago"),
        ("2026-11-20T12:45:00Z", "in 45 minutes"),
        ("2026-11-27T12:00:00Z", "in 7 days"),
        ("soon", "soon"),
    ],
)
def test_a_time_of_a_table_is_told_in_words(at: str, words: str) -> None:
    assert time_in_words(at, NOON) == words


def test_what_is_far_away_is_told_as_a_time() -> None:
    assert time_in_words("2020-01-15T12:00:00Z", NOON) == local_time("2020-01-15T12:00:00Z")


def test_a_table_has_a_heading_that_stands_out() -> None:
    lines = table(("ROOM", "NAME"), [("general", "General")])
    assert lines == [click.style("ROOM     NAME", bold=True), "general  General"]


def test_columns_are_as_wide_as_their_entries() -> None:
    assert columns([("room:general", "General", ""), ("dm:x", "a, b", "read-only")]) == [
        "room:general  General",
        "dm:x          a, b     read-only",
    ]
    assert columns([]) == []


def test_line_breaks_and_tabs_may_be_kept() -> None:
    assert harmless("a\n\tb\0") == "a\n\tb\\x00"
    assert harmless("a\nb", keep="") == "a\\nb"
