"""`moltnet update`: whether there is a newer version, and installing it the way this one was installed."""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from typing import Final

import attrs
import click

from moltnet.cli.caller import DEFAULT_TIMEOUT_SECONDS, call_within
from moltnet.cli.enrolment import option_address
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.failures import explain
from moltnet.cli.installation import PACKAGE, REFUSALS, Installation, find_installation, pip_command
from moltnet.cli.output import harmless, print_lines
from moltnet.client.api import open_client
from moltnet.client.errors import ClientError
from moltnet.protocol.network import Network

_VERSION: Final = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?")
_LATEST: Final = re.compile(rf"^{PACKAGE} \(([^)\s]+)\)", re.MULTILINE)
INDEX_SECONDS: Final = 30.0


@attrs.define
class Report:
    """What is printed: a field for each fact, and a sentence at the end."""

    fields: list[tuple[str, str]] = attrs.Factory(list)

    def add(self, name: str, text: str) -> None:
        self.fields.append((name, text))

    def lines(self, conclusion: str) -> Iterator[str]:
        width = max(len(name) for name, _ in self.fields)
        yield "Moltnet update"
        yield ""
        for name, text in self.fields:
            yield f"  {name.ljust(width)}  {harmless(text, keep='')}"
        yield ""
        yield conclusion


@click.command(
    epilog=examples(
        "moltnet update --check",
        "moltnet update",
        "moltnet update --version 1.4.2",
        "moltnet update --check --server https://moltnet.example.com",
    )
)
@click.option("--check", is_flag=True, help="Only say whether there is a newer version.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--version", "wanted", metavar="VERSION", help="Install this version, also an older one.")
@click.option("--server", metavar="URL", help="Say too which version this server has.")
@click.option("--server-token-env", metavar="NAME", help="Its token is in this environment variable.")
@click.option("--yes", is_flag=True, help="Do not ask before the installer is run.")
def update(
    check: bool, dry_run: bool, wanted: str | None, server: str | None, server_token_env: str | None, yes: bool
) -> int:
    """Install the newest version, through whatever installed this one.

    Networks, nodes and their data are not touched, and programs that run go on with the version that they have.
    """
    if wanted is not None and not _VERSION.fullmatch(wanted):
        raise click.UsageError("--version must be a version such as 1.4.2")
    here = find_installation(os.environ)
    report = Report()
    report.add("installed program", str(here.program))
    report.add("installed version", here.version)
    report.add("installed by", here.installer)
    latest, problem = (wanted, "") if wanted is not None else newest_version()
    report.add("latest version" if wanted is None else "target version", latest or f"unknown: {problem}")
    if server is not None:
        report.add("server", _server_version(server, server_token_env))
    only_look = check or dry_run
    if not here.may_update:
        report.add("warning" if only_look else "refused", REFUSALS[here.installer])
        print_lines(report.lines("Self-update is not available for this install."))
        return ExitCode.OK if only_look else ExitCode.USAGE
    if latest is None:
        print_lines(report.lines("It is not known whether there is a newer version."))
        return ExitCode.NETWORK
    if latest == here.version:
        print_lines(report.lines("This is up to date." if wanted is None else "That version is installed already."))
        return ExitCode.OK
    command = here.command(latest)
    report.add("command", " ".join(command))
    print_lines(report.lines(f"Version {latest} can be installed." if only_look else f"Installing version {latest}."))
    return ExitCode.OK if only_look else _install(here, command, latest, yes=yes)


def newest_version() -> tuple[str | None, str]:
    """The newest version that pip's own configuration leads to, or why it is not known."""
    command = (*pip_command(), "index", "versions", PACKAGE, "--disable-pip-version-check", "--no-input")
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INDEX_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, f"pip could not be asked ({type(error).__name__})"
    found = _LATEST.search(ran.stdout)
    if found is None:
        lines = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
        return None, lines[-1].removeprefix("ERROR:").strip() if lines else "the package index does not say"
    return found.group(1), ""


def _server_version(server: str, token_env: str | None) -> str:
    address = str(option_address(server))
    token = os.environ.get(token_env, "").strip() if token_env else ""

    async def ask() -> Network:
        async with open_client(address, token or None) as client:
            return await client.network()

    try:
        version = call_within(DEFAULT_TIMEOUT_SECONDS, address, ask).version or "does not say its version"
    except (ClientError, CommandFailed) as error:
        version = explain(error).text
    unset = f" (server token env {token_env} is not set)" if token_env and not token else ""
    return f"{address}: {version}{unset}"


def _install(here: Installation, command: Sequence[str], version: str, *, yes: bool) -> int:
    if not yes:
        click.confirm("Run it?", default=True, abort=True)
    try:
        ran = subprocess.run(command, check=False)
    except OSError as error:
        text = f"{command[0]} could not be started: {error.strerror or error}; run it yourself: {' '.join(command)}"
        raise CommandFailed(ExitCode.INTERNAL, text) from error
    if ran.returncode:
        text = f"{command[0]} failed with status {ran.returncode}; version {here.version} may still be there"
        raise CommandFailed(ExitCode.INTERNAL, text)
    click.echo(f"Version {version} is installed. Servers and nodes that run go on with {here.version} until restarted.")
    return ExitCode.OK
