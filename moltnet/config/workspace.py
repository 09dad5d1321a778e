"""What Moltnet writes into an agent's workspace: one entry of ``.moltnet/config.json``, and ``identity.json``.

Everything that a change does not name stays as it was written, other attachments and the order of keys included.
Reading is ``client``'s business. All functions block on the file system; call them in a thread under an event loop.
"""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import attrs

from moltnet.config.client import CONFIG_NAME, VERSION, ClientConfig, client_config
from moltnet.config.client_file import ClientFile
from moltnet.config.documents import Document, parse_document
from moltnet.config.files import ConfigFile, create_directories, read_config_file, write_private
from moltnet.config.locks import locked
from moltnet.config.problems import ROOT, ConfigError, Findings, Problem
from moltnet.config.secrets import Secret
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.shapes import structure
from moltnet.config.wake import WakeRule

IDENTITY_NAME: Final = ".moltnet/identity.json"
IDENTITY_VERSION: Final = "moltnet.identity.v1"


@attrs.frozen
class AuthChange:
    """A new ``auth`` block. At most one source; a relative ``token_path`` starts at the file's directory."""

    mode: AuthMode
    registration: Registration | None = None
    token: Secret | None = None
    token_env: str = ""
    token_path: str = ""

    def keys(self) -> dict[str, str]:
        written = {
            "mode": str(self.mode),
            "registration": str(self.registration or ""),
            "token": self.token.reveal() if self.token is not None else "",
            "token_env": self.token_env,
            "token_path": self.token_path,
        }
        return {key: text for key, text in written.items() if text}


@attrs.frozen
class RoomChange:
    id: str
    wake: WakeRule


@attrs.frozen
class DirectChange:
    enabled: bool
    wake: WakeRule | None = None


@attrs.frozen
class AttachmentChange:
    """What to write about ``member_id`` at ``network_id``. ``None`` leaves what is there; ``rooms`` is the whole list,
    but what is known about a room that stays in it is kept."""

    network_id: str
    member_id: str
    base_url: str
    agent_name: str | None = None
    runtime: str | None = None
    auth: AuthChange | None = None
    rooms: tuple[RoomChange, ...] | None = None
    dms: DirectChange | None = None


@attrs.frozen
class AttachmentRemoval:
    """What to forget: these rooms of an attachment, or without any all of it."""

    network_id: str
    member_id: str
    rooms: tuple[str, ...] = ()


@attrs.frozen
class Identity:
    """Who an agent is at a network, as its registration said."""

    network_id: str
    agent_id: str
    actor_uid: str
    actor_uri: str
    display_name: str = ""


def client_config_path(workspace: Path) -> Path:
    return workspace / CONFIG_NAME


def upsert_attachment(path: Path, change: AttachmentChange) -> ClientConfig:
    """Bring ``change`` into the client configuration at ``path``, creating it if it is missing, and return the result.

    Serialised with every other writer by a lock beside the file. The result is checked before it replaces the file,
    and a file that would not change is not written. Raises ``ConfigError``, with the file as it was.
    """
    try:
        create_directories(path.parent)
        with locked(path):
            before = _read(path)
            after = _changed(before, change)
            config = _checked(after, path)
            if after != before:
                write_private(path, _json(after))
            return config
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be written: {error.strerror or error}")) from error


def remove_attachment(path: Path, removal: AttachmentRemoval) -> None:
    """Take ``removal`` out of the client configuration at ``path``; without its last attachment the file goes.

    Serialised with every other writer. What is not there is not missed. Raises ``ConfigError``, with the file as it
    was.
    """
    try:
        with locked(path):
            before = _read(path)
            after = _without(before, removal)
            if before and not after["attachments"]:
                path.unlink()
            elif after != before:
                _checked(after, path)
                write_private(path, _json(after))
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be written: {error.strerror or error}")) from error


