"""Who runs services on this machine, systemd or launchd: writing their files, and the commands that make them work.

What stands in the files is ``service_units``.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Protocol

import attrs

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.service_units import MARK, START_SECONDS, Service, launchd_label, launchd_plist, systemd_unit

SYSTEMD_RUNS: Final = Path("/run/systemd/system")
_SHOWN: Final = ("LoadState", "ActiveState", "SubState", "UnitFileState", "MainPID", "NRestarts", "StatusText")
COMMAND_SECONDS: Final = START_SECONDS + 60.0
"""systemd answers when the service says that it is ready."""
POLL_SECONDS: Final = 0.2


@attrs.frozen
class Standing:
    """How a service is: whether its file is there, whether it runs, and what its manager says of it."""

    installed: bool
    running: bool
    facts: Sequence[tuple[str, str]] = ()


class ServiceManager(Protocol):
    """One kind of it. ``system`` says whose services: the machine's or the caller's. All methods block."""

    def path_of(self, name: str) -> Path:
        """The file that describes a service."""

    def text_of(self, service: Service) -> str:
        """What stands in it."""

    def check(self) -> None:
        """Raises ``CommandFailed`` if this manager can't be told anything."""

    def install(self, service: Service, *, start: bool) -> None:
        """Write the file and make it effective; a service that runs is started again. Raises ``CommandFailed``."""

    def standing(self, name: str) -> Standing: ...

    def uninstall(self, name: str) -> None:
        """Stop a service and remove its file. Raises ``CommandFailed``."""

    def advice(self, name: str) -> Sequence[str]:
        """What to know after an installation."""


@attrs.frozen
class Systemd:
    system: bool
    environ: Mapping[str, str]

    def path_of(self, name: str) -> Path:
        if self.system:
            return Path("/etc/systemd/system") / f"{name}.service"
        configuration = self.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
        return Path(configuration) / "systemd" / "user" / f"{name}.service"

    def text_of(self, service: Service) -> str:
        return systemd_unit(service)

    def check(self) -> None:
        if shutil.which("systemctl", path=self.environ.get("PATH")) is None or not SYSTEMD_RUNS.is_dir():
            raise CommandFailed(
                ExitCode.INTERNAL,
                "systemd does not run on this machine; --dry-run prints the unit, and what manages services here "
                "(a container runtime, another init) can run: moltnet start",
            )
        if not self.system and self._systemctl("show", "--property=Version").returncode:
            raise CommandFailed(
                ExitCode.INTERNAL,
                "your own systemd can't be reached (sudo and su start none); log in as this user, or use --system",
            )

    def install(self, service: Service, *, start: bool) -> None:
        _write(self.path_of(service.name), self.text_of(service))
        self._told("daemon-reload")
        self._told("enable", service.name)
        if start:
            self._told("restart", service.name)

    def standing(self, name: str) -> Standing:
        shown = self._systemctl("show", f"--property={','.join(_SHOWN)}", name).stdout
        values = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
        facts = [(key, values[key]) for key in _SHOWN if values.get(key)]
        return Standing(self.path_of(name).exists(), values.get("ActiveState") in ("active", "reloading"), facts)

    def uninstall(self, name: str) -> None:
        self._told("disable", "--now", name)
        self.path_of(name).unlink(missing_ok=True)
        self._told("daemon-reload")

    def advice(self, name: str) -> Sequence[str]:
        scope = "" if self.system else "--user "
        advice = [f"its log: journalctl {scope}-u {name} -f"]
        if not self.system:
            advice.append("it ends when you log out, unless you allow it to stay: loginctl enable-linger")
        return advice

    def _systemctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _ran(("systemctl", *(() if self.system else ("--user",)), *arguments), self.environ)

    def _told(self, *arguments: str) -> None:
        _check(self._systemctl(*arguments))


@attrs.frozen
class Launchd:
    system: bool
    environ: Mapping[str, str]

    def path_of(self, name: str) -> Path:
        directory = Path("/Library/LaunchDaemons") if self.system else Path.home() / "Library" / "LaunchAgents"
        return directory / f"{launchd_label(name)}.plist"

    def log_of(self, name: str) -> Path:
        return (Path("/Library/Logs") if self.system else Path.home() / "Library" / "Logs") / f"{name}.log"

    def text_of(self, service: Service) -> str:
        if service.env_file is not None:
            raise CommandFailed(
                ExitCode.USAGE,
                "launchd reads no files of variables: leave out --env-file, and let the configuration name token files",
            )
        return launchd_plist(service, self.log_of(service.name))

    def check(self) -> None:
        if shutil.which("launchctl", path=self.environ.get("PATH")) is None:
            raise CommandFailed(ExitCode.INTERNAL, "launchctl is not there; --dry-run prints the property list")

    def install(self, service: Service, *, start: bool) -> None:
        path, text = self.path_of(service.name), self.text_of(service)
        check_ours(path)
        self._take_out(service.name)
        _write(path, text)
        if start:
            _check(self._launchctl("bootstrap", self._domain(), str(path)))

    def standing(self, name: str) -> Standing:
        ran = self._launchctl("print", self._target(name))
        pairs = [line.strip().split(" = ", 1) for line in ran.stdout.splitlines() if " = " in line]
        values = {key: value for key, value, *_ in reversed(pairs)}
        facts = [(key, values[key]) for key in ("state", "pid", "last exit code") if key in values]
        return Standing(self.path_of(name).exists(), values.get("state") == "running", facts)

    def uninstall(self, name: str) -> None:
        self._take_out(name)
        self.path_of(name).unlink(missing_ok=True)

    def _take_out(self, name: str) -> None:
        """Stop it and wait for its end: launchd does not, and takes no service again that has not ended."""
        deadline = time.monotonic() + COMMAND_SECONDS
        if self._launchctl("bootout", self._target(name)).returncode:
            return  # there is none
        while self._launchctl("print", self._target(name)).returncode == 0:
            if time.monotonic() > deadline:
                raise CommandFailed(ExitCode.INTERNAL, f"{name} does not end")
            time.sleep(POLL_SECONDS)

    def advice(self, name: str) -> Sequence[str]:
        return [f"its log: {self.log_of(name)}"]

    def _domain(self) -> str:
        return "system" if self.system else f"gui/{os.getuid()}"

    def _target(self, name: str) -> str:
        return f"{self._domain()}/{launchd_label(name)}"

    def _launchctl(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return _ran(("launchctl", *arguments), self.environ)


def manager_of(platform: str, *, system: bool, environ: Mapping[str, str]) -> ServiceManager:
    """Whoever runs services on ``sys.platform``."""
    return Launchd(system, environ) if platform == "darwin" else Systemd(system, environ)


def check_ours(path: Path) -> None:
    """Raises ``CommandFailed`` if a file of that name is not one that we wrote."""
    if path.exists() and MARK not in path.read_text(encoding="utf-8", errors="replace"):
        raise CommandFailed(
            ExitCode.CONFLICT, f"{path} was not written by moltnet; choose another --name, or remove it yourself"
        )


def _write(path: Path, text: str) -> None:
    check_ours(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)


def _ran(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, env=dict(environ), capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CommandFailed(ExitCode.INTERNAL, f"{' '.join(command)}: {error}") from error


def _check(ran: subprocess.CompletedProcess[str]) -> None:
    if ran.returncode:
        said = " ".join(ran.stderr.split()) or f"status {ran.returncode}"
        raise CommandFailed(ExitCode.INTERNAL, f"{' '.join(map(str, ran.args))}: {said}")
