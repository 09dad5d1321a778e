"""Figures as a table for people, as JSON, and as the Markdown of docs/performance.md."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.table import Table

from tests.bench.contestants import CEILINGS
from tests.bench.measurement import Figure, Load, Spread

_CEILING_NAMES: Final = tuple(each.name for each in CEILINGS)
LEGEND: Final = (
    "Medians of the turns. server µs: CPU time of the server, user and system, for one thing. load: share of one core "
    "that the busiest load generator used; from 90 % on it was the limit, and the rate is marked ≥. rate, CPU and "
    "memory by X: this server's by that of X, turn by turn, with least and greatest. of X: this rate by that of "
    "a ceiling."
)
SATURATED: Final = 0.9

Found = Mapping[str, Sequence[Figure]]


def rate(load: Load) -> float:
    return load.per_second


def cpu(load: Load) -> float:
    return load.server_us


def memory(load: Load) -> float:
    return load.kib_each


def is_ceiling(figure: Figure) -> bool:
    return figure.server in _CEILING_NAMES


def by_case(figures: Iterable[Figure]) -> Mapping[str, Sequence[Figure]]:
    cases: dict[str, list[Figure]] = {}
    for figure in figures:
        cases.setdefault(figure.case, []).append(figure)
    return cases


def reference_of(figures: Sequence[Figure]) -> Figure | None:
    """The second of two servers: the first is set against it."""
    servers = [figure for figure in figures if not is_ceiling(figure)]
    return servers[-1] if len(servers) > 1 else None


def table(name: str, figures: Sequence[Figure]) -> Table:
    """A row for each server and ceiling of each case; columns that say nothing are left out."""
    shown = Table(title=name, title_justify="left")
    rows = [_cells(figure, case) for case in by_case(figures).values() for figure in case]
    headings = list(dict.fromkeys(heading for row in rows for heading, text in row.items() if text))
    for heading in headings:
        shown.add_column(heading, justify="left" if heading in ("what", "server", "unit") else "right")
    for row in rows:
        shown.add_row(*(row.get(heading, "") for heading in headings))
    return shown


def _cells(figure: Figure, case: Sequence[Figure]) -> dict[str, str]:
    cells = {"what": figure.case, "server": figure.server}
    if not figure.turns:
        return cells | {"per second": "failed"}
    share = figure.middle(lambda load: load.load_share)
    cells |= {
        "per second": ("≥ " * (share >= SATURATED)) + decimals(figure.per_second, 0 if figure.per_second >= 10 else 2),
        "unit": figure.unit,
        "p50 ms": decimals(figure.middle(lambda load: load.latency_ms(50)), 2),
        "p99 ms": decimals(figure.middle(lambda load: load.latency_ms(99)), 2),
        "server µs": decimals(figure.middle(cpu), 1),
        "load": "" if math.isnan(share) else f"{share:.0%}",
        "KiB each": decimals(figure.middle(memory), 1),
    }
    reference = reference_of(case)
    if reference is not None and reference is not figure and not is_ceiling(figure):
        for heading, of in (("rate", rate), ("CPU", cpu), ("memory", memory)):
            cells[f"{heading} by {reference.server}"] = _text(figure.ratio(reference, of))
    if not is_ceiling(figure):
        for ceiling in filter(is_ceiling, case):
            found = figure.ratio(ceiling, rate)
            cells[f"of {ceiling.server}"] = "" if found is None else f"{found.middle:.0%}"
    return cells


def failures(found: Found) -> Iterator[str]:
    """What went wrong: a line for each server that could not go on."""
    seen = dict.fromkeys(
        f"{figure.server}: {figure.failure}" for figures in found.values() for figure in figures if figure.failure
    )
    yield from seen


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    shown = []
    for case in by_case(figures).values():
        reference = reference_of(case)
        for figure in case:
            ratios = {}
            others = [other for other in case if is_ceiling(other) or other is reference]
            for other in others:
                if other is not figure:
                    ratios[other.server] = {
                        name: _numbers(figure.ratio(other, of)) for name, of in (("rate", rate), ("cpu", cpu))
                    }
            shown.append(
                {
                    "case": figure.case,
                    "server": figure.server,
                    "unit": figure.unit,
                    "failure": figure.failure,
                    "turns": [_load(load) for load in figure.turns],
                    "by": {} if is_ceiling(figure) else ratios,
                }
            )
    return shown


def _load(load: Load) -> dict[str, Any]:
    quantities = {
        "per_second": load.per_second,
        "p50_ms": load.latency_ms(50),
        "p99_ms": load.latency_ms(99),
        "server_us": load.server_us,
        "load_share": load.load_share,
        "kib_each": load.kib_each,
    }
    return {name: None if math.isnan(value) else round(value, 4) for name, value in quantities.items()}


def _numbers(found: Spread | None) -> list[float] | None:
    return None if found is None else [round(each, 4) for each in (found.middle, found.least, found.most)]


def markdown(found: Found) -> str:
    """The first server of each case: by the second if there are two, and as a share of the ceilings."""
    cases = [case for figures in found.values() for case in by_case(figures).values()]
    reference = next((each.server for case in cases if (each := reference_of(case)) is not None), "")
    compared = f" rate by {reference} | CPU by {reference} | memory by {reference} |" if reference else ""
    ceilings = [name for name in _CEILING_NAMES if any(each.server == name for case in cases for each in case)]
    head = f"| Work | rate | p50 / p99 ms | CPU µs | KiB |{compared}{''.join(f' of {name} |' for name in ceilings)}\n"
    lines = [head, "|---" * (head.count("|") - 1) + "|\n"]
    for case in cases:
        mine = next((figure for figure in case if not is_ceiling(figure) and figure.turns), None)
        if mine is None:
            continue
        cells = _cells(mine, case)
        texts = [
            mine.case,
            f"{cells['per second']} {mine.unit}/s",
            f"{cells['p50 ms']} / {cells['p99 ms']}" if cells["p50 ms"] else "",
            cells["server µs"],
            cells["KiB each"],
        ]
        if reference:
            texts += [cells.get(f"{heading} by {reference}", "") for heading in ("rate", "CPU", "memory")]
        texts += [cells.get(f"of {name}", "") for name in ceilings]
        lines.append(f"| {' | '.join(texts)} |\n")
    return "".join(lines)


def decimals(value: float, digits: int) -> str:
    return "" if math.isnan(value) else f"{value:,.{digits}f}"


def _text(found: Spread | None) -> str:
    return "" if found is None else str(found)
