"""The commands of the pages, carried out one page after another, as they stand there."""

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, Page
from tests.docs.scenes import BY_CHAPTER, SCENES
from tests.docs.terminal import PAGE_SECONDS, Scene, blocks_of, carry_out, without
from tests.examples.reference_tables import rows, script

pytestmark = pytest.mark.slow


def needed(name: str, directory: Path, request: pytest.FixtureRequest) -> str:
    """The value of a variable that a scene needs."""
    match name:
        case "DATABASE_URL":
            return str(request.getfixturevalue("postgres_dsn"))
        case "OLD_DATABASE":
            path = directory / "old.db"
            with closing(sqlite3.connect(path)) as connection:
                connection.executescript(script("TEXT"))
            assert list(rows())
            return str(path)
        case _:
            return str(ROOT / "examples" / name.lower())


def parts() -> Iterator[tuple[str, Page]]:
    """What is carried out at one go, and the page that it is of."""
    for name, scene in SCENES.items():
        page = Page.read(ROOT / name)
        for part in chapters(page) if name in BY_CHAPTER else [page]:
            if any(without(scene, block.text).strip() for block in blocks_of(part)):
                yield name, part


def chapters(page: Page) -> Iterator[Page]:
    """A page for each chapter, with as many lines before it as it has on the page."""
    begins = [match.start() for match in re.finditer(r"^## ", page.text, re.MULTILINE)]
    for begin, end in pairwise([0, *begins, len(page.text)]):
        yield Page(page.path, "\n" * page.text.count("\n", 0, begin) + page.text[begin:end])


@pytest.mark.timeout(PAGE_SECONDS + 60)
@pytest.mark.parametrize(
    ("name", "part"), list(parts()), ids=[f"{part}:{next(iter(blocks_of(part))).line}" for _, part in parts()]
)
def test_the_commands_of_a_page_do_what_they_say(
    name: str, part: Page, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scene = SCENES[name]
    variables = {each: needed(each, tmp_path, request) for each in scene.needs}
    carry_out(part, scene, tmp_path, variables)


def test_a_command_is_left_out_with_its_further_lines_and_typed_differently() -> None:
    scene = Scene(typed={"one": "1;one"}, left_out={"two": "because"})
    assert without(scene, "one a\ntwo \\\n  b\nthree two\ntwofold\n") == "1;one a\nthree two\ntwofold\n"
    assert without(Scene(typed={"a": "x", "a b": "y"}), "a b c\na d\n") == "y c\nx d\n"


def test_a_command_that_fails_is_named_with_its_page_and_line(tmp_path: Path) -> None:
    page = Page(ROOT / "docs" / "none.md", "# None\n\n```sh\ntrue\nfalse a\n```\n")
    with pytest.raises(AssertionError, match=r"failed in docs/none.md:4: false a"):
        carry_out(page, Scene(), tmp_path)
