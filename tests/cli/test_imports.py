"""What a command costs before it does anything: the modules that it imports. Counted in a process of its own."""

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import trio

from tests.cli.conftest import Workspace, attachment
from tests.fakes.http_server import answer, open_scripted_server

SERVER_ONLY = {"quart", "quart_trio", "hypercorn", "werkzeug", "flask", "jinja2", "asyncpg", "trio_asyncio", "sqlite3"}
HEAVY = SERVER_ONLY | {"cryptography", "rich", "structlog", "prometheus_client", "trio_websocket", "asyncio", "yaml"}

_PROBE = """\
import sys
before = set(sys.modules)
from moltnet.cli.main import main
try:
    main({arguments!r})
finally:
    print(*sorted(set(sys.modules) - before), file=sys.stderr)
"""


def imported(*arguments: str, directory: Path) -> set[str]:
    """The modules that a command has loaded by its end, those of Python's own start left out."""
    ran = subprocess.run(
        [sys.executable, "-c", _PROBE.format(arguments=arguments)],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )
    return set(ran.stderr.splitlines()[-1].split())


def foreign(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"moltnet", "node", "bridge"}


@pytest.mark.parametrize("arguments", [("version",), ("--version",), ("--help",)], ids=" ".join)
def test_the_version_and_the_overview_need_only_click(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    modules = imported(*arguments, directory=tmp_path)
    assert foreign(modules) == {"click"}
    assert {each for each in modules if each.startswith("moltnet.")} <= {
        "moltnet.cli",
        "moltnet.cli.main",
        "moltnet.cli.exit_codes",
        "moltnet.cli.lazy_group",
        "moltnet.cli.streams",
        "moltnet.cli.version",
    }
    assert {"asyncio", "json", "ssl", "email", "http"}.isdisjoint(modules)


async def test_send_loads_the_client_and_no_server(workspace: Workspace) -> None:
    accepted = {"message_id": "m1", "event_id": "evt_1", "accepted": True, "thread_created": False}
    async with open_scripted_server(answer(202, accepted)) as server:
        workspace.write(attachment(server.url))
        arguments = ("send", "--target", "room:general", "--text", "hi")
        modules = await trio.to_thread.run_sync(partial(imported, *arguments, directory=workspace.path))
    assert len(server.requests) == 1
    assert HEAVY & modules == set()
    rooms = {".".join(each.split(".")[:2]) for each in modules if each.startswith(("moltnet.", "node", "bridge"))}
    assert rooms == {"moltnet.cli", "moltnet.client", "moltnet.config", "moltnet.protocol", "moltnet.backoff"}


@pytest.mark.parametrize("command", ["send", "read", "conversations", "node", "service", "completion"])
def test_the_help_of_a_command_loads_no_server(tmp_path: Path, command: str) -> None:
    modules = imported(command, "--help", directory=tmp_path)
    assert foreign(modules) & SERVER_ONLY == set()


def test_the_server_loads_nothing_for_what_it_was_not_asked_to_do(tmp_path: Path) -> None:
    modules = imported("start", "--help", directory=tmp_path)
    assert foreign(modules) >= {"quart", "hypercorn", "trio", "structlog"}
    # Other databases, tracebacks in colour, certificates, the node.
    unused = {"asyncpg", "trio_asyncio", "rich", "pygments", "cryptography", "trio_websocket"}
    assert foreign(modules) & unused == set()
    assert {each for each in modules if each.startswith(("node", "bridge"))} == set()


def test_the_node_loads_no_server(tmp_path: Path) -> None:
    modules = imported("node", "start", "--help", directory=tmp_path)
    assert foreign(modules) & (SERVER_ONLY | {"rich", "pygments", "prometheus_client"}) == set()
