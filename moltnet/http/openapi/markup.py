"""HTML that can't be broken by what is put into it: text is escaped, only ``Html`` is taken as it is."""

import html
import re
from collections.abc import Iterable, Mapping
from typing import Final

_MARKS: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
_EMPTY: Final[Mapping[str, str]] = {}


class Html(str):
    """Markup, finished and safe."""

    __slots__ = ()


def joined(content: Iterable[str]) -> Html:
    return Html("".join(piece if isinstance(piece, Html) else html.escape(piece) for piece in content))


def element(name: str, *content: str, attributes: Mapping[str, str] = _EMPTY, **more: str) -> Html:
    """An element. ``more`` are attributes too, ``class_`` for ``class``; one that is empty text has no value."""
    everything = {**attributes, **{key.rstrip("_"): value for key, value in more.items()}}
    written = "".join(f' {key}="{html.escape(value)}"' if value else f" {key}" for key, value in everything.items())
    return Html(f"<{name}{written}>{joined(content)}</{name}>")


def prose(text: str) -> Html:
    """One paragraph's text, with `code` and **weight** as in Markdown, and nothing else of it."""
    pieces: list[str] = []
    end = 0
    for found in _MARKS.finditer(text):
        pieces += [text[end : found.start()], element("code", found[1]) if found[1] else element("strong", found[2])]
        end = found.end()
    return joined([*pieces, text[end:]])


def paragraphs(text: str) -> Html:
    """Text in paragraphs, with an empty line between two."""
    return joined(element("p", prose(paragraph)) for paragraph in text.split("\n\n") if paragraph)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Html:
    """Rows of cells."""
    body = joined(element("tr", *(element("td", cell) for cell in row)) for row in rows)
    header = element("thead", element("tr", *(element("th", name, scope="col") for name in head)))
    return element("table", header, element("tbody", body))
