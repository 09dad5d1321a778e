"""``moltnet init``: starters that start, and nothing of the user's is touched."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner

from moltnet.cli.init import init
from moltnet.config.server import load_server_config
from node.config import load_node_config


def run(path: Path) -> tuple[int, list[str]]:
    result = CliRunner().invoke(init, [str(path)])
    return result.exit_code, result.output.splitlines()


def steps(enter: str) -> list[str]:
    return [
        f"next: {enter}moltnet start",
        "then: uncomment the agent in MoltnetNode and run it in another terminal: moltnet node start",
    ]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_unmodified_starter_starts_on_this_machine_only(tmp_path: Path) -> None:
    assert run(tmp_path) == (
        0,
        [
            f"initialized {tmp_path}",
            f"created {tmp_path / 'Moltnet'}",
            f"created {tmp_path / 'MoltnetNode'}",
            *steps(f"cd {tmp_path} && "),
        ],
    )
    server = load_server_config(tmp_path / "Moltnet", {}, tmp_path)
    assert (server.network.id, server.network.name) == ("local", "Local Moltnet")
    assert server.server.listen_addr.is_loopback
    assert [room.id for room in server.rooms] == ["general"]
    assert server.storage.sqlite is not None
    assert server.storage.sqlite.path == tmp_path / ".moltnet/moltnet.db"
    assert server.notices == ()
    assert load_node_config(tmp_path / "MoltnetNode", {}, tmp_path).attachments == ()


def test_the_commented_attachment_of_the_starter_loads_once_it_is_uncommented(tmp_path: Path) -> None:
    run(tmp_path)
    before, hint, example = (tmp_path / "MoltnetNode").read_text().partition("# attachments:\n")
    uncommented = "".join(line.removeprefix("# ") for line in (hint + example).splitlines(keepends=True))
    (tmp_path / "MoltnetNode").write_text(before + uncommented)
    (alpha,) = load_node_config(tmp_path / "MoltnetNode", {}, tmp_path).attachments
    assert alpha.agent.id == "alpha"


def test_files_and_directories_that_are_new_are_private_and_others_keep_their_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    run(tmp_path / "new" / "network")
    assert [mode(path) for path in (tmp_path, tmp_path / "new", tmp_path / "new/network")] == [0o755, 0o700, 0o700]
    assert mode(tmp_path / "new/network/Moltnet") == 0o600


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "Moltnet").write_text("mine")
    (tmp_path / "MoltnetNode").symlink_to("elsewhere")
    assert run(tmp_path) == (
        0,
        [
            f"exists {tmp_path / 'Moltnet'}",
            f"exists {tmp_path / 'MoltnetNode'}",
            f"initialized {tmp_path}",
            "no files created",
            *steps(f"cd {tmp_path} && "),
        ],
    )
    assert (tmp_path / "Moltnet").read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


def test_here_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(init, [])
    assert result.output.splitlines() == ["initialized .", "created Moltnet", "created MoltnetNode", *steps("")]


def test_a_place_that_cannot_be_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, output = run(tmp_path / "file" / "below")
    assert code == 1
    assert output[0].startswith("Error: ")
