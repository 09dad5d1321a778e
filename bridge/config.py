"""Loading the configuration of one attachment from a bridge file (``moltnet.bridge.v1``, always JSON).

The values live in ``bridge.settings``, the rules in ``bridge.attachment_rules``. Files of many attachments are loaded
by ``node.config``.
"""

from pathlib import Path
from typing import Final

from bridge.attachment_file import BridgeFile
from bridge.attachment_rules import AttachmentRules
from bridge.settings import (
    AgentSettings,
    AttachmentConfig,
    BrakeSettings,
    DirectBinding,
    RoomBinding,
    RuntimeConfig,
    RuntimeKind,
    ServerLink,
)
from moltnet.config.files import rebased
from moltnet.config.problems import ROOT
from moltnet.config.secrets import TokenSource
from moltnet.config.settings import AuthMode
from moltnet.config.shapes import read_shape
from moltnet.config.wake import WakePolicy, WakeRule

__all__ = [
    "VERSION",
    "AgentSettings",
    "AttachmentConfig",
    "AuthMode",
    "BrakeSettings",
    "DirectBinding",
    "RoomBinding",
    "RuntimeConfig",
    "RuntimeKind",
    "ServerLink",
    "TokenSource",
    "WakePolicy",
    "WakeRule",
    "load_bridge_config",
]

VERSION: Final = "moltnet.bridge.v1"
DEFAULT_STATE_PATH: Final = ".moltnet/bridge"


def load_bridge_config(path: Path, cwd: Path) -> AttachmentConfig:
    """The attachment that the bridge file at ``path`` describes. Blocks on the file system.

    Raises ``ConfigError`` with everything that is wrong; keys that are not known are wrong too, because an older
    reader that skips ``read`` and ``reply`` wakes the agent for everything.
    """
    file, keys, findings = read_shape(cwd / path, BridgeFile, always_json=True)
    if keys.version.strip() != VERSION:
        findings.add("$.version", f"must be {VERSION}")
    directory = file.path.parent
    rules = AttachmentRules(
        findings, keys.moltnet, directory, rebased(keys.state_path.strip() or DEFAULT_STATE_PATH, directory)
    )
    rules.check_server()
    attachment = rules.attachment(keys, ROOT)
    if keys.holds_secrets():
        for problem in file.privacy_problems():
            findings.add(ROOT, problem)
    findings.raise_if_any()
    return attachment
