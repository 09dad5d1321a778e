"""The keys of an attachment as written, in a bridge file or as one entry of a node file. Nothing is checked here.

Every key of both generations is known; ``bridge.attachment_rules`` says which of them may stand together.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from bridge.limits import TURN_DEFAULT_SECONDS
from moltnet.config.client_file import DirectKeys, RoomKeys
from moltnet.config.secrets import Secret
from moltnet.config.shapes import CommandSpec
from moltnet.config.wake import PolicyKeys


@attrs.frozen
class AgentKeys:
    id: str = ""
    name: str = ""


@attrs.frozen
class TokenKeys:
    """Where a token comes from. Any of the three replaces all three of an outer block."""

    token: Secret | None = None
    token_env: str = ""
    token_path: str = ""

    @property
    def any(self) -> bool:
        return bool(self.token) or bool(self.token_env.strip()) or bool(self.token_path.strip())


@attrs.frozen
class ServerKeys(TokenKeys):
    """The ``moltnet`` block."""

    base_url: str = ""
    network_id: str = ""
    auth_mode: str = ""
    registration: str = ""
    static_token: bool = False


@attrs.frozen
class LimitKeys:
    """The ``limits`` of a runtime. None: the usual number."""

    cpu_seconds: int | None = None
    memory_mib: int | None = None
    processes: int | None = None
    open_files: int | None = None
    file_mib: int | None = None


@attrs.frozen
class RuntimeKeys:
    """``driver`` is known for compatibility and means nothing; ``options`` are those of a package's kind."""

    kind: str = ""
    token: Secret | None = None
    channel: str = ""
    command: CommandSpec = ()
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    turn_seconds: float = TURN_DEFAULT_SECONDS
    limits: LimitKeys = LimitKeys()
    sandbox: str = ""
    sandbox_read: tuple[str, ...] = ()
    sandbox_write: tuple[str, ...] = ()
    sandbox_hide: tuple[str, ...] = ()
    sandbox_hosts: tuple[str, ...] = ()
    config_path: str = ""
    home_path: str = ""
    gateway_url: str = ""
    inbound_url: str = ""
    outbound_url: str = ""
    ack_url: str = ""
    events_url: str = ""
    control_url: str = ""
    workspace_path: str = ""
    session_store_path: str = ""
    session_prefix: str = ""
    driver: str = ""
    options: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class BrakeKeys:
    """The ``brakes`` of an attachment, or in a node file the defaults of all. None: as the outer place says."""

    parallel_turns: int | None = None
    cooldown_seconds: float | None = None
    turns_per_hour: int | None = None
    approval_seconds: int | None = None


@attrs.frozen
class RoomContextKeys(RoomKeys):
    """None: as the attachment says."""

    context_messages: int | None = None


@attrs.frozen
class DirectContextKeys(DirectKeys):
    """None: as the attachment says."""

    context_messages: int | None = None


@attrs.frozen
class AttachmentKeys(PolicyKeys):
    """One entry of a node file's ``attachments``. Its own policy keys are defaults for its rooms and DMs."""

    agent: AgentKeys = AgentKeys()
    moltnet: TokenKeys = TokenKeys()
    runtime: RuntimeKeys = RuntimeKeys()
    rooms: tuple[RoomContextKeys, ...] = ()
    dms: DirectContextKeys = attrs.field(factory=DirectContextKeys)
    context_messages: int = 0
    publish_output: bool = False
    brakes: BrakeKeys = attrs.field(factory=BrakeKeys)

    def holds_secrets(self) -> bool:
        return bool(self.moltnet.token) or bool(self.runtime.token)


@attrs.frozen
class BridgeFile(AttachmentKeys):
    """A whole bridge file: an attachment that brings its own server."""

    version: str = ""
    moltnet: ServerKeys = ServerKeys()
    state_path: str = ""
