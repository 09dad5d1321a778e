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
    """What the server said about a room; informational."""

    can_read: bool = True
    can_write: bool = True
    reason: str = ""


@attrs.frozen
class RoomKeys(PolicyKeys):
    """A room binding, of an attachment here or in a node or bridge file. What follows ``id`` is informational there."""

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
