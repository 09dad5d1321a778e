"""On which line each value of a JSON text stands, which the standard library's parser does not tell."""

import json
import re
from typing import Final

import attrs

from moltnet.config.problems import ROOT

# Strings first: they may hold all the rest.
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@attrs.define(eq=False)
class _Container:
    """An object or a list that is open: its path, and the index or the key of what comes next."""

    path: str
    is_list: bool
    index: int = 0
    key: str | None = None

    @property
    def next_path(self) -> str:
        return f"{self.path}[{self.index}]" if self.is_list else f"{self.path}.{self.key}"


def json_lines(text: str) -> dict[str, int]:
    """The line of every path of a valid JSON text, counted from 1: that of a key for what the key names.

    A key that is given twice has the line of its last place. Never recurses: depth is bounded elsewhere.
    """
    lines = {ROOT: 1}
    open_containers: list[_Container] = []
    line, counted = 1, 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        line, counted = line + text.count("\n", counted, match.start()), match.start()
        inside = open_containers[-1] if open_containers else None
        if token in ("}", "]"):
            open_containers.pop()
        elif token == ",":
            if inside is not None:
                inside.index, inside.key = inside.index + 1, None
        elif token == ":":
            continue
        elif inside is not None and not inside.is_list and inside.key is None:
            inside.key = json.loads(token)
            lines[inside.next_path] = line
        else:
            path = inside.next_path if inside is not None else ROOT
            if inside is not None and inside.is_list:
                lines[path] = line
            if token in ("{", "["):
                open_containers.append(_Container(path, token == "["))
    return lines
