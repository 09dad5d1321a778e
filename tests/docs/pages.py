"""The documentation as the tests see it: pages, their links, headings and code blocks.

A block's info string holds its language and, behind it, what the block is: ``yaml moltnet.v1`` is a configuration file
of that version, ``yaml attachment`` one entry of a node's ``attachments``, ``sh setup`` a step that tests carry out.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```[ ]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_HEREDOC = re.compile(r"^cat (>>?) (\S+) <<'?EOF'?\n(.*?\n)EOF$", re.MULTILINE | re.DOTALL)


@attrs.frozen
class Block:
    """A fenced code block. ``line`` is that of its first line of text."""

    page: "Page"
    line: int
    language: str
    marks: Sequence[str]
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


@attrs.frozen
class Page:
    path: Path
    text: str = attrs.field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path, path.read_text(encoding="utf-8"))

    def __str__(self) -> str:
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """The text without code blocks."""
        return _FENCE.sub("", self.text)

    def blocks(self, *languages: str) -> Iterator[Block]:
        """The code blocks in one of these languages; all of them if none is named."""
        for match in _FENCE.finditer(self.text):
            language, *marks = match["info"].split() or [""]
            if not languages or language in languages:
                yield Block(self, self.text.count("\n", 0, match.start("text")) + 1, language, marks, match["text"])

    def code(self) -> Iterator[str]:
        """What stands between backticks in the prose."""
        return (match[1] for match in _CODE.finditer(self.prose))

    def links(self) -> Iterator[str]:
        """The targets of links, those in code left out."""
        return (match[1] for match in _LINK.finditer(_CODE.sub("", self.prose)))

    def anchors(self) -> set[str]:
        """What may stand behind ``#`` in a link to this page, as GitHub and its relatives make it of headings."""
        anchors: set[str] = set()
        for heading in _HEADING.findall(self.prose):
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            number = sum(1 for anchor in anchors if re.fullmatch(rf"{re.escape(slug)}(-\d+)?", anchor))
            anchors.add(f"{slug}-{number}" if number else slug)
        return anchors

    def section(self, heading: str) -> str:
        """The text below a heading of level two, up to the next one."""
        _, found, rest = self.text.partition(f"\n## {heading}\n")
        assert found, f"{self} has no section {heading!r}"
        return rest.partition("\n## ")[0]

    def written_files(self) -> Iterator[tuple[str, str]]:
        """The files that its shell blocks write with ``cat``: name and whole text, each time it changes."""
        files: dict[str, str] = {}
        for block in self.blocks("sh"):
            for mode, name, text in _HEREDOC.findall(block.text):
                files[name] = files.get(name, "") + text if mode == ">>" else text
                yield name, files[name]

    def setup(self) -> str:
        """The blocks marked ``sh setup`` as one script."""
        return "".join(block.text for block in self.blocks("sh") if "setup" in block.marks)


def all_pages() -> list[Page]:
    """Every page of the project."""
    paths = [*ROOT.glob("*.md"), *DOCS.rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    return [Page.read(path) for path in sorted(paths)]


def doc(name: str) -> Page:
    """The page ``docs/<name>``."""
    return Page.read(DOCS / name)


def expanded(text: str, variables: Mapping[str, str]) -> str:
    """``text`` with ``$NAME``, ``${NAME}`` and ``${NAME:-…}`` replaced, as a shell does in a document of its own."""
    return re.sub(r"\$\{?([A-Z][A-Z0-9_]*)(?:[:#%][^}]*)?\}?", lambda match: variables[match[1]], text)
