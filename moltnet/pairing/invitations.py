"""Invitations that were made, in a private file beside the config file: ``.moltnet/invitations.json``.

Only a digest of each secret is kept. Made by ``moltnet pair invite``, read by the server when somebody accepts. All
functions block on the file system; call them in a thread under an event loop.
"""

import hashlib
import hmac
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import attrs

from moltnet.config.files import create_directories, read_file, write_private
from moltnet.config.limits import MAX_CONFIG_BYTES
from moltnet.config.locks import locked
from moltnet.config.problems import ROOT, ConfigError, Problem
from moltnet.pairing.code import InvitationCode
from moltnet.pairing.limits import MAX_OPEN_INVITATIONS
from moltnet.protocol.codec import DecodeError, decode, encode
from moltnet.protocol.times import Timestamp, format_timestamp, parse_timestamp

FILE_NAME: Final = ".moltnet/invitations.json"


@attrs.frozen
class Invitation:
    """One invitation of the network ``network_id``. ``used_by`` is the network that accepted it, empty before.

    ``allow_private_address``: whoever accepts may be in a private network, and need no https. ``ca_file`` is an
    absolute path to the authorities that its certificate is to be checked by, empty for the system's.
    """

    id: str
    network_id: str
    digest: str
    expires_at: Timestamp
    rooms: tuple[str, ...] = ()
    allow_private_address: bool = False
    used_by: str = ""
    ca_file: str = ""

    def is_expired(self, now: datetime) -> bool:
        return parse_timestamp(self.expires_at) <= now

    def fits(self, secret: str) -> bool:
        """Whether ``secret`` is the one that was given out."""
        return hmac.compare_digest(self.digest, secret_digest(secret))


@attrs.frozen
class _File:
    version: str = "moltnet.invitations.v1"
    invitations: tuple[Invitation, ...] = ()


def invitations_path(config_path: Path) -> Path:
    return config_path.parent / FILE_NAME


def secret_digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def new_invitation(
    *,
    network_id: str,
    network_name: str,
    base_url: str,
    rooms: tuple[str, ...],
    lifetime: timedelta,
    allow_private_address: bool,
    now: datetime,
    ca_file: str = "",
) -> tuple[Invitation, InvitationCode]:
    """A new invitation, to be kept, and its code, to be given away."""
    invitation_id, secret = secrets.token_hex(8), secrets.token_urlsafe(32)
    expires_at = format_timestamp(now + lifetime)
    code = InvitationCode(invitation_id, secret, network_id, base_url, expires_at, network_name, rooms)
    kept = Invitation(
        invitation_id, network_id, secret_digest(secret), expires_at, rooms, allow_private_address, ca_file=ca_file
    )
    return kept, code


def keep_invitation(path: Path, invitation: Invitation, now: datetime) -> None:
    """Add it to those at ``path``; those that are over go. Raises ``ConfigError``."""

    def add(open_ones: tuple[Invitation, ...]) -> tuple[Invitation, ...]:
        left = tuple(each for each in open_ones if not each.is_expired(now))
        if len(left) >= MAX_OPEN_INVITATIONS:
            problem = f"holds {MAX_OPEN_INVITATIONS} invitations that are not over yet; wait until some are"
            raise ConfigError(path, Problem(ROOT, problem))
        return (*left, invitation)

    _rewrite(path, add)


def note_accepted(path: Path, invitation_id: str, network_id: str) -> None:
    """Remember who accepted it. Raises ``ConfigError``."""

    def mark(known: tuple[Invitation, ...]) -> tuple[Invitation, ...]:
        return tuple(attrs.evolve(each, used_by=network_id) if each.id == invitation_id else each for each in known)

    _rewrite(path, mark)


def find_invitation(path: Path, invitation_id: str) -> Invitation | None:
    """Raises ``ConfigError`` if the file is there and can't be used."""
    return next((each for each in _read(path) if each.id == invitation_id), None)


def _rewrite(path: Path, change: Callable[[tuple[Invitation, ...]], tuple[Invitation, ...]]) -> None:
    try:
        create_directories(path.parent)
        with locked(path):
            write_private(path, encode(_File(invitations=change(_read(path)))) + b"\n")
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be written: {error.strerror or error}")) from error


def _read(path: Path) -> tuple[Invitation, ...]:
    try:
        file = read_file(path, max_bytes=MAX_CONFIG_BYTES)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be read: {error.strerror or error}")) from error
    problems = [Problem(ROOT, problem) for problem in file.privacy_problems()]
    if problems:
        raise ConfigError(path, *problems)
    with suppress(DecodeError):
        return decode(file.data, _File).invitations
    raise ConfigError(path, Problem(ROOT, "is damaged; remove it, and invite again"))
