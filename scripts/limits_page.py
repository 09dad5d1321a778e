"""Writes ``docs/limits.md`` from the limits in the code: ``python -m scripts.limits_page``.

A test compares the page with the code, so run this after a change of a module in ``SECTIONS``. The value of a limit is
the module's own, its reason is the comment above it; what happens at it, and the test that proves that, stand in
``limit_proofs.txt``.
"""

import importlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import attrs

from moltnet.protocol.limits import KIB, MIB

PAGE: Final = Path(__file__).parent.parent / "docs" / "limits.md"
PROOFS: Final = Path(__file__).with_name("limit_proofs.txt")

SECTIONS: Final = (
    ("The wire, the server's journal and its readers", "moltnet.protocol.limits"),
    ("Agents: turns, prompts, state on disk", "bridge.limits"),
    ("Storage", "moltnet.storage.limits"),
    ("Configuration files and tokens", "moltnet.config.limits"),
    ("The HTTP client of command line and node", "moltnet.client.limits"),
    ("Calls to paired networks, and invitations", "moltnet.pairing.limits"),
    ("Messages on their way to paired networks", "moltnet.pairing.relay_limits"),
)

_INTRODUCTION: Final = """\
# Limits

<!-- Written by `python -m scripts.limits_page` from the modules that are named below. -->

Whatever can grow in Moltnet (queues, requests, frames, answers, the output of programs, files, tries) has a bound.
Nearly all bounds stand in the files below, each with its reason; those of listening sockets and of log lines are in
`moltnet/serving.py` and `moltnet/log.py`. A limit without a reason stands below the one that it belongs to. What
happens at a limit is proven by the test that is named beside it; what nothing can run into (a rhythm, a size of pieces)
says what it steers, and names the test that depends on it.
"The reference" is the Go implementation of the same protocols, whose programs must be able to take part.

What of this can be configured is in [configuration.md](configuration.md) (`storage.event_retention`, and in
`server.limits` how often somebody may ask and how much may be open at once) and in [runtimes.md](runtimes.md)
(`turn_seconds`, `limits`) and of prompts in [node.md](node.md) (`context_messages`); everything else is the same
everywhere.
"""

_ASSIGNMENT: Final = re.compile(r"([A-Z][A-Z0-9_]*)(?:: Final)? = ")
# Units of the modules themselves, not limits.
_UNITS: Final = frozenset({"KIB", "MIB"})
# `# One turn of a runtime -----`: a part of a module.
_HEADING: Final = re.compile(r"# (.+?) -{3,}")
# Sections of the design and of the protocols' descriptions, which readers of the page do not have.
_REFERENCE: Final = re.compile(r"\s*\([^()]*§[^()]*\)|\b[A-Z][a-z ]+§[^.]*\.\s*")
_BYTES: Final = ((MIB, "MiB"), (KIB, "KiB"))
_SECONDS: Final = ((86_400, "days"), (3600, "hours"), (60, "minutes"))


@attrs.frozen
class Limit:
    """One limit of a module; ``heading`` names the part of the module that it stands in, if there are parts."""

    name: str
    value: str
    reason: str
    heading: str = ""


@attrs.frozen
class Proof:
    """What happens at a limit, and the test that shows it: its file, below the root, and its name."""

    happens: str
    file: str
    test: str


def proofs() -> Mapping[tuple[str, str], Proof]:
    """By module and name of the limit. Raises ``ValueError`` for a line that says nothing."""
    found: dict[tuple[str, str], Proof] = {}
    module = ""
    for line in PROOFS.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            module = line.strip("[]")
        elif line and not line.startswith("#"):
            names, happens, test = (part.strip() for part in line.split("|"))
            file, _, name = test.partition(" :: ")
            for limit in names.split(","):
                key = (module, limit.strip())
                if key in found:
                    raise ValueError(f"{key} stands there twice")
                found[key] = Proof(happens, f"tests/{file}", f"test_{name}")
    return found


def page() -> str:
    """The whole page."""
    lines = [_INTRODUCTION]
    known = proofs()
    for title, name in SECTIONS:
        module = importlib.import_module(name)
        assert module.__file__ is not None
        source = Path(module.__file__).read_text(encoding="utf-8")
        lines += [f"## {title}", "", f"`{name.replace('.', '/')}.py`", ""]
        shown_at = {limit: proof for (where, limit), proof in known.items() if where == name}
        lines += [*_tables(limits_of(source, vars(module)), shown_at), ""]
    return "\n".join(lines)


def limits_of(source: str, values: Mapping[str, object]) -> Iterator[Limit]:
    """What ``source`` assigns at its top level, in order, with what ``values`` has for it."""
    heading = reason = ""
    for line in source.splitlines():
        if (part := _HEADING.fullmatch(line)) is not None:
            heading, reason = part[1], ""
        elif line.startswith("# "):
            reason = f"{reason} {line.removeprefix('# ')}".lstrip()
        else:
            assigned = _ASSIGNMENT.match(line)
            if assigned is not None and (name := assigned[1]) not in _UNITS:
                yield Limit(name, shown(name, values[name]), _REFERENCE.sub("", reason).strip(), heading)
            reason = ""


def shown(name: str, value: object) -> str:
    """A value with the unit that its name ends in."""
    if isinstance(value, tuple):
        return ", ".join(shown(name, item) for item in value)
    assert isinstance(value, int | float), name
    match name.rpartition("_")[2]:
        case "BYTES":
            return next((f"{value // size:g} {unit}" for size, unit in _BYTES if value % size == 0), f"{value} bytes")
        case "SECONDS":
            large = ((value / size, unit) for size, unit in _SECONDS if value % size == 0 and value > size)
            return next((f"{count:g} {unit}" for count, unit in large), f"{value:g} s")
        case "MS":
            return f"{value} ms"
        case "KIB":
            return f"{value} KiB"
        case _:
            return f"{value}"


def _tables(limits: Iterator[Limit], proven: Mapping[str, Proof]) -> Iterator[str]:
    """The lines of a table for each part of a module."""
    heading = None
    for limit in limits:
        if limit.heading != heading:
            if heading is not None:
                yield ""
            heading = limit.heading
            if heading:
                yield from (f"### {heading}", "")
            yield from ("| Limit | Value | At it | Proven by | Reason |", "|---|---|---|---|---|")
        proof = proven.get(limit.name)
        shows = "" if proof is None else f"[`{proof.file}::{proof.test}`](../{proof.file})"
        cells = (f"`{limit.name}`", limit.value, "" if proof is None else proof.happens, shows, limit.reason)
        yield f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
