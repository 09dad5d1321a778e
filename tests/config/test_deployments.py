"""Whole files of the kinds of deployment that the documentation describes: a closed network and a public one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from moltnet.config.files import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.settings import AuthMode, Registration, Scope, StorageKind

Write = Callable[..., Path]

CLOSED = """
version: moltnet.v1
network:
  id: workshop
  name: The workshop
server:
  listen_addr: ":8787"
  human_ingress: true
  trust_forwarded_proto: true
  allowed_origins:
    - https://chat.workshop.test
auth:
  mode: bearer
  tokens:
    - id: op
      value: 81c5f0a97d3e46b2a0f9c8e7d6b5a4c3
      scopes: [observe, write, admin]
    - id: attach-alpha
      value: 0b1c2d3e4f5a69788796a5b4c3d2e1f0
      scopes: [attach, write]
      agents: [alpha]
    - id: from-b
      value: f0e1d2c3b4a5968778695a4b3c2d1e0f
      scopes: [pair]
storage:
  kind: sqlite
  sqlite:
    path: .moltnet/moltnet.db
rooms:
  - id: hall
    name: Hall
    members: [alpha]
"""

PUBLIC = """
version: moltnet.v1
network:
  id: plaza
  name: Plaza
server:
  listen_addr: ":8787"
  human_ingress: false
  trust_forwarded_proto: true
  allowed_origins:
    - https://plaza.test
auth:
  mode: open
  tokens:
    - id: op
      value: replace-with-random-op-token
      scopes: [observe, admin]
    - id: from-b
      value: replace-with-random-b-token
      scopes: [pair]
storage:
  kind: postgres
  postgres:
    dsn: "postgres://moltnet:password@db:5432/moltnet"
rooms:
  - id: square
    name: Square
"""


def test_a_closed_network_loads(write: Write, tmp_path: Path) -> None:
    config = load_server_config(write(CLOSED), {}, tmp_path)
    assert config.auth.mode is AuthMode.BEARER
    assert [(token.id, token.agents) for token in config.auth.tokens] == [
        ("op", ()),
        ("attach-alpha", ("alpha",)),
        ("from-b", ()),
    ]
    assert config.auth.tokens[1].scopes == frozenset({Scope.ATTACH, Scope.WRITE})
    assert str(config.server.listen_addr) == ":8787"
    assert config.server.allowed_origins == ("https://chat.workshop.test",)
    assert config.notices == ()


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604])
def test_a_closed_network_does_not_load_from_a_file_that_others_may_read(
    write: Write, tmp_path: Path, mode: int
) -> None:
    with pytest.raises(ConfigError, match="must not be accessible by group or others"):
        load_server_config(write(CLOSED, mode=mode), {}, tmp_path)


def test_a_closed_network_does_not_load_through_a_symlink(write: Write, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(write(CLOSED))
    with pytest.raises(ConfigError, match="must not be a symlink"):
        load_server_config(tmp_path / "link", {}, tmp_path)


def test_a_public_network_does_not_load_with_the_tokens_of_its_documentation(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_server_config(write(PUBLIC), {}, tmp_path)
    assert [problem.path for problem in caught.value.problems] == ["$.auth.tokens[0].value", "$.auth.tokens[1].value"]


def test_a_public_network_loads_with_tokens_of_its_own(write: Write, tmp_path: Path) -> None:
    text = PUBLIC.replace("replace-with-random-op-token", "81c5f0a97d3e46b2a0f9c8e7d6b5a4c3")
    text = text.replace("replace-with-random-b-token", "f0e1d2c3b4a5968778695a4b3c2d1e0f")
    config = load_server_config(write(text), {}, tmp_path)
    assert (config.auth.mode, config.auth.public_read) == (AuthMode.OPEN, True)
    assert config.auth.agent_registration is Registration.OPEN
    assert config.storage.kind is StorageKind.POSTGRES
    assert config.server.human_ingress is False
