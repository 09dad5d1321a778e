"""The rules of `runtime.limits` and `runtime.sandbox`: what may be asked for, and what a sandbox hides by itself.

How the limits are kept is `bridge.keeper`'s part, what a sandbox is, `bridge.bubblewrap`'s.
"""

import math
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from bridge import limits
from bridge.attachment_file import LimitKeys, RuntimeKeys
from bridge.settings import Endpoint, ProcessLimits, SandboxKind, SandboxSettings
from moltnet.config.files import rebased
from moltnet.config.problems import Findings

SANDBOX_PROGRAM: Final = "bwrap"
_DEFAULT_PORT: Final = 443
_MOST: Final = {
    "cpu_seconds": limits.MAX_TURN_CPU_SECONDS,
    "memory_mib": limits.MAX_TURN_MEMORY_MIB,
    "processes": limits.MAX_TURN_PROCESSES,
    "open_files": limits.MAX_TURN_OPEN_FILES,
    "file_mib": limits.MAX_TURN_FILE_MIB,
}
# Directories with fewer parts than this, such as /srv, hold more than one configuration; they are not hidden whole.
_OWN_DIRECTORY_PARTS: Final = 3


def process_limits(keys: LimitKeys, turn_seconds: float, findings: Findings, path: str) -> ProcessLimits:
    """``keys`` at ``path``, completed by the usual numbers; one that is out of range is noted."""
    written = {name: number for name, number in attrs.asdict(keys).items() if number is not None}
    for name, number in written.items():
        if not 1 <= number <= _MOST[name]:
            findings.add(f"{path}.{name}", f"must be from 1 to {_MOST[name]}")
    # Nothing runs without an end, so a turn time that is none has been noted by now.
    seconds = turn_seconds if 0 < turn_seconds <= limits.TURN_LONGEST_SECONDS else limits.TURN_DEFAULT_SECONDS
    usual = ProcessLimits(cpu_seconds=math.ceil(limits.CPU_SECONDS_PER_TURN_SECOND * seconds))
    return attrs.evolve(usual, **written)


def sandbox_settings(
    keys: RuntimeKeys, findings: Findings, path: str, *, directory: Path, state_dir: Path
) -> SandboxSettings:
    """The sandbox that ``keys`` at ``path`` describe, in a file of ``directory``.

    The directory itself is hidden, where tokens usually lie, and so is the state of all attachments, which is two
    levels above ``state_dir``. Looks whether the program is installed: there is no running without the sandbox.
    """
    kind = findings.choice(f"{path}.sandbox", keys.sandbox, SandboxKind.NONE)
    if kind is SandboxKind.NONE:
        for name in ("sandbox_read", "sandbox_write", "sandbox_hide", "sandbox_hosts"):
            if getattr(keys, name) and not keys.sandbox.strip():
                findings.add(f"{path}.{name}", f"needs sandbox: {SandboxKind.BUBBLEWRAP}")
        return SandboxSettings()
    if shutil.which(SANDBOX_PROGRAM) is None:
        findings.add(
            f"{path}.sandbox",
            f"needs the program {SANDBOX_PROGRAM}, which is not on the PATH: install the package bubblewrap",
        )
    if directory.is_relative_to(rebased(keys.workspace_path.strip() or ".", directory)):
        findings.add(
            f"{path}.workspace_path",
            "must be a directory of its own in a sandbox: the configuration's directory stays hidden",
        )
    own = directory if len(directory.parts) >= _OWN_DIRECTORY_PARTS else None
    return SandboxSettings(
        kind=kind,
        readable=_paths(keys.sandbox_read, directory),
        writable=_paths(keys.sandbox_write, directory),
        hidden=(*filter(None, [own]), state_dir.parent.parent, *_paths(keys.sandbox_hide, directory)),
        hosts=_hosts(keys.sandbox_hosts, findings, f"{path}.sandbox_hosts"),
    )


def _paths(texts: tuple[str, ...], directory: Path) -> tuple[Path, ...]:
    return tuple(rebased(text.strip(), directory) for text in texts if text.strip())


def _hosts(texts: tuple[str, ...], findings: Findings, path: str) -> tuple[Endpoint, ...]:
    if len(texts) > limits.MAX_SANDBOX_HOSTS:
        findings.add(path, f"may have at most {limits.MAX_SANDBOX_HOSTS} entries")
    endpoints: dict[Endpoint, None] = {}
    for index, text in enumerate(texts):
        endpoint = parse_endpoint(text.strip())
        if endpoint is None:
            findings.add(f"{path}[{index}]", "must be a host with a port, such as api.example.com:443")
        else:
            endpoints[endpoint] = None
    return tuple(endpoints)


def parse_endpoint(text: str) -> Endpoint | None:
    """``host``, ``host:port`` or ``[address]:port``; without a port it is that of HTTPS."""
    try:
        url = urlsplit(f"//{text}")
        host, port = url.hostname, url.port
    except ValueError:
        return None
    if not host or url.netloc != text or "@" in text or not host.isascii() or not host.isprintable() or " " in host:
        return None
    return Endpoint(host, _DEFAULT_PORT if port is None else port) if port != 0 else None
