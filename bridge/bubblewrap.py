"""A command in a sandbox that bubblewrap makes: what it sees of the file system, and how it is started there.

    files       read-only, but the workspace, the home and what is declared; hidden is what holds other people's things:
                homes, sockets of services, the configuration with its tokens, the state of the node
    /tmp        private, in memory, gone with the turn
    processes   of its own only (a PID namespace)
    network     none, but the Moltnet server and the declared hosts (`bridge.sandbox_doors`)

Nothing is ever run without the sandbox that was asked for: what hinders it is a `SandboxFailed`. Which keys configure
it is in `bridge.containment_rules`.
"""

import shutil
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

import bridge
import moltnet
from bridge import limits, sandbox_entry
from bridge.containment_rules import SANDBOX_PROGRAM
from bridge.errors import single_error
from bridge.process import Command, Ending, OnLine, ProcessError, refusal, run_command
from bridge.sandbox_doors import memory_file, open_gate, plan_doors
from bridge.settings import AttachmentConfig, Endpoint, SandboxKind, SandboxSettings
from moltnet.client.address import parse_server_address
from moltnet.protocol.limits import MIB

# What is private to users, or full of sockets that lead out of the sandbox; /var/run is /run.
HIDDEN_DIRECTORIES: Final = tuple(map(Path, ("/tmp", "/var/tmp", "/run", "/home", "/root", "/mnt", "/media")))
_HOSTS: Final = Path("/etc/hosts")
_CAPABILITIES: Final = ("CAP_NET_ADMIN", "CAP_NET_BIND_SERVICE", "CAP_SETPCAP")
"""What the entry needs to open the doors; it drops them before the program starts."""

# bubblewrap dies of SIGTERM and takes the program with it, which then could not tidy up.
_IGNORE_TERM: Final = ("/bin/sh", "-c", 'trap "" TERM; exec "$@"', "sh")


class SandboxFailed(ProcessError):
    """The sandbox could not be set up, so the program was not started."""


@attrs.frozen
class Sandbox:
    """What the sandboxes of one attachment have in common. `server` can always be reached, `writable` be written."""

    settings: SandboxSettings
    server: Endpoint
    writable: tuple[Path, ...]

    async def run(self, command: Command, *, on_line: OnLine | None = None) -> Ending:
        """Run a command in a sandbox of its own; else as `bridge.process.run_command`.

        Raises:
            SandboxFailed: bubblewrap is missing, or the system does not let it do its work.
        """
        bwrap = shutil.which(SANDBOX_PROGRAM)
        if bwrap is None:
            raise SandboxFailed(f"the program {SANDBOX_PROGRAM} is not on the PATH: install the package bubblewrap")
        doors, hosts = plan_doors((self.server, *self.settings.hosts))
        with memory_file("hosts", hosts) as hosts_descriptor, single_error():
            async with open_gate(doors) as gate:
                entry = [sys.executable, "-I", "-S", sandbox_entry.__file__, str(gate.inside.fileno())]
                places = [word for door in doors for word in (door.address, str(door.endpoint.port))]
                argv = (
                    *_IGNORE_TERM,
                    bwrap,
                    *self._namespaces(),
                    *self._files(command, hosts_descriptor),
                    "--",
                    *entry,
                    *places,
                    "--",
                    *command.argv,
                )
                descriptors = (hosts_descriptor, gate.inside.fileno())
                ending = await run_command(attrs.evolve(command, argv=argv, descriptors=descriptors), on_line=on_line)
                if not gate.opened:
                    said = ending.errors.strip().splitlines() or [f"{SANDBOX_PROGRAM} ended with {ending.exit_code}"]
                    raise SandboxFailed(f"no sandbox could be made: {said[-1]}")
                if (number := gate.refusal()) is not None:
                    raise refusal(command.argv[0], command.directory, number)
                return ending

    @staticmethod
    def _namespaces() -> Iterator[str]:
        yield from ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts")
        yield from ("--unshare-cgroup-try", "--die-with-parent", "--cap-drop", "ALL")
        for capability in _CAPABILITIES:
            yield from ("--cap-add", capability)

    def _files(self, command: Command, hosts_descriptor: int) -> Iterator[str]:
        yield from ("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc")
        for path, words in self._places(command.argv[0], command.environment):
            yield from (*words, str(path))
        yield from ("--ro-bind-data", str(hosts_descriptor), str(_HOSTS.resolve()))
        yield from ("--chdir", str(command.directory.resolve()))

    def _places(self, program: str, environment: Mapping[str, str]) -> Iterator[tuple[Path, tuple[str, ...]]]:
        """Each path that is not just read-only, with the words of bubblewrap that stand before it. The deeper a path,
        the later and stronger; of one path what is written wins over what is read, and that over what is hidden. All
        are without symbolic links, which would lead elsewhere while the sandbox is being made."""
        hidden = [path.resolve() for path in (*HIDDEN_DIRECTORIES, *self.settings.hidden)]
        places: dict[Path, tuple[str, ...]] = {}
        for path in hidden:
            if path.is_dir():
                size = ("--size", str(limits.SANDBOX_TMP_MIB * MIB))
                places[path] = ("--perms", "1777" if path.name == "tmp" else "0755", *size, "--tmpfs")
            elif path.exists():
                places[path] = ("--ro-bind", "/dev/null")
        home = environment.get("HOME", "")
        if home and _is_under(Path(home).resolve(), hidden):
            places.setdefault(Path(home).resolve(), ("--dir",))
        writable = (*self.settings.writable, *self.writable)
        # Where a program may write, it decides by a link where the next one's path leads. All there is seen anyway.
        roots = [path.resolve() for path in writable]
        for path in _ours(program, environment, roots):
            if _is_under(path, hidden):
                places[path] = ("--ro-bind", str(path))
        places |= {path: ("--ro-bind", str(path)) for path in _opened(self.settings.readable, roots)}
        places |= {path: ("--bind", str(path)) for path in _opened(writable, roots)}
        return iter(sorted(places.items(), key=lambda place: len(place[0].parts)))


