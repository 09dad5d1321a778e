"""Secrets that do not print themselves, token sources without fall-through, and token files."""

import logging
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from moltnet.config.files import read_file
from moltnet.config.secrets import (
    Secret,
    TokenFileMissing,
    TokenSource,
    TokenUnavailable,
    placeholder_problem,
    prepare_token_file,
    read_token_file,
    strength_problem,
    write_token_file,
)

TOKEN = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"


def private(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    "show",
    [
        str,
        repr,
        "{}".format,
        "{!r}".format,
        lambda secret: f"{secret}",
        lambda secret: "%s" % secret,  # noqa: UP031  # old code and loggers print like this
        lambda secret: str([secret]),
    ],
)
def test_a_secret_does_not_show_itself(show: Callable[[object], str]) -> None:
    assert TOKEN[:4] not in show(Secret(TOKEN))


def test_a_secret_does_not_show_itself_in_a_log_or_an_object_around_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        logging.getLogger("test").info("source %s", TokenSource(inline=Secret(TOKEN)))
    assert TOKEN not in caplog.text
    assert "Secret" in caplog.text


def test_secrets_are_equal_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
    assert (bool(Secret("")), bool(Secret(" "))) == (False, True)


@pytest.mark.parametrize(
    ("token", "env", "path", "chosen"),
    [
        ("t", "E", "p", TokenSource(inline=Secret("t"))),
        ("", "E", "p", TokenSource(env="E")),
        (None, " ", "p/../q", TokenSource(path=Path("/base/q"))),
        (None, "", "/elsewhere", TokenSource(path=Path("/elsewhere"))),
        (None, "", "", None),
    ],
)
def test_the_first_configured_source_is_chosen(
    token: str | None, env: str, path: str, chosen: TokenSource | None
) -> None:
    inline = None if token is None else Secret(token)
    assert TokenSource.choose(token=inline, token_env=env, token_path=path, directory=Path("/base")) == chosen


def test_a_source_is_exactly_one() -> None:
    for fields in ({}, {"env": "A", "path": Path("b")}, {"inline": Secret("a"), "env": "A"}):
        with pytest.raises(ValueError, match="exactly one source"):
            TokenSource(**fields)  # type: ignore[arg-type]  # fields of several types


def test_each_source_gives_its_token_trimmed(tmp_path: Path) -> None:
    path = private(tmp_path / "token", f"  {TOKEN}\n")
    assert TokenSource(inline=Secret(f" {TOKEN} ")).resolve({}) == TOKEN
    assert TokenSource(env="THE_TOKEN").resolve({"THE_TOKEN": f"{TOKEN}\n"}) == TOKEN
    assert TokenSource(path=path).resolve({}) == TOKEN


@pytest.mark.parametrize("environ", [{}, {"THE_TOKEN": ""}, {"THE_TOKEN": " \n"}])
def test_a_variable_that_is_not_set_is_named(environ: dict[str, str]) -> None:
    with pytest.raises(TokenUnavailable, match="environment variable THE_TOKEN is not set or blank"):
        TokenSource(env="THE_TOKEN").resolve(environ)


def test_there_is_no_fall_through_to_a_later_source(tmp_path: Path) -> None:
    private(tmp_path / "token", TOKEN)
    for inline, env in (("   ", ""), (None, "NOT_SET")):
        source = TokenSource.choose(
            token=None if inline is None else Secret(inline), token_env=env, token_path="token", directory=tmp_path
        )
        assert source is not None
        with pytest.raises(TokenUnavailable):
            source.resolve({})


def test_a_missing_token_file_is_told_apart_from_an_unusable_one(tmp_path: Path) -> None:
    with pytest.raises(TokenFileMissing, match="does not exist"):
        read_token_file(tmp_path / "token")
    with pytest.raises(TokenUnavailable, match="is a directory") as caught:
        read_token_file(tmp_path)
    assert not isinstance(caught.value, TokenFileMissing)


