"""The search that every end-to-end test ends with finds what it is for."""

import base64
from pathlib import Path

import pytest

from tests.e2e.leaks import leaks_below, secrets_below

STATIC, PREVIOUS, AGENT = "f0a1b2c3d4e5f607", "the-value-before-it", f"magt_v1_{'x' * 43}"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Not in `tmp_path` itself, where a leak would fail the test that plants it."""
    home = tmp_path.parent / f"{tmp_path.name}-home"
    (home / "state").mkdir(parents=True)
    (home / "Moltnet").write_text(f"auth: {{tokens: [{{id: a, value: {STATIC}, previous_value: '{PREVIOUS}'}}]}}\n")
    (home / "alpha.token").write_text(f"{AGENT}\n")
    (home / "server.log").write_text("started\n")
    return home


def test_it_knows_what_configuration_and_token_files_hold(home: Path) -> None:
    assert set(secrets_below(home).values()) == {STATIC, PREVIOUS, AGENT}


def test_where_they_belong_they_are_no_leak(home: Path) -> None:
    assert leaks_below(home) == []


@pytest.mark.parametrize("secret", [STATIC, PREVIOUS, AGENT])
@pytest.mark.parametrize("name", ["server.log", "state/moltnet.db-wal", "state/dead-letters.jsonl"])
def test_anywhere_else_they_are_one(home: Path, name: str, secret: str) -> None:
    (home / name).write_bytes(b"\x00before " + secret.encode() + b" behind\x00")
    (leak,) = leaks_below(home)
    assert name in leak


def test_in_another_form_they_are_one_too(home: Path) -> None:
    (home / "server.log").write_bytes(base64.b64encode(AGENT.encode()))
    assert len(leaks_below(home)) == 1
