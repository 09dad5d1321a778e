"""What the code has, the pages tell: keys, variables, routes, codes, commands, rooms."""

import re
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import click
import pytest

from bridge.attachment_file import BridgeFile, RuntimeKeys
from moltnet.app import open_app
from moltnet.attach.link import CloseCode
from moltnet.cli.exit_codes import ExitCode
from moltnet.cli.main import COMMANDS, cli
from moltnet.config.client_file import AuthKeys
from moltnet.config.server_file import ServerFile
from moltnet.config.settings import MoltnetConfig, Scope, StorageKind, StorageSettings
from moltnet.http.api import make_api
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.events import EventType
from moltnet.protocol.frames import Ack, ErrorFrame, EventFrame, Hello, Identify, Ping, Pong, Ready
from node.config import NodeFile
from scripts.limits_page import PAGE as LIMITS_PAGE
from scripts.limits_page import limits_of, page
from tests.docs.pages import ROOT, Page, doc
from tests.test_layers import LAYERS

SECTION_OF_KEY = {"version": "version and network", "network": "version and network"}


def sources(*directories: str) -> str:
    """The Python text of whole directories."""
    paths = [path for directory in directories for path in sorted((ROOT / directory).rglob("*.py"))]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths)


def leaves(kind: Any) -> Iterator[str]:
    """The innermost keys of a shape."""
    hints = typing.get_type_hints(kind)
    for field in attrs.fields(kind):
        inner = [each for each in (hints[field.name], *typing.get_args(hints[field.name])) if attrs.has(each)]
        if not inner:
            yield field.name
        for shape in inner:
            yield from leaves(shape)


def missing_keys(keys: Iterator[str], text: str) -> set[str]:
    """The keys that no code span in ``text`` ends with."""
    return {key for key in keys if not re.search(rf"[`.]{key}`", text)}


@pytest.mark.parametrize("field", attrs.fields(ServerFile), ids=lambda field: field.name)
def test_every_key_of_a_server_file_is_described_in_its_section(field: "attrs.Attribute[object]") -> None:
    text = doc("configuration.md").section(SECTION_OF_KEY.get(field.name, field.name))
    kind = typing.get_type_hints(ServerFile)[field.name]
    shapes = [each for each in (kind, *typing.get_args(kind)) if attrs.has(each)]
    keys = [key for shape in shapes for key in leaves(shape)] or [field.name]
    assert missing_keys(iter(keys), text) == set()


def test_every_variable_of_the_server_is_described_and_no_other() -> None:
    known = set(re.findall(r'"(MOLTNET_[A-Z_]+)"', sources("moltnet/config"))) - {"MOLTNET_CLIENT_CONFIG"}
    table = doc("configuration.md").section("Environment variables").partition("Variables that commands read")[0]
    assert set(re.findall(r"`(MOLTNET_[A-Z_]+)`", table)) == known


@pytest.mark.parametrize("name", ["configuration.md", "cli.md", "node.md", "runtimes.md"])
def test_every_variable_that_a_page_names_exists(name: str) -> None:
    named = set(re.findall(r"MOLTNET_[A-Z_]+", doc(name).text))
    assert named <= set(re.findall(r"MOLTNET_[A-Z_]+", sources("moltnet", "bridge", "node")))


@pytest.mark.parametrize("scope", Scope)
def test_every_scope_is_described(scope: Scope) -> None:
    assert f"| `{scope}` |" in doc("configuration.md").section("auth")


def test_every_key_of_node_and_bridge_files_is_described() -> None:
    runtime = set(leaves(RuntimeKeys))
    for kind in (NodeFile, BridgeFile):
        assert (
            missing_keys(
                (key for key in leaves(kind) if key not in {*runtime, "can_read", "reason"}), doc("node.md").text
            )
            == set()
        )
    assert missing_keys(iter(runtime), doc("runtimes.md").section("The `runtime` block")) == set()


def test_every_line_of_a_node_that_is_described_is_logged() -> None:
    table = doc("node.md").section("Logs")
    lines = [
        line for row in re.findall(r"^\| (`.*?`) \|", table, re.MULTILINE) for line in re.findall("`([^`]+)`", row)
    ]
    code = sources("bridge", "node")
    assert len(lines) >= 8
    assert [line for line in lines if f'"{line}"' not in code] == []


