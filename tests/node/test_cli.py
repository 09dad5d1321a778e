"""`moltnet node` and `moltnet bridge` as commands: which file they take, and how they end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from moltnet.cli.main import main
from tests.fakes.attach_server import AttachServer, open_attach_server, reject
from tests.fakes.messages import created, message, noise

BAD_NODE = "version: moltnet.node.v1\nmoltnet: {base_url: 'ftp://x', network_id: net}\nattachments: [{rooms: 7}]\n"


@pytest.mark.parametrize(
    "words", [["node"], ["node", "start"], ["node", "MoltnetNode"], ["node", "start", "MoltnetNode"]]
)
def test_every_spelling_of_node_reads_the_file_and_names_all_its_problems(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MoltnetNode").write_text(BAD_NODE)
    assert main(words) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 3
    assert all(line.startswith(f"{tmp_path}/MoltnetNode:") for line in lines)
    assert any("base_url" in line for line in lines)


@pytest.mark.parametrize("group", ["bridge", "attachment"])
@pytest.mark.parametrize("words", [["bridge.json"], ["run", "bridge.json"]])
def test_every_spelling_of_bridge_reads_the_file(
    group: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bridge.json").write_text("{}")
    assert main([group, *words]) == 2
    assert all("bridge.json" in line for line in capsys.readouterr().err.splitlines())


@pytest.mark.parametrize("group", ["bridge", "attachment"])
def test_a_bridge_without_a_command_says_which_one_in_a_line(group: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([group]) == 2
    out, err = capsys.readouterr()
    wanted = f"moltnet: {group} needs a command: moltnet {group} run FILE; see: moltnet {group} --help\n"
    assert (out, err) == ("", wanted)


@pytest.mark.parametrize(
    ("group", "commands"), [("node", "start, status, reload, logs, dead-letters"), ("bridge", "run")]
)
@pytest.mark.parametrize("word", ["stop", "halt", "strat"])
def test_a_word_that_is_neither_file_nor_command_is_said_to_be_neither(
    group: str,
    commands: str,
    word: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([group, word]) == 2
    wanted = f"no such file and no such command: {word} (commands: {commands}); see: moltnet {group} --help"
    assert capsys.readouterr().err == f"moltnet: {wanted}\n"
    (tmp_path / word).write_text("{}")
    assert main([group, word]) == 2
    assert f"{tmp_path}/{word}" in capsys.readouterr().err


def test_no_file_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MOLTNET_NODE_CONFIG", raising=False)
    assert main(["node", "start"]) == 2
    assert main(["bridge", "run"]) == 2
    assert main(["node", "start", "one", "two"]) == 2
    assert "no MoltnetNode file here" in capsys.readouterr().err


@pytest.fixture
async def server() -> AsyncIterator[AttachServer]:
    async with open_attach_server() as server:
        yield server


def attachment(directory: Path, script: str) -> dict[str, Any]:
    (directory / "workspace").mkdir()
    return {
        "agent": {"id": "agent-1", "name": "Agent One"},
        "runtime": {"kind": "command", "command": ["/bin/sh", "-c", script], "workspace_path": "workspace"},
        "rooms": [{"id": "general", "wake": "all"}],
    }


@asynccontextmanager
async def running(directory: Path, *words: str) -> AsyncIterator[trio.Process]:
    """`moltnet` with `words`; killed when the block is left."""
    with (directory / "log").open("ab") as log:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-m", "moltnet.cli.main", *words],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def wait_for(condition: Callable[[], bool]) -> None:
    """Until another process has done something; there is no event of ours to wait for."""
    while not condition():  # noqa: ASYNC110
        await trio.sleep(0.02)


def write_node(directory: Path, server: AttachServer, script: str) -> None:
    document = {
        "version": "moltnet.node.v1",
        "moltnet": {"base_url": server.base_url, "network_id": "net"},
        "attachments": [attachment(directory, script)],
    }
    (directory / "MoltnetNode").write_text(json.dumps(document))


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_node_runs_turns_and_ends_with_0_on_a_signal(
    number: signal.Signals, server: AttachServer, tmp_path: Path
) -> None:
    write_node(tmp_path, server, "cat >> heard")
    async with running(tmp_path, "node", "start") as process:
        await server.wait_attached()
        server.publish(wake := created(message(text="are you there?")))
        await server.wait_acked(wake)
        assert "> are you there?" in (tmp_path / "workspace" / "heard").read_text()
        process.send_signal(number)
        assert await process.wait() == 0
    assert server.peers[0].close_code == 1000
    log = (tmp_path / "log").read_text()
    assert "attached" in log
    assert "turn finished" in log
    assert "Traceback" not in log


@pytest.mark.slow
async def test_a_second_signal_ends_a_node_at_once_with_its_runtime(server: AttachServer, tmp_path: Path) -> None:
    """Weakness 12 of the reference: grandchildren survived, or stalled the shutdown."""
    write_node(tmp_path, server, "trap '' TERM; sleep 1000 & echo $! > grandchild; touch begun; wait; sleep 1000")
    async with running(tmp_path, "node") as process:
        await server.wait_attached()
        server.publish(noise(0), created(message()))
        grandchild = tmp_path / "workspace" / "grandchild"
        await wait_for(lambda: (tmp_path / "workspace" / "begun").exists())
        process.send_signal(signal.SIGTERM)
        await wait_for(lambda: "stopping" in (tmp_path / "log").read_text())
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    with pytest.raises(ProcessLookupError):
        os.kill(int(grandchild.read_text()), 0)
    assert "stopping at once" in (tmp_path / "log").read_text()


@pytest.mark.slow
async def test_a_node_without_attachments_waits_for_a_signal(tmp_path: Path) -> None:
    document = {"version": "moltnet.node.v1", "moltnet": {"base_url": "http://127.0.0.1:1", "network_id": "net"}}
    (tmp_path / "MoltnetNode").write_text(json.dumps({**document, "attachments": []}))
    async with running(tmp_path, "node") as process:
        await wait_for(lambda: "node starting" in (tmp_path / "log").read_text())
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@pytest.mark.slow
async def test_a_bridge_runs_one_attachment(server: AttachServer, tmp_path: Path) -> None:
    link = {"base_url": server.base_url, "network_id": "net"}
    document = {"version": "moltnet.bridge.v1", "moltnet": link, **attachment(tmp_path, "cat > /dev/null")}
    (tmp_path / "bridge.json").write_text(json.dumps(document))
    async with running(tmp_path, "bridge", "run", "bridge.json") as process:
        await server.wait_attached()
        server.publish(wake := created(message()))
        await server.wait_acked(wake)
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    server.scripts.append(reject(401))
    async with running(tmp_path, "bridge", "bridge.json") as process:
        assert await process.wait() == 1
    last = (tmp_path / "log").read_text().splitlines()[-1]
    assert last == (
        f"moltnet bridge: {server.base_url} answered the upgrade with 401: no; "
        "the network asks for a token, and this attachment has none"
    )
