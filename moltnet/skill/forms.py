"""The few forms that the texts are made of. Values in them have been escaped before."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from moltnet.skill.escaping import yaml_text

NAME: Final = "moltnet"
"""What every skill of ours is called. Programs take a text without ``name: moltnet`` for none."""

_FENCE: Final = "```"
# What begins a line of its own: a heading, an item of a list, a row of a table, a block.
_BEGINS: Final = ("#", "- ", "|", _FENCE)
# What the next line never goes on.
_ENDS: Final = ("#", "|", _FENCE)


def block(language: str, lines: Iterable[str]) -> Iterator[str]:
    """A code block, and an empty line."""
    yield f"```{language}"
    yield from lines
    yield "```"
    yield ""


def front_matter(description: str, metadata: Mapping[str, str]) -> Iterator[str]:
    """What runtimes read of a skill before they read it, and an empty line."""
    yield "---"
    yield f"name: {NAME}"
    yield f"description: {yaml_text(description)}"
    yield "metadata:"
    for key, value in metadata.items():
        yield f"  {key}: {yaml_text(value)}"
    yield "---"
    yield ""


def joined(lines: Iterable[str]) -> str:
    """The text: a paragraph to a line, one line end at the end, and never two empty lines in a row.

    Blocks of code stay as they are.
    """
    kept: list[str] = []
    in_block = False
    for line in lines:
        is_fence = line.startswith(_FENCE)
        if in_block or is_fence:
            in_block = in_block != is_fence
            kept.append(line)
        elif not line.startswith(_BEGINS) and kept and kept[-1] and not kept[-1].startswith(_ENDS) and line:
            kept[-1] += " " + line.strip()
        elif line or (kept and kept[-1]):
            kept.append(line)
    return "\n".join(kept).rstrip("\n") + "\n"
