"""The brakes in node and bridge files: what is taken from where, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from bridge.config import AttachmentConfig, BrakeSettings, load_bridge_config
from bridge.limits import TURNS_PER_NODE
from moltnet.config.files import ConfigError
from node.config import NodeConfig, load_node_config

RUNTIME = {"kind": "command", "command": "answer"}
SERVER = {"base_url": "https://chat.test", "network_id": "workshop"}


def load_node(directory: Path, *attachments: dict[str, Any], **keys: object) -> NodeConfig:
    entries = [
        {"agent": {"id": f"agent-{number}"}, "runtime": RUNTIME, **each} for number, each in enumerate(attachments)
    ]
    path = directory / "node.json"
    path.write_text(json.dumps({"moltnet": SERVER, "attachments": entries, **keys}))
    return load_node_config(path, {}, directory)


def load_bridge(directory: Path, **keys: object) -> AttachmentConfig:
    document = {"version": "moltnet.bridge.v1", "agent": {"id": "alpha"}, "moltnet": SERVER, "runtime": RUNTIME, **keys}
    path = directory / "bridge.json"
    path.write_text(json.dumps(document))
    return load_bridge_config(path, directory)


def test_a_file_that_says_nothing_has_the_defaults(tmp_path: Path) -> None:
    config = load_node(tmp_path, {})
    assert config.parallel_turns == TURNS_PER_NODE
    assert config.attachments[0].brakes == BrakeSettings() == load_bridge(tmp_path).brakes


@pytest.mark.parametrize("policy", [{"wake": "all"}, {"read": "all", "reply": "auto"}])
def test_an_attachment_takes_what_it_does_not_say_from_the_file(policy: dict[str, str], tmp_path: Path) -> None:
    """In both generations of policies."""
    config = load_node(
        tmp_path,
        {"brakes": {"turns_per_hour": 10, "approval_seconds": 60}, **policy},
        {"brakes": {"cooldown_seconds": 0}},
        parallel_turns=8,
        brakes={"parallel_turns": 2, "cooldown_seconds": 5, "approval_seconds": 3600},
    )
    assert config.parallel_turns == 8
    assert [each.brakes for each in config.attachments] == [
        BrakeSettings(parallel_turns=2, cooldown_seconds=5, turns_per_hour=10, approval_seconds=60),
        BrakeSettings(parallel_turns=2, cooldown_seconds=0, approval_seconds=3600),
    ]


def test_a_bridge_file_has_brakes_too(tmp_path: Path) -> None:
    assert load_bridge(tmp_path, brakes={"parallel_turns": 1}).brakes == BrakeSettings(parallel_turns=1)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("parallel_turns", 0, "must be from 1 to 256"),
        ("parallel_turns", 257, "must be from 1 to 256"),
        ("turns_per_hour", 0, "must be from 1 to 3600"),
        ("turns_per_hour", True, "must be an integer"),
        ("cooldown_seconds", -1, "must be from 0 to 3600"),
        ("cooldown_seconds", "5s", "must be a number"),
        ("cooldown", 5, "is not a known field"),
        ("approval_seconds", 0, "must be from 1 to 2592000"),
        ("approval_seconds", 1.5, "must be an integer"),
    ],
)
def test_a_brake_that_is_none_is_refused_where_it_stands(key: str, value: object, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_node(tmp_path, {"brakes": {key: value}}, brakes={key: value})
    problems = {problem.path: problem.message for problem in caught.value.problems}
    assert set(problems) == {f"$.brakes.{key}", f"$.attachments[0].brakes.{key}"}
    assert all(text.startswith(message) for text in problems.values())


def test_the_turns_of_a_node_are_bounded_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\$\.parallel_turns: must be from 1 to 256"):
        load_node(tmp_path, parallel_turns=0)
