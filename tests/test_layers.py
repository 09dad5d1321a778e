"""The architecture, as a test: who may import whom, and how large and how named a file may be.

The tables below are the whole rule. A change that needs a new edge changes a table, where a reviewer sees it.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parent.parent

# From the bottom up: a room may import the rooms before it, on its own line and on the lines above, and nothing else.
LAYERS = (
    ("moltnet",),  # the version
    ("moltnet.protocol",),
    ("moltnet.backoff", "moltnet.log", "moltnet.systemd", "moltnet.metrics"),
    ("moltnet.config", "moltnet.client", "moltnet.auth"),
    ("moltnet.storage", "moltnet.directory", "moltnet.broker", "moltnet.journal", "moltnet.retention"),
    ("moltnet.core",),
    ("moltnet.fanout", "moltnet.attach", "moltnet.pairing", "moltnet.skill"),
    (
        "moltnet.app",
        "moltnet.reload",
        "moltnet.http",
        "moltnet.lane",
        "moltnet.asgi",
        "moltnet.serving",
        "moltnet.workers",
    ),
    ("bridge", "node"),
    ("moltnet.cli",),
)

# The bridge and the node run on other hosts than the server: this much of Moltnet they share with it.
SHARED_WITH_BRIDGE_AND_NODE = frozenset(
    {
        "moltnet",
        "moltnet.protocol",
        "moltnet.config",
        "moltnet.client",
        "moltnet.backoff",
        "moltnet.log",
        "moltnet.systemd",
    }
)

# A command imports these only when it runs, so that `moltnet send` does not load a supervisor.
LAZY_IN_CLI = frozenset({"bridge", "node"})

# Libraries that are at home in some rooms only.
AT_HOME = {
    "asyncio": ("moltnet.storage.sql.postgres.database",),
    "trio_asyncio": ("moltnet.storage.sql.postgres.database",),
    "asyncpg": ("moltnet.storage.sql.postgres.database", "moltnet.storage.sql.postgres.failures"),
    "sqlite3": ("moltnet.storage.sql",),
    "quart": ("moltnet.attach", "moltnet.app", "moltnet.http", "moltnet.asgi", "moltnet.serving"),
    "quart_trio": ("moltnet.attach", "moltnet.app", "moltnet.http", "moltnet.asgi", "moltnet.serving"),
    "hypercorn": ("moltnet.attach", "moltnet.app", "moltnet.http", "moltnet.lane", "moltnet.asgi", "moltnet.serving"),
    "trio_websocket": ("moltnet.client.websocket",),
    "prometheus_client": ("moltnet.metrics", "moltnet.workers.metrics"),
    "click": ("moltnet.cli", "node.cli", "bridge.cli"),
    "rich": ("moltnet.cli", "node.cli", "bridge.cli"),
}

# The wire is values and rules: these, the standard library, and no I/O.
LIBRARIES_OF_PROTOCOL = frozenset({"attrs", "cattrs", "orjson"})

MAX_LINES = 400
FORBIDDEN_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "manager"})
PACKAGES = ("moltnet", "bridge", "node")
SIZED_AND_NAMED = (*PACKAGES, "fuzz", "tests")

RANKS = {room: rank for rank, room in enumerate(room for layer in LAYERS for room in layer)}


@attrs.frozen
class Import:
    """One import of `target`, a module's full name or a name in it, by the module `source`."""

    source: str
    target: str
    line: int
    in_function: bool


def module_name(path: str) -> str:
    """`moltnet/core/access.py` → `moltnet.core.access`; a package is named without `__init__`."""
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room_of(module: str) -> str | None:
    """The row of the table that a module belongs to."""
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        room = ".".join(parts[:length])
        if room in RANKS and (room != "moltnet" or length == len(parts)):
            return room
    return None


