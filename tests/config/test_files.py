"""Finding, reading and privately writing files: links, modes, owners, and what a failure leaves behind."""

import os
import stat
from pathlib import Path

import pytest

from moltnet.config import files
from moltnet.config.files import ConfigError, create_directories, discover, read_config_file, write_private

NAMES = ("First", "second.yaml")


def found(
    cwd: Path, *, explicit: str | None = None, environ: dict[str, str] | None = None, skip: bool = True
) -> Path | None:
    path = Path(explicit) if explicit is not None else None
    return discover(
        explicit=path, variable="THE_FILE", names=NAMES, environ=environ or {}, cwd=cwd, skip_directories=skip
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_argument_beats_the_environment_which_beats_the_names(tmp_path: Path) -> None:
    (tmp_path / "second.yaml").write_text("")
    assert found(tmp_path) == tmp_path / "second.yaml"
    (tmp_path / "First").write_text("")
    assert found(tmp_path) == tmp_path / "First"
    assert found(tmp_path, environ={"THE_FILE": " "}) == tmp_path / "First"
    assert found(tmp_path, environ={"THE_FILE": "named"}) == tmp_path / "named"
    assert found(tmp_path, explicit="given", environ={"THE_FILE": "named"}) == tmp_path / "given"


def test_nothing_there_is_nothing_found(tmp_path: Path) -> None:
    (tmp_path / "First").symlink_to("nowhere")
    assert found(tmp_path) is None


def test_a_directory_with_the_name_is_skipped_or_found_as_the_caller_says(tmp_path: Path) -> None:
    (tmp_path / "First").mkdir()
    (tmp_path / "second.yaml").write_text("")
    assert found(tmp_path) == tmp_path / "second.yaml"
    assert found(tmp_path, skip=False) == tmp_path / "First"


def test_a_named_file_that_is_missing_or_is_no_file_is_a_config_error(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, message in (("missing", "no such file"), (".", "is a directory"), ("pipe", "is not a regular file")):
        with pytest.raises(ConfigError) as caught:
            read_config_file(tmp_path / name)
        assert [problem.message for problem in caught.value.problems] == [message]
        assert str(caught.value) == f"{tmp_path / name}: {message}"


def test_a_file_over_the_limit_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_CONFIG_BYTES", 10)
    (tmp_path / "f").write_bytes(b"x" * 11)
    with pytest.raises(ConfigError, match="is larger than 10 bytes"):
        read_config_file(tmp_path / "f")


@pytest.mark.parametrize("bits", [0o640, 0o604, 0o610, 0o602, 0o666])
def test_any_right_of_others_makes_a_file_unfit_for_secrets(tmp_path: Path, bits: int) -> None:
    path = tmp_path / "f"
    path.write_text("")
    path.chmod(bits)
    (problem,) = read_config_file(path).privacy_problems()
    assert problem.startswith("must not be accessible by group or others")


def test_a_private_file_is_fit_for_secrets_and_a_link_to_it_is_not(tmp_path: Path) -> None:
    path, link = tmp_path / "f", tmp_path / "link"
    path.write_text("")
    path.chmod(0o600)
    link.symlink_to(path)
    assert list(read_config_file(path).privacy_problems()) == []
    assert list(read_config_file(link).privacy_problems()) == ["must not be a symlink when it holds secrets"]


def test_weakness_server_8_a_directory_of_everyone_makes_a_file_unfit_for_secrets(tmp_path: Path) -> None:
    path = tmp_path / "open" / "f"
    path.parent.mkdir()
    path.write_text("")
    path.chmod(0o600)
    path.parent.chmod(0o777)
    (problem,) = read_config_file(path).privacy_problems()
    assert "directory that everyone may write to" in problem
    path.parent.chmod(0o1777)
    assert list(read_config_file(path).privacy_problems()) == []


@pytest.mark.parametrize(
    ("owner", "reader", "is_fit"), [(1000, 1000, True), (0, 1000, True), (1001, 1000, False), (1001, 0, True)]
)
def test_weakness_server_8_a_file_of_another_user_is_unfit_for_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, reader: int, is_fit: bool
) -> None:
    path = tmp_path / "f"
    path.write_text("")
    path.chmod(0o600)
    file = read_config_file(path)
    fields = list(file.status)
    fields[4] = owner
    monkeypatch.setattr(os, "geteuid", lambda: reader)
    there = files.ConfigFile(path, b"", os.stat_result(fields), False)
    expected = [] if is_fit else ["must belong to you or to root when it holds secrets"]
    assert list(there.privacy_problems()) == expected


def test_the_mode_that_counts_is_that_of_the_bytes_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("open")
    path.chmod(0o644)
    file = read_config_file(path)
    write_private(path, b"replaced by a private one")
    assert file.data == b"open"
    assert list(file.privacy_problems()) != []


def test_a_private_write_makes_missing_directories_private_and_leaves_others_alone(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    (tmp_path / "there").chmod(0o755)
    path = tmp_path / "there" / "new" / "newer" / "f"
    write_private(path, b"secret")
    assert path.read_bytes() == b"secret"
    assert [mode(each) for each in (tmp_path / "there", path.parent.parent, path.parent, path)] == [
        0o755,
        0o700,
        0o700,
        0o600,
    ]


def test_weakness_server_11_the_mode_of_an_existing_directory_is_kept(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    create_directories(tmp_path)
    write_private(tmp_path / "f", b"")
    assert mode(tmp_path) == 0o755


def test_a_private_write_replaces_a_public_file_by_a_private_one(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)


@pytest.mark.parametrize("kind", ["link", "dangling", "directory"])
def test_a_private_write_does_not_follow_or_replace_what_is_no_file(tmp_path: Path, kind: str) -> None:
    path, other = tmp_path / "f", tmp_path / "other"
    other.write_text("untouched")
    match kind:
        case "link":
            path.symlink_to(other)
        case "dangling":
            path.symlink_to("nowhere")
        case _:
            path.mkdir()
    with pytest.raises(OSError, match="is not a regular file"):
        write_private(path, b"new")
    assert other.read_text() == "untouched"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["f", "other"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    write_private(path, b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_private(path, b"new")
    assert path.read_bytes() == b"old"
    assert [each.name for each in tmp_path.iterdir()] == ["f"]
