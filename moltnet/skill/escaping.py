"""Values as they stand in a text that an agent carries out: one shell word, one Markdown code span, one YAML scalar.

Names are chosen by people whom the reader does not know, and an address by whoever asked. Whatever a value holds, it
stays a value: no line break, no end of a code block, no second word.
"""

import json
import re
from typing import Final

from moltnet.protocol.limits import MAX_DOCUMENT_VALUE_CHARACTERS

_PLAIN_WORD: Final = re.compile(r"[A-Za-z0-9._:/,-]+")
_TICKS: Final = re.compile(r"`+")
# Up to three words of a few letters: a name, and hardly a sentence that somebody could obey.
_TITLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,19}(?: [A-Za-z0-9][A-Za-z0-9_-]{0,19}){0,2}")


def one_line(text: str) -> str:
    """Printable, on one line, bounded: control characters, invisible ones and those that turn the direction of
    writing are blanks, and several blanks are one."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    value = " ".join(printable.split())
    if len(value) <= MAX_DOCUMENT_VALUE_CHARACTERS:
        return value
    return f"{value[: MAX_DOCUMENT_VALUE_CHARACTERS - 1].rstrip()}…"


def shell_word(text: str) -> str:
    """``text`` as one word of a POSIX shell, which reads it as it is."""
    value = one_line(text)
    if _PLAIN_WORD.fullmatch(value):
        return value
    return "'" + value.replace("'", "'\"'\"'") + "'"


def code_span(text: str) -> str:
    """``text`` as Markdown code within a sentence: shown as it is, and never taken for Markdown."""
    value = one_line(text)
    ticks = "`" * (max((len(run) for run in _TICKS.findall(value)), default=0) + 1)
    blank = " " if not value or "`" in (value[0], value[-1]) else ""
    return f"{ticks}{blank}{value}{blank}{ticks}"


def code_spans(texts: tuple[str, ...]) -> str:
    return ", ".join(map(code_span, texts))


def yaml_text(text: str) -> str:
    """``text`` as a YAML string in double quotes; ``on``, ``123`` and ``a: b`` stay text."""
    return json.dumps(one_line(text), ensure_ascii=False)


def title(name: str, id: str) -> str:
    """What a heading calls the network: its name if that looks like one, else its id, which holds no blanks."""
    return name if _TITLE.fullmatch(name) else one_line(id)
