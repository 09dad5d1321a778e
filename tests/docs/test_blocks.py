"""Every code block of every page has a fate: it is carried out, loaded, compiled, read, or compared with the code.

A block that has none fails here, and so does a line of the tables that no page has any more.
"""

import ast
import importlib
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import pytest

from moltnet.cli.validate import ConfigKind
from tests.docs.pages import DOCS, ROOT, Block, Page, all_pages
from tests.docs.scenes import ELSEWHERE, LOADED, NOT_RUN, OUTPUT, REPORTS, SCENES
from tests.docs.terminal import blocks_of, is_command_of
from tests.examples.programs import program
from tests.fakes.postgres import PostgresServer

PAGES = [page for page in all_pages() if page.path.name == "README.md" or DOCS in page.path.parents]
BLOCKS = [block for page in PAGES for block in page.blocks()]

CONFIGS: Final = frozenset({*ConfigKind, "attachment"})
# Words shorter than this are everywhere.
_MIN_CHARACTERS: Final = 4


Value = TypeVar("Value")


def first_line(block: Block) -> str:
    return block.text.strip().partition("\n")[0]


def found(table: Mapping[tuple[str, str], Value], block: Block) -> Value | None:
    """What a table says of a block: by its page, and how its first line begins."""
    for (page, beginning), value in table.items():
        if page == str(block.page) and first_line(block).startswith(beginning):
            return value
    return None


def fate(block: Block) -> str:
    """How it is kept true; empty if nobody has said."""
    if found(NOT_RUN, block):
        return "not run"
    if found(LOADED, block):
        return "loaded"
    if str(block.page) in REPORTS and block.language in ("", "sh", "text"):
        return "reported" if block.language == "text" else "looked up"
    if str(block.page).startswith("docs/decisions/") and block.language in ("", "text"):
        return "drawn"  # as things were when it was decided
    match block.language:
        case "sh":
            return "carried out" if str(block.page) in {*SCENES, *ELSEWHERE} else ""
        case "yaml" | "json" if CONFIGS.intersection(block.marks):
            return "loaded"  # tests/docs/test_docs.py
        case "json":
            return "read"
        case "python":
            return "compiled"
        case "text":
            return "compared" if found(OUTPUT, block) else ""
        case "mermaid":
            return "drawn"  # by the site
        case "toml":
            return "read"
    return ""


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_a_block_has_a_fate(block: Block) -> None:
    assert fate(block), f"{block}: nothing runs, loads or compares it; see tests/docs/scenes.py: {first_line(block)!r}"


@pytest.mark.parametrize("table", [NOT_RUN, OUTPUT, LOADED], ids=["NOT_RUN", "OUTPUT", "LOADED"])
def test_a_line_of_a_table_is_of_a_block_that_exists(table: dict[tuple[str, str], object]) -> None:
    assert [each for each in table if not any(found({each: True}, block) for block in BLOCKS)] == []


@pytest.mark.parametrize("name", SCENES)
def test_what_is_left_out_or_typed_differently_stands_on_the_page(name: str) -> None:
    scene = SCENES[name]
    lines = [line for block in blocks_of(Page.read(ROOT / name)) for line in block.text.splitlines()]
    for command in (*scene.left_out, *scene.typed):
        assert any(is_command_of(command, line) for line in lines), f"{name} has no {command!r}"


@pytest.mark.parametrize("name", ELSEWHERE)
def test_the_test_of_a_page_exists_and_names_it(name: str) -> None:
    text = (ROOT / ELSEWHERE[name]).read_text(encoding="utf-8")
    assert Path(name).name in text or Path(name).stem.replace("-", "_") in text


def named_tests() -> set[str]:
    reasons = [*NOT_RUN.values(), *(reason for scene in SCENES.values() for reason in scene.left_out.values())]
    return {name for reason in reasons for name in re.findall(r"tests/[\w/]+(?:\.py)?", reason)}


@pytest.mark.parametrize("name", sorted(named_tests()))
def test_a_test_that_does_it_instead_exists(name: str) -> None:
    assert (ROOT / name).exists()


