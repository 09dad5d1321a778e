"""Sampled stacks as a flame graph: SVG, the outermost function at the bottom, each as wide as it was busy."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Final
from xml.sax.saxutils import escape

import attrs

from tests.bench.profile.sampling import Stack

WIDTH: Final = 1200
ROW: Final = 17
HEAD: Final = 30
# Narrower than this share of all, nothing can be read of it.
LEAST_SHARE: Final = 0.003
_CHARACTER: Final = 6.2
# Who wrote it.
COLOURS: Final = (
    ("moltnet/lane", "#7bc96f"),
    ("moltnet/fanout", "#a5d89a"),
    ("moltnet", "#58a6ff"),
    ("trio", "#ffd33d"),
    ("hypercorn", "#f66a0a"),
    ("quart", "#ea4aaa"),
    ("werkzeug", "#f692ce"),
    ("flask", "#f692ce"),
    ("h11", "#fb8f44"),
    ("wsproto", "#fb8f44"),
)
OTHER: Final = "#d0d7de"


@attrs.define
class Node:
    """A function in its place: how often it was seen there, and what it called."""

    seen: int = 0
    calls: dict[str, "Node"] = attrs.field(factory=dict)


def tree(stacks: Mapping[Stack, int], below: str = "") -> Node:
    """All stacks as one tree; only what lies inside the function ``below``, if one is named."""
    root = Node()
    for stack, count in stacks.items():
        names = list(stack)
        if below:
            at = [number for number, name in enumerate(names) if name.endswith(below)]
            if not at:
                continue
            names = names[at[-1] :]
        root.seen += count
        node = root
        for name in names:
            node = node.calls.setdefault(name, Node())
            node.seen += count
    return root


def shares(stacks: Mapping[Stack, int]) -> Mapping[str, float]:
    """Of the samples, by whose function was the innermost: ours by package, others' by library."""
    found: Counter[str] = Counter()
    for stack, count in stacks.items():
        found[_owner(stack[-1])] += count
    total = sum(found.values())
    return {name: count / total for name, count in found.most_common()}


def _owner(name: str) -> str:
    parts = name.partition(":")[0].split("/")
    return "/".join(parts[:2]) if parts[0] == "moltnet" else parts[0]


def picture(title: str, root: Node) -> str:
    depth = _depth(root, root.seen)
    height = HEAD + ROW * depth + 6
    parts = [
        f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' role='img' font-family='monospace' "
        f"font-size='10'>",
        f"<title>{escape(title)}</title>",
        f"<rect width='{WIDTH}' height='{height}' fill='#ffffff'/>",
        f"<text x='8' y='19' font-family='sans-serif' font-size='13' font-weight='bold'>{escape(title)}</text>",
        *_boxes(root, 0.0, height - ROW - 3, root.seen),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _depth(node: Node, total: int) -> int:
    return max((1 + _depth(call, total) for call in node.calls.values() if call.seen >= LEAST_SHARE * total), default=0)


def _boxes(node: Node, left: float, y: float, total: int) -> Iterator[str]:
    for name, call in sorted(node.calls.items()):
        width = call.seen / total * WIDTH
        if call.seen >= LEAST_SHARE * total:
            colour = next((colour for start, colour in COLOURS if name.startswith(start)), OTHER)
            said = f"{name} {call.seen / total:.1%}"
            short = _fitting(name, width)
            yield (
                f"<g><title>{escape(said)}</title><rect x='{left:.1f}' y='{y}' width='{max(width - 0.5, 0.5):.1f}' "
                f"height='{ROW - 1}' fill='{colour}'/>"
                + (f"<text x='{left + 2:.1f}' y='{y + 12}'>{escape(short)}</text>" if short else "")
                + "</g>"
            )
            yield from _boxes(call, left, y - ROW, total)
        left += width


def _fitting(name: str, width: float) -> str:
    room = int((width - 4) / _CHARACTER)
    function = name.partition(":")[2]
    short = next((text for text in (name, function, function.rpartition(".")[2]) if len(text) <= room), "")
    return short or (function.rpartition(".")[2][: room - 1] + "…" if room > 4 else "")