def test_a_token_file_that_is_not_private_or_not_a_token_is_refused_with_its_reason(tmp_path: Path) -> None:
    path = private(tmp_path / "token", "")
    with pytest.raises(TokenUnavailable, match="is empty"):
        read_token_file(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(TokenUnavailable, match="is not UTF-8 text"):
        read_token_file(path)
    path.write_bytes(b"x" * 9000)
    with pytest.raises(TokenUnavailable, match="larger than"):
        read_token_file(path)
    path.write_text(TOKEN)
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(TokenUnavailable, match="must not be a symlink"):
        read_token_file(link)
    path.chmod(0o640)
    with pytest.raises(TokenUnavailable, match="group or others") as caught:
        read_token_file(path)
    assert TOKEN not in str(caught.value)


def test_preparing_proves_that_a_token_can_be_kept_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    prepare_token_file(path)
    assert list(path.parent.iterdir()) == []
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    private(path, TOKEN)
    prepare_token_file(path)


def test_preparing_refuses_where_no_token_could_be_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(TokenUnavailable):
        prepare_token_file(tmp_path / "file" / "token")
    (tmp_path / "token").symlink_to("elsewhere")
    with pytest.raises(TokenUnavailable):
        write_token_file(tmp_path / "token", TOKEN)


def test_a_written_token_is_private_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "token"
    write_token_file(path, f" {TOKEN}\n")
    assert read_file(path, max_bytes=100).data == f"{TOKEN}\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    write_token_file(path, TOKEN[::-1])
    assert read_token_file(path) == TOKEN[::-1]


def test_a_token_is_not_written_over_a_file_that_others_may_read(tmp_path: Path) -> None:
    path = private(tmp_path / "token", "old")
    path.chmod(0o644)
    with pytest.raises(TokenUnavailable, match="group or others"):
        write_token_file(path, TOKEN)
    assert path.read_text() == "old"


def test_a_blank_token_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TokenUnavailable, match="blank"):
        write_token_file(tmp_path / "token", " \n")
    assert not (tmp_path / "token").exists()


@pytest.mark.parametrize(
    "token",
    [
        "replace-with-random-admin-token",
        "replace-with-random-pair-token",
        "paste-attachment-token-here",
        "your-secure-random-token-here",
        "CHANGEME-CHANGEME-CHANGEME",
        "change_me_before_production",
        "example-token-for-the-docs",
        "<operator token goes here>",
        "${OPERATOR_TOKEN}",
        "$OPERATOR_TOKEN",
        "$(openssl rand -hex 32)",
        "{{ vault.operator_token }}",
        "%OPERATOR_TOKEN%",
        "token-placeholder-1234567",
    ],
)
def test_a_placeholder_of_documentation_is_not_a_token(token: str) -> None:
    problem = placeholder_problem(token)
    assert problem is not None
    assert "openssl rand -hex 32" in problem
    assert strength_problem(token) == problem


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("3f9c2b7e5d1a804", "shorter than 16"),
        ("3f9c2b7e5d1a8046" * 65, "longer than 1024"),
        ("aaaaaaaabbbbbbbb", "too few different"),
        ("two words and more of them", "visible ASCII"),
        ("größer-als-erlaubt-1234", "visible ASCII"),
        ("magt_v1_3f9c2b7e5d1a8046b9e7c2d4f1a3560812345678901", "magt_v1_"),
    ],
)
def test_a_weak_or_unsendable_token_is_refused_without_showing_it(token: str, reason: str) -> None:
    problem = strength_problem(token)
    assert problem is not None
    assert reason in problem
    assert token not in problem


@pytest.mark.parametrize(
    "token", [TOKEN, "yourXk3f9c2b7e5d1a", "Zm9vYmFyYmF6cXV4MTIz+/=", "correct-horse-battery-staple"]
)
def test_a_made_token_is_accepted(token: str) -> None:
    assert strength_problem(token) is None
