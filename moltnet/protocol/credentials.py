"""What is told of credentials: never a value, and of a hash only as much as tells two of them apart."""

from enum import StrEnum

import attrs

from moltnet.protocol.codec import wire
from moltnet.protocol.ids import AgentId
from moltnet.protocol.pages import PageInfo
from moltnet.protocol.times import Timestamp


class Holder(StrEnum):
    """By what an agent is held."""

    AGENT_TOKEN = "agent_token"
    """A token that the server made for it."""
    CONFIGURED_TOKEN = "configured_token"
    """A token of the config file."""
    ANYBODY = "anybody"
    """It was registered while the network asked nobody for a token."""
    NOBODY = "nobody"
    """Its token was revoked."""
    UNKNOWN = "unknown"
    """Something that an operator named and this server does not know."""


@attrs.frozen
class AgentCredential:
    """By what one registered agent is held, since ``updated_at`` at the latest.

    ``fingerprint``, of a generated token: the first characters of its SHA-256 in hexadecimal. ``token_id``, of a
    configured one: its id in the config file.
    """

    agent_id: AgentId
    holder: Holder
    created_at: Timestamp
    updated_at: Timestamp
    fingerprint: str = ""
    token_id: str = ""

    @property
    def id(self) -> AgentId:
        """What a list of these is ordered by."""
        return self.agent_id


@attrs.frozen
class CredentialPage:
    credentials: tuple[AgentCredential, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))


@attrs.frozen
class ConfiguredToken:
    """A token of the config file, without its value. Without ``agents`` it may act for any agent.

    ``expires_at`` is when it ends, ``previous_expires_at`` when the value does that it had before, which is good too.
    """

    id: str
    scopes: tuple[str, ...] = attrs.field(default=(), metadata=wire(always=True))
    agents: tuple[AgentId, ...] = attrs.field(default=(), metadata=wire(always=True))
    network: str = ""
    expires_at: Timestamp = attrs.field(default=Timestamp(""))
    is_expired: bool = False
    is_rotating: bool = False
    previous_expires_at: Timestamp = attrs.field(default=Timestamp(""))


@attrs.frozen
class TokenPage:
    tokens: tuple[ConfiguredToken, ...] = attrs.field(default=(), metadata=wire(always=True))
    page: PageInfo = attrs.field(default=PageInfo(), metadata=wire(always=True))
