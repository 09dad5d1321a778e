"""``.moltnet/config.json``: how a program in an agent's workspace reaches its networks (command line §5, §6).

Finding it, loading it, and choosing the attachment that is meant. Writing it is ``workspace``'s business.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from moltnet.config.client_file import AttachmentKeys, AuthKeys, ClientFile, RoomKeys
from moltnet.config.files import discover
from moltnet.config.limits import MAX_LISTED_CHOICES, MAX_SEARCH_LEVELS
from moltnet.config.problems import ROOT, ConfigError, Findings, Problem
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.shapes import read_shape
from moltnet.config.urls import base_url, url_problem
from moltnet.config.wake import WakeRule
from moltnet.protocol.identity import member_problem
from moltnet.protocol.ids import NetworkId, RoomId, id_problem

VERSION: Final = "moltnet.client.v1"
LEGACY_VERSION: Final = "spawnfile.moltnet-http-skill.v1"
CONFIG_VARIABLE: Final = "MOLTNET_CLIENT_CONFIG"
CONFIG_NAME: Final = ".moltnet/config.json"
CONFIG_NAMES: Final = (CONFIG_NAME, ".spawnfile/moltnet.json")


@attrs.frozen
class ClientRoom:
    """A room the agent takes part in. ``read_only`` says why it may not write there, if that is known."""

    id: RoomId
    wake: WakeRule
    read_only: str | None = None


@attrs.frozen
class ClientDirect:
    enabled: bool
    wake: WakeRule


@attrs.frozen
class ClientAttachment:
    """One agent at one network. Mode none has no token."""

    network_id: NetworkId
    member_id: str
    base_url: str
    agent_name: str
    runtime: str
    auth_mode: AuthMode
    registration: Registration
    token: TokenSource | None
    rooms: tuple[ClientRoom, ...]
    dms: ClientDirect


@attrs.frozen
class ClientConfig:
    """At least one attachment; ``network_id`` and ``member_id`` together are unique."""

    attachments: tuple[ClientAttachment, ...]
    source: Path


class NoSuchAttachment(Exception):
    """No attachment fits, or several do; the text says which option to give."""


def find_client_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Path:
    """The file to load: ``path``, else ``MOLTNET_CLIENT_CONFIG``, else the first of ``CONFIG_NAMES`` in ``cwd`` or
    the nearest directory above it, so that an agent may work in a subdirectory of its workspace.

    A file above ``cwd`` must belong to this user or to root: whoever else writes it there would choose the server that
    our tokens go to. Raises ``ConfigError``.
    """
    for level, directory in enumerate([cwd, *list(cwd.parents)[:MAX_SEARCH_LEVELS]]):
        found = discover(
            explicit=path,
            variable=CONFIG_VARIABLE,
            names=CONFIG_NAMES,
            environ=environ,
            cwd=directory if level else cwd,
            skip_directories=False,
        )
        if found is None:
            continue
        if level and found.stat().st_uid not in (0, os.geteuid()):
            raise ConfigError(found, Problem(ROOT, "belongs to another user; name it with --config to use it anyway"))
        return found
    raise ConfigError(
        cwd, Problem(ROOT, f"no {CONFIG_NAME} here or above; `moltnet connect` writes one, --config names one")
    )


def load_client_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> ClientConfig:
    """The attachments of a workspace. Blocks on the file system.

    Raises ``ConfigError`` with everything that is wrong.
    """
    file, keys, findings = read_shape(find_client_config(path, environ, cwd), ClientFile, always_json=True)
    config = client_config(keys, findings, source=file.path)
    if keys.holds_secrets():
        for problem in file.privacy_problems():
            findings.add(ROOT, problem)
    findings.raise_if_any()
    return config


def client_config(keys: ClientFile, findings: Findings, *, source: Path) -> ClientConfig:
    """The attachments that ``keys`` describe, for use only if ``findings`` has no problem afterwards."""
    for path in _half_characters(keys, ROOT):
        findings.add(path, "is not text: it holds half of a character (an escape from \\ud800 to \\udfff)")
    if keys.version.strip() not in ("", VERSION, LEGACY_VERSION):
        findings.add("$.version", f"must be {VERSION}")
    if not keys.attachments:
        findings.add("$.attachments", "needs at least one entry")
    seen: dict[tuple[str, str], int] = {}
    attachments: list[ClientAttachment] = []
    for index, entry in enumerate(keys.attachments):
        path = f"$.attachments[{index}]"
        attachment = _attachment(entry, findings, path, source.parent)
        first = seen.setdefault((attachment.network_id, attachment.member_id), index)
        if first != index:
            findings.add(path, f"has the same network_id and member_id as attachments[{first}]")
        attachments.append(attachment)
    return ClientConfig(tuple(attachments), source)


def _half_characters(value: Any, path: str) -> Iterator[str]:
    """The paths of texts that JSON can write and UTF-8 cannot: no server takes them, and no file of ours."""
    if isinstance(value, Secret):
        value = value.reveal()
    if isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value):
            yield path
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from _half_characters(item, f"{path}[{index}]")
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            yield from _half_characters(getattr(value, field.name), f"{path}.{field.name}")


def matching_attachments(
    config: ClientConfig, *, network: str | None = None, member: str | None = None
) -> tuple[ClientAttachment, ...]:
    """All attachments for ``network`` and ``member``; blank or absent fits any. Raises ``NoSuchAttachment``."""
    network, member = (network or "").strip(), (member or "").strip()
    fitting = tuple(
        attachment
        for attachment in config.attachments
        if network in ("", attachment.network_id) and member in ("", attachment.member_id)
    )
    if not fitting:
        wanted = _wanted(network, member)
        raise NoSuchAttachment(f"no Moltnet attachment is configured{wanted} in {config.source}")
    return fitting


def select_attachment(
    config: ClientConfig, *, network: str | None = None, member: str | None = None
) -> ClientAttachment:
    """The one attachment for ``network`` and ``member``; blank or absent fits any. Raises ``NoSuchAttachment``."""
    fitting = matching_attachments(config, network=network, member=member)
    if len(fitting) == 1:
        return fitting[0]
    networks = sorted({attachment.network_id for attachment in fitting})
    members = sorted({attachment.member_id for attachment in fitting})
    option, choices = ("--member", members) if len(networks) == 1 else ("--network", networks)
    wanted = _wanted((network or "").strip(), (member or "").strip())
    raise NoSuchAttachment(
        f"several Moltnet attachments are configured{wanted}; {option} is required: {_listed(choices)}"
    )


def _wanted(network: str, member: str) -> str:
    named = [f'{kind} "{name}"' for kind, name in (("network", network), ("member", member)) if name]
    return f" for {' and '.join(named)}" if named else ""


def _listed(choices: Sequence[str]) -> str:
    more = len(choices) - MAX_LISTED_CHOICES
    return ", ".join(choices[:MAX_LISTED_CHOICES]) + (f" and {more} more" if more > 0 else "")


def _attachment(keys: AttachmentKeys, findings: Findings, path: str, directory: Path) -> ClientAttachment:
    network_id, member_id, url = keys.network_id.strip(), keys.member_id.strip(), keys.base_url.strip()
    for key, problem in (
        ("network_id", id_problem(network_id) if network_id else "is required"),
        ("member_id", member_problem(member_id)),
        ("base_url", url_problem(url) if url else "is required"),
    ):
        if problem is not None:
            findings.add(f"{path}.{key}", problem)
    mode, token = _credential(keys.auth, findings, f"{path}.auth", directory)
    return ClientAttachment(
        network_id=NetworkId(network_id),
        member_id=member_id,
        base_url=base_url(url) if url and url_problem(url) is None else url,
        agent_name=keys.agent_name.strip(),
        runtime=keys.runtime.strip(),
        auth_mode=mode,
        registration=findings.choice(f"{path}.auth.registration", keys.auth.registration, Registration.DISABLED),
        token=token,
        rooms=tuple(_room(room, findings, f"{path}.rooms[{index}]") for index, room in enumerate(keys.rooms)),
        dms=ClientDirect(keys.dms.enabled, keys.dms.checked(findings, f"{path}.dms").direct_wake()),
    )


def _credential(keys: AuthKeys, findings: Findings, path: str, directory: Path) -> tuple[AuthMode, TokenSource | None]:
    token = TokenSource.choose(
        token=keys.token, token_env=keys.token_env, token_path=keys.token_path, directory=directory
    )
    assumed = AuthMode.NONE if token is None else AuthMode.BEARER
    mode = findings.choice(f"{path}.mode", keys.mode, assumed, wrong=AuthMode.OPEN)
    if mode is AuthMode.BEARER and token is None:
        findings.add(f"{path}.token", "is required in mode bearer (or token_env, or token_path)")
    if keys.token and not keys.token.reveal().strip():
        findings.add(f"{path}.token", "is blank")
    return mode, None if mode is AuthMode.NONE else token


def _room(keys: RoomKeys, findings: Findings, path: str) -> ClientRoom:
    room_id = keys.id.strip()
    problem = id_problem(room_id) if room_id else "is required"
    if problem is not None:
        findings.add(f"{path}.id", problem)
    read_only = None
    if not keys.access.can_write or not keys.can_write:
        read_only = keys.access.reason.strip() or "the room is read-only for this member"
    return ClientRoom(RoomId(room_id), keys.checked(findings, path).room_wake(), read_only)
