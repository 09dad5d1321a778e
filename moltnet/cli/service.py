"""`moltnet service …`: a server or a node that the machine starts, watches and restarts by itself."""

import os
import pwd
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import columns, print_lines
from moltnet.cli.service_managers import ServiceManager, check_ours, manager_of
from moltnet.cli.service_units import STATE_DIRECTORY, Role, Service
from moltnet.config.server import find_server_config, load_server_config

T = TypeVar("T")

DEFAULT_USER: Final = "moltnet"
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
_VARIABLE: Final = re.compile(r"\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)")


@click.group
def service() -> None:
    """Let this machine run a server or a node: start it at boot, watch it, restart it.

    With systemd, or launchd on macOS. Without --system it is a service of yours and needs no root.
    """


def _which(command: Callable[..., T]) -> Callable[..., T]:
    """What every command here is about: a role, whose service, and its name."""
    options: tuple[Any, ...] = (
        click.argument("role", type=click.Choice([role.value for role in Role])),
        click.option("--system", is_flag=True, help="A service of the machine instead of yours; needs root."),
        click.option("--name", metavar="NAME", help="Its name, if there are several. [default: moltnet-ROLE]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@service.command(
    epilog=examples(
        "moltnet service install server ./Moltnet --dry-run",
        "moltnet service install node ~/agents/MoltnetNode",
        "sudo moltnet service install server /etc/moltnet/Moltnet --system --env-file /etc/moltnet/tokens.env",
    )
)
@_which
@click.argument("config", type=click.Path(path_type=Path), required=False)
@click.option(
    "--env-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Variables for it, such as tokens: lines NAME=VALUE. It must be readable to nobody else.",
)
@click.option("--run-as", metavar="USER", help=f"Whom a --system service runs as. [default: {DEFAULT_USER}]")
@click.option("--no-start", is_flag=True, help="Only from the next boot or login on.")
@click.option("--dry-run", is_flag=True, help="Only print what would be written.")
def install(
    role: str,
    system: bool,
    name: str | None,
    config: Path | None,
    env_file: Path | None,
    run_as: str | None,
    no_start: bool,
    dry_run: bool,
) -> None:
    """Install the server or the node of CONFIG as a service, and start it. Again, it takes over changes.

    Without CONFIG it is found as "moltnet start" and "moltnet node start" find it. The configuration is checked first.
    """
    if run_as is not None and not system:
        raise click.UsageError("--run-as is for --system; your own service runs as you")
    user = (run_as or DEFAULT_USER) if system else None
    wanted = describe(Role(role), _name(role, name), config, env_file, user)
    manager = manager_of(sys.platform, system=system, environ=os.environ)
    path = manager.path_of(wanted.name)
    if dry_run:
        click.echo(manager.text_of(wanted), nl=False)
        click.echo(f"would be written to {path}", err=True)
        return
    _check_allowed(manager, system)
    check_ours(path)
    if user is not None:
        prepare(wanted, user)
    manager.install(wanted, start=not no_start)
    click.echo(f"installed {path}")
    if not no_start:
        click.echo(f"{wanted.name} is running")
    print_lines(manager.advice(wanted.name))


@service.command(epilog=examples("moltnet service status server", "moltnet service status node --system"))
@_which
def status(role: str, system: bool, name: str | None) -> int:
    """Show how a service is. The exit code is 0 only if it runs: 4 if it is not installed, 6 if it does not run."""
    chosen = _name(role, name)
    manager = manager_of(sys.platform, system=system, environ=os.environ)
    manager.check()
    standing = manager.standing(chosen)
    if not standing.installed:
        raise CommandFailed(ExitCode.NOT_FOUND, f"{chosen} is not installed; see: moltnet service install --help")
    print_lines(columns([("service", chosen), ("file", str(manager.path_of(chosen))), *standing.facts]))
    return ExitCode.OK if standing.running else ExitCode.NETWORK


@service.command(epilog=examples("moltnet service uninstall server", "sudo moltnet service uninstall node --system"))
@_which
def uninstall(role: str, system: bool, name: str | None) -> None:
    """Stop a service and remove what install has written. Configuration, network and agents stay."""
    manager = manager_of(sys.platform, system=system, environ=os.environ)
    _check_allowed(manager, system)
    chosen = _name(role, name)
    path = manager.path_of(chosen)
    if not path.exists():
        raise CommandFailed(ExitCode.NOT_FOUND, f"{chosen} is not installed: {path} does not exist")
    check_ours(path)
    manager.uninstall(chosen)
    click.echo(f"removed {path}")


def describe(role: Role, name: str, config: Path | None, env_file: Path | None, user: str | None) -> Service:
    """The service of a configuration that loads. Raises ``ConfigError``, ``CommandFailed`` or ``click.UsageError``."""
    environ = {**os.environ, **(read_variables(env_file) if env_file is not None else {})}
    found, writable = (_server if role is Role.SERVER else _node)(config, environ)
    if user is not None and role is Role.NODE:
        # Agents keep their sessions and settings at home.
        writable = (*writable, home_of(user, must_exist=False))
    paths = (found, *writable, *((env_file,) if env_file is not None else ()))
    if not all(str(path).isprintable() for path in paths):
        raise click.UsageError("a path has characters that no service manager takes")
    outside = [path for path in writable if not path.is_relative_to(Path("/var/lib") / STATE_DIRECTORY)]
    return Service(
        role=role,
        name=name,
        program=own_program(),
        config=found,
        env_file=None if env_file is None else env_file.absolute(),
        writable=tuple(dict.fromkeys(outside)),
        user=user,
        search_path=os.environ.get("PATH", "") if role is Role.NODE else "",
    )


def _server(config: Path | None, environ: Mapping[str, str]) -> tuple[Path, tuple[Path, ...]]:
    found = find_server_config(config, environ, Path.cwd())
    if found is None:
        raise click.UsageError("there is no Moltnet file here; name one, or write one with: moltnet init")
    settings = load_server_config(found, environ, Path.cwd())
    files = (settings.storage.sqlite, settings.storage.json)
    kept = [file.path.parent for file in files if file is not None]
    return (Path.cwd() / found).absolute(), tuple(kept)


def _node(config: Path | None, environ: Mapping[str, str]) -> tuple[Path, tuple[Path, ...]]:
    from node.config import load_node_config

    settings = load_node_config(config, environ, Path.cwd())
    workspaces = [each.runtime.workspace_path for each in settings.attachments]
    return settings.source.absolute(), (settings.state_path, *(path for path in workspaces if path is not None))


def home_of(user: str, *, must_exist: bool = True) -> Path:
    """Where a user's files are. Raises ``CommandFailed`` if there is no such user but must be."""
    try:
        return Path(pwd.getpwnam(user).pw_dir)
    except KeyError:
        home = Path("/var/lib") / STATE_DIRECTORY
        if not must_exist:
            return home
        raise CommandFailed(
            ExitCode.NOT_FOUND,
            f"there is no user {user}; make one: useradd --system --home-dir {home} --create-home {user}",
        ) from None


def prepare(wanted: Service, user: str) -> None:
    """Let a user read and write what the service will. Raises ``CommandFailed``."""
    home_of(user)
    account = pwd.getpwnam(user)
    status = wanted.config.stat()
    may_read = {account.pw_uid: stat.S_IRUSR}.get(status.st_uid, 0) | stat.S_IROTH
    if account.pw_uid and not status.st_mode & may_read:
        raise CommandFailed(
            ExitCode.USAGE, f"{user} may not read {wanted.config}; say: chown {user} {wanted.config}, and mode 600"
        )
    for path in wanted.writable:
        if not path.exists():
            path.mkdir(parents=True, mode=0o700)
            os.chown(path, account.pw_uid, account.pw_gid)


def own_program() -> tuple[str, ...]:
    """How this program is called from anywhere, by whoever may read it."""
    called = Path(sys.argv[0]).absolute()
    if called.name.startswith("moltnet") and os.access(called, os.X_OK):
        return (str(called),)
    beside = Path(sys.executable).parent / "moltnet"
    return (str(beside),) if os.access(beside, os.X_OK) else (sys.executable, "-m", "moltnet.cli.main")


def read_variables(path: Path) -> dict[str, str]:
    """The variables of a file as systemd reads simple ones. Raises ``CommandFailed``."""
    try:
        if path.stat().st_mode & 0o077:
            raise CommandFailed(ExitCode.USAGE, f"{path} may be read by others; say: chmod 600 {path}")
        return dict(_variables(path.read_text(encoding="utf-8"), path))
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(
            ExitCode.USAGE, f"--env-file {path}: {getattr(error, 'strerror', None) or error}"
        ) from error


def _variables(text: str, path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith(("#", ";")):
            continue
        found = _VARIABLE.fullmatch(line)
        if found is None:
            raise CommandFailed(ExitCode.USAGE, f"{path}:{number}: a line must be NAME=VALUE")
        name, value = found[1], found[2].strip()
        is_quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "\"'"
        yield name, value[1:-1] if is_quoted else value


def _name(role: str, name: str | None) -> str:
    if name is not None and not _NAME.fullmatch(name):
        raise click.UsageError("--name must be of small letters, digits and hyphens")
    return name or f"moltnet-{role}"


def _check_allowed(manager: ServiceManager, system: bool) -> None:
    if system and os.geteuid() != 0:
        raise CommandFailed(ExitCode.USAGE, "--system needs root: run it with sudo, or leave it out")
    manager.check()