def imports_of(path: str, source: str) -> Iterator[Import]:
    """Every import of a file: at any depth, relative ones resolved, those for type checking included."""
    module = module_name(path)
    package = module if path.endswith("/__init__.py") else module.rpartition(".")[0]

    def walk(node: ast.AST, *, in_function: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(module, alias.name, child.lineno, in_function)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    parents = package.split(".")[: len(package.split(".")) - child.level + 1]
                    base = ".".join([*parents, *([base] if base else [])])
                for alias in child.names:
                    yield Import(module, f"{base}.{alias.name}", child.lineno, in_function)
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from walk(child, in_function=in_function or is_function)

    return walk(ast.parse(source, path), in_function=False)


def resolved(target: str, modules: Iterable[str]) -> str:
    """The module that `from a import b` loads: `a.b` if that is one, otherwise `a`."""
    return target if target in modules or target in RANKS else target.rpartition(".")[0]


def edge_problem(edge: Import, modules: Iterable[str]) -> str | None:
    """Why an import is not allowed, or None."""
    library = edge.target.split(".")[0]
    source_room = room_of(edge.source)
    if library not in PACKAGES:
        return library_problem(edge.source, source_room, library)
    target = resolved(edge.target, modules)
    target_room = room_of(target)
    if source_room is None or target_room is None or source_room == target_room:
        return None  # a room that is not in the table is reported once, not at each of its imports
    if RANKS[target_room] > RANKS[source_room]:
        return f"may not import {target}: {target_room} lies above {source_room}"
    if source_room in LAZY_IN_CLI and target_room not in {*SHARED_WITH_BRIDGE_AND_NODE, *LAZY_IN_CLI}:
        return f"may not import {target}: {source_room} shares only {', '.join(sorted(SHARED_WITH_BRIDGE_AND_NODE))}"
    if source_room == "moltnet.cli" and target_room in LAZY_IN_CLI and not edge.in_function:
        return f"may import {target} only inside the function that needs it"
    return None


def library_problem(source: str, source_room: str | None, library: str) -> str | None:
    homes = AT_HOME.get(library)
    if homes is not None and not any(source == home or source.startswith(f"{home}.") for home in homes):
        return f"may not import {library}: it is at home in {', '.join(homes)}"
    if source_room == "moltnet.protocol" and library not in LIBRARIES_OF_PROTOCOL | sys.stdlib_module_names:
        return f"may not import {library}: the protocol uses the standard library, attrs, cattrs and orjson"
    return None


def import_problems(sources: Mapping[str, str]) -> list[str]:
    """Edges against the tables, rooms missing in them, and cycles."""
    files = {path: text for path, text in sources.items() if path.split("/")[0] in PACKAGES}
    modules = {module_name(path) for path in files}
    edges = [edge for path, text in files.items() for edge in imports_of(path, text)]
    problems = [f"{module}: is in no room of LAYERS" for module in sorted(modules) if room_of(module) is None]
    judged = [(edge, edge_problem(edge, modules)) for edge in edges]
    # One import of several names is one problem.
    problems += dict.fromkeys(f"{edge.source}:{edge.line}: {problem}" for edge, problem in judged if problem)
    graph: dict[str, set[str]] = {module: set() for module in modules}
    for edge in edges:
        if (target := resolved(edge.target, modules)) in modules and target != edge.source:
            graph[edge.source].add(target)
    return problems + [f"import cycle: {' → '.join(cycle)}" for cycle in cycles_of(graph)]


def cycles_of(graph: Mapping[str, set[str]]) -> Iterator[tuple[str, ...]]:
    """One cycle for each back edge that a depth-first walk in name order meets."""
    finished: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
        if module in trail:
            yield (*trail[trail.index(module) :], module)
        elif module not in finished:
            for target in sorted(graph[module]):
                yield from visit(target, (*trail, module))
            finished.add(module)

    for module in sorted(graph):
        yield from visit(module, ())


def file_problems(sources: Mapping[str, str]) -> list[str]:
    """Files that are too long or named after nothing, and packages whose `__init__.py` does something."""
    problems = []
    for path, text in sources.items():
        if (lines := len(text.splitlines())) > MAX_LINES:
            problems.append(f"{path}: has {lines} lines, more than {MAX_LINES}")
        parts = path.removesuffix(".py").split("/")
        nameless = [part for part in parts if not FORBIDDEN_NAMES.isdisjoint(re.split("_+", part.lower()))]
        problems += [f"{path}: {part} names no subject" for part in nameless]
        if path.endswith("/__init__.py") and not is_bare(ast.parse(text, path)):
            problems.append(f"{path}: holds more than a docstring and __version__")
    return problems


def is_bare(package: ast.Module) -> bool:
    if ast.get_docstring(package) is None:
        return False
    return all(
        isinstance(statement, ast.Assign)
        and [ast.unparse(target) for target in statement.targets] == ["__version__"]
        and isinstance(statement.value, ast.Constant)
        for statement in package.body[1:]
    )


def the_tree() -> dict[str, str]:
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for top in SIZED_AND_NAMED
        for path in sorted((ROOT / top).rglob("*.py"))
    }


def test_the_tree_keeps_the_layers() -> None:
    assert import_problems(the_tree()) == []


def test_the_tree_keeps_files_small_and_named() -> None:
    assert file_problems(the_tree()) == []


