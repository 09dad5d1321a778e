"""What one attachment runs on, after every rule of its file has passed: absolute paths, valid ids, one token source.

Built by ``bridge.attachment_rules`` from a bridge file or a node file; ``bridge.config`` loads the former.
"""

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import attrs

from bridge.limits import (
    CPU_SECONDS_PER_TURN_SECOND,
    TURN_COOLDOWN_SECONDS,
    TURN_DEFAULT_SECONDS,
    TURN_FILE_MIB,
    TURN_MEMORY_MIB,
    TURN_OPEN_FILES,
    TURN_PROCESSES,
    TURNS_PER_AGENT,
    TURNS_PER_HOUR,
)
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode
from moltnet.config.wake import WakeRule
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.limits import APPROVAL_SECONDS

_PLAIN_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_OTHER_CHARACTERS: Final = re.compile(r"[^a-z0-9._-]+")


class RuntimeKind(StrEnum):
    """The kinds of our own; installed packages bring others (``bridge.runtimes.plugins``)."""

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
class ProcessLimits:
    """What the processes of one turn may use. ``cpu_seconds``, ``open_files`` and ``file_mib`` hold for each process,
    ``memory_mib`` and ``processes`` for all of a turn together."""

    cpu_seconds: int = int(CPU_SECONDS_PER_TURN_SECOND * TURN_DEFAULT_SECONDS)
    memory_mib: int = TURN_MEMORY_MIB
    processes: int = TURN_PROCESSES
    open_files: int = TURN_OPEN_FILES
    file_mib: int = TURN_FILE_MIB


class SandboxKind(StrEnum):
    NONE = "none"
    BUBBLEWRAP = "bubblewrap"


@attrs.frozen
class Endpoint:
    """A TCP port of a host: a name, or an address without brackets."""

    host: str
    port: int


@attrs.frozen
class SandboxSettings:
    """What a program in a sandbox may see and reach, beside its workspace, its home and the Moltnet server.

    ``hidden`` has what it does not see although it could; what is in ``readable`` and ``writable`` wins.
    """

    kind: SandboxKind = SandboxKind.NONE
    readable: tuple[Path, ...] = ()
    writable: tuple[Path, ...] = ()
    hidden: tuple[Path, ...] = ()
    hosts: tuple[Endpoint, ...] = ()


@attrs.frozen
class RuntimeConfig:
    """The agent program. ``command`` is its argv so far and ``args`` what the operator adds; empty text is not set.

    ``env`` names the variables of the node that the program may see. ``kind`` is a ``RuntimeKind``, or the name of a
    package's kind, and only for that there are ``options``.
    """

    kind: str
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    turn_seconds: float = TURN_DEFAULT_SECONDS
    limits: ProcessLimits = ProcessLimits()
    sandbox: SandboxSettings = SandboxSettings()
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
    options: Mapping[str, Any] = attrs.field(factory=dict, repr=False)


@attrs.frozen
class RoomBinding:
    """``context_messages`` is how many earlier messages a prompt shows, of the room or the thread."""

    id: RoomId
    wake: WakeRule = attrs.field(factory=WakeRule)
    context_messages: int = 0


@attrs.frozen
class DirectBinding:
    enabled: bool = False
    wake: WakeRule = attrs.field(factory=WakeRule)
    context_messages: int = 0


@attrs.frozen
class BrakeSettings:
    """How much one agent may do. ``turns_per_hour`` and ``cooldown_seconds`` are of each conversation by itself.

    ``approval_seconds`` is how long a wake waits for an operator, where one has to approve it.
    """

    parallel_turns: int = TURNS_PER_AGENT
    cooldown_seconds: float = TURN_COOLDOWN_SECONDS
    turns_per_hour: int = TURNS_PER_HOUR
    approval_seconds: int = APPROVAL_SECONDS


@attrs.frozen
class AttachmentConfig:
    """One agent at one server with one runtime. ``state_dir`` is its own; nobody has created it yet.

    ``publish_output``: what the program says at the end of a turn is posted as a message of the agent.
    """

    agent: AgentSettings
    server: ServerLink
    runtime: RuntimeConfig
    rooms: tuple[RoomBinding, ...] = ()
    dms: DirectBinding = DirectBinding()
    brakes: BrakeSettings = attrs.field(factory=BrakeSettings)
    publish_output: bool = False
    state_dir: Path = attrs.field(kw_only=True)


def state_name(identifier: str) -> str:
    """A file name for any identifier. Different ones differ on every file system, also where case does not count."""
    if _PLAIN_NAME.fullmatch(identifier):
        return identifier
    readable = _OTHER_CHARACTERS.sub("_", identifier.lower()).lstrip(".")[:64]
    # A tilde is in no plain name, so the two kinds cannot meet.
    return f"{readable}~{hashlib.sha256(identifier.encode()).hexdigest()[:16]}"
