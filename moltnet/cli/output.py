"""How results are shown: JSON for programs, lines for people. Everything from the network is made harmless first.

No value that comes here holds a secret; who has one hides it before (`register_agent`).
"""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

import click
import orjson

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.streams import abandon_stdout
from moltnet.protocol.codec import unstructure
from moltnet.protocol.messages import Message, Part, PartKind

_INDENT: Final = " " * 4
_KEPT: Final = "\n\t"
# Of one message. A terminal shows some 80 lines of it; who wants all of it wants it in a file.
MAX_SHOWN_CHARACTERS: Final = 4_000
_UNITS: Final = ((86_400, "day"), (3600, "hour"), (60, "minute"))
_LONGEST_IN_WORDS_SECONDS: Final = 30 * 86_400


class OutputRefused(CommandFailed):
    """The result is there, but standard output does not take it: the disk is full, for example."""

    def __init__(self, error: OSError) -> None:
        super().__init__(ExitCode.INTERNAL, f"standard output cannot be written: {error.strerror or error}")


def print_json(value: object) -> None:
    """A value, or plain JSON values, with two blanks of indentation and a line end."""
    with _wanted_output():
        click.echo(orjson.dumps(unstructure(value), option=orjson.OPT_INDENT_2))


def print_json_line(value: object) -> None:
    """A value in one line, at once: for a program that reads line by line."""
    with _wanted_output():
        click.echo(orjson.dumps(unstructure(value)))


def print_lines(lines: Iterable[str]) -> None:
    with _wanted_output():
        for line in lines:
            click.echo(line, color=_has_colour())


def print_note(text: str) -> None:
    """For the person, not for a program that reads the result."""
    click.echo(f"moltnet: {text}", err=True)


def is_for_people(as_json: bool) -> bool:
    """Whether to print lines: on a terminal, unless JSON was asked for."""
    return not as_json and sys.stdout.isatty()


def message_lines(message: Message) -> list[str]:
    """A message for people: time, sender and text; further lines of the text, and other parts, are indented."""
    texts = [line for part in message.parts for line in _cut(_part_text(part)).splitlines() or [""]]
    head, rest = (texts[0], texts[1:]) if texts else ("", [])
    time = click.style(local_time(message.created_at), dim=True)
    sender = click.style(harmless(message.sender.name or message.sender.id, keep=""), bold=True)
    return [f"{time} {sender}: {head}".rstrip(), *(f"{_INDENT}{line}".rstrip() for line in rest)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text below a heading, as lines."""
    first, *rest = columns([head, *rows])
    return [click.style(first, bold=True), *rest]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text as lines, each column as wide as its widest entry."""
    clean = [[harmless(cell, keep="") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*clean, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in clean]


def harmless(text: str, *, keep: str = _KEPT) -> str:
    """Text from the network that cannot steer the terminal: control and invisible characters are written out."""
    return "".join(char if char.isprintable() or char in keep else ascii(char)[1:-1] for char in text)


def _part_text(part: Part) -> str:
    if part.kind == PartKind.TEXT:
        return harmless(part.text)
    known = [part.filename, part.url, part.media_type, part.text]
    data = orjson.dumps(part.data).decode() if part.data is not None else ""
    return harmless(f"[{part.kind}] {' '.join(text for text in [*known, data] if text)}".rstrip())


def _cut(text: str) -> str:
    more = len(text) - MAX_SHOWN_CHARACTERS
    return f"{text[:MAX_SHOWN_CHARACTERS]}\n… {more} more characters; --json shows all" if more > 0 else text


@contextmanager
def _wanted_output() -> Iterator[None]:
    """Raises `OutputRefused`, but `BrokenPipeError` as it is: that reader has seen enough."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        abandon_stdout()
        raise OutputRefused(error) from error


def local_time(timestamp: str) -> str:
    """A time of the wire for people: theirs, to the second; anything else as it is."""
    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        # Not a timestamp, or of a year that the platform has no local time for.
        return harmless(timestamp, keep="")


def time_in_words(timestamp: str, now: datetime | None = None) -> str:
    """How long ago that was, or how soon it will be; beyond a month the time itself. For one entry of a table."""
    try:
        seconds = (datetime.fromisoformat(timestamp) - (now or datetime.now(UTC))).total_seconds()
    except (ValueError, TypeError):
        return local_time(timestamp)
    if abs(seconds) > _LONGEST_IN_WORDS_SECONDS:
        return local_time(timestamp)
    for unit_seconds, name in _UNITS:
        count = int(abs(seconds) // unit_seconds)
        if count:
            words = f"{count} {name}{'' if count == 1 else 's'}"
            return f"in {words}" if seconds > 0 else f"{words} ago"
    return "just now"


def _has_colour() -> bool | None:
    return False if "NO_COLOR" in os.environ else None
