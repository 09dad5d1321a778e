"""Changing a Moltnet file by program: what it says afterwards, what is left alone, and when nothing is changed."""

import os
import stat
from pathlib import Path

import pytest

from moltnet.config import server_edit
from moltnet.config.problems import ConfigError
from moltnet.config.server_edit import edit_server_config, undo
from moltnet.config.splice import Append, Change, SetKey, spliced
from tests.fakes.network import secret_of

PAIRING = Append(
    ("pairings",), {"id": "b", "remote_base_url": "https://b.test", "token": secret_of("b"), "rooms": ["general"]}
)
TOKEN = Append(
    ("auth", "tokens"), {"id": "pair-b", "value": "0e12345678901234abcd", "scopes": ["pair"], "network": "net_b"}
)
OFF = SetKey(("pairings",), 0, "enabled", False)
BLOCK = [
    "  - id: b",
    '    remote_base_url: "https://b.test"',
    f"    token: {secret_of('b')}",
    "    rooms: [general]",
]

WRITTEN: list[tuple[str, str, list[Change], list[str]]] = [
    ("an empty list", "pairings: [] # none yet\nrooms: []\n", [PAIRING], ["pairings: # none yet", *BLOCK, "rooms: []"]),
    ("no value", "pairings:\nrooms: []\n", [PAIRING], ["pairings:", *BLOCK, "rooms: []"]),
    ("no key", "rooms: [] # x", [PAIRING], ["rooms: [] # x", "pairings:", *BLOCK]),
    (
        "a list, with comments in it and below",
        "auth:\n  tokens:\n  - id: a # first\n    value: 'x'\n    # inside\n  # below\n# end\n",
        [TOKEN],
        [
            *("auth:", "  tokens:", "  - id: a # first", "    value: 'x'"),
            *("  - id: pair-b", '    value: "0e12345678901234abcd"', "    scopes: [pair]", "    network: net_b"),
            *("    # inside", "  # below", "# end"),
        ],
    ),
    (
        "a value of a key",
        "pairings:\n- id: a\n  enabled: yes # on\n",
        [OFF],
        ["pairings:", "- id: a", "  enabled: false # on"],
    ),
    (
        "a key that was not there",
        "pairings:\n- id: a\n\n# end\n",
        [OFF],
        ["pairings:", "- id: a", "  enabled: false", "", "# end"],
    ),
    (
        "a flow list",
        "pairings: [\n  {id: a}, # c\n]\n",
        [OFF],
        ["pairings: [", '  {id: a, "enabled": false}, # c', "]"],
    ),
    (
        "a block text",
        "pairings:\n- id: a\n  token: |\n    x\n\nlog: {}\n",
        [OFF],
        ["pairings:", "- id: a", "  token: |", "    x", "  enabled: false", "", "log: {}"],
    ),
]


@pytest.mark.parametrize(
    ("text", "changes", "lines"), [case[1:] for case in WRITTEN], ids=[case[0] for case in WRITTEN]
)
def test_only_the_lines_that_are_needed_are_new(text: str, changes: list[Change], lines: list[str]) -> None:
    assert spliced(text, changes, is_json=False).splitlines() == lines


def test_the_line_ends_of_the_file_are_kept() -> None:
    assert "\n" not in spliced("rooms: []\r\npairings: []\r\n", [PAIRING], is_json=False).replace("\r\n", "")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "Moltnet"
    path.write_text("# mine\nnetwork: {id: lab} # the lab\nauth:\n  mode: bearer\n  tokens: []\npairings: []\n")
    return path


def edit(path: Path, *changes: Change, **environ: str) -> server_edit.Edit:
    return edit_server_config(path, changes, environ, path.parent)


def test_a_file_with_secrets_in_it_becomes_private_and_keeps_its_comments(path: Path) -> None:
    path.chmod(0o644)
    config = edit(path, TOKEN, PAIRING).config
    assert [(pairing.id, pairing.rooms) for pairing in config.pairings] == [("b", frozenset({"general"}))]
    assert [(token.id, token.network) for token in config.auth.tokens] == [("pair-b", "net_b")]
    assert config.source == path
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("# mine\nnetwork: {id: lab} # the lab\n")
    assert {each.name for each in path.parent.iterdir()} == {"Moltnet", ".Moltnet.lock"}


def test_a_json_file_stays_one(tmp_path: Path) -> None:
    path = tmp_path / "moltnet.json"
    path.write_text('{"network": {"id": "lab"}, "auth": {"mode": "bearer", "tokens": []}}')
    assert edit(path, TOKEN, PAIRING).config.pairings[0].id == "b"
    assert path.read_text().startswith('{\n  "network"')


def test_a_change_that_no_server_would_load_is_not_made(path: Path) -> None:
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=rf"{path}:\d+: \$\.pairings\[1\]\.id: is already") as caught:
        edit(path, TOKEN, PAIRING, PAIRING)
    assert secret_of("b") not in str(caught.value)
    assert path.read_bytes() == before
    assert {each.name for each in path.parent.iterdir()} == {"Moltnet", ".Moltnet.lock"}


def test_a_dry_run_finds_problems_and_changes_nothing(path: Path) -> None:
    before = path.read_bytes()
    edit_server_config(path, [TOKEN, PAIRING], {}, path.parent, dry_run=True)
    with pytest.raises(ConfigError):
        edit_server_config(path, [PAIRING, PAIRING], {}, path.parent, dry_run=True)
    assert path.read_bytes() == before


def test_a_file_that_would_mean_something_else_as_well_is_left_to_its_author(path: Path) -> None:
    path.write_text("rooms: &none []\npairings: *none\n")
    with pytest.raises(ConfigError, match="by hand"):
        edit(path, PAIRING)
    assert path.read_text() == "rooms: &none []\npairings: *none\n"


def test_a_symlink_and_pairings_of_the_environment_are_refused(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(ConfigError, match="symlink"):
        edit(link, PAIRING)
    with pytest.raises(ConfigError, match="MOLTNET_PAIRINGS_JSON"):
        edit(path, PAIRING, MOLTNET_PAIRINGS_JSON="[]")


def test_a_failed_write_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        edit(path, TOKEN)
    assert path.read_bytes() == before


def test_undo_puts_back_what_was_there_unless_somebody_wrote_since(path: Path) -> None:
    before = path.read_bytes()
    made = edit(path, TOKEN, PAIRING)
    assert undo(made)
    assert path.read_bytes() == before
    made = edit(path, TOKEN)
    path.write_bytes(path.read_bytes() + b"# somebody\n")
    assert not undo(made)
    assert path.read_text().endswith("# somebody\n")
