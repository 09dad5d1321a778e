"""The settings a server runs on: the ``Moltnet`` file and its environment after every rule has passed.

Built by ``server_rules``; ``moltnet.config.server`` loads them. The tree mirrors the keys of the file. Every value is
clean: trimmed, valid, unique where it must be, and paths are absolute.
"""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import attrs

from moltnet.config.limits import DEFAULT_EVENT_RETENTION_SECONDS
from moltnet.config.secrets import Secret
from moltnet.config.server_limits import CAPS_ONLY, IpNetwork, LimitSettings
from moltnet.config.urls import LOOPBACK_HOST, ListenAddress, derived_origins
from moltnet.protocol.ids import AgentId, NetworkId, RoomId
from moltnet.protocol.limits import DELIVERY_WINDOW_EVENTS
from moltnet.protocol.rooms import Visibility, WritePolicy


class AuthMode(StrEnum):
    NONE = "none"
    BEARER = "bearer"
    OPEN = "open"


class Registration(StrEnum):
    """Who may register an agent: nobody new, a holder of a token, or anyone."""

    DISABLED = "disabled"
    TOKEN = "token"
    OPEN = "open"


class Scope(StrEnum):
    """What a static token allows. No scope implies another (auth §3)."""

    OBSERVE = "observe"
    WRITE = "write"
    ADMIN = "admin"
    ATTACH = "attach"
    PAIR = "pair"


class StorageKind(StrEnum):
    MEMORY = "memory"
    JSON = "json"
    SQLITE = "sqlite"
    POSTGRES = "postgres"


class LogFormat(StrEnum):
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


_DEFAULT_NETWORK_ID: Final = NetworkId("local")
_DEFAULT_LISTEN_ADDRESS: Final = ListenAddress(LOOPBACK_HOST)


@attrs.frozen
class NetworkSettings:
    id: NetworkId = _DEFAULT_NETWORK_ID
    name: str = "Local Moltnet"


@attrs.frozen
class AnalyticsSettings:
    """The console's page counter."""

    provider: str
    measurement_id: str


@attrs.frozen
class ServerSettings:
    """``allowed_origins`` holds what the file lists, or else what ``derived_origins`` makes of ``listen_addr``.

    ``trusted_proxies`` holds what ``trust_forwarded_proto`` alone means, too. ``delivery_window`` is how many events an
    attachment may be sent before the first is ACKed.
    """

    listen_addr: ListenAddress = _DEFAULT_LISTEN_ADDRESS
    human_ingress: bool = True
    direct_messages: bool = True
    debug_events: bool = False
    allowed_origins: tuple[str, ...] = derived_origins(_DEFAULT_LISTEN_ADDRESS)
    trust_forwarded_proto: bool = False
    trusted_proxies: tuple[IpNetwork, ...] = ()
    limits: LimitSettings = CAPS_ONLY
    delivery_window: int = DELIVERY_WINDOW_EVENTS
    allow_insecure_bind: bool = False
    analytics: AnalyticsSettings | None = None

    @property
    def derives_origins(self) -> bool:
        """Whether ``allowed_origins`` are those that nobody had to write."""
        return self.allowed_origins == derived_origins(self.listen_addr)


@attrs.frozen
class TokenSettings:
    """A static token. Without ``agents`` it may act for any agent. ``value`` is ``None`` in mode none only.

    ``previous_value`` is good too, while the token rotates. ``network`` is the one that a pair token belongs to. Times
    are aware; none means that the token, or its previous value, does not expire.
    """

    id: str
    value: Secret | None
    scopes: frozenset[Scope]
    agents: tuple[AgentId, ...] = ()
    network: NetworkId | None = None
    expires_at: datetime | None = None
    previous_value: Secret | None = None
    previous_expires_at: datetime | None = None

    @property
    def values(self) -> Iterator[tuple[Secret, datetime | None]]:
        """Every live value, and when it stops being one. What ends the token ends both."""
        if self.value is not None:
            yield self.value, self.expires_at
        if self.previous_value is not None:
            ends = [moment for moment in (self.expires_at, self.previous_expires_at) if moment is not None]
            yield self.previous_value, min(ends, default=None)


@attrs.frozen
class AuthSettings:
    """Mode open is stored with ``public_read`` and open registration, which it implies.

    ``reserved_agents`` holds ids and patterns with ``*`` and ``?`` that only the operator may claim.
    """

    mode: AuthMode = AuthMode.NONE
    public_read: bool = False
    agent_registration: Registration = Registration.DISABLED
    tokens: tuple[TokenSettings, ...] = ()
    reserved_agents: tuple[str, ...] = ()


@attrs.frozen
class FileStorage:
    path: Path


@attrs.frozen
class PostgresStorage:
    dsn: Secret


@attrs.frozen
class StorageSettings:
    """Where a network is kept, and for how long. The block of ``kind`` is set; others are as the file has them.

    ``message_retention_seconds`` is never less than that of events; ``None`` keeps messages for ever.
    """

    kind: StorageKind = StorageKind.SQLITE
    sqlite: FileStorage | None = None
    json: FileStorage | None = None
    postgres: PostgresStorage | None = None
    event_retention_seconds: int = DEFAULT_EVENT_RETENTION_SECONDS
    message_retention_seconds: int | None = None


@attrs.frozen
class RoomSettings:
    """A declared room. ``members`` is sorted, without repeats, each bare, ``network:agent`` or an FQID."""

    id: RoomId
    name: str
    members: tuple[str, ...] = ()
    visibility: Visibility = Visibility.PRIVATE
    write_policy: WritePolicy = WritePolicy.MEMBERS


@attrs.frozen
class PairingSettings:
    """A link to another network. ``status`` and ``diagnostics`` are only what it starts with.

    ``rooms`` are those whose messages go there, ``None`` for all. ``ca_file`` holds the authorities that its
    certificate may be signed by, instead of the system's. ``allow_private_address`` is what the file says, ``None`` if
    it says nothing: whether the host of the URL may be one that only our side of the internet can reach.
    """

    id: str
    remote_base_url: str
    remote_network_id: str = ""
    remote_network_name: str = ""
    token: Secret | None = None
    status: str = "unknown"
    diagnostics: Mapping[str, Any] | None = attrs.field(default=None, hash=False)
    enabled: bool = True
    rooms: frozenset[RoomId] | None = None
    ca_file: Path | None = None
    allow_private_address: bool | None = None

    def relays_room(self, room_id: str) -> bool:
        """Whether messages of this room, and of its threads, go there."""
        return self.rooms is None or room_id in self.rooms


@attrs.frozen
class LogSettings:
    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.CONSOLE


@attrs.frozen
class MoltnetConfig:
    """All of it. ``source`` is the file, ``None`` if there is none; ``notices`` are remarks for the operator."""

    network: NetworkSettings = NetworkSettings()
    server: ServerSettings = ServerSettings()
    auth: AuthSettings = AuthSettings()
    storage: StorageSettings = StorageSettings()
    rooms: tuple[RoomSettings, ...] = ()
    pairings: tuple[PairingSettings, ...] = ()
    log: LogSettings = LogSettings()
    source: Path | None = None
    notices: tuple[str, ...] = ()


def derived_token_id(value: Secret) -> str:
    """The id of a token that is given none (auth §4)."""
    return f"tok_{hashlib.sha256(value.reveal().encode()).hexdigest()[:16]}"
