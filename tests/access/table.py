"""The access table: what is expected of each cell, as it stands in `docs/access.md`, and what a network really says."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from moltnet.storage.store import Store
from tests.access.operations import SECTIONS, Operation
from tests.access.world import CALLERS, MODES, World, open_world

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "access.md"
Row = Mapping[str, str]
Table = Mapping[str, Row]
"""Operation → caller → what comes of it."""


def columns_of(mode: str) -> Sequence[str]:
    """In mode none nobody is asked for a token, so one column says it all."""
    return ("anybody",) if mode == "none" else tuple(CALLERS)


async def tried(mode: str, store: Store | None = None) -> Table:
    """Walk all cells of a mode on one network."""
    async with open_world(mode, store) as world:
        return {
            operation.name: {column: await _try(world, operation, column) for column in columns_of(mode)}
            for operations in SECTIONS.values()
            for operation in operations
        }


async def _try(world: World, operation: Operation, caller: str) -> str:
    return await operation.ask(world, caller)


def expected(mode: str) -> Table:
    """The same, read from the page."""
    table: dict[str, Row] = {}
    within, columns = False, list[str]()
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            within = line == heading(mode)
        if within and line.startswith("| ") and not line.startswith("|---"):
            name, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            if name.startswith("*"):
                columns = cells
            else:
                table[name] = dict(zip(columns, cells, strict=True))
    return table


def heading(mode: str) -> str:
    return f"## Mode `{mode.split(' ')[0]}`{mode.removeprefix(mode.split(' ')[0])}"


def rendered(mode: str, table: Table) -> Iterator[str]:
    """A mode's part of the page, in Markdown."""
    columns = columns_of(mode)
    yield heading(mode)
    for section, operations in SECTIONS.items():
        yield ""
        yield f"| *{section}* | {' | '.join(columns)} |"
        yield "|---" * (len(columns) + 1) + "|"
        for operation in operations:
            yield f"| {operation.name} | {' | '.join(table[operation.name][column] for column in columns)} |"
    yield ""


def all_modes() -> Sequence[str]:
    return tuple(MODES)