async def test_exactly_the_routes_that_exist_are_described() -> None:
    storage = StorageSettings(kind=StorageKind.MEMORY)
    async with open_app(MoltnetConfig(storage=storage)) as app:
        rules = list(make_api(app).url_map.iter_rules())
    existing = {
        (method, re.sub(r"<[^>]*>", "{}", rule.rule).rstrip("/") or "/")
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    table = doc("http-api.md").section("Routes")
    described = re.findall(r"`(GET|POST|PATCH|PUT|DELETE) (/[^`]*)`", table)
    assert {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path in described} == existing


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("http-api.md", list(ErrorCode)),
        ("http-api.md", list(EventType)),
        ("attach-protocol.md", [str(int(code)) for code in CloseCode]),
        (
            "attach-protocol.md",
            [frame.OP for frame in (Hello, Identify, Ready, EventFrame, Ack, Ping, Pong, ErrorFrame)],
        ),
        ("cli.md", [str(int(code)) for code in ExitCode]),
        ("cli.md", list(leaves(AuthKeys))),
    ],
)
def test_every_code_is_described(name: str, words: list[str]) -> None:
    table = "\n".join(line for line in doc(name).text.splitlines() if "|" in line or "`" in line)
    assert [word for word in words if not re.search(rf"(?<![\w-]){re.escape(word)}(?![\w-])", table)] == []


def options_of(command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.list_commands(click.Context(command, help_option_names=["-h", "--help"])):
            inner = command.get_command(click.Context(command, help_option_names=["-h", "--help"]), name)
            assert inner is not None
            yield from options_of(inner)
    for parameter in command.params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            yield from (name for name in parameter.opts if name.startswith("--") and name != "--help")


@pytest.mark.parametrize("name", [name for name, entry in COMMANDS.items() if not entry.hidden])
def test_every_command_and_option_is_described(name: str) -> None:
    text = "\n".join(doc(page).text for page in ("cli.md", "demo.md", "node.md"))
    assert re.search(rf"^\| `moltnet {name}\b", doc("cli.md").text, re.MULTILINE)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert [option for option in options_of(command) if not re.search(rf"{option}(?![\w-])", text)] == []


def test_every_room_of_the_code_stands_in_the_table_and_exists() -> None:
    table = doc("architecture.md").section("The rooms")
    rows = [
        name for row in re.findall(r"^\| (`[^|]*) \|", table, re.MULTILINE) for name in re.findall("`([^`]+)`", row)
    ]
    assert [name for name in rows if not (ROOT / name).exists()] == []
    rooms = [room.replace(".", "/") for layer in LAYERS for room in layer if room != "moltnet"]
    paths = [path for room in rooms for path in (f"{room}/", f"{room}.py") if (ROOT / path).exists()]
    assert [path for path in paths if path not in rows] == []


def test_the_page_of_limits_is_what_the_code_says() -> None:
    assert LIMITS_PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.limits_page"


def test_a_limit_is_shown_with_its_unit_and_its_reason() -> None:
    source = """\
# Ids (message model §2). Long enough.
MAX_ID_CHARACTERS: Final = 128
NEXT_BYTES: Final = 4 * KIB

KIB: Final = 1024
# Parts ------
# Two
# lines.
TURN_SECONDS: Final = 300.0
SHORT_SECONDS: Final = 2.5
PAUSES_MS: Final = (1, 20)
"""
    values = {
        "MAX_ID_CHARACTERS": 128,
        "NEXT_BYTES": 4096,
        "TURN_SECONDS": 300.0,
        "SHORT_SECONDS": 2.5,
        "PAUSES_MS": (1, 20),
    }
    assert [(limit.name, limit.value, limit.reason, limit.heading) for limit in limits_of(source, values)] == [
        ("MAX_ID_CHARACTERS", "128", "Ids. Long enough.", ""),
        ("NEXT_BYTES", "4 KiB", "", ""),
        ("TURN_SECONDS", "5 minutes", "Two lines.", "Parts"),
        ("SHORT_SECONDS", "2.5 s", "", "Parts"),
        ("PAUSES_MS", "1 ms, 20 ms", "", "Parts"),
    ]


def test_missing_keys_are_noticed(tmp_path: Path) -> None:
    path = ROOT / "docs" / "none.md"
    text = Page(path, "\n## server\n\n| `server.listen_addr` | `id` |\n\n## next\n`name`\n").section("server")
    assert missing_keys(iter(["listen_addr", "id", "name"]), text) == {"name"}
