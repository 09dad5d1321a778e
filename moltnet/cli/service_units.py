"""What a service manager is told about a server or a node: systemd units and launchd property lists, as text.

Pure: what a service is comes in, a file comes out. Who writes it, and what is run then, is ``service_managers``.
"""

import plistlib
from enum import StrEnum
from pathlib import Path
from typing import Final

import attrs

MARK: Final = "Written by: moltnet service install"
"""Stands in every file of ours. One without it belongs to somebody else and is left alone."""


class Role(StrEnum):
    SERVER = "server"
    NODE = "node"


@attrs.frozen
class Service:
    """What shall run. ``program`` is how this ``moltnet`` is called; all paths are absolute.

    ``writable`` holds what it must be able to write beside the directory that systemd gives it. ``user`` is whom a
    service of the system runs as; without one it is a service of the caller.
    """

    role: Role
    name: str
    program: tuple[str, ...]
    config: Path
    env_file: Path | None = None
    writable: tuple[Path, ...] = ()
    user: str | None = None
    search_path: str = ""
    """Where a node looks for the programs of its agents."""

    @property
    def command(self) -> tuple[str, ...]:
        if self.role is Role.SERVER:
            return (*self.program, "start")
        return (*self.program, "node", "start", str(self.config))

    @property
    def variables(self) -> dict[str, str]:
        if self.role is Role.SERVER:
            return {"MOLTNET_CONFIG": str(self.config)}
        return {"PATH": self.search_path} if self.search_path else {}


# A server stops within 15 s, a node within 27 s: its agents may end their turns.
_STOP_SECONDS: Final = {Role.SERVER: 30, Role.NODE: 45}
_ABOUT: Final = {Role.SERVER: "Moltnet server", Role.NODE: "Moltnet node"}
# A server brings its storage up to date before it is ready; of a large one that takes minutes.
START_SECONDS: Final = 600
STATE_DIRECTORY: Final = "moltnet"

# Only what needs no namespace of its own, so that a user's systemd can always do it.
_PROCESS: Final = (
    "NoNewPrivileges=yes",
    "UMask=0077",
    "LockPersonality=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "SystemCallArchitectures=native",
)
_SERVER_PROCESS: Final = (
    "# Python with its extension modules makes no memory executable; tests start a server under this rule.",
    "MemoryDenyWriteExecute=yes",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
    "RestrictNamespaces=yes",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources",
    "# It raises its own limit of open files; refused calls fail instead of ending it.",
    "SystemCallFilter=setrlimit prlimit64",
    "SystemCallErrorNumber=EPERM",
)
_NODE_PROCESS: Final = (
    "# The node starts other people's programs. Node.js makes memory executable, and sandboxes make namespaces:",
    "# MemoryDenyWriteExecute, RestrictNamespaces and a system call filter would break them.",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
)
_SYSTEM: Final = (
    f"StateDirectory={STATE_DIRECTORY}",
    "StateDirectoryMode=0700",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelModules=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "RemoveIPC=yes",
)
# The first two lay something over parts of /proc; below them the kernel lets no sandbox of an agent mount its own.
_SERVER_SYSTEM: Final = (
    "ProtectKernelLogs=yes",
    "ProtectKernelTunables=yes",
    "ProtectHome=read-only",
    "PrivateUsers=yes",
    "ProtectProc=invisible",
)


def systemd_unit(service: Service) -> str:
    """A unit of the system if the service has a user, else one of the caller's own systemd."""
    is_server = service.role is Role.SERVER
    is_system = service.user is not None
    reload = (
        "/bin/kill -HUP $MAINPID"
        if is_server
        else " ".join(_argument(word) for word in (*service.program, "node", "reload", str(service.config)))
    )
    lines = [
        f"# {MARK}",
        "[Unit]",
        f"Description={_ABOUT[service.role]} ({_plain(str(service.config))})",
        "Documentation=man:moltnet(1)",
        *(("Wants=network-online.target", "After=network-online.target") if is_system else ()),
        "# A configuration that can't work is tried a few times, and not for ever.",
        "StartLimitIntervalSec=300",
        "StartLimitBurst=10",
        "",
        "[Service]",
        "Type=notify",
        "NotifyAccess=main",
        f"ExecStart={' '.join(_argument(word) for word in service.command)}",
        f"ExecReload={reload}",
        f"WorkingDirectory={_plain(str(service.config.parent))}",
        *(f"Environment={_quoted(f'{name}={value}')}" for name, value in service.variables.items()),
        *((f"EnvironmentFile={_plain(str(service.env_file))}",) if service.env_file else ()),
        *((f"User={service.user}",) if is_system else ()),
        "Restart=on-failure",
        "RestartSec=2",
        "WatchdogSec=60",
        f"TimeoutStartSec={START_SECONDS}",
        f"TimeoutStopSec={_STOP_SECONDS[service.role]}",
        "KillMode=mixed",
        "LimitNOFILE=65536",
        "",
        *_PROCESS,
        *(_SERVER_PROCESS if is_server else _NODE_PROCESS),
        *(_SYSTEM if is_system else ()),
        *(_SERVER_SYSTEM if is_system and is_server else ()),
        *((f"ReadWritePaths={_quoted(str(path))}" for path in service.writable) if is_system else ()),
        "",
        "[Install]",
        f"WantedBy={'multi-user.target' if is_system else 'default.target'}",
    ]
    return "\n".join(lines) + "\n"


def launchd_plist(service: Service, log_path: Path) -> str:
    """A property list; what the service writes to its terminal goes to ``log_path``."""
    content: dict[str, object] = {
        "Label": launchd_label(service.name),
        "ProgramArguments": list(service.command),
        "WorkingDirectory": str(service.config.parent),
        "EnvironmentVariables": service.variables,
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": _STOP_SECONDS[service.role],
        "ProcessType": "Background",
        "Umask": 0o077,
        "SoftResourceLimits": {"NumberOfFiles": 65536},
        "StandardOutPath": str(log_path),
        "StandardErrorPath": str(log_path),
    } | ({} if service.user is None else {"UserName": service.user})
    text = plistlib.dumps(content, sort_keys=False).decode()
    return text.replace("<plist", f"<!-- {MARK} -->\n<plist", 1)


def launchd_label(name: str) -> str:
    return f"org.moltnet.{name}"


def _plain(text: str) -> str:
    """A value that systemd takes to the end of the line; ``%`` would begin a specifier."""
    return text.replace("%", "%%")


def _quoted(word: str) -> str:
    """One word of a list, in double quotes if it needs them."""
    word = _plain(word)
    if not any(character.isspace() or character in "\"'\\;" for character in word):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _argument(word: str) -> str:
    """One word of a command line, where ``$`` would name a variable."""
    return _quoted(word.replace("$", "$$"))
