"""A ``MoltnetNode`` file for a test: written, loaded, and what is wrong with it."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from bridge.config import AttachmentConfig
from moltnet.config.files import ConfigError
from node.config import NodeConfig, load_node_config

TOKEN = "3f9c2b7e5d1a8046b9e7c2d4f1a35608"
GENERATED = "magt_v1_0123456789012345678901234567890123456789012"

SERVER = "base_url: https://chat.test, network_id: workshop"
ALPHA = "agent: {id: alpha}, runtime: {kind: command, command: answer}"
BETA = "agent: {id: beta}, runtime: {kind: command, command: answer}"


def write(directory: Path, text: str, *, name: str = "MoltnetNode", mode: int = 0o600) -> Path:
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(dedent(text))
    path.chmod(mode)
    return path


def load(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> NodeConfig:
    return load_node_config(write(directory, text), environ or {}, directory)


def one(directory: Path, entry: str, *, server: str = SERVER) -> AttachmentConfig:
    (attachment,) = load(directory, f"moltnet: {{{server}}}\nattachments:\n  - {{{entry}}}\n").attachments
    return attachment


def problems(directory: Path, text: str, environ: Mapping[str, str] | None = None) -> list[tuple[str, str]]:
    with pytest.raises(ConfigError) as caught:
        load(directory, text, environ)
    return [(problem.path, problem.message) for problem in caught.value.problems]
