"""What the pages say is so: links lead somewhere, configurations load, commands exist."""

import hashlib
import json
import re
import shlex
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import yaml

from moltnet.cli.main import COMMANDS, cli
from moltnet.cli.validate import ConfigKind, check_file
from tests.docs.pages import ROOT, Block, Page, all_pages, expanded

PAGES = all_pages()
KINDS = {"Moltnet": ConfigKind.SERVER, "MoltnetNode": ConfigKind.NODE}
EXAMPLES = [path for name in KINDS for path in sorted((ROOT / "examples").rglob(name))]

# Directories of some machine. `/srv` and addresses in URLs are none.
_MACHINE_PATH = re.compile(r"(?<![\w.…/}])/(?:home|root|Users|tmp|work|mnt|private|var/folders)/")
_OPERATORS = frozenset({"|", "||", "&", "&&", ";", "(", ")"})
_REDIRECTIONS = frozenset({"<", ">", ">>"})


class Secrets(defaultdict[str, str]):
    """An environment in which every variable is set, each to a token of its own."""

    def __missing__(self, name: str) -> str:
        self[name] = "example.com" if name.endswith("_HOST") else hashlib.sha256(name.encode()).hexdigest()
        return self[name]

    def get(self, name: str, default: object = None) -> str:
        return self[name]


def load(text: str, kind: ConfigKind, directory: Path) -> None:
    """Load a configuration as a program would. Raises ``ConfigError``."""
    path = directory / ("file.json" if kind in (ConfigKind.BRIDGE, ConfigKind.CLIENT) else "file.yaml")
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    check_file(path, kind, Secrets(), directory)


def as_node_file(attachment: str) -> str:
    entry = {"agent": {"id": "alpha"}, **yaml.safe_load(attachment)}
    return json.dumps({"moltnet": {"base_url": "http://127.0.0.1:8787", "network_id": "lab"}, "attachments": [entry]})


def commands_in(text: str) -> Iterator[list[str]]:
    """The arguments of every ``moltnet`` that a shell text runs."""
    for line in text.replace("\\\n", " ").splitlines():
        if not re.search(r"\bmoltnet(?=\s|$)", line):
            continue
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        for word in [*words, ";"]:
            if word in _OPERATORS:
                yield from _moltnet_arguments(command)
                command = []
            else:
                command.append(word)


def _moltnet_arguments(words: list[str]) -> Iterator[list[str]]:
    while words and re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words and Path(words[0]).name == "moltnet":
        kept = [
            word
            for before, word in zip(["", *words], words, strict=False)
            if not _REDIRECTIONS.intersection((before, word))
        ]
        yield [expanded(word, defaultdict(lambda: "room:general")) for word in kept[1:]]


def parse(arguments: list[str]) -> None:
    """Parse a command line as ``moltnet`` does, without running it. Raises ``click.UsageError``."""
    command: click.Command = cli
    context = click.Context(cli, info_name="moltnet", help_option_names=["-h", "--help"])
    while isinstance(command, click.Group) and arguments and not arguments[0].startswith("-"):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_context(context.info_name or "", arguments, parent=context.parent)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_relative_link_leads_somewhere(page: Page) -> None:
    for link in page.links():
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        assert target.exists(), f"{page} links to {link}"
        if anchor:
            assert anchor in Page.read(target).anchors(), f"{page} links to {link}"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_configuration_loads(page: Page, tmp_path: Path) -> None:
    for block in page.blocks("yaml", "json"):
        match block.marks:
            case ["attachment"]:
                load(as_node_file(block.text), ConfigKind.NODE, tmp_path)
            case [kind]:
                load(block.text, ConfigKind(kind), tmp_path)
            case _:
                assert block.language == "json", f"{block}: say what the YAML is, for example `yaml moltnet.v1`"
                json.loads(block.text)
    for name, text in page.written_files():
        if name in KINDS:
            load(expanded(text, Secrets()), KINDS[name], tmp_path)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_example_loads(path: Path) -> None:
    notices = check_file(path, KINDS[path.name], {}, path.parent).notices
    # The agents' programs need not be installed where the tests run.
    assert [notice for notice in notices if "cannot start" not in notice] == []


@pytest.mark.parametrize(
    "block", [block for page in PAGES for block in page.blocks("sh") if "moltnet" in block.text], ids=str
)
def test_every_command_in_a_shell_block_can_be_parsed(block: Block) -> None:
    for arguments in commands_in(block.text):
        try:
            parse(arguments)
        except click.UsageError as error:
            pytest.fail(f"{block}: moltnet {shlex.join(arguments)}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_every_command_in_a_sentence_exists_and_has_the_options(page: Page) -> None:
    for code in page.code():
        if not code.startswith("moltnet "):
            continue
        command: click.Command = cli
        words = code.split()[1:]
        while words and isinstance(command, click.Group) and words[0][0].isalpha():
            found = command.get_command(click.Context(command, help_option_names=["-h", "--help"]), words.pop(0))
            assert found is not None, f"{page} mentions `{code}`"
            command = found
        known = {name for parameter in command.params for name in parameter.opts} | {"--help", "-h"}
        for word in words:
            if word.startswith("--"):
                assert word.partition("=")[0] in known, f"{page} mentions `{code}`"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_no_page_knows_a_machine(page: Page) -> None:
    assert str(ROOT) not in page.text
    assert (match := _MACHINE_PATH.search(page.text)) is None, match


def test_the_pages_are_found_and_read() -> None:
    """These tests would pass on pages that they do not find."""
    assert {"README.md", "docs/quickstart.md", "docs/guides/securing-remote-agents.md"} <= set(map(str, PAGES))
    assert len(EXAMPLES) >= 3
    blocks = [block for page in PAGES for block in page.blocks()]
    assert {mark for block in blocks for mark in block.marks} >= {*ConfigKind, "attachment", "setup"}
    shown = {arguments[0] for block in blocks for arguments in commands_in(block.text) if arguments}
    assert shown >= {name for name, entry in COMMANDS.items() if not entry.hidden} - {"version", "help"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("moltnet start", [["start"]]),
        ("X=1 .venv/bin/moltnet validate ./a && moltnet start", [["validate", "./a"], ["start"]]),
        ("moltnet read --json | jq '.messages[]'", [["read", "--json"]]),
        (
            'moltnet send --target "$MOLTNET_TARGET" --text -  < x',
            [["send", "--target", "room:general", "--text", "-"]],
        ),
        ("moltnet send \\\n  --text 'a b'", [["send", "--text", "a b"]]),
        ("moltnet:\n  base_url: x\necho about moltnet", []),
    ],
)
def test_commands_are_found_in_shell_text(text: str, expected: list[list[str]]) -> None:
    assert list(commands_in(text)) == expected


@pytest.mark.parametrize(
    "arguments", ["sned", "send --txt x", "send --text x", "node start a b", "read --target general"]
)
def test_a_command_that_does_not_exist_is_noticed(arguments: str) -> None:
    with pytest.raises(click.UsageError):
        parse(arguments.split())
