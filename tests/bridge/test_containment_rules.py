"""The keys `limits` and `sandbox` of a runtime block."""

from pathlib import Path
from typing import Any

import pytest

from bridge.attachment_file import RuntimeKeys
from bridge.containment_rules import parse_endpoint
from bridge.runtime_rules import runtime_config
from bridge.settings import Endpoint, ProcessLimits, RuntimeConfig, SandboxKind, SandboxSettings
from moltnet.config.documents import Document
from moltnet.config.files import ConfigError
from moltnet.config.problems import Findings
from moltnet.config.shapes import structure

DIRECTORY = Path("/srv/lab")
STATE = DIRECTORY / ".moltnet/node/net/alpha"


def runtime(directory: Path = DIRECTORY, **keys: Any) -> RuntimeConfig:
    findings = Findings("bridge.json")
    shape = structure(
        Document({"kind": "command", "command": "a", "workspace_path": "w", **keys}), RuntimeKeys, findings
    )
    config = runtime_config(shape, findings, "$", directory=directory, agent_id="alpha", state_dir=STATE)
    findings.raise_if_any()
    return config


def problems(**keys: Any) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        runtime(**keys)
    return [(problem.path, problem.message) for problem in caught.value.problems]


@pytest.fixture
def bubblewrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bwrap"
    program.touch()
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


def test_the_usual_limits_hold_unless_others_are_named() -> None:
    assert runtime().limits == ProcessLimits()
    assert runtime(turn_seconds=10.5).limits == ProcessLimits(cpu_seconds=42)
    written = {"cpu_seconds": 1, "memory_mib": 2, "processes": 3, "open_files": 4, "file_mib": 5}
    assert runtime(limits=written).limits == ProcessLimits(**written)


@pytest.mark.parametrize("number", [0, -1, 10**12])
@pytest.mark.parametrize("name", ["cpu_seconds", "memory_mib", "processes", "open_files", "file_mib"])
def test_a_limit_is_a_number_within_reason(name: str, number: int) -> None:
    ((path, message),) = problems(limits={name: number})
    assert path == f"$.limits.{name}"
    assert message.startswith("must be from 1 to ")


@pytest.mark.usefixtures("bubblewrap")
def test_a_sandbox_hides_the_configuration_and_the_state_of_the_node() -> None:
    assert runtime().sandbox == SandboxSettings()
    assert runtime(sandbox="none", sandbox_read=["/a"]).sandbox == SandboxSettings()
    assert runtime(sandbox="bubblewrap").sandbox == SandboxSettings(
        SandboxKind.BUBBLEWRAP, hidden=(DIRECTORY, DIRECTORY / ".moltnet/node")
    )
    assert runtime(
        sandbox="bubblewrap",
        sandbox_read=["tools"],
        sandbox_write=["/var/shared"],
        sandbox_hide=["/opt/x"],
        sandbox_hosts=["api.example.com", "[::1]:5000", "api.example.com:443"],
    ).sandbox == SandboxSettings(
        SandboxKind.BUBBLEWRAP,
        readable=(DIRECTORY / "tools",),
        writable=(Path("/var/shared"),),
        hidden=(DIRECTORY, DIRECTORY / ".moltnet/node", Path("/opt/x")),
        hosts=(Endpoint("api.example.com", 443), Endpoint("::1", 5000)),
    )


@pytest.mark.usefixtures("bubblewrap")
def test_a_directory_of_everybody_is_not_hidden_for_one_configuration() -> None:
    assert Path("/etc") not in runtime(Path("/etc"), sandbox="bubblewrap").sandbox.hidden


def test_a_missing_bubblewrap_is_a_problem_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert problems(sandbox="bubblewrap") == [
        ("$.sandbox", "needs the program bwrap, which is not on the PATH: install the package bubblewrap")
    ]


@pytest.mark.usefixtures("bubblewrap")
@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"sandbox": "docker"}, ("$.sandbox", "must be one of none, bubblewrap")),
        ({"sandbox_write": ["/a"]}, ("$.sandbox_write", "needs sandbox: bubblewrap")),
        (
            {"sandbox": "bubblewrap", "workspace_path": ""},
            (
                "$.workspace_path",
                "must be a directory of its own in a sandbox: the configuration's directory stays hidden",
            ),
        ),
        (
            {"sandbox": "bubblewrap", "workspace_path": ".."},
            (
                "$.workspace_path",
                "must be a directory of its own in a sandbox: the configuration's directory stays hidden",
            ),
        ),
        (
            {"sandbox": "bubblewrap", "sandbox_hosts": ["https://api.example.com"]},
            ("$.sandbox_hosts[0]", "must be a host with a port, such as api.example.com:443"),
        ),
        (
            {"sandbox": "bubblewrap", "sandbox_hosts": ["a.example"] * 33},
            ("$.sandbox_hosts", "may have at most 32 entries"),
        ),
        (
            {"sandbox": "bubblewrap", "kind": "picoclaw", "command": "", "events_url": "ws://a/b"},
            ("$.sandbox", "needs a command: what runs elsewhere is not ours to contain"),
        ),
    ],
)
def test_a_sandbox_that_could_not_hold_is_refused(keys: dict[str, Any], problem: tuple[str, str]) -> None:
    assert problems(**keys) == [problem]


@pytest.mark.parametrize("kind", ["openclaw", "tinyclaw"])
def test_what_is_not_our_process_has_no_limits_of_ours(kind: str) -> None:
    found = problems(kind=kind, command="", workspace_path="", limits={"processes": 5}, sandbox="none")
    assert [path for path, _ in found] == ["$.limits", "$.sandbox"]


@pytest.mark.parametrize(
    ("text", "endpoint"),
    [
        ("a.example", Endpoint("a.example", 443)),
        ("A.example:80", Endpoint("a.example", 80)),
        ("10.0.0.1:8080", Endpoint("10.0.0.1", 8080)),
        ("[2001:db8::1]:80", Endpoint("2001:db8::1", 80)),
        ("", None),
        ("a b", None),
        ("a:0", None),
        ("a:65536", None),
        ("a:x", None),
        ("u@a:1", None),
        ("a/b", None),
        ("a:1#c", None),
        ("ä:1", None),
        ("2001:db8::1", None),
        ("a\n:1", None),
    ],
)
def test_an_endpoint_is_a_host_and_a_port(text: str, endpoint: Endpoint | None) -> None:
    assert parse_endpoint(text) == endpoint
