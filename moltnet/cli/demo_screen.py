"""Lines of the demo on a terminal, or in a pipe: time, who, and what was said; notes below what they explain.

Everything that comes from the network is made harmless first. Colours only on a terminal, and not with ``NO_COLOR``.
"""

import os
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import Final, Self

import attrs
from rich.console import Console
from rich.table import Table
from rich.text import Text

from moltnet.cli.output import harmless

# Names of the demo have five letters; a guest in its room may have more.
_NAME_COLUMNS: Final = 5
_MOST_NAME_COLUMNS: Final = 16
_TIME_COLUMNS: Final = len("23:59:59")
# Whatever is not a terminal gets a line per message, however long.
_UNWRAPPED_COLUMNS: Final = 1_000_000


@attrs.frozen(eq=False)
class Screen:
    """Writes to standard output. Raises ``BrokenPipeError`` once nobody reads it."""

    _console: Console

    @classmethod
    def open(cls) -> Self:
        # What the terminal's encoding lacks becomes a question mark instead of an end.
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a text file, unless a test replaced it
        return cls(
            _Console(
                file=sys.stdout,
                width=None if sys.stdout.isatty() else _UNWRAPPED_COLUMNS,
                color_system=None if "NO_COLOR" in os.environ else "auto",
                highlight=False,
                emoji=False,
                markup=False,
            )
        )

    def say(self, text: str, *, style: str = "") -> None:
        """A line of the demo itself."""
        self._console.print(Text(text, style))

    def message(self, at: datetime, who: str, text: str, *, style: str) -> None:
        """Something that was said in the room."""
        self._row(Text(f"{at.astimezone():%H:%M:%S}", "dim"), Text(harmless(who, keep=""), style), Text(harmless(text)))

    def note(self, text: str) -> None:
        """What happens underneath."""
        self._row(Text(), Text("·", "dim"), Text(harmless(text, keep=""), "dim"))

    def hints(self, hints: Sequence[tuple[str, str]]) -> None:
        """Commands and what they are good for."""
        columns = max(len(command) for command, _ in hints)
        for command, purpose in hints:
            self._console.print(Text.assemble("  ", (command.ljust(columns), "bold"), "  ", purpose))

    def _row(self, time: Text, who: Text, text: Text) -> None:
        row = Table.grid(padding=(0, 2))
        row.add_column(min_width=_TIME_COLUMNS)
        row.add_column(min_width=_NAME_COLUMNS, max_width=_MOST_NAME_COLUMNS, no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(time, who, text)
        self._console.print(row)


class _Console(Console):
    def on_broken_pipe(self) -> None:
        # Rich would exit here, with a status of its own; how a command ends is said by ``main``.
        raise BrokenPipeError
