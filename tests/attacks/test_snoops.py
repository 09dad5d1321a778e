"""Another user of the machine, and whoever edits the configuration carelessly: what they can't read or slip in.

The rules of files are tried in `tests/config`; here with the programs that read them.
"""

import os
import stat
from pathlib import Path
from subprocess import run

import pytest

from tests.e2e.running import MOLTNET

pytestmark = pytest.mark.slow

STRONG, OTHER = "9f8e7d6c5b4a39281706f5e4d3c2b1a0", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
SERVER = f"""\
version: moltnet.v1
network: {{id: lab, name: Lab}}
server: {{listen_addr: "127.0.0.1:1"}}
auth:
  mode: bearer
  tokens:
    - {{id: ops, value: {STRONG}, scopes: [observe, write, admin]}}
"""
NODE = f"""\
version: moltnet.node.v1
moltnet: {{base_url: "http://127.0.0.1:1", network_id: lab, token: {STRONG}}}
attachments:
  - {{agent: {{id: alpha}}, runtime: {{kind: command, command: ["true"]}}}}
"""
FILES = {"Moltnet": (SERVER, ("start",)), "MoltnetNode": (NODE, ("node", "start"))}


def written(directory: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = directory / name
    path.touch(mode=0o600)
    path.write_text(text)
    path.chmod(mode)
    return path


def refusal(directory: Path, *command: str, **environment: str) -> str:
    """What the program says when it refuses; it must not have started, and not show what it refuses."""
    ended = run(
        [str(MOLTNET), *command],
        cwd=directory, env={**os.environ, **environment}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == 2, ended
    for secret in (STRONG, OTHER):
        assert secret not in ended.stdout + ended.stderr
    return ended.stderr


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o601])
def test_no_file_with_secrets_is_used_that_others_may_touch(tmp_path: Path, name: str, mode: int) -> None:
    text, command = FILES[name]
    written(tmp_path, name, text, mode)
    assert "must not be accessible by group or others" in refusal(tmp_path, *command)


@pytest.mark.parametrize("name", FILES)
def test_no_link_is_followed_to_a_file_with_secrets(tmp_path: Path, name: str) -> None:
    text, command = FILES[name]
    (tmp_path / name).symlink_to(written(tmp_path, "elsewhere", text))
    assert "must not be a symlink" in refusal(tmp_path, *command)


@pytest.mark.parametrize("name", FILES)
def test_no_file_with_secrets_is_used_in_a_directory_where_anybody_may_replace_it(tmp_path: Path, name: str) -> None:
    text, command = FILES[name]
    directory = tmp_path / "open"
    directory.mkdir()
    written(directory, name, text)
    directory.chmod(0o777)
    assert refusal(directory, *command)


def test_no_private_file_that_is_named_elsewhere_is_used_if_others_may_read_it(tmp_path: Path) -> None:
    written(tmp_path, "ops.token", STRONG, 0o644)
    written(tmp_path, "Moltnet", SERVER.replace(f"value: {STRONG}", "value_file: ops.token"), 0o644)
    assert "$.auth.tokens[0].value_file" in refusal(tmp_path, "start")
    (tmp_path / "ops.token").chmod(0o600)
    (tmp_path / "ops.token").rename(tmp_path / "real.token")
    (tmp_path / "ops.token").symlink_to(tmp_path / "real.token")
    assert "$.auth.tokens[0].value_file" in refusal(tmp_path, "start")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        # The same agent under two tokens, one value under two ids, one id twice, a weak value, a scope that is none.
        (f"    - {{id: b, value: {OTHER}, scopes: [attach], agents: [x]}}\n"
         f"    - {{id: c, value: {OTHER[::-1]}, scopes: [attach], agents: [x]}}\n", "$.auth.tokens[2].agents"),
        (f"    - {{id: b, value: {STRONG}, scopes: [pair]}}\n", "$.auth.tokens[1]"),
        (f"    - {{id: ops, value: {OTHER}, scopes: [pair]}}\n", "$.auth.tokens[1].id"),
        ("    - {id: b, value: changeme-please-now, scopes: [pair]}\n", "$.auth.tokens[1].value"),
        (f"    - {{id: b, value: magt_v1_{'A' * 43}, scopes: [pair]}}\n", "$.auth.tokens[1].value"),
        (f"    - {{id: b, value: {OTHER}, scopes: [root]}}\n", "$.auth.tokens[1].scopes"),
        (f"    - {{id: b, value: {OTHER}, scopes: []}}\n", "$.auth.tokens[1].scopes"),
        (f"---\nauth: {{tokens: [{{id: b, value: {OTHER}, scopes: [admin]}}]}}\n", ""),
        ("mode: none\n", ""),
        ("auth: {mode: none}\n", ""),
        ("pairings:\n  - {id: p, remote_base_url: 'file:///etc/passwd'}\n", "$.pairings[0].remote_base_url"),
        ("pairings:\n  - {id: p, remote_base_url: 'http://u:p@x.test'}\n", "$.pairings[0].remote_base_url"),
        ("rooms:\n  - {id: '../../x'}\n", "$.rooms[0].id"),
    ],
)  # fmt: skip
def test_nothing_is_slipped_into_a_file_unseen(tmp_path: Path, change: str, place: str) -> None:
    written(tmp_path, "Moltnet", SERVER + change)
    assert place in refusal(tmp_path, "start")


def test_no_environment_turns_the_sign_in_off(tmp_path: Path) -> None:
    written(tmp_path, "Moltnet", SERVER.replace(STRONG, "short"))
    for variable in ("MOLTNET_AUTH_MODE", "MOLTNET_MODE", "MOLTNET_PUBLIC_READ"):
        assert "$.auth.tokens[0].value" in refusal(tmp_path, "start", **{variable: "none"})


def test_an_unprotected_network_does_not_leave_its_machine_by_accident(tmp_path: Path) -> None:
    open_to_all = 'network: {id: lab}\nserver: {listen_addr: "0.0.0.0:8787"}\nauth: {mode: none}\n'
    written(tmp_path, "Moltnet", open_to_all)
    assert "$.server.listen_addr" in refusal(tmp_path, "start")


def test_a_directory_that_was_there_keeps_its_mode_and_what_is_put_into_it_is_private(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir(mode=0o755)
    shared.chmod(0o755)
    ended = run([str(MOLTNET), "init", str(shared)], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    assert stat.S_IMODE(shared.stat().st_mode) == 0o755
    files = [path for path in shared.rglob("*") if path.is_file()]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in files} == {0}
