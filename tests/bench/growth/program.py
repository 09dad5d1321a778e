"""``python -m tests.bench growth``: how costs grow, as a table and as pictures."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from tests.bench import document
from tests.bench.growth.curves import Curve, measure, table
from tests.bench.growth.dimensions import DIMENSIONS
from tests.bench.growth.drawing import picture

PICTURES: Final = document.PAGE.parent / "pictures"
CPU_SECONDS: Final = 0.5


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench growth", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of the name of what grows; all if none is named")
    parser.add_argument("--most", type=int, default=1_000_000, help="leave out what is larger than this")
    parser.add_argument("--pictures", type=Path, help="write the pictures into this directory")
    parser.add_argument("--write-docs", action="store_true", help="write pictures and table into docs/")
    given = parser.parse_args(arguments)
    wanted = [each for each in DIMENSIONS if not given.names or any(name in each.name for name in given.names)]
    curves: list[Curve] = []
    pictures = PICTURES if given.write_docs else given.pictures
    for dimension in wanted:
        sizes = [size for size in dimension.sizes if size <= given.most]
        if len(sizes) < 2:
            parser.error(f"--most {given.most} leaves nothing to compare of {dimension.name}")
        found = trio.run(measure, dimension, sizes, CPU_SECONDS, partial(print, file=sys.stderr))
        curves += found
        if pictures is not None:
            pictures.mkdir(exist_ok=True)
            title = f"Cost of an operation by {dimension.name}, as a multiple of the cost at {sizes[0]:,}"
            name = f"growth-{dimension.name.partition(' ')[0]}.svg"
            (pictures / name).write_text(picture(title, found), encoding="utf-8")
    print(table(curves))
    if given.write_docs:
        document.replace_marked("growth", table(curves))
    return 0
