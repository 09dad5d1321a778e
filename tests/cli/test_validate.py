"""``moltnet validate``: every kind of file, everything that is wrong, and a code that scripts can tell."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from moltnet.cli.validate import ConfigKind, kind_of, validate

SERVER = "network: {id: lab}\n"
NODE = "moltnet: {base_url: 'http://h', network_id: lab}\nattachments: []\n"
BRIDGE = json.dumps(
    {
        "version": "moltnet.bridge.v1",
        "agent": {"id": "alpha"},
        "moltnet": {"base_url": "http://h", "network_id": "lab"},
        "runtime": {"kind": "command", "command": "true"},
    },
    indent="\t",
)
CLIENT = json.dumps({"attachments": [{"network_id": "lab", "member_id": "alpha", "base_url": "http://h"}]})
TOKEN = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"


def run(path: Path | str) -> tuple[int, list[str], list[str]]:
    result = CliRunner().invoke(validate, [str(path)])
    return result.exit_code, result.stdout.splitlines(), result.stderr.splitlines()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def test_a_directory_stands_for_every_configuration_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "moltnet.yml", SERVER)
    write(tmp_path / "MoltnetNode", NODE)
    write(tmp_path / ".moltnet/config.json", CLIENT)
    monkeypatch.chdir(tmp_path)
    expected = ["validated moltnet.yml", "validated MoltnetNode", "validated .moltnet/config.json"]
    assert run(".") == (0, expected, [])
    assert run(tmp_path) == (0, [f"validated {tmp_path / line.split()[1]}" for line in expected], [])


def test_a_directory_without_configuration_is_an_error(tmp_path: Path) -> None:
    code, _, errors = run(tmp_path)
    assert code == 2
    assert errors == [
        f"{tmp_path}: holds no Moltnet, MoltnetNode or .moltnet/config.json file; moltnet init writes starters"
    ]


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("Moltnet", SERVER, ConfigKind.SERVER),
        ("any", "version: moltnet.v1\n", ConfigKind.SERVER),
        ("any", "{}", ConfigKind.SERVER),
        ("any.yaml", NODE, ConfigKind.NODE),
        ("any", "version: moltnet.node.v1\n", ConfigKind.NODE),
        ("moltnet-node.json", "{}", ConfigKind.NODE),
        ("MoltnetNode", "not: [closed", ConfigKind.NODE),
        ("any.json", BRIDGE, ConfigKind.BRIDGE),
        ("bridge.conf", BRIDGE, ConfigKind.BRIDGE),
        ("any.json", CLIENT, ConfigKind.CLIENT),
        ("any", "version: [1]\nrooms: []\n", ConfigKind.SERVER),
    ],
)
def test_the_kind_of_a_file_is_recognised(tmp_path: Path, name: str, text: str, kind: ConfigKind) -> None:
    assert kind_of(write(tmp_path / name, text)) is kind


@pytest.mark.parametrize(
    ("text", "name"), [(SERVER, "s.yaml"), (NODE, "n.yaml"), (BRIDGE, "b.json"), (CLIENT, "c.json")]
)
def test_weakness_cli_14_every_kind_of_file_can_be_validated(tmp_path: Path, text: str, name: str) -> None:
    path = write(tmp_path / name, text)
    assert run(path) == (0, [f"validated {path}"], [])


@pytest.mark.parametrize("kind", ["claude-code", "pi"])
def test_a_program_that_is_missing_here_is_a_remark_and_no_error(tmp_path: Path, kind: str) -> None:
    runtime = f"{{kind: {kind}, command: moltnet-test-nobody-has-this, workspace_path: w}}"
    path = write(tmp_path / "n.yaml", NODE.replace("[]", f"[{{agent: {{id: a}}, runtime: {runtime}}}]"))
    exit_code, output, errors = run(path)
    assert (exit_code, output) == (0, [f"validated {path}"])
    assert errors[0].startswith(f"note: {path}: a: runtime kind {kind} cannot start: no program moltnet-test-nobody")


def test_a_file_whose_name_promises_another_kind_is_said_to_be_what_it_is(tmp_path: Path) -> None:
    path = write(tmp_path / "Moltnet", NODE)
    assert run(path) == (0, [f"validated {path} (a node file; moltnet start does not read it)"], [])
    client = write(tmp_path / ".spawnfile" / "moltnet.json", CLIENT)
    assert run(client) == (0, [f"validated {client}"], [])
    other = write(tmp_path / "MoltnetNode", SERVER)
    assert run(other) == (0, [f"validated {other} (a server file; moltnet node start does not read it)"], [])


def test_every_problem_of_every_file_is_on_a_line_of_its_own(tmp_path: Path) -> None:
    server = write(tmp_path / "Moltnet", "version: moltnet.v1\nnetwork:\n  id: a b\nrooms:\n  - {id: x}\n  - {id: x}\n")
    node = write(tmp_path / "MoltnetNode", "moltnet:\n  network_id: lab\n")
    client = write(tmp_path / ".moltnet/config.json", CLIENT)
    code, output, errors = run(tmp_path)
    assert code == 2
    assert output == [f"validated {client}"]
    assert [line.partition(": must")[0] for line in errors] == [
        f"{server}:3: $.network.id",
        f"{server}:6: $.rooms[1].id: is already the id of rooms[0]",
        f"{node}:1: $.moltnet.base_url: is required",
    ]


@pytest.mark.parametrize(("name", "reason"), [("missing", "no such file"), ("broken.json", "is not valid JSON")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, reason: str) -> None:
    write(tmp_path / "broken.json", "{")
    code, output, errors = run(tmp_path / name)
    assert (code, output) == (2, [])
    assert len(errors) == 1
    assert errors[0].startswith(str(tmp_path / name))
    assert reason in errors[0]


def test_a_file_with_tokens_that_others_may_read_does_not_pass(tmp_path: Path) -> None:
    text = f"auth: {{mode: bearer, tokens: [{{id: a, value: {TOKEN}, scopes: [write]}}]}}"
    path = write(tmp_path / "Moltnet", text)
    assert run(path)[0] == 0
    path.chmod(0o644)
    code, _, errors = run(path)
    assert code == 2
    assert "must not be accessible by group or others" in errors[0]
    assert TOKEN not in "".join(errors)


def test_a_remark_is_printed_beside_the_result(tmp_path: Path) -> None:
    path = write(tmp_path / "Moltnet", 'server: {listen_addr: ":8787"}')
    code, output, errors = run(path)
    assert (code, output) == (0, [f"validated {path}"])
    assert errors[0].startswith(f"note: {path}: listening on 127.0.0.1:8787 only")


def test_the_environment_does_not_change_what_is_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "Moltnet", SERVER)
    monkeypatch.setenv("MOLTNET_NETWORK_ID", "not an id")
    monkeypatch.setenv("MOLTNET_CONFIG", str(tmp_path / "missing"))
    assert run(path) == (0, [f"validated {path}"], [])
