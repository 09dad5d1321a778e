"""Writing into a workspace: exactly what was meant changes, under a lock, privately, or not at all."""

import fcntl
import json
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moltnet.config import locks
from moltnet.config.client import load_client_config
from moltnet.config.files import ConfigError
from moltnet.config.secrets import Secret
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.wake import WakePolicy, WakeRule
from moltnet.config.workspace import (
    AttachmentChange,
    AuthChange,
    DirectChange,
    Identity,
    RoomChange,
    client_config_path,
    upsert_attachment,
    write_identity,
)

Write = Callable[..., Path]

TOKEN = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"
CHANGE = AttachmentChange(network_id="local", member_id="alpha", base_url="http://127.0.0.1:8787")

# Keys in an order of their own, blanks of their own, and things that no change names.
WRITTEN = """{
  "attachments": [
    {"rooms": [{"wake": "never", "visibility": "public", "id": "hall"}], "member_id": "beta", "network_id": "plaza",
     "base_url": "https://plaza.test", "auth": {"token_path": "beta.tok", "mode": "open"}},
    {"base_url": "http://old:1", "network_id": "local", "auth": {"token_path": "../tokens/alpha"}, "member_id": "alpha",
     "rooms": [{"id": "hall", "read": "mentions", "access": {"can_write": false, "reason": "quiet"}}, {"id": "gone"}],
     "dms": {"wake": "never", "enabled": true}}
  ],
  "version": "spawnfile.moltnet-http-skill.v1",
  "agent": {"runtime": "claude-code"}
}
"""


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_first_change_creates_a_private_file_in_a_private_directory(tmp_path: Path) -> None:
    path = client_config_path(tmp_path / "work")
    change = AttachmentChange(
        network_id="local",
        member_id="alpha",
        base_url="http://127.0.0.1:8787",
        agent_name="Alpha",
        runtime="codex",
        auth=AuthChange(AuthMode.BEARER, Registration.TOKEN, token=Secret(TOKEN)),
        rooms=(RoomChange("hall", WakeRule(WakePolicy.MENTIONS)), RoomChange("vault", WakeRule(WakePolicy.MANUAL))),
        dms=DirectChange(True, WakeRule(WakePolicy.ALL)),
    )
    config = upsert_attachment(path, change)
    assert read(path) == {
        "version": "moltnet.client.v1",
        "agent": {"name": "Alpha", "runtime": "codex"},
        "attachments": [
            {
                "network_id": "local",
                "member_id": "alpha",
                "base_url": "http://127.0.0.1:8787",
                "agent_name": "Alpha",
                "runtime": "codex",
                "auth": {"mode": "bearer", "registration": "token", "token": TOKEN},
                "rooms": [{"id": "hall", "wake": "mentions"}, {"id": "vault", "read": "all", "reply": "manual"}],
                "dms": {"enabled": True, "wake": "all"},
            }
        ],
    }
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert load_client_config(path, {}, tmp_path) == config
    assert config.attachments[0].rooms[1].wake.policy is WakePolicy.MANUAL


