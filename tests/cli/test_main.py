"""The table of commands, how errors end, and what is loaded when."""

import importlib
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import click
import pytest
import trio

from moltnet import __version__
from moltnet.cli.main import COMMANDS, cli, main
from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.http_server import open_scripted_server, silence

TALKING = ("connect", "register-agent", "send", "read", "conversations", "participants")


@pytest.mark.parametrize("arguments", [["version"], ["--version"], ["--version", "send"]])
async def test_the_version_is_shown(run: Run, arguments: Sequence[str]) -> None:
    ran = await run(*arguments)
    assert (ran.exit_code, ran.stdout, ran.stderr) == (0, f"{__version__}\n", "")


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"]])
async def test_the_overview_lists_every_command_and_exit_code(run: Run, arguments: Sequence[str]) -> None:
    ran = await run(*arguments)
    assert ran.exit_code == 0
    for name, entry in COMMANDS.items():
        assert (f"  {name} " in ran.stdout and entry.summary in ran.stdout) is not entry.hidden
    assert "6 server not reachable" in ran.stdout


@pytest.mark.parametrize("name", TALKING)
@pytest.mark.parametrize("arguments", [["{}", "--help"], ["{}", "-h"], ["help", "{}"]])
async def test_help_of_a_command_has_examples_and_exits_0(run: Run, name: str, arguments: Sequence[str]) -> None:
    ran = await run(*(argument.format(name) for argument in arguments))
    assert ran.exit_code == 0
    assert ran.stdout.startswith(f"Usage: moltnet {name} ")
    assert f"    moltnet {name}" in ran.stdout.partition("Examples:")[2]
    assert ran.stderr == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_names_a_command_that_exists(name: str) -> None:
    module, _, attribute = COMMANDS[name].location.partition(":")
    if find_spec(module.partition(".")[0]) is None or find_spec(module) is None:
        pytest.fail(f"{module} does not exist")
    assert isinstance(getattr(importlib.import_module(module), attribute), click.Command)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["sned"], "No such command 'sned'. Did you mean 'send'?; see: moltnet --help"),
        (["send"], "Missing option '--target'; see: moltnet send --help"),
        (
            ["send", "--target", "room:x", "--txt", "y"],
            "No such option '--txt'",
        ),
        (["send", "extra", "--target", "room:x", "--text", "y"], "unexpected extra argument"),
        (["read", "--target", "general"], "must be room:ID, dm:ID or thread:ROOM/THREAD, not 'general'"),
        (["--nonsense"], "No such option"),
        (["help", "sned"], "moltnet has no command 'sned'"),
    ],
)
async def test_wrong_usage_is_one_line_that_says_where_help_is(run: Run, arguments: Sequence[str], text: str) -> None:
    ran = await run(*arguments)
    assert ran.exit_code == 2
    assert ran.stdout == ""
    assert text in ran.stderr
    assert ran.stderr.startswith("moltnet: ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "command", "owner"),
    [
        (["send", "--target", "room:general", "--text", "bad \udcff"], "send", "--text"),
        (["send", "--text=bad \udcff", "--target", "room:general"], "send", "--text"),
        (["register-agent", "--name", "n\udcff"], "register-agent", "--name"),
        (["connect", "--agent-name", "n\udcff"], "connect", "--agent-name"),
        (["read", "--json", "\udcff"], "read", "an argument"),
        (["validate", "\udcff"], "validate", "an argument"),
        (["node", "start", "\udcff"], "node", "an argument"),
        (["node", "start", "--log-level", "\udcff"], "node", "--log-level"),
    ],
)
async def test_what_is_not_utf_8_is_refused_with_the_option_it_belongs_to(
    run: Run, workspace: Workspace, arguments: Sequence[str], command: str, owner: str
) -> None:
    ran = await run(*arguments)
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert ran.stderr == f"moltnet: {owner} is not UTF-8 text; see: moltnet {command} --help\n"
    assert list(workspace.path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["read", "--target", "room:x", "--limit", "x"], "'x' is not a valid whole number"),
        (["read", "--target", "room:x", "--timeout", "x"], "'x' is not a valid number"),
        (["demo", "--rounds", "x"], "'x' is not a valid whole number"),
    ],
)
async def test_what_is_no_number_is_said_in_plain_words(run: Run, arguments: Sequence[str], text: str) -> None:
    ran = await run(*arguments)
    assert ran.exit_code == 2
    assert text in ran.stderr


@pytest.mark.parametrize("command", ["connect", "register-agent"])
async def test_a_wrong_address_is_blamed_on_its_option(run: Run, command: str) -> None:
    wanted = ("--network-id", "net_a", "--member-id", "alpha") if command == "connect" else ()
    ran = await run(command, "--base-url", "ftp://x", *wanted)
    assert ran.exit_code == 2
    assert ran.stderr.startswith("moltnet: --base-url: the server's address must start with http:// or https://")


def raising(error: BaseException) -> click.Command:
    @click.command
    def fails() -> None:
        raise error

    return fails


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(KeyboardInterrupt(), 130), (click.Abort(), 130), (BaseExceptionGroup("", [KeyboardInterrupt()]), 130)],
)
def test_ctrl_c_ends_quietly(
    error: BaseException, exit_code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: raising(error))
    assert main(["version"]) == exit_code
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", "")


def test_a_bug_shows_its_traceback_without_secrets(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: raising(RuntimeError("oops magt_v1_abc123")))
    assert main(["version"]) == 1
    stderr = capsys.readouterr().err
    assert "internal error" in stderr
    assert "Traceback" in stderr
    assert "abc123" not in stderr


def test_the_exit_code_of_a_command_is_what_it_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "get_command", lambda ctx, name: click.Command("x", callback=lambda: 7))
    assert main(["version"]) == 7
    assert main([]) == 7


def test_without_a_command_the_server_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def get_command(ctx: click.Context, name: str) -> click.Command:
        asked.append(name)
        return click.Command(name, callback=lambda: None)

    monkeypatch.setattr(cli, "get_command", get_command)
    assert main([]) == 0
    assert asked == ["start"]


@pytest.mark.slow
def test_the_version_loads_almost_nothing() -> None:
    """A script may ask for it a thousand times."""
    code = (
        "import sys; from moltnet.cli.main import main; main(['version']); main(['--help']);"
        "print(*sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True)
    foreign = {name for name in done.stdout.splitlines()[-1].split() if not name.startswith(("_", "moltnet"))}
    assert foreign <= {"click", "sitecustomize", "usercustomize"}


@pytest.mark.slow
async def test_ctrl_c_in_the_middle_of_a_request_ends_without_a_traceback(workspace: Workspace) -> None:
    async with open_scripted_server(silence()) as server:
        workspace.write(attachment(server.url))
        command = [sys.executable, "-m", "moltnet.cli.main", "read", "--target", "room:general"]
        process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        await server.wait_requests(1)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        stderr = b"".join([data async for data in process.stderr])
        assert await process.wait() == 130
        assert stderr.strip() == b""
        assert process.stdout is not None
        await process.stdout.aclose()


@pytest.mark.slow
def test_a_reader_that_leaves_early_is_no_error() -> None:
    script = f"{sys.executable} -m moltnet.cli.main --help | head -c 10; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.endswith("0\n")
    assert done.stderr == ""