@pytest.mark.parametrize("block", [block for block in BLOCKS if fate(block) == "compiled"], ids=str)
def test_python_compiles_and_what_it_imports_from_us_exists(block: Block) -> None:
    tree = ast.parse(block.text)
    compile(block.text, str(block), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("moltnet", "bridge", "node"):
            module = importlib.import_module(node.module or "")
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if fate(block) == "looked up"], ids=str)
def test_the_targets_and_modules_of_a_report_exist(block: Block) -> None:
    commands = re.findall(
        r"^(?:[A-Z_]+=\S+ )*(?:\S*/)?(make|python|pytest) (?:-m )?([\w.-]+)", block.text, re.MULTILINE
    )
    assert commands, f"{block}: say `make TARGET` or `python -m MODULE`"
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for how, name in commands:
        place = ROOT / name.replace(".", "/")
        exists = place.is_dir() or place.with_suffix(".py").exists()
        assert name in targets if how == "make" else how == "pytest" or exists, f"{block}: {how} {name}"


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "toml"], ids=str)
def test_toml_can_be_read(block: Block) -> None:
    tomllib.loads(block.text)


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "json"], ids=str)
def test_json_can_be_read(block: Block) -> None:
    json.loads(block.text)


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in BLOCKS if found(LOADED, block) == "caddy"], ids=str)
def test_caddy_takes_it(block: Block, tmp_path: Path) -> None:
    file = tmp_path / "Caddyfile"
    file.write_text(block.text, encoding="utf-8")
    command = [str(program("caddy")), "adapt", "--adapter", "caddyfile", "--config", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, env={"HOME": str(tmp_path)}, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in BLOCKS if found(LOADED, block) == "nginx"], ids=str)
def test_nginx_takes_it(block: Block, tmp_path: Path) -> None:
    places = "".join(
        f"{kind}_temp_path {tmp_path}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(f"pid {tmp_path}/pid;\nevents {{}}\nhttp {{\naccess_log off;\n{places}{block.text}}}\n")
    command = [str(program("nginx")), "-p", str(tmp_path), "-e", "stderr", "-t", "-c", str(file)]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in BLOCKS if found(LOADED, block) == "postgres"], ids=str)
def test_postgresql_takes_it(block: Block, postgres_server: PostgresServer) -> None:
    try:
        for statement in block.text.split(";\n"):
            if statement.strip():
                postgres_server.sql(statement)
    finally:
        postgres_server.try_sql("DROP DATABASE moltnet")
        postgres_server.try_sql("DROP ROLE moltnet")


# What we print ------------------------------------------------------------------------------------------------------


@cache
def texts() -> str:
    """Every text in the code, each on a line of its own; what is filled in at run time is a tab."""
    found: list[str] = []
    paths = [path for package in ("moltnet", "bridge", "node") for path in sorted((ROOT / package).rglob("*.py"))]
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                found.append(
                    "".join(str(part.value) if isinstance(part, ast.Constant) else "\t" for part in node.values)
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return "\n".join(found)


def missing(message: str) -> list[str]:
    """The pieces of a quoted message, between its ``…``, that stand in no text of the code."""
    pieces = (piece.strip(' :;"()') for piece in message.split("…"))
    return [piece for piece in pieces if len(piece) >= _MIN_CHARACTERS and piece not in texts()]


@pytest.mark.parametrize("block", [block for block in BLOCKS if fate(block) == "compared"], ids=str)
def test_the_fixed_words_of_an_output_stand_in_the_code(block: Block) -> None:
    words = found(OUTPUT, block) or ()
    assert [word for word in words if word not in block.text] == []
    assert [word for word in words if missing(word)] == []


def quoted(page: Page) -> Iterator[str]:
    """The messages in the first column of the tables."""
    for row in re.findall(r"^\| (.*?) \| ", page.text, re.MULTILINE):
        yield from re.findall("`([^`]+)`", row)


@pytest.mark.parametrize("message", list(quoted(Page.read(DOCS / "troubleshooting.md"))))
def test_a_message_of_the_page_about_troubles_is_one_of_ours(message: str) -> None:
    assert missing(message) == []


def test_a_message_that_we_do_not_have_is_noticed() -> None:
    assert missing("room … is not attached for …; add it with") == []
    assert missing("room … is quite unattached for …") == ["is quite unattached for"]
    assert len(list(quoted(Page.read(DOCS / "troubleshooting.md")))) > 30
