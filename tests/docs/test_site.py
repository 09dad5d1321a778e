"""The pages as the site wants them: links, chapters, diagrams. `make site` builds it, and fails on a broken link."""

from pathlib import Path

import pytest

from scripts.decisions_page import INDEX, decisions, index
from scripts.site import DOCS, PLAN, Chapter, chapters, navigation, page_names, prepared, problems, source_page
from tests.docs.pages import ROOT, Page
from tests.docs.scenes import REPORTS


@pytest.mark.parametrize(
    ("page", "link", "becomes", "shows"),
    [
        ("docs/node.md", "cli.md#exit-codes", "cli.md#exit-codes", None),
        ("docs/guides/pairing.md", "../node.md", "../node.md", None),
        ("docs/node.md", "#dead-letters", "#dead-letters", None),
        ("docs/node.md", "https://example.com/x.md", "https://example.com/x.md", None),
        ("docs/cli.md", "README.md", "index.md", None),
        ("docs/cli.md", "../README.md", "project/readme.md", "README.md"),
        ("docs/guides/pairing.md", "../../Makefile", "../source/Makefile.md", "Makefile"),
        ("docs/node.md", "../tests/docs", "source/tests/docs/index.md", "tests/docs"),
        ("docs/node.md", "../tests/none.py", "../tests/none.py", None),
        ("docs/node.md", "decisions", "decisions/README.md", None),
        ("README.md", "docs/node.md", "../node.md", None),
    ],
)
def test_a_link_leads_to_where_the_site_has_it(page: str, link: str, becomes: str, shows: str | None) -> None:
    shown: set[str] = set()
    assert prepared(f"See [it]({link}).", page, shown) == f"See [it]({becomes})."
    assert shown - {"docs/decisions"} == ({shows} if shows else set())


def test_what_looks_like_a_link_in_code_stays() -> None:
    text = "```sh\n[x](../Makefile)\n```\n"
    assert prepared(text, "docs/node.md", set()) == text


def test_a_diagram_becomes_what_the_library_draws() -> None:
    text = "```mermaid\nflowchart LR\n\n    a --> b<c\n```\n"
    assert prepared(text, "docs/node.md", set()) == '<pre class="mermaid">\nflowchart LR\n    a --> b&lt;c\n</pre>\n'


def test_a_file_with_fences_is_shown_in_a_longer_fence() -> None:
    assert "````text\n" in source_page("docs/quickstart.md")
    assert "```sh\n#!/" not in source_page("Makefile")
    assert "- `test_site.py`" in source_page("tests/docs")


def test_the_plan_is_of_pages_that_exist_and_has_them_all() -> None:
    plan = chapters(PLAN.read_text(encoding="utf-8"), DOCS)
    placed = {page for chapter in plan for page in chapter.pages}
    assert list(problems(DOCS, plan)) == []
    assert {name for name in page_names(DOCS) if not name.startswith("decisions/")} <= placed | {"README"}


def test_a_chapter_with_a_page_that_is_missing_or_taken_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n")
    (tmp_path / "b.md").write_text("# B\n")
    plan = chapters(
        '[[chapter]]\ntitle = "One"\npages = ["a", "c"]\n[[chapter]]\ntitle = "Two"\npages = ["a"]\n', tmp_path
    )
    assert plan[-1].pages == ("a", "b")
    assert list(problems(tmp_path, plan)) == ["c: there is no such page", "a: in two chapters"]


def test_a_chapter_is_a_hidden_tree() -> None:
    assert ":caption: One\n\na\nb\n```" in navigation([Chapter("One", ("a", "b"))])


def test_every_decision_stands_in_the_index() -> None:
    assert INDEX.read_text(encoding="utf-8") == index(), "run: python -m scripts.decisions_page"


@pytest.mark.parametrize("path", decisions(), ids=lambda path: path.stem)
def test_a_decision_has_its_number_and_a_state(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {path.name[:4]} ")
    assert "- **State:** " in text


def test_every_page_is_found_from_the_first_one() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        path = waiting.pop()
        if path in reached or path.suffix != ".md":
            continue
        reached.add(path)
        waiting += [
            (path.parent / link.partition("#")[0]).resolve() for link in Page.read(path).links() if ":" not in link
        ]
    missing = {f"docs/{name}.md" for name in page_names(DOCS) if DOCS / f"{name}.md" not in reached}
    assert missing - REPORTS == set()
