"""Writes the index of the decisions, ``docs/decisions/README.md``: ``python -m scripts.decisions_page``.

A test compares it, so run this after a decision was added.
"""

from pathlib import Path
from typing import Final

INDEX: Final = Path(__file__).parent.parent / "docs" / "decisions" / "README.md"

_INTRODUCTION: Final = """\
# Decisions

<!-- Written by `python -m scripts.decisions_page`. -->

Why it is so: one page for each choice that somebody will ask about. A decision that was overturned stays, and says by
which it was replaced. [0001-template.md](0001-template.md) is how to write one.

| | Decision |
|---|---|
"""


def decisions() -> list[Path]:
    """The pages, by number."""
    return sorted(INDEX.parent.glob("[0-9]*.md"))


def index() -> str:
    """The whole page."""
    rows = []
    for path in decisions():
        number, _, title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ").partition(" ")
        if number != "0001":
            rows.append(f"| [{number}]({path.name}) | {title} |\n")
    return _INTRODUCTION + "".join(rows)


if __name__ == "__main__":
    INDEX.write_text(index(), encoding="utf-8")
