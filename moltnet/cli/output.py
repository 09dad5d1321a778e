"""How results are shown: JSON for programs, lines for people. Everything from the network is made harmless first.

No value that comes here holds a secret; who has one hides it before (`register_agent`).
"""

import os
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import click
import orjson

from moltnet.protocol.codec import unstructure
from moltnet.protocol.messages import Message, Part, PartKind

_INDENT: Final = " " * 4
_KEPT: Final = "\n\t"


def print_json(value: object) -> None:
    """A value, or plain JSON values, with two blanks of indentation and a line end."""
    click.echo(orjson.dumps(unstructure(value), option=orjson.OPT_INDENT_2))


def print_lines(lines: Iterable[str]) -> None:
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
    texts = [line for part in message.parts for line in _part_text(part).splitlines() or [""]]
    head, rest = (texts[0], texts[1:]) if texts else ("", [])
    time = click.style(_local_time(message.created_at), dim=True)
    sender = click.style(harmless(message.sender.name or message.sender.id, keep=""), bold=True)
    return [f"{time} {sender}: {head}".rstrip(), *(f"{_INDENT}{line}".rstrip() for line in rest)]


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


def _local_time(timestamp: str) -> str:
    try:
        return datetime.fromisoformat(timestamp).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        # Not a timestamp, or of a year that the platform has no local time for.
        return harmless(timestamp, keep="")


def _has_colour() -> bool | None:
    return False if "NO_COLOR" in os.environ else None
