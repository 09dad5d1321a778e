"""The rules of a ``runtime`` block: what each kind needs, takes and assumes."""

from pathlib import Path

import pytest

from bridge.attachment_file import RuntimeKeys
from bridge.runtime_rules import runtime_config
from bridge.settings import RuntimeConfig
from moltnet.config.documents import Document
from moltnet.config.files import ConfigError
from moltnet.config.problems import Findings
from moltnet.config.shapes import structure

PROGRAMS = "codex, claude-code, pi, picoclaw or command"
DIRECTORY = Path("/base")


def runtime(**keys: object) -> RuntimeConfig:
    """The block ``keys`` of a file in ``DIRECTORY``. Raises ``ConfigError``."""
    findings = Findings("bridge.json")
    shape = structure(Document(keys), RuntimeKeys, findings)
    config = runtime_config(shape, findings, "$", directory=DIRECTORY, agent_id="alpha", state_dir=DIRECTORY / "state")
    findings.raise_if_any()
    return config


def runtime_problems(**keys: object) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        runtime(**keys)
    return [(problem.path, problem.message) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"kind": "codex", "workspace_path": "/w"}, {"command": ("codex",)}),
        (
            {"kind": "codex", "workspace_path": "/w", "command": "/opt/my tools/codex"},
            {"command": ("/opt/my tools/codex",)},
        ),
        ({"kind": "codex", "workspace_path": "/w", "command": ["node", "codex.js"]}, {"command": ("node", "codex.js")}),
        ({"kind": "claude-code", "workspace_path": "/w"}, {"command": ("claude",)}),
        ({"kind": "command", "command": "python3 -u 'my agent.py'"}, {"command": ("python3", "-u", "my agent.py")}),
        ({"kind": "command", "command": ["a", "b c"]}, {"command": ("a", "b c")}),
        ({"kind": "openclaw"}, {"gateway_url": "ws://127.0.0.1:18789"}),
        ({"kind": "openclaw", "gateway_url": "wss://g"}, {"gateway_url": "wss://g"}),
        ({"kind": "picoclaw"}, {"events_url": "ws://127.0.0.1:18790/pico/ws", "command": ()}),
        (
            {"kind": "picoclaw", "config_path": "/p/c"},
            {"command": ("picoclaw",), "events_url": "", "workspace_path": Path("/p")},
        ),
        (
            {"kind": "picoclaw", "command": "p", "config_path": "/c", "workspace_path": "/w"},
            {"workspace_path": Path("/w")},
        ),
        ({"kind": "picoclaw", "control_url": "http://c"}, {"control_url": "http://c", "events_url": ""}),
        ({"kind": "pi", "control_url": "http://c"}, {"control_url": "http://c", "command": ()}),
        ({"kind": "pi", "workspace_path": "/w"}, {"command": ("pi",), "control_url": ""}),
        (
            {"kind": "tinyclaw"},
            {
                "channel": "moltnet",
                "inbound_url": "http://127.0.0.1:3777/api/message",
                "outbound_url": "http://127.0.0.1:3777/api/responses/pending?channel=moltnet",
                "ack_url": "http://127.0.0.1:3777/api/responses",
            },
        ),
        (
            {"kind": "tinyclaw", "ack_url": "https://t:1/x", "channel": "a b&c"},
            {
                "inbound_url": "https://t:1/api/message",
                "outbound_url": "https://t:1/api/responses/pending?channel=a%20b%26c",
                "ack_url": "https://t:1/x",
            },
        ),
        ({"kind": "tinyclaw", "control_url": "http://c"}, {"inbound_url": "", "outbound_url": "", "ack_url": ""}),
        (
            {"kind": "command", "command": "a", "args": ["-x", ""], "turn_seconds": 9, "env": ["A", "B_2", "A"]},
            {"args": ("-x", ""), "turn_seconds": 9.0, "env": ("A", "B_2")},
        ),
        ({"kind": "openclaw", "driver": "any", "session_prefix": "p"}, {"session_prefix": "p"}),
    ],
)
def test_a_runtime_is_completed_by_its_kind(
    tmp_path: Path, keys: dict[str, object], expected: dict[str, object]
) -> None:
    config = runtime(**keys)
    assert {name: getattr(config, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("keys", "path", "message"),
    [
        ({"kind": "codex"}, "workspace_path", "is required for codex"),
        ({"kind": "claude-code"}, "workspace_path", "is required for claude-code"),
        ({"kind": "command"}, "command", "is required for command"),
        ({"kind": "command", "command": "say 'it"}, "command", "cannot be split into arguments: no closing quotation"),
        ({"kind": "command", "command": ["", "x"]}, "command", "must start with a program and hold no null character"),
        ({"kind": "command", "command": 5}, "command", "must be a string or a list of strings"),
        (
            {"kind": "command", "command": ["a", 5]},
            "command[1]",
            "must be a string, not an integer (write it in quotes)",
        ),
        ({"kind": "pi"}, "workspace_path", "is required for pi without control_url"),
        (
            {"kind": "pi", "control_url": "http://c", "command": "pi", "workspace_path": "w"},
            "control_url",
            "is one way to reach pi and command the other; give one",
        ),
        ({"kind": "picoclaw", "command": "p"}, "config_path", "is required when command is set"),
        (
            {"kind": "pi", "control_url": "http://c", "gateway_url": "ws://g"},
            "gateway_url",
            "belongs to openclaw, not to pi",
        ),
        (
            {"kind": "openclaw", "control_url": "http://c"},
            "control_url",
            "belongs to picoclaw, tinyclaw or pi, not to openclaw; use gateway_url",
        ),
        ({"kind": "tinyclaw", "events_url": "ws://e"}, "events_url", "belongs to picoclaw, not to tinyclaw"),
        ({"kind": "openclaw", "command": "o"}, "command", f"belongs to {PROGRAMS}, not to openclaw"),
        ({"kind": "openclaw", "args": ["-x"]}, "args", f"belongs to {PROGRAMS}, not to openclaw"),
        (
            {"kind": "codex", "workspace_path": "w", "config_path": "c"},
            "config_path",
            "belongs to picoclaw, not to codex",
        ),
        ({"kind": "openclaw", "inbound_url": "http://i"}, "inbound_url", "belongs to tinyclaw, not to openclaw"),
        ({"kind": "openclaw", "gateway_url": "http://g"}, "gateway_url", "must start with ws:// or wss://"),
        ({"kind": "pi", "control_url": "ws://c"}, "control_url", "must start with http:// or https://"),
        ({"kind": "tinyclaw", "inbound_url": "http://"}, "inbound_url", "needs a host"),
        (
            {"kind": "command", "command": "a", "turn_seconds": 0},
            "turn_seconds",
            "must be more than 0 and at most 86400",
        ),
        (
            {"kind": "command", "command": "a", "turn_seconds": 1e9},
            "turn_seconds",
            "must be more than 0 and at most 86400",
        ),
        ({"kind": "command", "command": "a", "turn_seconds": "5m"}, "turn_seconds", "must be a number, not a string"),
        (
            {"kind": "command", "command": "a", "env": ["A=b"]},
            "env[0]",
            "must be the name of an environment variable, without a value",
        ),
        (
            {"kind": "command", "command": "a", "workspce_path": "x"},
            "workspce_path",
            "is not a known field (did you mean workspace_path?)",
        ),
    ],
)
def test_each_runtime_rule_names_its_key(keys: dict[str, object], path: str, message: str) -> None:
    assert runtime_problems(**keys) == [(f"$.{path}", message)]