def sandbox_of(config: AttachmentConfig) -> Sandbox | None:
    """The sandbox that an attachment's programs run in; none if it asks for none."""
    runtime = config.runtime
    if runtime.sandbox.kind is SandboxKind.NONE:
        return None
    server = parse_server_address(config.server.base_url)
    token = config.server.token.path if config.server.token is not None else None
    settings = runtime.sandbox
    if token is not None:
        settings = attrs.evolve(settings, hidden=(*settings.hidden, token))
    if runtime.config_path is not None:
        settings = attrs.evolve(settings, readable=(*settings.readable, runtime.config_path))
    writable = tuple(path for path in (runtime.workspace_path, runtime.home_path) if path is not None)
    return Sandbox(settings, Endpoint(server.host, server.port), writable)


def _ours(program: str, environment: Mapping[str, str], roots: Sequence[Path]) -> Iterator[Path]:
    """What the program and `moltnet` need of this machine, wherever it is installed but in one of `roots`."""
    packages = (*bridge.__path__, *moltnet.__path__)
    directories = (sys.prefix, sys.base_prefix, sysconfig.get_path("purelib"), *packages)
    for directory in dict.fromkeys(map(Path, directories)):
        if not _passed(directory, roots):
            yield directory.resolve()
    found = shutil.which(program, path=environment.get("PATH"))
    if found is not None and not _passed(Path(found), roots):
        program_file = Path(found).absolute()
        yield program_file.parent.resolve() / program_file.name  # a link there becomes the file itself
        yield program_file.resolve()


def _is_under(path: Path, directories: Iterable[Path]) -> bool:
    return any(path.is_relative_to(directory) for directory in directories)


def _opened(paths: Iterable[Path], roots: Sequence[Path]) -> Iterator[Path]:
    """Where these paths lead, of those that exist and are not in one of `roots` anyway.

    Raises `SandboxFailed` if one leads out of such a place.
    """
    for path in paths:
        if not path.exists():
            continue
        real, passed = path.resolve(), _passed(path, roots)
        if not passed:
            yield real
        elif not all(real.is_relative_to(root) for root in passed):
            raise SandboxFailed(f"{path} leads to {real}, by a link where the program may write")


def _passed(path: Path, roots: Iterable[Path]) -> list[Path]:
    """Those of `roots`, which are without links, in which something decides where `path` leads."""
    return [root for root in roots if _passes(path, root)]


def _passes(path: Path, directory: Path) -> bool:
    place, waiting = Path("/"), list(reversed(path.absolute().parts[1:]))
    for _ in range(limits.MAX_PATH_STEPS):
        if not waiting:
            return False
        part = waiting.pop()
        if part == "..":
            place = place.parent
            continue
        if place.is_relative_to(directory):
            return True
        try:
            link = (place / part).readlink()
        except OSError:  # it is none
            place /= part
            continue
        waiting += reversed(link.parts)
        if link.is_absolute():
            waiting.pop()
            place = Path("/")
    return True
