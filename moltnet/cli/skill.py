"""`moltnet skill`: the text that tells an agent how to take part, where its runtime looks for it."""

import os
import sys
from pathlib import Path

import click

from moltnet.cli.caller import CallerFlags, caller_options
from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.output import print_note
from moltnet.cli.skill_source import bundled, fetch_skill, is_bundled, is_skill, paths_for, put
from moltnet.config.client import load_client_config
from moltnet.config.problems import ConfigError
from moltnet.config.skill_files import SKILL_PATHS, read_skill
from moltnet.config.workspace import client_config_path

_DEFAULT_RUNTIME = "openclaw"
_RUNTIME_HELP = "The agent's program. [default: what the workspace's configuration says]"


@click.group()
def skill() -> None:
    """Install the skill that tells an agent how to take part, and keep it up to date."""


@skill.command(
    epilog=examples(
        "moltnet skill install --runtime codex", "moltnet skill install --runtime claude-code --workspace agents/alpha"
    )
)
@click.option("--runtime", help=_RUNTIME_HELP)
@click.option("--workspace", type=click.Path(path_type=Path), default=".", help="The agent's directory.")
@click.option("--bundled", "replace", is_flag=True, help="Also in place of a network's skill.")
def install(runtime: str | None, workspace: Path, replace: bool) -> None:
    """Install the skill that comes with this program. It fits every network and asks none.

    The skill of a network that is installed already stays, unless --bundled is given.
    """
    names = paths_for(runtime or _runtime_of(workspace) or _DEFAULT_RUNTIME)
    ours = bundled()
    there = {name: text for name in names if (text := read_skill(workspace, name)) is not None}
    if not replace and any(is_skill(text) and not is_bundled(text) for text in there.values()):
        print_note(f"kept {', '.join(there)}: it is a network's skill; --bundled replaces it")
        return
    click.echo(f"installed {', '.join(map(str, put(ours, workspace, names)))}")


@skill.command(epilog=examples("moltnet skill update", "moltnet skill update --yes --network lab"))
@click.option("--runtime", type=click.Choice(tuple(SKILL_PATHS)), help=_RUNTIME_HELP)
@click.option(
    "--workspace", type=click.Path(path_type=Path), help="The agent's directory. [default: the configuration's]"
)
@click.option("--yes", is_flag=True, help="Write without asking, after the difference was shown.")
@caller_options
def update(flags: CallerFlags, runtime: str | None, workspace: Path | None, yes: bool) -> None:
    """Compare the installed skill with what the network says to this agent now, show the difference, and take it over.

    Asks before it writes. Where nobody can be asked, it writes only with --yes.
    """
    flags = _in_workspace(flags, workspace)
    caller = flags.caller()
    attachment = caller.attachment
    workspace = workspace or _workspace_of(flags)
    names = paths_for(runtime or attachment.runtime or _DEFAULT_RUNTIME)
    token = attachment.token.resolve(os.environ) if attachment.token is not None else None
    new = fetch_skill(attachment.base_url, token, flags.timeout_seconds)
    differences = {name: text for name in names if (text := new.difference(workspace, name))}
    if not differences:
        click.echo(f"up to date: {', '.join(names)} ({new.source})")
        return
    for text in differences.values():
        click.echo(text)
    _require_consent(yes, new.source)
    click.echo(f"installed {', '.join(map(str, put(new, workspace, tuple(differences))))}")


def _require_consent(yes: bool, source: str) -> None:
    """Raises `CommandFailed` unless what was shown may be written."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(ExitCode.USAGE, "nothing was written: nobody can be asked here; --yes takes it over")
    if not click.confirm(f"moltnet: install this from {source}?", err=True):
        raise CommandFailed(ExitCode.CONFLICT, "nothing was written")


def _runtime_of(workspace: Path) -> str | None:
    """What the workspace's configuration names, if it has one and names one for all."""
    try:
        config = load_client_config(client_config_path(workspace).absolute(), {}, Path.cwd())
    except ConfigError:
        return None
    runtimes = {attachment.runtime for attachment in config.attachments if attachment.runtime}
    return runtimes.pop() if len(runtimes) == 1 else None


def _in_workspace(flags: CallerFlags, workspace: Path | None) -> CallerFlags:
    """A workspace that is named brings its configuration, unless that is named too."""
    if workspace is None or flags.config is not None:
        return flags
    return CallerFlags(client_config_path(workspace), flags.network, flags.member, flags.timeout_seconds)


def _workspace_of(flags: CallerFlags) -> Path:
    """The directory whose `.moltnet` holds the configuration; one that lies elsewhere is about this directory."""
    source = load_client_config(flags.config, os.environ, Path.cwd()).source
    root = source.parent.parent
    return root if source == client_config_path(root) else Path.cwd()
