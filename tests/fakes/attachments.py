"""Configurations of attachments for tests of the bridge: what a file would have given, without the file."""

from pathlib import Path
from typing import Any

import attrs

from bridge.config import AgentSettings, AttachmentConfig, BrakeSettings, RuntimeConfig, RuntimeKind, ServerLink
from moltnet.protocol.ids import AgentId, NetworkId


def attachment_config(directory: Path, kind: str = RuntimeKind.COMMAND, **runtime: Any) -> AttachmentConfig:
    """Agent `agent-1` on network `net`, at home in `directory`: `workspace` (made here) and `state`."""
    workspace = directory / "workspace"
    workspace.mkdir(exist_ok=True)
    config = RuntimeConfig(kind=kind, workspace_path=workspace)
    return AttachmentConfig(
        agent=AgentSettings(AgentId("agent-1"), "Agent One"),
        server=ServerLink("http://127.0.0.1:1", NetworkId("net")),
        runtime=attrs.evolve(config, **runtime),
        brakes=BrakeSettings(cooldown_seconds=0),
        state_dir=directory / "state",
    )
