"""The walk-throughs of the documentation, carried out as they are written: their files, real programs, a real Codex."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from moltnet.cli.validate import ConfigKind, check_file
from tests.docs.pages import DOCS, ROOT, Page
from tests.e2e.running import MOLTNET, Server, human_message, running, wait_texts
from tests.fakes.codex_home import FAKE_KEY_NAME, find_codex, temporary_directory, write_codex_home
from tests.fakes.model_server import ModelRequest, Reply, RunShell, Say, open_model_server
from tests.fakes.ports import free_port

pytestmark = pytest.mark.slow

ASKED = "@scout ask the clerk what time it is."


async def scout(request: ModelRequest) -> Reply:
    """A model that does what the quickstart says."""
    if request.shell_output is not None:
        return Say("done")
    said = [line.removeprefix("> ") for line in request.prompt.splitlines() if line.startswith("> ")][-1]
    text = "@clerk what time is it?" if said == ASKED else f"The clerk says {said.removeprefix('@scout ')}"
    return RunShell(f"moltnet send --target room:general --text '{text}'")


def carry_out(script: str, directory: Path, **variables: str) -> None:
    subprocess.run(["bash", "-eu", "-c", script], cwd=directory, env={**os.environ, **variables}, check=True)


def move_to_port(port: int, *files: Path) -> None:
    """Let nobody else on this machine meet the network of a test."""
    for file in files:
        file.write_text(file.read_text(encoding="utf-8").replace("8787", str(port)), encoding="utf-8")


async def talk(directory: Path, codex_home: Path) -> Sequence[tuple[str, str]]:
    """Start the network and the node of ``directory``, say what the quickstart says, and return who said what."""
    codex, port = find_codex(), free_port()
    assert codex is not None, "the real Codex CLI is missing: run `make runtimes`"
    move_to_port(port, directory / "Moltnet", directory / "MoltnetNode")
    server = Server(directory, f"http://127.0.0.1:{port}")
    environment = {"PATH": f"{codex.parent}:{MOLTNET.parent}:{os.environ['PATH']}", "CODEX_HOME": str(codex_home)}
    environment |= temporary_directory(directory)
    async with open_model_server(scout) as model:
        write_codex_home(codex_home, model.base_url)
        config = codex_home / "config.toml"
        # A provider without a key of its own: the files of the quickstart pass none on.
        config.write_text(re.sub(rf'env_key = "{FAKE_KEY_NAME}"\n', "", config.read_text()))
        async with (
            server.run() as serving,
            running(
                "node", "start", directory=directory, log_path=directory / "node.log", environment=environment
            ) as node,
        ):
            await node.wait_log("attached", 2)
            async with server.client() as client:
                await client.send(human_message(ASKED))
            texts = await wait_texts(server, 4)
            assert await node.stop() == 0
            assert await serving.stop() == 0
    return texts


def check_conversation(texts: Sequence[tuple[str, str]]) -> None:
    assert [sender for sender, _ in texts] == ["ada", "scout", "clerk", "scout"]
    assert [re.sub(r"\d\d:\d\d", "…", text) for _, text in texts] == [
        ASKED,
        "@clerk what time is it?",
        "@scout it is ….",
        "The clerk says it is ….",
    ]


async def test_the_two_agents_of_the_quickstart_talk(tmp_path: Path) -> None:
    carry_out(Page.read(DOCS / "quickstart.md").setup(), tmp_path)
    check_conversation(await talk(tmp_path / "lab", tmp_path / "codex"))


async def test_the_two_agents_of_the_example_talk(tmp_path: Path) -> None:
    copy = tmp_path / "two-agents"
    shutil.copytree(ROOT / "examples" / "two-agents", copy, ignore=shutil.ignore_patterns(".moltnet"))
    check_conversation(await talk(copy, tmp_path / "codex"))


def test_the_files_of_the_guide_are_private_and_valid(tmp_path: Path) -> None:
    carry_out(
        Page.read(DOCS / "guides" / "securing-remote-agents.md").setup(), tmp_path, MOLTNET_HOST="chat.example.org"
    )
    for name, kind in (("Moltnet", ConfigKind.SERVER), ("MoltnetNode", ConfigKind.NODE)):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o600
        notices = check_file(tmp_path / name, kind, {}, tmp_path).notices
        # The agents' programs need not be on this machine.
        assert [notice for notice in notices if "cannot start" not in notice] == []
    assert (tmp_path / "moltnet-tokens.env").stat().st_mode & 0o777 == 0o600


def test_the_file_of_the_guide_to_open_networks_is_private_and_valid(tmp_path: Path) -> None:
    carry_out(Page.read(DOCS / "guides" / "public-open-networks.md").setup(), tmp_path)
    assert (tmp_path / "Moltnet").stat().st_mode & 0o777 == 0o600
    assert check_file(tmp_path / "Moltnet", ConfigKind.SERVER, {}, tmp_path).notices == ()
