"""`moltnet setup`: what it asks, what it writes, and that an agent can follow its join line."""

import shlex
from pathlib import Path
from typing import Any

import pytest
import trio

from moltnet.cli.setup import _Asking
from moltnet.config.server import AuthMode, load_server_config
from moltnet.config.urls import ListenAddress
from tests.cli.conftest import Run, Workspace
from tests.fakes.server import open_running_server

BEARER = ("--yes", "--id", "lab", "--rooms", "general,build", "--mode", "bearer", "--agents", "alpha beta")


def written(directory: Path) -> Any:
    return load_server_config(directory / "Moltnet", {}, directory)


async def test_without_questions_it_takes_the_defaults(run: Run, workspace: Workspace) -> None:
    ran = await run("setup", "net", "--yes", "--no-start")
    assert (ran.exit_code, ran.stderr) == (0, "")
    config = written(workspace.path / "net")
    assert (config.network.id, config.network.name, config.auth.mode) == ("local", "Local", AuthMode.NONE)
    assert [(room.id, room.members) for room in config.rooms] == [("general", ("alpha",))]
    assert not (workspace.path / "net" / ".moltnet").exists()
    assert ran.stdout.splitlines()[-1].split()[:2] == ["moltnet", "connect"]


async def test_a_network_with_tokens_gets_a_private_file_for_each(run: Run, workspace: Workspace) -> None:
    ran = await run("setup", *BEARER, "--no-start")
    assert ran.exit_code == 0, ran.stderr
    config = written(workspace.path)
    assert [(token.id, sorted(token.scopes), token.agents) for token in config.auth.tokens] == [
        ("operator", ["admin", "observe", "write"], ()),
        ("alpha", ["attach", "write"], ("alpha",)),
        ("beta", ["attach", "write"], ("beta",)),
    ]
    values = {token.id: token.value.reveal() for token in config.auth.tokens if token.value is not None}
    assert len(set(values.values())) == 3
    for name, value in values.items():
        file = workspace.path / ".moltnet/tokens" / f"{name}.token"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.read_text() == f"{value}\n"
        assert value not in ran.stdout
    assert (workspace.path / "Moltnet").stat().st_mode & 0o777 == 0o600


async def test_an_agent_joins_with_the_line_that_it_prints(run: Run, workspace: Workspace) -> None:
    ran = await run("setup", "net", *BEARER, "--no-start")
    line = next(line for line in ran.stdout.splitlines() if "--member-id beta" in line)
    config = written(workspace.path / "net")
    async with open_running_server(config) as url:
        words = [url if word == "http://127.0.0.1:8787" else word for word in shlex.split(line)[1:]]
        joined = await run(*words)
        assert (joined.exit_code, joined.stderr) == (0, "")
        assert (await run("send", "--target", "room:build", "--text", "hello")).exit_code == 0


async def test_people_are_asked_for_what_was_not_given(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = _Asking(quiet=False)
    monkeypatch.setattr("moltnet.cli.setup._Asking", lambda quiet: asking)
    ran = await run(
        "setup", "--no-start", "--id", "lab", stdin=b"The lab\nbad id!,general\ngeneral, build\nopen\nalpha\n"
    )
    assert ran.exit_code == 0, ran.stderr
    config = written(workspace.path)
    assert (config.network.name, [room.id for room in config.rooms]) == ("The lab", ["general", "build"])
    assert config.auth.mode is AuthMode.OPEN
    assert "anybody who reaches the server" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "exit_code", "problem"),
    [
        (("--id", "no id"), 2, "--id"),
        (("--rooms", "a,b c!"), 2, "--rooms"),
        (("--mode", "bearer", "--agents", "operator"), 2, "choose another agent id"),
    ],
)
async def test_what_makes_no_network_leaves_nothing(
    run: Run, workspace: Workspace, arguments: tuple[str, ...], exit_code: int, problem: str
) -> None:
    ran = await run("setup", "--yes", "--no-start", *arguments)
    assert (ran.exit_code, problem in ran.stderr) == (exit_code, True)
    assert not (workspace.path / "Moltnet").exists()


async def test_a_network_that_is_there_is_kept(run: Run, workspace: Workspace) -> None:
    for name in ("Moltnet", "moltnet.json"):
        (workspace.path / name).write_text("mine")
        ran = await run("setup", "--yes", "--no-start")
        assert (ran.exit_code, name in ran.stderr) == (5, True)
        assert (workspace.path / name).read_text() == "mine"
        (workspace.path / name).unlink()


async def test_it_ends_in_the_running_server(run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    began: list[tuple[str, ListenAddress]] = []

    async def serve(config: Any) -> None:
        await trio.lowlevel.checkpoint()
        began.append((config.network.id, config.server.listen_addr))

    monkeypatch.setenv("MOLTNET_CONFIG", "/another/network")
    monkeypatch.setattr("moltnet.cli.start._run", serve)
    ran = await run("setup", "net", "--yes", "--port", "9123")
    assert ran.exit_code == 0, ran.stderr
    assert began == [("local", ListenAddress("127.0.0.1", 9123))]
