"""What a runtime process sees of the node's environment."""

import sys
from pathlib import Path

import pytest

from bridge.sandbox import mask_values, runtime_environment, secrets_in

SECRETS = {
    "MOLTNET_TOKEN": "of another attachment",
    "OPENAI_API_KEY": "sk-1",
    "AWS_SECRET_ACCESS_KEY": "x",
    "DATABASE_URL": "postgres://user:password@host/db",
    "LD_PRELOAD": "/tmp/x.so",
    "PYTHONPATH": "/somewhere",
}
USUAL = {
    "PATH": "/usr/bin",
    "HOME": "/home/agent",
    "LANG": "de_DE.UTF-8",
    "LC_ALL": "C",
    "TZ": "UTC",
    "TMPDIR": "/tmp",
    "TERM": "xterm",
    "USER": "agent",
    "SHELL": "/bin/sh",
    "XDG_CONFIG_HOME": "/home/agent/.config",
    "HTTPS_PROXY": "http://proxy",
    "no_proxy": "localhost",
    "SSL_CERT_FILE": "/etc/ca.pem",
}


def test_the_usual_variables_pass_and_secrets_do_not(tmp_path: Path) -> None:
    assert runtime_environment({**USUAL, **SECRETS}, given={}, programs=tmp_path) == USUAL


def test_what_the_configuration_names_passes_if_it_is_set(tmp_path: Path) -> None:
    environment = runtime_environment(
        {**USUAL, **SECRETS}, passed=("OPENAI_API_KEY", "NOT_SET"), given={}, programs=tmp_path
    )
    assert environment == {**USUAL, "OPENAI_API_KEY": "sk-1"}


def test_given_variables_win(tmp_path: Path) -> None:
    given = {"HOME": "/elsewhere", "MOLTNET_TOKEN": "its own"}
    environment = runtime_environment({**USUAL, **SECRETS}, passed=("MOLTNET_TOKEN",), given=given, programs=tmp_path)
    assert environment == {**USUAL, **given}


def test_a_null_character_cannot_break_the_environment(tmp_path: Path) -> None:
    environment = runtime_environment(USUAL, given={"MOLTNET_SENDER": "a\0b"}, programs=tmp_path)
    assert environment["MOLTNET_SENDER"] == "ab"


@pytest.mark.parametrize("environ", [{}, {"LANG": ""}, {"LANGUAGE": "de"}])
def test_without_a_locale_text_is_utf8(environ: dict[str, str]) -> None:
    assert runtime_environment(environ, given={})["LANG"] == "C.UTF-8"


def test_the_moltnet_command_is_found_but_hides_no_other_program(tmp_path: Path) -> None:
    (tmp_path / "moltnet").touch()
    environment = runtime_environment({"PATH": "/usr/bin:/bin"}, given={}, programs=tmp_path)
    assert environment["PATH"] == f"/usr/bin:/bin:{tmp_path}"
    again = runtime_environment(environment, given={}, programs=tmp_path)
    assert again["PATH"] == environment["PATH"]


def test_the_directory_of_the_running_python_is_the_default_place_of_moltnet() -> None:
    programs = Path(sys.executable).parent
    path = runtime_environment({"PATH": "/usr/bin"}, given={})["PATH"].split(":")
    assert (str(programs) in path) == (programs / "moltnet").exists()


def test_secrets_are_known_by_the_names_of_their_variables() -> None:
    environment = {
        "MOLTNET_TOKEN": "t" * 8,
        "OPENAI_API_KEY": "k" * 20,
        "KEYBOARD": "qwertyuiop",
        "SHORT_KEY": "1234567",
    }
    assert secrets_in(environment) == ("k" * 20, "t" * 8)
    assert mask_values(f"{'t' * 8} and {'k' * 20}, 1234567", secrets_in(environment)) == "*** and ***, 1234567"
