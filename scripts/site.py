"""Builds the documentation as a site: ``make site`` leaves it in ``dist/site``, to be opened or served as files.

The pages are those of ``docs/``, as everybody reads them on a forge; Sphinx with MyST understands the same Markdown.
They are prepared in a directory of their own first: a link to a file outside of ``docs/`` becomes a link to a page that
shows the file, and the order of the pages comes from ``site.toml``. Anything that Sphinx warns of fails: a link to
nothing, a heading out of order.

    python -m scripts.site [--source DIRECTORY] [--into DIRECTORY]
"""

import argparse
import os
import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from moltnet import __version__

ROOT: Final = Path(__file__).parent.parent
DOCS: Final = ROOT / "docs"
PLAN: Final = Path(__file__).with_name("site.toml")
# Where `scripts/install-site-tools` puts the library that draws the diagrams.
DIAGRAMS: Final = Path(os.environ.get("MOLTNET_SITE_TOOLS") or ROOT / ".cache" / "site-tools") / "mermaid.min.js"

_FENCE = re.compile(r"^(?P<indent>[ ]*)```[^\n`]*\n.*?^(?P=indent)```[ ]*$", re.MULTILINE | re.DOTALL)
_DIAGRAM = re.compile(r"^```mermaid\n(.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(?P<head>!?\[[^\]]*\])\((?P<target>[^)\s]+)\)")
_LANGUAGES: Final = {
    ".py": "python",
    ".sh": "sh",
    ".yaml": "yaml",
    ".toml": "toml",
    ".json": "json",
    ".js": "js",
    ".sql": "sql",
}
_CONFIGS: Final = {"Moltnet": "yaml", "MoltnetNode": "yaml", "nginx.conf": "nginx", "Containerfile": "docker"}


@attrs.frozen
class Chapter:
    """A part of the navigation. ``pages`` are paths below ``docs/`` without ``.md``."""

    title: str
    pages: Sequence[str]


def chapters(text: str, docs: Path) -> list[Chapter]:
    """What a plan such as ``site.toml`` says. Its last chapter gets the pages of ``docs`` that no chapter names."""
    named = [Chapter(each["title"], tuple(each["pages"])) for each in tomllib.loads(text)["chapter"]]
    placed = {page for chapter in named for page in chapter.pages} | {"README"}
    others = [page for page in page_names(docs) if page not in placed and not page.startswith("decisions/")]
    return [*named[:-1], attrs.evolve(named[-1], pages=(*named[-1].pages, *others))]


def page_names(docs: Path) -> list[str]:
    """The pages of the site by their names; fragments of the change log are none."""
    found = (path.relative_to(docs).with_suffix("").as_posix() for path in docs.rglob("*.md"))
    return sorted(name for name in found if not name.startswith("newsfragments/"))


def shown_as(path: str) -> str:
    """The page of the site that shows a file or directory of the tree, by its path there."""
    if path in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        return f"project/{path.lower()}"
    return f"source/{path}/index.md" if (ROOT / path).is_dir() else f"source/{path}.md"


def prepared(text: str, page: str, shown: set[str]) -> str:
    """A page of the tree, as the site wants it. Files outside of ``docs/`` that it links to are added to ``shown``.

    ``page`` is its path from the root of the tree.
    """
    home = posixpath.dirname(_place(page))

    def relinked(match: re.Match[str]) -> str:
        target, hash_mark, anchor = match["target"].partition("#")
        if not target or re.match(r"[a-z]+:", target):
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if not path.startswith("docs/") and not (ROOT / path).exists():
            return match[0]  # Sphinx will say so
        is_page = path.startswith("docs/") and (path.endswith(".md") or not (ROOT / path).is_dir())
        if not is_page or path.startswith("docs/newsfragments/"):
            shown.add(path)
        return f"{match['head']}({posixpath.relpath(_place(path), home or '.')}{hash_mark}{anchor})"

    pieces, end = [], 0
    for fence in _FENCE.finditer(text):
        pieces += [_LINK.sub(relinked, text[end : fence.start()]), fence[0]]
        end = fence.end()
    pieces.append(_LINK.sub(relinked, text[end:]))
    return _DIAGRAM.sub(_drawn, "".join(pieces))


def _place(path: str) -> str:
    """Where a file of the tree is in the site's own tree."""
    if path == "docs/README.md":
        return "index.md"
    if path == "docs/decisions":
        return "decisions/README.md"
    if path.startswith("docs/") and not path.startswith("docs/newsfragments"):
        return path.removeprefix("docs/")
    return shown_as(path)


def _drawn(diagram: re.Match[str]) -> str:
    escaped = diagram[1].replace("&", "&amp;").replace("<", "&lt;")
    # A block of HTML in Markdown ends at an empty line.
    lines = [line for line in escaped.splitlines() if line.strip()]
    return "\n".join(['<pre class="mermaid">', *lines, "</pre>"])


