"""The keys of ``.moltnet/config.json`` as written, of both generations. ``client`` turns them into attachments."""

import attrs

from moltnet.config.secrets import Secret
from moltnet.config.wake import PolicyKeys


@attrs.frozen
class AgentKeys:
    """Informational; the first program that wrote it decides."""

    name: str = ""
    runtime: str = ""


@attrs.frozen
class AuthKeys:
    mode: str = ""
    registration: str = ""
    token: Secret | None = None
    token_env: str = ""
    token_path: str = ""


@attrs.frozen
class AccessKeys:
    can_read: bool = True
    can_write: bool = True
    reason: str = ""


@attrs.frozen
class RoomKeys(PolicyKeys):
    id: str = ""
    visibility: str = ""
    write_policy: str = ""
    can_write: bool = True
    access: AccessKeys = AccessKeys()


@attrs.frozen
class DirectKeys(PolicyKeys):
    enabled: bool = False


@attrs.frozen
class AttachmentKeys:
    network_id: str = ""
    member_id: str = ""
    base_url: str = ""
    agent_name: str = ""
    runtime: str = ""
    auth: AuthKeys = AuthKeys()
    rooms: tuple[RoomKeys, ...] = ()
    dms: DirectKeys = attrs.field(factory=DirectKeys)


@attrs.frozen
class ClientFile:
    version: str = ""
    agent: AgentKeys = AgentKeys()
    attachments: tuple[AttachmentKeys, ...] = ()

    def holds_secrets(self) -> bool:
        return any(bool(attachment.auth.token) for attachment in self.attachments)
