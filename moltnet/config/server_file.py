"""The keys of a ``Moltnet`` file, as written: nothing trimmed, nothing checked, empty text for what is not there.

``server_rules`` turns them into ``settings``.
"""

from typing import Any

import attrs

from moltnet.config.secrets import Secret
from moltnet.config.server_limits import UNWRITTEN, LimitKeys
from moltnet.protocol.limits import DELIVERY_WINDOW_EVENTS


@attrs.frozen
class NetworkKeys:
    id: str = ""
    name: str = ""


@attrs.frozen
class AnalyticsKeys:
    provider: str = ""
    measurement_id: str = ""


@attrs.frozen
class ConsoleKeys:
    analytics: AnalyticsKeys = AnalyticsKeys()


@attrs.frozen
class ServerKeys:
    listen_addr: str = ""
    data_path: str = ""
    human_ingress: bool = True
    direct_messages: bool = True
    debug_events: bool = False
    allowed_origins: tuple[str, ...] = ()
    trust_forwarded_proto: bool = False
    trusted_proxies: tuple[str, ...] = ()
    limits: LimitKeys = UNWRITTEN
    delivery_window: int = DELIVERY_WINDOW_EVENTS
    allow_insecure_bind: bool = False
    console: ConsoleKeys = ConsoleKeys()


@attrs.frozen
class TokenKeys:
    """Exactly one of ``value``, ``value_env`` and ``value_file``, and at most one of the three ``previous_…`` ones."""

    id: str = ""
    value: Secret | None = None
    value_env: str = ""
    value_file: str = ""
    scopes: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    network: str = ""
    expires_at: str = ""
    previous_value: Secret | None = None
    previous_value_env: str = ""
    previous_value_file: str = ""
    previous_expires_at: str = ""


@attrs.frozen
class AuthKeys:
    mode: str = ""
    public_read: bool = False
    agent_registration: str = ""
    tokens: tuple[TokenKeys, ...] = ()
    reserved_agents: tuple[str, ...] = ()


@attrs.frozen
class PathKeys:
    path: str = ""


@attrs.frozen
class PostgresKeys:
    dsn: Secret | None = None


@attrs.frozen
class StorageKeys:
    kind: str = ""
    event_retention: str = ""
    message_retention: str = ""
    sqlite: PathKeys = PathKeys()
    json: PathKeys = PathKeys()
    postgres: PostgresKeys = PostgresKeys()


@attrs.frozen
class RoomKeys:
    id: str = ""
    name: str = ""
    members: tuple[str, ...] = ()
    visibility: str = ""
    write_policy: str = ""


@attrs.frozen
class PairingKeys:
    """At most one of ``token``, ``token_env`` and ``token_file``."""

    id: str = ""
    remote_network_id: str = ""
    remote_network_name: str = ""
    remote_base_url: str = ""
    token: Secret | None = None
    token_env: str = ""
    token_file: str = ""
    status: str = ""
    diagnostics: dict[str, Any] = attrs.field(factory=dict)
    enabled: bool = True
    rooms: tuple[str, ...] | None = None
    ca_file: str = ""
    allow_private_address: bool | None = None


@attrs.frozen
class LogKeys:
    level: str = ""
    format: str = ""


@attrs.frozen
class ServerFile:
    version: str = ""
    network: NetworkKeys = NetworkKeys()
    server: ServerKeys = ServerKeys()
    auth: AuthKeys = AuthKeys()
    storage: StorageKeys = StorageKeys()
    rooms: tuple[RoomKeys, ...] = ()
    pairings: tuple[PairingKeys, ...] = ()
    log: LogKeys = LogKeys()

    def holds_secrets(self) -> bool:
        """Whether the file must be private (server configuration §3): any inline token, or a database address."""
        written = [value for token in self.auth.tokens for value in (token.value, token.previous_value)]
        written += [pairing.token for pairing in self.pairings]
        written.append(self.storage.postgres.dsn)
        return any(secret is not None and secret.reveal().strip() for secret in written)
