"""What the reference's command line lacks and no other test is about; all of it: `tests.weaknesses.command_line`."""

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import click
import pytest
import trio

from moltnet.cli.main import COMMANDS, cli
from tests.cli.conftest import Run, Workspace, attachment
from tests.fakes.server import ALPHA_TOKEN, bearer_network, open_running_server

ROOT: Final = Path(__file__).parents[2]
AUTH: Final = {"mode": "bearer", "token": ALPHA_TOKEN}


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by its whole name."""
    context = click.Context(cli)

    def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
        if not isinstance(command, click.Group):
            yield name, command
            return
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None
            yield from walk(f"{name} {word}", inner)

    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        yield from walk(name, command)


async def test_text_is_printed_as_it_is(run: Run, workspace: Workspace) -> None:
    async with open_running_server(bearer_network()) as url:
        workspace.write(attachment(url, auth=AUTH))
        assert (await run("send", "--target", "room:general", "--text", "<b> & co")).exit_code == 0
        assert '"text": "<b> & co"' in (await run("read", "--target", "room:general")).stdout


async def test_each_kind_of_failure_has_its_exit_code(run: Run, workspace: Workspace) -> None:
    async with open_running_server(bearer_network()) as url:
        workspace.write(attachment(url, auth=AUTH, rooms=[{"id": "general"}, {"id": "gone"}]))
        send = ("send", "--target", "room:general", "--message-id", "m1", "--text")
        assert (await run(*send, "one")).exit_code == 0
        assert (await run(*send, "another")).exit_code == 5
        assert (await run(*send)).exit_code == 2
        assert (await run("read", "--target", "room:gone")).exit_code == 4
        assert (await run("read", "--target", "dm:nobody")).exit_code == 4
        workspace.write(attachment(url, auth={"mode": "bearer", "token": "a-token-that-nobody-knows"}))
        assert (await run("read", "--target", "room:general")).exit_code == 3
    assert (await run("read", "--target", "room:general")).exit_code == 6
    assert (await run("read", "--help")).exit_code == 0


async def test_a_token_is_sent_although_no_mode_was_named(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN_OF_ALPHA", ALPHA_TOKEN)
    async with open_running_server(bearer_network()) as url:
        connect = ("connect", "--base-url", url, "--network-id", "net_a", "--member-id", "alpha", "--rooms", "general")
        assert (await run(*connect, "--token-env", "TOKEN_OF_ALPHA")).exit_code == 0
        assert workspace.attachment()["auth"] == {"mode": "bearer", "token_env": "TOKEN_OF_ALPHA"}
        assert (await run("read", "--target", "room:general")).exit_code == 0


def test_no_secret_has_to_be_an_argument() -> None:
    with_tokens = 0
    for name, command in commands():
        options = {option for parameter in command.params for option in parameter.opts}
        if "--token" in options:
            with_tokens += 1
            assert {"--token-env", "--token-path", "--token-file"} <= options, name
        secrets = [option for option in options if option.rpartition("-")[2] in ("token", "password", "secret", "key")]
        assert set(secrets) <= {"--token"}, name
    assert with_tokens > 20


@pytest.mark.parametrize("option", ["--token-path", "--token-file"])
async def test_a_token_may_come_from_a_file_under_both_names(run: Run, workspace: Workspace, option: str) -> None:
    path = workspace.path / "alpha.token"
    path.touch(mode=0o600)
    path.write_text(ALPHA_TOKEN)
    async with open_running_server(bearer_network()) as url:
        connect = ("connect", "--base-url", url, "--network-id", "net_a", "--member-id", "alpha", "--rooms", "general")
        assert (await run(*connect, option, "alpha.token")).exit_code == 0
        assert (await run("read", "--target", "room:general")).exit_code == 0
        refused = await run("admin", "agent", "list", "--base-url", url, option, "alpha.token")
        assert (refused.exit_code, "scope" in refused.stderr) == (3, True)  # it was sent, and is an agent's


async def test_a_command_finds_its_workspace_from_any_directory_below(
    run: Run, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_running_server(bearer_network()) as url:
        workspace.write(attachment(url, auth={"mode": "bearer", "token_path": "alpha.token"}))
        path = workspace.config.with_name("alpha.token")
        path.touch(mode=0o600)
        path.write_text(ALPHA_TOKEN)
        (deep := workspace.path / "src" / "package").mkdir(parents=True)
        monkeypatch.chdir(deep)
        assert (await run("whoami")).json()["member_id"] == "alpha"


@pytest.mark.slow
async def test_of_connects_at_the_same_time_none_is_lost(workspace: Workspace) -> None:
    """Processes, as agents start them. The address is nobody's, which is a note and no error."""
    networks = [f"net{number}" for number in range(6)]
    command = [sys.executable, "-m", "moltnet.cli.main", "connect", "--base-url", "http://127.0.0.1:9"]
    async with trio.open_nursery() as nursery:
        for network in networks:
            words = [*command, "--network-id", network, "--member-id", "alpha", "--rooms", "general"]
            run = partial(
                trio.run_process,
                words,
                cwd=workspace.path,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_stdout=True,
                stderr=subprocess.DEVNULL,
            )
            nursery.start_soon(run)
    assert sorted(entry["network_id"] for entry in workspace.read()["attachments"]) == networks


async def test_words_too_many_are_an_error(run: Run) -> None:
    ran = await run("start", "surplus")
    assert (ran.exit_code, "unexpected extra argument" in ran.stderr) == (2, True)


async def test_a_runtime_is_known_or_refused_before_anything_is_written(run: Run, workspace: Workspace) -> None:
    connect = ("connect", "--base-url", "http://127.0.0.1:9", "--network-id", "net_a", "--member-id", "alpha")
    refused = await run(*connect, "--runtime", "emacs")
    assert (refused.exit_code, workspace.config.exists()) == (2, False)
    assert (await run("skill", "install", "--runtime", "pi")).exit_code == 0
    assert (await run(*connect, "--runtime", "pi")).exit_code == 0
    assert workspace.attachment()["runtime"] == "pi"