def test_the_tree_is_found() -> None:
    assert {"moltnet/__init__.py", "bridge/__init__.py", "node/__init__.py", "tests/test_layers.py"} <= set(the_tree())


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("moltnet/storage/store.py", "from moltnet.core import access", "moltnet.core lies above moltnet.storage"),
        ("moltnet/storage/store.py", "def f():\n    import moltnet.core.access", "may not import moltnet.core.access"),
        ("moltnet/storage/store.py", "from ..core import access", "may not import moltnet.core.access"),
        ("moltnet/broker.py", "from moltnet.journal import Journal", "moltnet.journal lies above moltnet.broker"),
        ("moltnet/config/files.py", "from moltnet.client import api", "moltnet.client lies above moltnet.config"),
        ("moltnet/log.py", "if TYPE_CHECKING:\n    from moltnet.app import App", "may not import moltnet.app"),
        ("bridge/loop.py", "from moltnet.storage import store, rows", "bridge shares only"),
        ("node/status.py", "import moltnet.metrics", "node shares only"),
        ("bridge/loop.py", "from node import supervisor", "node lies above bridge"),
        ("moltnet/http/api.py", "import bridge.loop", "bridge lies above moltnet.http"),
        ("moltnet/cli/start.py", "from node.supervisor import supervise", "only inside the function"),
        ("moltnet/journal.py", "import asyncio", "asyncio: it is at home in"),
        ("moltnet/storage/sql/sqlite.py", "from trio_asyncio import open_loop", "trio_asyncio: it is at home in"),
        ("moltnet/core/rooms.py", "from sqlite3 import Row", "sqlite3: it is at home in"),
        ("moltnet/core/rooms.py", "from quart import request", "quart: it is at home in"),
        ("moltnet/protocol/codec.py", "import trio", "the protocol uses the standard library"),
        ("moltnet/leftovers.py", "", "moltnet.leftovers: is in no room"),
    ],
)
def test_a_forbidden_import_is_reported(path: str, source: str, problem: str) -> None:
    others = {"moltnet/core/access.py": "", "node/supervisor.py": "", "moltnet/app.py": ""}
    reported = import_problems({**others, path: source})
    assert len(reported) == 1
    assert problem in reported[0]


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("moltnet/core/access.py", "from moltnet.storage.store import Store\nfrom . import senders\nimport trio"),
        ("moltnet/journal.py", "from moltnet.broker import Broker\nfrom moltnet import __version__"),
        ("moltnet/client/api.py", "from moltnet.config.client import Server"),
        ("moltnet/cli/start.py", "def run():\n    from node.supervisor import supervise"),
        ("node/supervisor.py", "from bridge.loop import run_bridge\nfrom moltnet.config import files"),
        ("moltnet/storage/sql/postgres/database.py", "import asyncio, asyncpg\nfrom trio_asyncio import open_loop"),
        ("moltnet/protocol/codec.py", "import attrs, cattrs, orjson, re\nfrom moltnet.protocol.ids import RoomID"),
    ],
)
def test_an_allowed_import_is_not_reported(path: str, source: str) -> None:
    assert import_problems({path: source}) == []


def test_a_cycle_is_reported_once_with_its_way() -> None:
    reported = import_problems(
        {
            "moltnet/core/access.py": "from moltnet.core import rooms",
            "moltnet/core/rooms.py": "def late():\n    from moltnet.core.senders import check",
            "moltnet/core/senders.py": "from .access import allowed",
        }
    )
    assert reported == [
        "import cycle: moltnet.core.access → moltnet.core.rooms → moltnet.core.senders → moltnet.core.access"
    ]


@pytest.mark.parametrize(
    ("path", "source", "problem"),
    [
        ("node/status.py", "x = 1\n" * 401, "has 401 lines"),
        ("moltnet/http/utils.py", "", "utils names no subject"),
        ("tests/fakes/server_helpers.py", "", "server_helpers names no subject"),
        ("moltnet/common/ids.py", "", "common names no subject"),
        ("bridge/__init__.py", '"""Doc."""\nfrom bridge.loop import run', "holds more than a docstring"),
        ("bridge/__init__.py", '"""Doc."""\n__version__ = compute()', "holds more than a docstring"),
        ("bridge/__init__.py", "", "holds more than a docstring"),
    ],
)
def test_a_large_a_nameless_or_a_busy_file_is_reported(path: str, source: str, problem: str) -> None:
    reported = file_problems({path: source})
    assert len(reported) == 1
    assert problem in reported[0]


def test_a_small_named_file_and_a_bare_package_are_not_reported() -> None:
    files = {"moltnet/__init__.py": '"""Doc."""\n\n__version__ = "1"\n', "node/supervisor.py": "x = 1\n" * 400}
    assert file_problems(files) == []
