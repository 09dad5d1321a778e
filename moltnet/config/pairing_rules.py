"""The rules for ``pairings`` of a ``Moltnet`` file: links to other networks.

Whether the other network fits is found out at runtime, in ``moltnet.pairing``. Nothing here looks up a name.
"""

import ipaddress
import ssl
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

import attrs

from moltnet.config.credential_rules import CredentialRules, SecretKeys
from moltnet.config.files import rebased
from moltnet.config.limits import MAX_PAIRED_ROOMS
from moltnet.config.names import name_problem
from moltnet.config.problems import Findings
from moltnet.config.secrets import Secret, header_problem, placeholder_problem
from moltnet.config.server_file import PairingKeys
from moltnet.config.settings import PairingSettings
from moltnet.config.urls import ListenAddress, base_url, url_problem
from moltnet.protocol.ids import NetworkId, RoomId, id_problem

_DEFAULT_PORTS = {"http": 80, "https": 443}


@attrs.frozen(eq=False)
class PairingRules:
    """``directory`` is where relative paths start; ``network_id`` and ``own_address`` are those of this network."""

    findings: Findings
    directory: Path
    network_id: NetworkId
    own_address: ListenAddress
    credentials: CredentialRules
    _ids: dict[str, int] = attrs.field(factory=dict, init=False)
    _networks: dict[str, int] = attrs.field(factory=dict, init=False)
    _urls: dict[str, int] = attrs.field(factory=dict, init=False)

    def pairings(self, all_keys: Iterable[PairingKeys]) -> tuple[PairingSettings, ...]:
        return tuple(self._pairing(index, keys) for index, keys in enumerate(all_keys))

    def _pairing(self, index: int, keys: PairingKeys) -> PairingSettings:
        path = f"$.pairings[{index}]"
        pairing_id = keys.id.strip()
        if self._note(f"{path}.id", id_problem(pairing_id) if pairing_id else "is required"):
            self._once(f"{path}.id", self._ids, pairing_id, index, "id")
        self._note(f"{path}.remote_network_name", name_problem(keys.remote_network_name))
        url = self._url(f"{path}.remote_base_url", index, keys.remote_base_url.strip())
        return PairingSettings(
            id=pairing_id,
            remote_base_url=url,
            remote_network_id=self._remote(f"{path}.remote_network_id", index, keys.remote_network_id.strip()),
            remote_network_name=keys.remote_network_name.strip(),
            token=self._token(path, keys),
            status=keys.status.strip() or "unknown",
            diagnostics=keys.diagnostics or None,
            enabled=keys.enabled,
            rooms=self._rooms(f"{path}.rooms", keys.rooms),
            ca_file=self._ca_file(f"{path}.ca_file", keys.ca_file.strip(), url),
            allow_private_address=keys.allow_private_address,
        )

    def _note(self, path: str, problem: str | None) -> bool:
        if problem:
            self.findings.add(path, problem)
        return not problem

    def _once(self, path: str, seen: dict[str, int], value: str, index: int, what: str) -> None:
        first = seen.setdefault(value, index)
        self._note(path, "" if first == index else f"is already the {what} of pairings[{first}]")

    def _url(self, path: str, index: int, text: str) -> str:
        if not self._note(path, url_problem(text) if text else "is required"):
            return text
        url = base_url(text)
        if self._note(path, "is this server's own address" if self._is_own(url) else ""):
            self._once(path, self._urls, url.lower(), index, "address")
        return url

    def _is_own(self, url: str) -> bool:
        parts = urlsplit(url)
        port = parts.port or _DEFAULT_PORTS[parts.scheme]
        own = self.own_address
        if port != own.port or not (own.is_loopback or own.is_wildcard):
            return False
        host = (parts.hostname or "").rstrip(".")
        try:
            return ipaddress.ip_address(host).is_loopback
        except ValueError:
            return host == "localhost"

    def _remote(self, path: str, index: int, network_id: str) -> str:
        if not network_id:
            return ""
        problem = id_problem(network_id)
        if problem is None and ":" in network_id:
            problem = "must not hold a colon, which separates a network from an agent"
        if problem is None and network_id == self.network_id:
            problem = "is this network's own id"
        if self._note(path, problem):
            self._once(path, self._networks, network_id, index, "network")
        return network_id

    def _token(self, path: str, keys: PairingKeys) -> Secret | None:
        sources = SecretKeys(keys.token, keys.token_env, keys.token_file)
        token = self.credentials.secret(path, "token", sources, required=False)
        if token is not None:
            place = f"{path}.{sources.written('token')[0]}"
            self._note(place, placeholder_problem(token.reveal()) or header_problem(token.reveal()))
        return token

    def _rooms(self, path: str, rooms: tuple[str, ...] | None) -> frozenset[RoomId] | None:
        if rooms is None:
            return None
        if len(rooms) > MAX_PAIRED_ROOMS:
            self._note(path, f"must hold {MAX_PAIRED_ROOMS} entries or fewer")
        for position, room_id in enumerate(rooms):
            text = room_id.strip()
            self._note(f"{path}[{position}]", id_problem(text) if text else "is required")
        return frozenset(RoomId(room_id.strip()) for room_id in rooms)

    def _ca_file(self, path: str, text: str, url: str) -> Path | None:
        if not text:
            return None
        if url.startswith("http:"):
            self._note(path, "needs an https address")
        file = rebased(text, self.directory)
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=file)
        except ssl.SSLError:
            self._note(path, "holds no certificates in PEM form")
        except OSError as error:
            self._note(path, f"cannot be read: {(error.strerror or 'unknown reason').lower()}")
        return file
