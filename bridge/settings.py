"""What one attachment runs on, after every rule of its file has passed: absolute paths, valid ids, one token source.

Built by ``bridge.attachment_rules`` from a bridge file or a node file; ``bridge.config`` loads the former.
"""

import hashlib
import re
from enum import StrEnum
from pathlib import Path
from typing import Final

import attrs

from bridge.limits import TURN_COOLDOWN_SECONDS, TURN_DEFAULT_SECONDS, TURNS_PER_AGENT, TURNS_PER_HOUR
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode
from moltnet.config.wake import WakeRule
from moltnet.protocol.ids import AgentId, NetworkId, RoomId

_PLAIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_OTHER_CHARACTERS: Final = re.compile(r"[^a-z0-9._-]+")


class RuntimeKind(StrEnum):
    """The kinds a file may name. Which of them can run is known to the registry in ``bridge.runtimes``."""

    OPENCLAW = "openclaw"
    PICOCLAW = "picoclaw"
    TINYCLAW = "tinyclaw"
    CODEX = "codex"
    CLAUDE_CODE = "claude-code"
    PI = "pi"
    COMMAND = "command"


@attrs.frozen
class AgentSettings:
    """``name`` is the id if the file gives none."""

    id: AgentId
    name: str


@attrs.frozen
class ServerLink:
    """The server of an attachment. ``base_url`` has no slash at its end; mode none has no token.

    ``shares_token`` says that the token is that of the whole file and not the attachment's own.
    """

    base_url: str
    network_id: NetworkId
    auth_mode: AuthMode = AuthMode.NONE
    token: TokenSource | None = None
    shares_token: bool = False


@attrs.frozen
class RuntimeConfig:
    """The agent program. ``command`` is its argv so far and ``args`` what the operator adds; empty text is not set.

    ``env`` names the variables of the node that the program may see.
    """

    kind: RuntimeKind
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    turn_seconds: float = TURN_DEFAULT_SECONDS
    workspace_path: Path | None = None
    home_path: Path | None = None
    config_path: Path | None = None
    session_store_path: Path | None = None
    session_prefix: str = ""
    token: Secret | None = None
    channel: str = ""
    gateway_url: str = ""
    control_url: str = ""
    events_url: str = ""
    inbound_url: str = ""
    outbound_url: str = ""
    ack_url: str = ""


@attrs.frozen
class RoomBinding:
    id: RoomId
    wake: WakeRule = attrs.field(factory=WakeRule)


@attrs.frozen
class DirectBinding:
    enabled: bool = False
    wake: WakeRule = attrs.field(factory=WakeRule)


@attrs.frozen
class BrakeSettings:
    """How much one agent may do. ``turns_per_hour`` and ``cooldown_seconds`` are of each conversation by itself."""

    parallel_turns: int = TURNS_PER_AGENT
    cooldown_seconds: float = TURN_COOLDOWN_SECONDS
    turns_per_hour: int = TURNS_PER_HOUR


@attrs.frozen
class AttachmentConfig:
    """One agent at one server with one runtime. ``state_dir`` is its own; nobody has created it yet."""

    agent: AgentSettings
    server: ServerLink
    runtime: RuntimeConfig
    rooms: tuple[RoomBinding, ...] = ()
    dms: DirectBinding = DirectBinding()
    brakes: BrakeSettings = attrs.field(factory=BrakeSettings)
    state_dir: Path = attrs.field(kw_only=True)


def state_name(identifier: str) -> str:
    """A file name for any identifier. Different ones differ on every file system, also where case does not count."""
    if _PLAIN_NAME.fullmatch(identifier):
        return identifier
    readable = _OTHER_CHARACTERS.sub("_", identifier.lower()).lstrip(".")[:64]
    # A tilde is in no plain name, so the two kinds cannot meet.
    return f"{readable}~{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"
