"""The bridge file, and the rules of a ``runtime`` block by kind."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.config import AttachmentConfig, RuntimeConfig, RuntimeKind, WakePolicy, WakeRule, load_bridge_config
from bridge.limits import TURN_DEFAULT_SECONDS
from bridge.settings import state_name
from moltnet.config.files import ConfigError
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode

KINDS = "openclaw, picoclaw, tinyclaw, codex, claude-code, pi, command"
TOKEN = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"


def document(**changes: object) -> dict[str, Any]:
    return {
        "version": "moltnet.bridge.v1",
        "agent": {"id": "alpha"},
        "moltnet": {"base_url": "http://127.0.0.1:8787", "network_id": "local"},
        "runtime": {"kind": "command", "command": "answer"},
        **changes,
    }


def write(directory: Path, content: object, *, name: str = "bridge.json", mode: int = 0o600) -> Path:
    path = directory / name
    path.touch(mode=0o600)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def load(directory: Path, **changes: object) -> AttachmentConfig:
    return load_bridge_config(write(directory, document(**changes)), directory)


def problems(directory: Path, **changes: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(directory, **changes)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_a_bridge_file_of_the_older_generation_loads(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        agent={"id": "luna", "name": "Luna"},
        moltnet={
            "base_url": "https://plaza.test",
            "network_id": "plaza",
            "auth_mode": "open",
            "token_path": ".moltnet/luna.token",
        },
        runtime={"kind": "openclaw"},
        rooms=[
            {"id": "square", "read": "all", "reply": "auto"},
            {"id": "vault", "read": "mentions", "reply": "manual"},
        ],
    )
    assert (config.agent.id, config.agent.name) == ("luna", "Luna")
    assert config.server.auth_mode is AuthMode.OPEN
    assert config.server.token == TokenSource(path=tmp_path / ".moltnet/luna.token")
    assert [(room.id, room.wake) for room in config.rooms] == [
        ("square", WakeRule(WakePolicy.ALL)),
        ("vault", WakeRule(WakePolicy.MANUAL, on_approval=WakePolicy.MENTIONS)),
    ]
    assert config.dms.enabled is False


def test_an_older_binding_never_becomes_wake_all_by_being_skipped(tmp_path: Path) -> None:
    config = load(tmp_path, rooms=[{"id": "a", "read": "mentions"}, {"id": "b", "reply": "never"}], read="all")
    assert [room.wake.policy for room in config.rooms] == [WakePolicy.MENTIONS, WakePolicy.NEVER]


def test_the_file_is_json_whatever_it_is_called(tmp_path: Path) -> None:
    path = write(tmp_path, json.dumps(document(), indent="\t"), name="bridge.conf")
    assert load_bridge_config(path, tmp_path).agent.id == "alpha"
    with pytest.raises(ConfigError, match="is not valid JSON"):
        load_bridge_config(write(tmp_path, "version: moltnet.bridge.v1", name="bridge.yaml"), tmp_path)


def test_what_a_file_leaves_out_has_defaults(tmp_path: Path) -> None:
    config = load(tmp_path)
    assert config.agent.name == "alpha"
    assert (config.server.auth_mode, config.server.token) == (AuthMode.NONE, None)
    assert (config.rooms, config.dms.enabled) == ((), False)
    assert config.state_dir == tmp_path / ".moltnet/bridge/local/alpha"
    assert config.runtime == RuntimeConfig(
        kind=RuntimeKind.COMMAND,
        command=("answer",),
        turn_seconds=TURN_DEFAULT_SECONDS,
        workspace_path=tmp_path,
        session_store_path=config.state_dir / "sessions.json",
        session_prefix="agent:alpha",
    )


@pytest.mark.parametrize("secret", [{"moltnet": "token"}, {"runtime": "token"}])
def test_a_file_with_tokens_must_be_private_and_no_link(tmp_path: Path, secret: dict[str, str]) -> None:
    content = document(runtime={"kind": "openclaw"})
    for block, key in secret.items():
        content[block] = {**content[block], key: TOKEN}
    path = write(tmp_path, content)
    load_bridge_config(path, tmp_path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigError, match="must not be a symlink"):
        load_bridge_config(Path("link"), tmp_path)
    path.chmod(0o604)
    with pytest.raises(ConfigError, match="must not be accessible by group or others") as caught:
        load_bridge_config(path, tmp_path)
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "path", "message"),
    [
        ({"version": ""}, "$.version", "must be moltnet.bridge.v1"),
        ({"version": "moltnet.bridge.v9"}, "$.version", "must be moltnet.bridge.v1"),
        ({"agent": {}}, "$.agent.id", "is required"),
        ({"agent": {"id": "molt://n/agents/a"}}, "$.agent.id", "must start with a letter or digit"),
        ({"attachments": []}, "$.attachments", "is not a known field"),
        ({"dms": {"enabled": "yes"}}, "$.dms.enabled", "must be true or false, not a string"),
        (
            {"dms": {"enabled": True, "wake": "always"}},
            "$.dms.wake",
            "must be one of all, mentions, thread_only, never",
        ),
        ({"wake": "all", "reply": "auto"}, "$.wake", "cannot stand beside read or reply; use wake alone"),
        (
            {"moltnet": {"base_url": "http://h", "network_id": "n", "auth_mode": "bearer"}},
            "$.moltnet.token",
            "is required in mode bearer (or token_env, or token_path)",
        ),
        (
            {"moltnet": {"base_url": "http://h", "network_id": "n", "auth_mode": "open"}},
            "$.moltnet.token",
            "is required in mode open (or token_env, or token_path)",
        ),
        (
            {"moltnet": {"base_url": "http://h", "network_id": "n", "static_token": True}},
            "$.moltnet.static_token",
            "needs auth_mode open",
        ),
        ({"runtime": {}}, "$.runtime.kind", f"is required: one of {KINDS}"),
        ({"runtime": {"kind": "gpt"}}, "$.runtime.kind", f"must be one of {KINDS}"),
    ],
)
def test_each_rule_names_its_key(tmp_path: Path, changes: dict[str, object], path: str, message: str) -> None:
    ((where, what),) = problems(tmp_path, **changes)
    assert where == path
    assert what.startswith(message)


def test_no_error_text_holds_a_token(tmp_path: Path) -> None:
    changes = {"moltnet": {"token": TOKEN, "token:" + TOKEN: 1}, "runtime": {"kind": "codex", "token": TOKEN}}
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **changes)
    assert TOKEN not in str(caught.value)


def test_no_token_is_in_what_a_configuration_prints(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        moltnet={"base_url": "http://h", "network_id": "n", "token": TOKEN},
        runtime={"kind": "openclaw", "token": TOKEN},
    )
    assert config.runtime.token == Secret(TOKEN)
    assert TOKEN not in repr(config)


IDENTIFIERS = [
    "alpha",
    "Alpha",
    "ALPHA",
    "a:b",
    "a_b",
    "a.b",
    "..",
    ".",
    "a/b",
    "../../x",
    "molt://n/agents/a",
    "é",
    "e",
    "x" * 300,
    "x" * 301,
]


def test_every_identifier_has_a_file_name_of_its_own_on_every_file_system() -> None:
    names = [state_name(identifier) for identifier in IDENTIFIERS]
    assert len({name.lower() for name in names}) == len(IDENTIFIERS)
    for name in names:
        assert Path(name).name == name
        assert not name.startswith(".")
        assert len(name.encode()) <= 128
    assert state_name("alpha") == "alpha"


def test_earlier_messages_are_asked_for_by_attachment_room_and_dms(tmp_path: Path) -> None:
    rooms = [{"id": "a"}, {"id": "b", "context_messages": 0}, {"id": "c", "context_messages": 100}]
    config = load(tmp_path, context_messages=5, rooms=rooms, dms={"enabled": True})
    assert [room.context_messages for room in config.rooms] == [5, 0, 100]
    assert config.dms.context_messages == 5
    assert load(tmp_path, dms={"context_messages": 2}).dms.context_messages == 2
    assert load(tmp_path, rooms=[{"id": "a"}]).rooms[0].context_messages == 0


def test_the_number_of_earlier_messages_is_bounded(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        context_messages=101,
        rooms=[{"id": "a", "context_messages": -1}],
        dms={"context_messages": 101},
    )
    assert sorted(found) == [
        ("$.context_messages", "must be from 0 to 100"),
        ("$.dms.context_messages", "must be from 0 to 100"),
        ("$.rooms[0].context_messages", "must be from 0 to 100"),
    ]


def test_output_is_published_only_if_the_file_says_so(tmp_path: Path) -> None:
    assert not load(tmp_path).publish_output
    assert load(tmp_path, publish_output=True).publish_output
