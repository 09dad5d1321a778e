"""What is wrong with a configuration, collected until everything was looked at.

Nothing here reads a file. A message never holds a value from the file: it might be a secret.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeVar

import attrs

ROOT: Final = "$"

# As much of a path as can be shown: names of letters, and positions in lists.
_SHOWN: Final = re.compile(r"(?:\$|[A-Z_]+)(?:\.[A-Za-z_-]{1,32}[0-9]{0,2}(?=[.\[]|$)|\[[0-9]+\])*")

Choice = TypeVar("Choice", bound=StrEnum)


@attrs.frozen
class Problem:
    """One thing wrong at ``path`` (``$.rooms[2].id``; an environment variable by its name); ``line`` starts at 1."""

    path: str
    message: str
    line: int | None = None


class ConfigError(Exception):
    """A configuration that must not be used. ``problems`` holds everything found, at least one.

    As text: one line per problem, ``<file>:<line>: <path>: <message>``, without the parts that are not known.
    """

    def __init__(self, source: Path | str, *problems: Problem) -> None:
        super().__init__(source, *problems)
        self.source = source
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self._line(problem) for problem in self.problems)

    def _line(self, problem: Problem) -> str:
        if not problem.path.startswith(ROOT):
            # The environment is at fault; the file's name would send the reader to the wrong place.
            return f"{problem.path}: {problem.message}"
        parts = [f"{self.source}:{problem.line}" if problem.line else str(self.source)]
        if problem.path != ROOT:
            parts.append(problem.path)
        return ": ".join([*parts, problem.message])


@attrs.define(eq=False)
class Findings:
    """Collects the problems of one file. ``lines`` gives the line of a path, or of the nearest path around it."""

    source: Path | str
    lines: Mapping[str, int] = attrs.field(factory=dict)
    _problems: list[Problem] = attrs.field(factory=list, init=False)
    _settled: set[str] = attrs.field(factory=set, init=False)
    _variables: dict[str, str] = attrs.field(factory=dict, init=False)

    def add(self, path: str, message: str, *, line: int | None = None) -> None:
        """Note a problem, unless something at or around ``path`` was settled before."""
        if any(around in self._settled for around in _outwards(path)):
            return
        for around in _outwards(path):
            if around in self._variables:
                self._problems.append(Problem(_shown(self._variables[around] + path.removeprefix(around)), message))
                return
        self._problems.append(Problem(_shown(path), message, line or self._line(path)))

    def add_all(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self.add(problem.path, problem.message, line=problem.line)

    def choice(self, path: str, text: str, default: Choice, *, wrong: Choice | None = None) -> Choice:
        """``text`` as one of the words of ``default``'s kind. Blank means ``default``; another word is noted and means
        ``wrong``, or ``default`` too."""
        text = text.strip()
        kind = type(default)
        if not text:
            return default
        if text in tuple(kind):
            return kind(text)
        self.add(path, f"must be one of {', '.join(kind)}")
        return default if wrong is None else wrong

    def settle(self, path: str) -> None:
        """The value at ``path`` was found unusable and reported: later rules shall not report what follows from it."""
        self._settled.add(path)

    def blame(self, path: str, variable: str) -> None:
        """The value at ``path`` now comes from the environment: its problems are the variable's, not the file's."""
        self._variables[path] = variable

    def raise_if_any(self) -> None:
        """Raises ``ConfigError`` with all problems in the order of the file, if there are any."""
        if self._problems:
            last = max((problem.line or 0 for problem in self._problems), default=0)
            ordered = sorted(self._problems, key=lambda problem: problem.line or last + 1)
            raise ConfigError(self.source, *dict.fromkeys(ordered))

    def _line(self, path: str) -> int | None:
        if path == ROOT:
            return None  # about the file, not about its first line
        return next((self.lines[around] for around in _outwards(path) if around in self.lines), None)


def _shown(path: str) -> str:
    """``path`` up to the first key that looks like no key: a missing blank makes one of ``value:`` and a secret."""
    match = _SHOWN.match(path)
    shown = match[0] if match else ""
    return path if shown == path else f"{shown}.…"


def _outwards(path: str) -> Iterable[str]:
    """``$.a[0].b``, ``$.a[0]``, ``$.a``, ``$``."""
    while path:
        yield path
        path = path[: max(path.rfind("."), path.rfind("["), 0)]