def test_a_change_touches_only_what_it_names(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    upsert_attachment(path, CHANGE)
    expected = WRITTEN.replace("http://old:1", "http://127.0.0.1:8787")
    assert json.dumps(read(path)) == json.dumps(json.loads(expected))


def test_weakness_cli_7_a_relative_token_path_stays_as_it_was_written(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    for port in (1, 2, 3):
        upsert_attachment(path, AttachmentChange("local", "alpha", f"http://127.0.0.1:{port}"))
    assert [entry["auth"]["token_path"] for entry in read(path)["attachments"]] == ["beta.tok", "../tokens/alpha"]


def test_weakness_cli_8_rooms_and_dms_that_a_change_does_not_name_survive_it(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    upsert_attachment(path, AttachmentChange("local", "alpha", "http://127.0.0.1:8787", agent_name="Alpha"))
    before, after = json.loads(WRITTEN)["attachments"][1], read(path)["attachments"][1]
    assert (after["rooms"], after["dms"], after["agent_name"]) == (before["rooms"], before["dms"], "Alpha")


def test_a_new_list_of_rooms_keeps_what_is_known_about_those_that_stay(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    rooms = (RoomChange("new", WakeRule(WakePolicy.ALL)), RoomChange("hall", WakeRule(WakePolicy.NEVER)))
    upsert_attachment(path, AttachmentChange("local", "alpha", "http://127.0.0.1:8787", rooms=rooms))
    assert read(path)["attachments"][1]["rooms"] == [
        {"id": "new", "wake": "all"},
        {"id": "hall", "access": {"can_write": False, "reason": "quiet"}, "wake": "never"},
    ]


def test_dms_may_be_switched_without_naming_a_policy(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    upsert_attachment(path, AttachmentChange("local", "alpha", "http://127.0.0.1:8787", dms=DirectChange(False)))
    assert read(path)["attachments"][1]["dms"] == {"wake": "never", "enabled": False}


def test_the_first_program_that_names_the_agent_decides(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    for name, runtime in (("Alpha", "codex"), ("Other", "pi")):
        upsert_attachment(
            path, AttachmentChange("local", "alpha", "http://127.0.0.1:8787", agent_name=name, runtime=runtime)
        )
    assert read(path)["agent"] == {"runtime": "claude-code", "name": "Alpha"}


def test_an_attachment_of_another_network_is_added_at_the_end(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    config = upsert_attachment(path, AttachmentChange("third", "alpha", "https://third.test"))
    assert [entry.network_id for entry in config.attachments] == ["plaza", "local", "third"]


def test_a_change_that_changes_nothing_does_not_write(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    upsert_attachment(path, CHANGE)
    before = path.stat()
    upsert_attachment(path, CHANGE)
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("{", "is not valid JSON"),
        ("[]", "must hold keys and values"),
        ('{"attachments": [{"network_id": "a"}]}', "is required"),
        ('{"attachments": [], "mine": 1}', "is not a known field"),
    ],
)
def test_a_file_that_is_not_understood_is_left_alone(write: Write, content: str, reason: str) -> None:
    path = write(content, ".moltnet/config.json")
    with pytest.raises(ConfigError, match=reason):
        upsert_attachment(path, CHANGE)
    assert path.read_text() == content


def test_a_change_that_breaks_a_rule_is_not_written(write: Write) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    change = AttachmentChange("local", "alpha", "http://h", auth=AuthChange(AuthMode.BEARER))
    with pytest.raises(ConfigError, match="is required in mode bearer"):
        upsert_attachment(path, change)
    assert path.read_text() == WRITTEN


def test_a_link_and_a_public_file_with_a_token_are_refused(write: Write, tmp_path: Path) -> None:
    path = write(WRITTEN.replace('"token_path": "beta.tok"', f'"token": "{TOKEN}"'), "real.json", mode=0o644)
    with pytest.raises(ConfigError, match="group or others"):
        upsert_attachment(path, CHANGE)
    link = tmp_path / "link.json"
    other = write(WRITTEN, "other.json")
    link.symlink_to(other)
    with pytest.raises(ConfigError, match="is not a regular file"):
        upsert_attachment(link, CHANGE)
    assert other.read_text() == WRITTEN


def test_names_survive_in_every_script(write: Write) -> None:
    text = WRITTEN.replace('"runtime": "claude-code"', '"name": "Zoë 🦞"')
    path = write(text, ".moltnet/config.json")
    upsert_attachment(path, CHANGE)
    assert read(path)["agent"] == json.loads(text)["agent"]
    assert "Zoë 🦞" in path.read_text()


def test_half_a_character_is_refused_and_the_file_kept(write: Write) -> None:
    text = WRITTEN.replace('"runtime": "claude-code"', '"runtime": "\\ud800"')
    path = write(text, ".moltnet/config.json")
    with pytest.raises(ConfigError, match=r"\$\.agent\.runtime: is not text: it holds half of a character"):
        upsert_attachment(path, CHANGE)
    assert path.read_text() == text


def test_half_a_character_is_not_written(tmp_path: Path) -> None:
    path = client_config_path(tmp_path)
    with pytest.raises(ConfigError, match=r"attachments\[0\]\.agent_name: is not text"):
        upsert_attachment(path, AttachmentChange("net", "alpha", "https://net.test", agent_name="n\udcff"))
    assert not path.exists()


def test_weakness_cli_13_writers_at_the_same_time_lose_nothing(tmp_path: Path) -> None:
    path = client_config_path(tmp_path)
    writers = 8
    together = threading.Barrier(writers)

    def connect(index: int) -> None:
        together.wait()
        upsert_attachment(path, AttachmentChange(f"net{index}", "alpha", f"https://net{index}.test"))

    threads = [threading.Thread(target=connect, args=(index,)) for index in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {entry["network_id"] for entry in read(path)["attachments"]} == {f"net{index}" for index in range(writers)}


def test_a_lock_that_is_held_for_ever_is_given_up_on(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "LOCK_SECONDS", 0.05)
    path = write(WRITTEN, ".moltnet/config.json")
    with open(path.with_name(".config.json.lock"), "w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="is locked by another program"):
            upsert_attachment(path, CHANGE)
    assert path.read_text() == WRITTEN
    upsert_attachment(path, CHANGE)


def test_a_lock_file_that_is_a_link_is_not_followed(write: Write, tmp_path: Path) -> None:
    path = write(WRITTEN, ".moltnet/config.json")
    path.with_name(".config.json.lock").symlink_to(tmp_path / "planted")
    with pytest.raises(ConfigError, match="cannot be written"):
        upsert_attachment(path, CHANGE)
    assert not (tmp_path / "planted").exists()


def test_a_disk_that_is_full_leaves_the_file_as_it_was(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(WRITTEN, ".moltnet/config.json")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        upsert_attachment(path, CHANGE)
    assert path.read_text() == WRITTEN


def test_weakness_cli_10_an_identity_is_written_whole_and_private(tmp_path: Path) -> None:
    identity = Identity("local", "alpha", "actor_1", "molt://local/agents/alpha")
    path = write_identity(tmp_path, identity)
    assert path == tmp_path / ".moltnet/identity.json"
    assert read(path) == {
        "version": "moltnet.identity.v1",
        "network_id": "local",
        "agent_id": "alpha",
        "actor_uid": "actor_1",
        "actor_uri": "molt://local/agents/alpha",
    }
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    write_identity(tmp_path, Identity("plaza", "alpha", "actor_2", "molt://plaza/agents/alpha", "Alpha"))
    assert (read(path)["network_id"], read(path)["display_name"]) == ("plaza", "Alpha")
