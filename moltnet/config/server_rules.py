"""The rules of a ``Moltnet`` file: its keys to settings, or all the reasons why a server must not start on them.

Credentials have their own module, ``credential_rules``. Nothing here looks at the storage or opens a socket.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from moltnet.config.credential_rules import CredentialRules
from moltnet.config.durations import parse_duration
from moltnet.config.files import rebased
from moltnet.config.limits import MAX_EVENT_RETENTION_SECONDS, MIN_EVENT_RETENTION_SECONDS
from moltnet.config.names import name_problem
from moltnet.config.pairing_rules import PairingRules
from moltnet.config.problems import Findings
from moltnet.config.server_file import RoomKeys, ServerFile
from moltnet.config.server_limits import limit_settings, proxy_networks
from moltnet.config.settings import (
    AnalyticsSettings,
    AuthMode,
    FileStorage,
    LogFormat,
    LogLevel,
    LogSettings,
    MoltnetConfig,
    NetworkSettings,
    PostgresStorage,
    RoomSettings,
    ServerSettings,
    StorageKind,
    StorageSettings,
)
from moltnet.config.urls import (
    LOOPBACK_HOST,
    ListenAddress,
    derived_origins,
    origin,
    origin_problem,
    parse_listen_address,
)
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import NetworkId, RoomId, id_problem
from moltnet.protocol.limits import MAX_CLIENT_UNACKED_EVENTS, MAX_MEMBERS_PER_REQUEST
from moltnet.protocol.rooms import Visibility, WritePolicy, normal_members

VERSION: Final = "moltnet.v1"
DEFAULT_DATABASE: Final = Path(".moltnet/moltnet.db")
_MEASUREMENT_ID: Final = re.compile(r"G-[A-Za-z0-9]{4,20}")
FOR_EVER: Final = "forever"
_POSTGRES_SCHEMES: Final = ("postgres://", "postgresql://")


def settings(
    file: ServerFile, findings: Findings, *, environ: Mapping[str, str], directory: Path, cwd: Path, source: Path | None
) -> MoltnetConfig:
    """The settings that ``file`` describes. They may be used only if ``findings`` has no problem afterwards.

    ``directory`` is where relative paths of secrets start, ``cwd`` where those of storage start.
    """
    return _Rules(file, findings, environ, directory, cwd).settings(source)


@attrs.frozen(eq=False)
class _Rules:
    file: ServerFile
    findings: Findings
    environ: Mapping[str, str]
    directory: Path
    cwd: Path
    notices: list[str] = attrs.field(factory=list, init=False)

    def settings(self, source: Path | None) -> MoltnetConfig:
        self._note("$.version", "" if self.file.version.strip() in ("", VERSION) else f"must be {VERSION}")
        network = self._network()
        credentials = CredentialRules(self.findings, self.environ, self.directory, network.id, self.notices)
        auth = credentials.auth(self.file.auth)
        if auth.mode is AuthMode.NONE and auth.tokens:
            self.notices.append("auth.tokens mean nothing while auth.mode is none: nobody is asked for a token")
        server = self._server(auth.mode)
        pairings = PairingRules(self.findings, self.directory, network.id, server.listen_addr, credentials)
        return MoltnetConfig(
            network=network,
            server=server,
            auth=auth,
            storage=self._storage(),
            rooms=self._rooms(),
            pairings=pairings.pairings(self.file.pairings),
            log=LogSettings(
                level=self.findings.choice("$.log.level", self.file.log.level.lower(), LogLevel.INFO),
                format=self.findings.choice("$.log.format", self.file.log.format, LogFormat.CONSOLE),
            ),
            source=source,
            notices=tuple(self.notices),
        )

    def _note(self, path: str, problem: str | None) -> bool:
        if problem:
            self.findings.add(path, problem)
        return not problem

    def _network(self) -> NetworkSettings:
        keys, default = self.file.network, NetworkSettings()
        network_id = keys.id or default.id
        problem = id_problem(network_id)
        if problem is None and ":" in network_id:
            problem = "must not hold a colon, which separates a network from an agent"
        self._note("$.network.id", problem)
        self._note("$.network.name", name_problem(keys.name))
        return NetworkSettings(NetworkId(network_id), keys.name.strip() or default.name)

    def _server(self, mode: AuthMode) -> ServerSettings:
        keys = self.file.server
        address = self._listen_address(mode)
        proxies = proxy_networks(keys.trusted_proxies, self.findings, trust_forwarded_proto=keys.trust_forwarded_proto)
        # All callers run on this machine, where they could do worse than ask often.
        is_local = mode is AuthMode.NONE and address.is_loopback and not proxies
        origins: list[str] = []
        for index, text in enumerate(keys.allowed_origins):
            if self._note(f"$.server.allowed_origins[{index}]", origin_problem(text.strip())):
                origins.append(origin(text.strip()))
        if not 1 <= keys.delivery_window <= MAX_CLIENT_UNACKED_EVENTS:
            self._note("$.server.delivery_window", f"must be a number from 1 to {MAX_CLIENT_UNACKED_EVENTS}")
        return ServerSettings(
            listen_addr=address,
            human_ingress=keys.human_ingress,
            direct_messages=keys.direct_messages,
            debug_events=keys.debug_events,
            allowed_origins=tuple(dict.fromkeys(origins)) or derived_origins(address),
            trust_forwarded_proto=keys.trust_forwarded_proto,
            trusted_proxies=proxies,
            limits=limit_settings(keys.limits, self.findings, rates_by_default=not is_local),
            delivery_window=keys.delivery_window,
            allow_insecure_bind=keys.allow_insecure_bind,
            analytics=self._analytics(),
        )

    def _listen_address(self, mode: AuthMode) -> ListenAddress:
        keys = self.file.server
        narrow = mode is AuthMode.NONE and not keys.allow_insecure_bind
        if not keys.listen_addr.strip():
            return ListenAddress(LOOPBACK_HOST if narrow else "")
        try:
            address = parse_listen_address(keys.listen_addr)
        except ValueError as error:
            self._note("$.server.listen_addr", str(error))
            return ListenAddress(LOOPBACK_HOST)
        if narrow and not address.host:
            self.notices.append(
                f"listening on {LOOPBACK_HOST}:{address.port} only, because auth.mode is none; "
                "set server.allow_insecure_bind to serve everyone who can reach this machine without any sign-in"
            )
            return ListenAddress(LOOPBACK_HOST, address.port)
        if narrow and not address.is_loopback:
            self._note(
                "$.server.listen_addr",
                "is reachable from other machines while auth.mode is none; listen on 127.0.0.1, set auth.mode to "
                "bearer, or set server.allow_insecure_bind: true",
            )
        return address

    def _analytics(self) -> AnalyticsSettings | None:
        keys, path = self.file.server.console.analytics, "$.server.console.analytics"
        provider, measurement_id = keys.provider.strip(), keys.measurement_id.strip()
        if not provider and not measurement_id:
            return None
        self._note(f"{path}.provider", "" if provider == "google" else "must be google" if provider else "is required")
        if not measurement_id:
            self._note(f"{path}.measurement_id", "is required")
        elif not _MEASUREMENT_ID.fullmatch(measurement_id):
            self._note(f"{path}.measurement_id", "must be a measurement id such as G-ABC1234567")
        return AnalyticsSettings(provider, measurement_id)

    def _storage(self) -> StorageSettings:
        keys = self.file.storage
        kind_text, json_path = keys.kind.strip(), keys.json.path.strip()
        if not kind_text and self.file.server.data_path.strip():
            # The oldest files name only this.
            kind_text, json_path = StorageKind.JSON, self.file.server.data_path.strip()
        kind = self.findings.choice("$.storage.kind", kind_text, StorageKind.SQLITE)
        sqlite_path = keys.sqlite.path.strip() or (str(DEFAULT_DATABASE) if kind is StorageKind.SQLITE else "")
        dsn = keys.postgres.dsn
        if kind is StorageKind.JSON and not json_path:
            self._note("$.storage.json.path", "is required for json storage")
        if kind is StorageKind.POSTGRES and not (dsn and dsn.reveal().strip()):
            self._note("$.storage.postgres.dsn", "is required for postgres storage")
        elif dsn and dsn.reveal().strip() and not dsn.reveal().strip().startswith(_POSTGRES_SCHEMES):
            self._note("$.storage.postgres.dsn", f"must start with {' or '.join(_POSTGRES_SCHEMES)}")
        events_seconds = self._event_retention()
        return StorageSettings(
            kind=kind,
            sqlite=FileStorage(self._storage_path(sqlite_path)) if sqlite_path else None,
            json=FileStorage(self._storage_path(json_path)) if json_path else None,
            postgres=PostgresStorage(dsn) if dsn and dsn.reveal().strip() else None,
            event_retention_seconds=events_seconds,
            message_retention_seconds=self._message_retention(events_seconds),
        )

    def _storage_path(self, text: str) -> Path:
        # Relative to the working directory, unlike every other path: existing deployments keep their data there.
        return rebased(text, self.cwd)

    def _event_retention(self) -> int:
        default = StorageSettings().event_retention_seconds
        return self._retention("event_retention", self.file.storage.event_retention, default)

    def _message_retention(self, events_seconds: int) -> int | None:
        text = self.file.storage.message_retention.strip()
        if not text or text == FOR_EVER:
            return None
        seconds = self._retention("message_retention", text, events_seconds)
        if seconds < events_seconds:
            # The event that reports a message holds all of it.
            self._note("$.storage.message_retention", "must not be shorter than storage.event_retention")
        return seconds

    def _retention(self, key: str, text: str, default: int) -> int:
        if not text.strip():
            return default
        try:
            seconds = parse_duration(text)
        except ValueError as error:
            self._note(f"$.storage.{key}", str(error))
            return default
        if not MIN_EVENT_RETENTION_SECONDS <= seconds <= MAX_EVENT_RETENTION_SECONDS:
            self._note(f"$.storage.{key}", "must be from 1h to 3660d")
        return seconds

    def _rooms(self) -> tuple[RoomSettings, ...]:
        seen: dict[str, int] = {}
        return tuple(self._room(index, keys, seen) for index, keys in enumerate(self.file.rooms))

    def _room(self, index: int, keys: RoomKeys, seen: dict[str, int]) -> RoomSettings:
        path = f"$.rooms[{index}]"
        room_id = keys.id.strip()
        if self._note(f"{path}.id", id_problem(room_id) if room_id else "is required"):
            first = seen.setdefault(room_id, index)
            self._note(f"{path}.id", "" if first == index else f"is already the id of rooms[{first}]")
        self._note(f"{path}.name", name_problem(keys.name))
        if len(keys.members) > MAX_MEMBERS_PER_REQUEST:
            self._note(f"{path}.members", f"must hold {MAX_MEMBERS_PER_REQUEST} entries or fewer")
        for position, member in enumerate(keys.members):
            self._note(f"{path}.members[{position}]", member_problem(member))
        return RoomSettings(
            id=RoomId(room_id),
            name=keys.name.strip() or room_id,
            members=normal_members(keys.members),
            visibility=self.findings.choice(f"{path}.visibility", keys.visibility, Visibility.PRIVATE),
            write_policy=self.findings.choice(f"{path}.write_policy", keys.write_policy, WritePolicy.MEMBERS),
        )