def write_identity(workspace: Path, identity: Identity) -> Path:
    """Record who the agent of ``workspace`` is, in place of an earlier record. Returns the file.

    Raises ``ConfigError``.
    """
    path = workspace / IDENTITY_NAME
    known = {key: text for key, text in attrs.asdict(identity).items() if text}
    try:
        write_private(path, _json({"version": IDENTITY_VERSION, **known}))
    except OSError as error:
        raise ConfigError(path, Problem(ROOT, f"cannot be written: {error.strerror or error}")) from error
    return path


def _json(root: dict[str, Any]) -> bytes:
    return (json.dumps(root, indent=2, ensure_ascii=False) + "\n").encode()


def _read(path: Path) -> dict[str, Any]:
    """The document as written, or an empty one. Raises ``ConfigError`` rather than lose what it cannot read."""
    if not path.exists() and not path.is_symlink():
        return {}
    file = read_config_file(path)
    document = parse_document(file.data, is_json=True)
    if document.problems:
        raise ConfigError(path, *document.problems)
    if not isinstance(document.root, dict):
        raise ConfigError(path, Problem(ROOT, "must hold keys and values"))
    _checked(document.root, path, file)
    written: dict[str, Any] = document.root
    return written


def _checked(root: dict[str, Any], path: Path, file: ConfigFile | None = None) -> ClientConfig:
    """``root`` as attachments; if it was read from ``file``, that must be private as for every other reader."""
    findings = Findings(path)
    keys = structure(Document(root), ClientFile, findings)
    config = client_config(keys, findings, source=path)
    if file is not None and keys.holds_secrets():
        for problem in file.privacy_problems():
            findings.add(ROOT, problem)
    findings.raise_if_any()
    return config


def _changed(before: dict[str, Any], change: AttachmentChange) -> dict[str, Any]:
    after = deepcopy(before) or {"version": VERSION, "agent": {}, "attachments": []}
    agent = _block(after, "agent")
    for key, text in (("name", change.agent_name), ("runtime", change.runtime)):
        if text and not agent.get(key):
            agent[key] = text
    entry = _entry(after, change)
    entry["base_url"] = change.base_url
    for key, text in (("agent_name", change.agent_name), ("runtime", change.runtime)):
        if text is not None:
            entry[key] = text
    if change.auth is not None:
        entry["auth"] = change.auth.keys()
    if change.rooms is not None:
        known = {room.get("id", "").strip(): room for room in entry.get("rooms") or []}
        entry["rooms"] = [_with_policy(known.get(room.id, {"id": room.id}), room.wake) for room in change.rooms]
    if change.dms is not None:
        dms = _block(entry, "dms")
        dms["enabled"] = change.dms.enabled
        if change.dms.wake is not None:
            entry["dms"] = _with_policy(dms, change.dms.wake)
    return after


def _without(before: dict[str, Any], removal: AttachmentRemoval) -> dict[str, Any]:
    after = deepcopy(before)
    for attachment in list(after.get("attachments") or []):
        if _key(attachment) != (removal.network_id, removal.member_id):
            continue
        if not removal.rooms:
            after["attachments"].remove(attachment)
        else:
            kept = [room for room in attachment.get("rooms") or [] if room["id"].strip() not in removal.rooms]
            attachment["rooms"] = kept
    return after


def _key(attachment: dict[str, Any]) -> tuple[str, str]:
    return attachment["network_id"].strip(), attachment["member_id"].strip()


def _entry(root: dict[str, Any], change: AttachmentChange) -> dict[str, Any]:
    attachments: list[dict[str, Any]] = root["attachments"]
    for attachment in attachments:
        if _key(attachment) == (change.network_id, change.member_id):
            return attachment
    created = {"network_id": change.network_id, "member_id": change.member_id}
    attachments.append(created)
    return created


def _block(holder: dict[str, Any], key: str) -> dict[str, Any]:
    block: dict[str, Any] = holder.get(key) or {}
    holder[key] = block
    return block


def _with_policy(written: dict[str, Any], wake: WakeRule) -> dict[str, Any]:
    kept = {key: value for key, value in written.items() if key not in ("wake", "read", "reply")}
    return kept | wake.keys()