def source_page(path: str) -> str:
    """A page that shows a file, or lists a directory, of the tree."""
    place = ROOT / path
    title = f"---\norphan: true\nsearch: false\n---\n\n# {place.name}\n\n`{path}`\n\n"
    if place.is_dir():
        names = sorted(each.name + "/" * each.is_dir() for each in place.iterdir() if each.name[0] not in "._")
        return title + "\n".join(f"- `{name}`" for name in names) + "\n"
    text = place.read_text(encoding="utf-8")
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    language = _CONFIGS.get(place.name) or _LANGUAGES.get(place.suffix, "text")
    return f"{title}{fence}{language}\n{text.rstrip()}\n{fence}\n"


def navigation(plan: Sequence[Chapter]) -> str:
    """What the side bar shows."""
    lines: list[str] = []
    for chapter in plan:
        caption = [f":caption: {chapter.title}"] if chapter.title else []
        lines += ["", "```{toctree}", ":hidden:", *caption, "", *chapter.pages, "```"]
    return "\n".join([*lines, ""])


def prepare(docs: Path, plan: Sequence[Chapter], into: Path) -> None:
    """Write the whole tree that Sphinx reads."""
    shown: set[str] = set()
    decisions = [name.removeprefix("decisions/") for name in page_names(docs) if re.match(r"decisions/\d", name)]
    after = {"docs/README.md": navigation(plan), "docs/decisions/README.md": navigation([Chapter("", decisions)])}
    pages = {f"docs/{name}.md": docs / f"{name}.md" for name in page_names(docs)}
    pages |= {name: ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "README.md")}
    for page, path in pages.items():
        text = prepared(path.read_text(encoding="utf-8"), page, shown)
        _write(into / _place(page), text + after.get(page, ""))
    for path_of_source in sorted(shown - set(pages)):
        _write(into / shown_as(path_of_source), source_page(path_of_source))
    for path in docs.rglob("*"):
        if path.suffix in (".webp", ".svg", ".png"):
            target = into / path.relative_to(docs)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def configuration(diagrams: Path | None) -> Mapping[str, object]:
    """The settings of Sphinx."""
    return {
        "project": "Moltnet",
        "version": __version__,
        "release": __version__,
        "extensions": ["myst_parser"],
        "root_doc": "index",
        "html_theme": "furo",
        "html_title": f"Moltnet {__version__}",
        "html_copy_source": False,
        "html_show_sphinx": False,
        "html_js_files": [(diagrams.name, {"defer": "defer"}), ("draw.js", {"defer": "defer"})] if diagrams else [],
        "html_static_path": ["_static"] if diagrams else [],
        # Headings get the anchors that forges give them.
        "myst_heading_anchors": 4,
        "myst_enable_extensions": [],
        # Words of ours that no lexer knows, and examples with an ellipsis in them.
        "suppress_warnings": ["misc.highlighting_failure", "myst.header"],
        "nitpicky": True,
    }


def build(docs: Path, plan: Sequence[Chapter], into: Path, diagrams: Path | None) -> int:
    """Prepare and build; the exit code of Sphinx."""
    with tempfile.TemporaryDirectory() as directory:
        tree = Path(directory) / "pages"
        prepare(docs, plan, tree)
        if diagrams:
            _write(tree / "_static" / diagrams.name, diagrams.read_text(encoding="utf-8"))
            _write(tree / "_static" / "draw.js", "mermaid.initialize({ startOnLoad: true });\n")
        settings = "".join(f"{name} = {value!r}\n" for name, value in configuration(diagrams).items())
        _write(tree / "conf.py", settings)
        shutil.rmtree(into, ignore_errors=True)
        options = ["--quiet", "--fail-on-warning", "--keep-going", "--jobs", "auto", "--builder", "html"]
        doctrees = Path(directory) / "doctrees"
        command = [sys.executable, "-m", "sphinx", *options, "--doctree-dir", str(doctrees), str(tree), str(into)]
        return subprocess.run(command, check=False).returncode


def problems(docs: Path, plan: Sequence[Chapter]) -> Iterator[str]:
    """Chapters that have pages which do not exist, or which another one has."""
    named = [page for chapter in plan for page in chapter.pages]
    existing = {*page_names(docs), "project/readme", "project/contributing", "project/changelog"}
    yield from (f"{page}: there is no such page" for page in named if page not in existing)
    yield from (f"{page}: in two chapters" for page in sorted({page for page in named if named.count(page) > 1}))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Build the documentation as a site.")
    parser.add_argument("--source", type=Path, default=DOCS)
    parser.add_argument("--into", type=Path, default=ROOT / "dist" / "site")
    given = parser.parse_args(arguments)
    plan = chapters(PLAN.read_text(encoding="utf-8"), given.source)
    if found := list(problems(given.source, plan)):
        print(*found, sep="\n", file=sys.stderr)
        return 1
    diagrams = DIAGRAMS if DIAGRAMS.exists() else None
    if diagrams is None:
        print("site: without drawn diagrams; scripts/install-site-tools fetches what draws them", file=sys.stderr)
    code = build(given.source, plan, given.into, diagrams)
    if code == 0:
        print(f"site: {given.into / 'index.html'}")
    return code


if __name__ == "__main__":
    sys.exit(main())
