"""The skill in a workspace: whole or not at all, private, and never outside."""

import os
import stat
from pathlib import Path

import pytest

from moltnet.config.problems import ConfigError
from moltnet.config.skill_files import read_skill, write_skill
from moltnet.protocol.limits import MAX_SKILL_BYTES

NAME = ".agents/skills/moltnet/SKILL.md"


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_skill_is_written_private_and_read_back(tmp_path: Path) -> None:
    workspace = tmp_path / "agent"
    assert write_skill(workspace, NAME, "ü\n") == workspace / NAME
    assert read_skill(workspace, NAME) == "ü\n"
    assert mode_of(workspace / NAME) == 0o600
    assert {mode_of(workspace / part) for part in (".agents", ".agents/skills", ".agents/skills/moltnet")} == {0o700}
    write_skill(workspace, NAME, "new\n")
    assert read_skill(workspace, NAME) == "new\n"
    assert os.listdir((workspace / NAME).parent) == ["SKILL.md"]


def test_a_directory_that_is_there_keeps_its_mode_and_a_file_becomes_private(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.parent.chmod(0o755)
    path.write_text("old")
    path.chmod(0o644)
    write_skill(tmp_path, NAME, "new")
    assert (mode_of(path.parent), mode_of(path)) == (0o755, 0o600)


@pytest.mark.parametrize("name", [NAME, "skills/moltnet/SKILL.md"])
def test_nothing_is_read_where_nothing_is(tmp_path: Path, name: str) -> None:
    assert read_skill(tmp_path, name) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("link", [".agents", ".agents/skills", ".agents/skills/moltnet"])
def test_a_link_out_of_the_workspace_is_not_followed(tmp_path: Path, link: str) -> None:
    outside, workspace = tmp_path / "outside", tmp_path / "agent"
    (outside / "skills" / "moltnet").mkdir(parents=True)
    (outside / "moltnet").mkdir()
    (workspace / link).parent.mkdir(parents=True)
    (workspace / link).symlink_to(outside)
    for attempt in (lambda: write_skill(workspace, NAME, "evil"), lambda: read_skill(workspace, NAME)):
        with pytest.raises(ConfigError, match="leads out of the workspace"):
            attempt()
    assert [path for path in outside.rglob("*") if path.is_file()] == []


def test_a_link_within_the_workspace_is_followed(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / ".agents").symlink_to("shared")
    write_skill(tmp_path, NAME, "text")
    assert (tmp_path / "shared/skills/moltnet/SKILL.md").read_text() == "text"


def test_a_file_that_is_a_link_is_neither_replaced_nor_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("kept")
    path = tmp_path / "agent" / NAME
    path.parent.mkdir(parents=True)
    path.symlink_to(secret)
    with pytest.raises(ConfigError, match="not a regular file"):
        write_skill(tmp_path / "agent", NAME, "evil")
    with pytest.raises(ConfigError, match="cannot be used"):
        read_skill(tmp_path / "agent", NAME)
    assert secret.read_text() == "kept"


def test_what_is_no_file_or_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * (MAX_SKILL_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        read_skill(tmp_path, NAME)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_skill(tmp_path, NAME)
    with pytest.raises(ConfigError, match="not a regular file"):
        write_skill(tmp_path, NAME, "text")


def test_a_failed_write_leaves_the_old_skill_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_skill(tmp_path, NAME, "old")

    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        write_skill(tmp_path, NAME, "new")
    assert read_skill(tmp_path, NAME) == "old"
    assert os.listdir((tmp_path / NAME).parent) == ["SKILL.md"]
