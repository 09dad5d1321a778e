"""``.moltnet/config.json``: both generations, where it is looked for, and which attachment is meant."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from moltnet.config.client import (
    ClientAttachment,
    ClientConfig,
    NoSuchAttachment,
    load_client_config,
    select_attachment,
)
from moltnet.config.files import ConfigError
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.wake import WakePolicy, WakeRule

Write = Callable[..., Path]

TOKEN = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"


def entry(**changes: object) -> dict[str, Any]:
    return {"network_id": "local", "member_id": "alpha", "base_url": "http://127.0.0.1:8787", **changes}


def document(*entries: dict[str, Any], **changes: object) -> str:
    return json.dumps({"version": "moltnet.client.v1", "attachments": list(entries or [entry()]), **changes})


def load(write: Write, *entries: dict[str, Any], **changes: object) -> ClientConfig:
    path = write(document(*entries, **changes), ".moltnet/config.json")
    return load_client_config(path, {}, path.parent)


def one(write: Write, **changes: object) -> ClientAttachment:
    (attachment,) = load(write, entry(**changes)).attachments
    return attachment


def problems(write: Write, *entries: dict[str, Any], **changes: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(write, *entries, **changes)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_an_attachment_has_defaults(write: Write) -> None:
    attachment = one(write)
    assert (attachment.network_id, attachment.member_id) == ("local", "alpha")
    assert (attachment.auth_mode, attachment.registration, attachment.token) == (
        AuthMode.NONE,
        Registration.DISABLED,
        None,
    )
    assert (attachment.rooms, attachment.dms.enabled) == ((), False)


def test_half_a_character_is_refused_wherever_it_stands(write: Write) -> None:
    half = "n\udcff"
    wrong = entry(agent_name=half, auth={"token": half}, rooms=[{"id": "a"}, {"id": "b", "access": {"reason": half}}])
    text = "is not text: it holds half of a character (an escape from \\ud800 to \\udfff)"
    assert problems(write, wrong, agent={"name": half}) == [
        ("$.agent.name", text),
        ("$.attachments[0].agent_name", text),
        ("$.attachments[0].auth.token", text),
        ("$.attachments[0].rooms[1].access.reason", text),
    ]
    assert one(write, agent_name="\N{LOBSTER}").agent_name == "\N{LOBSTER}"


def test_both_generations_of_policy_keys_load(write: Write) -> None:
    attachment = one(
        write,
        rooms=[{"id": "a", "wake": "mentions"}, {"id": "b", "read": "all", "reply": "manual"}, {"id": "c"}],
        dms={"enabled": True, "read": "all", "reply": "auto"},
    )
    assert [room.wake for room in attachment.rooms] == [
        WakeRule(WakePolicy.MENTIONS),
        WakeRule(WakePolicy.MANUAL, WakePolicy.ALL),
        WakeRule(WakePolicy.ALL),
    ]
    assert (attachment.dms.enabled, attachment.dms.wake) == (True, WakeRule(WakePolicy.ALL))


def test_the_legacy_version_loads(write: Write) -> None:
    config = load(write, entry(), version="spawnfile.moltnet-http-skill.v1", agent={"name": "A", "runtime": "codex"})
    assert len(config.attachments) == 1


def test_a_room_knows_why_it_may_not_be_written_to(write: Write) -> None:
    access = {"can_read": True, "can_write": False, "reason": "operators only"}
    attachment = one(
        write,
        rooms=[{"id": "a", "access": access}, {"id": "b", "can_write": False}, {"id": "c", "can_write": True}],
    )
    assert [room.read_only for room in attachment.rooms] == [
        "operators only",
        "the room is read-only for this member",
        None,
    ]


@pytest.mark.parametrize(
    ("auth", "mode", "token"),
    [
        ({}, AuthMode.NONE, None),
        ({"token_env": "T"}, AuthMode.BEARER, TokenSource(env="T")),
        ({"token": TOKEN, "token_env": "T"}, AuthMode.BEARER, TokenSource(inline=Secret(TOKEN))),
        ({"mode": "none", "token": TOKEN}, AuthMode.NONE, None),
        ({"mode": "open"}, AuthMode.OPEN, None),
        ({"mode": "open", "registration": "open", "token": TOKEN}, AuthMode.OPEN, TokenSource(inline=Secret(TOKEN))),
    ],
)
def test_the_mode_follows_the_token_unless_it_is_written(
    write: Write, auth: dict[str, str], mode: AuthMode, token: TokenSource | None
) -> None:
    attachment = one(write, auth=auth)
    assert (attachment.auth_mode, attachment.token) == (mode, token)


def test_weakness_cli_7_a_relative_token_path_starts_at_the_file_every_time(write: Write, tmp_path: Path) -> None:
    for _ in range(3):
        assert one(write, auth={"token_path": "tok"}).token == TokenSource(path=tmp_path / ".moltnet/tok")


@pytest.mark.parametrize(
    ("changes", "path", "reason"),
    [
        ({"network_id": ""}, "network_id", "is required"),
        ({"network_id": "a b"}, "network_id", "must start with"),
        ({"member_id": " "}, "member_id", "is required"),
        ({"member_id": "a b"}, "member_id", "must start with"),
        ({"base_url": ""}, "base_url", "is required"),
        ({"base_url": "localhost:8787"}, "base_url", "must start with http:// or https://"),
        ({"auth": {"mode": "basic"}}, "auth.mode", "must be one of"),
        ({"auth": {"mode": "bearer"}}, "auth.token", "is required in mode bearer"),
        ({"auth": {"token": "  "}}, "auth.token", "is blank"),
        ({"auth": {"registration": "closed"}}, "auth.registration", "must be one of"),
        ({"rooms": [{}]}, "rooms[0].id", "is required"),
        ({"rooms": [{"id": "a b"}]}, "rooms[0].id", "must start with"),
        ({"rooms": [{"id": "a", "wake": "often"}]}, "rooms[0].wake", "must be one of"),
        ({"rooms": [{"id": "a", "wake": "all", "read": "all"}]}, "rooms[0].wake", "cannot stand beside"),
        ({"dms": {"wake": "often"}}, "dms.wake", "must be one of"),
        ({"nickname": "a"}, "nickname", "is not a known field"),
        ({"rooms": {}}, "rooms", "must be a list"),
    ],
)
def test_each_rule_names_its_key(write: Write, changes: dict[str, object], path: str, reason: str) -> None:
    ((where, message),) = problems(write, entry(**changes))
    assert where == f"$.attachments[0].{path}"
    assert message.startswith(reason)


def test_the_whole_file_is_checked(write: Write) -> None:
    assert problems(write, version="v9") == [("$.version", "must be moltnet.client.v1")]
    assert problems(write, attachments=[]) == [("$.attachments", "needs at least one entry")]
    assert problems(write, entry(), entry(member_id="beta"), entry()) == [
        ("$.attachments[2]", "has the same network_id and member_id as attachments[0]")
    ]


def test_a_file_with_a_token_must_be_private_and_no_link(write: Write, tmp_path: Path) -> None:
    path = write(document(entry(auth={"token": TOKEN})), "private.json")
    load_client_config(path, {}, tmp_path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(ConfigError, match="must not be a symlink"):
        load_client_config(Path("link"), {}, tmp_path)
    path.chmod(0o640)
    with pytest.raises(ConfigError, match="group or others") as caught:
        load_client_config(path, {}, tmp_path)
    assert TOKEN not in str(caught.value)


def test_an_argument_beats_the_variable_which_beats_the_search(write: Write, tmp_path: Path) -> None:
    given, named = write(document(), "given.json"), write(document(), "named.json")
    legacy = write(document(), ".spawnfile/moltnet.json")
    environ = {"MOLTNET_CLIENT_CONFIG": "named.json"}
    assert load_client_config(Path("given.json"), environ, tmp_path).source == given
    assert load_client_config(None, environ, tmp_path).source == named
    assert load_client_config(None, {}, tmp_path).source == legacy
    usual = write(document(), ".moltnet/config.json")
    assert load_client_config(None, {}, tmp_path).source == usual


def test_a_file_that_is_named_but_missing_or_nowhere_to_be_found_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.json: no such file"):
        load_client_config(None, {"MOLTNET_CLIENT_CONFIG": "missing.json"}, tmp_path)
    with pytest.raises(ConfigError, match=r"no \.moltnet/config\.json here or above"):
        load_client_config(None, {}, tmp_path)


def test_weakness_cli_13_the_search_climbs_to_the_workspace(write: Write, tmp_path: Path) -> None:
    outer = write(document(), ".moltnet/config.json")
    inner = write(document(), "work/.spawnfile/moltnet.json")
    deep = tmp_path / "work/src/package"
    deep.mkdir(parents=True)
    assert load_client_config(None, {}, deep).source == inner
    assert load_client_config(None, {}, tmp_path / "elsewhere").source == outer


def test_a_file_above_that_another_user_wrote_is_not_used_by_accident(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(document(), ".moltnet/config.json")
    below = tmp_path / "work"
    below.mkdir()
    if os.geteuid() == 0:
        os.chown(path, 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(ConfigError, match="belongs to another user"):
        load_client_config(None, {}, below)
    assert load_client_config(path, {}, below).source == path
    assert load_client_config(None, {}, tmp_path).source == path


CHOICE = [
    ([("a", "x")], None, None, ("a", "x")),
    ([("a", "x")], "", " ", ("a", "x")),
    ([("a", "x")], "a", "x", ("a", "x")),
    ([("a", "x"), ("b", "x")], "b", None, ("b", "x")),
    ([("a", "x"), ("a", "y")], None, "y", ("a", "y")),
    ([("a", "x"), ("a", "y"), ("b", "y")], "a", "y", ("a", "y")),
    ([("a", "x")], "b", "y", 'no Moltnet attachment is configured for network "b" and member "y"'),
    ([("a", "x")], "b", None, 'no Moltnet attachment is configured for network "b"'),
    ([("a", "x")], None, "y", 'no Moltnet attachment is configured for member "y"'),
    ([("a", "x"), ("b", "x")], None, None, "several Moltnet attachments are configured; --network is required: a, b"),
    ([("a", "x"), ("a", "y")], None, None, "several Moltnet attachments are configured; --member is required: x, y"),
    (
        [("a", "x"), ("a", "y")],
        "a",
        None,
        'several Moltnet attachments are configured for network "a"; --member is required: x, y',
    ),
    (
        [("a", "x"), ("b", "x")],
        None,
        "x",
        'several Moltnet attachments are configured for member "x"; --network is required: a, b',
    ),
]


@pytest.mark.parametrize(("there", "network", "member", "expected"), CHOICE)
def test_the_attachment_that_is_meant_is_chosen_or_the_missing_option_named(
    write: Write,
    there: list[tuple[str, str]],
    network: str | None,
    member: str | None,
    expected: tuple[str, str] | str,
) -> None:
    config = load(write, *(entry(network_id=network_id, member_id=member_id) for network_id, member_id in there))
    if isinstance(expected, tuple):
        chosen = select_attachment(config, network=network, member=member)
        assert (chosen.network_id, chosen.member_id) == expected
        return
    with pytest.raises(NoSuchAttachment) as caught:
        select_attachment(config, network=network, member=member)
    assert str(caught.value).startswith(expected)


def test_of_very_many_choices_some_are_listed(write: Write) -> None:
    config = load(write, *(entry(member_id=f"m{index:02}") for index in range(12)))
    with pytest.raises(NoSuchAttachment, match=r"--member is required: m00, m01, .*, m09 and 2 more$"):
        select_attachment(config)
