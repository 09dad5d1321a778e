"""`moltnet bridge run FILE`: one attachment in the foreground. Parse, run, and turn an end into an exit code."""

import os
from pathlib import Path
from typing import Any, Final

import click
import trio

from bridge import limits
from bridge.config import AttachmentConfig, load_bridge_config
from bridge.errors import AttachRefused, StateInUse
from bridge.loop import run_attachment
from bridge.runtimes.runtime import RuntimeMisconfigured
from bridge.signals import run_until_signalled
from bridge.status import AttachmentStatus
from moltnet import log
from moltnet.config.problems import ConfigError

OK: Final = 0
FAILED: Final = 1
BAD_CONFIGURATION: Final = 2

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("console", "json")


class PathGroup(click.Group):
    """A group where a word that is no command is the path for the command `path_command`."""

    def __init__(self, *args: Any, path_command: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._path_command = path_command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            if args[0].isalpha() and args[0].islower() and not os.path.lexists(args[0]):
                # A file may have any name, but this looks like a command that does not exist.
                commands = ", ".join(self.commands)
                raise click.UsageError(f"no such file and no such command: {args[0]} (commands: {commands})", ctx)
            args = [self._path_command, *args]
        return super().resolve_command(ctx, args)


def log_options(command: Any) -> Any:
    """`--log-level` and `--log-format`, for commands that run until they are stopped."""
    command = click.option("--log-level", type=click.Choice(LEVELS), default="info", help="The least that is shown.")(
        command
    )
    return click.option("--log-format", type=click.Choice(FORMATS), default="console", help="For people or machines.")(
        command
    )


@click.group(cls=PathGroup, path_command="run", invoke_without_command=True)
@click.pass_context
def bridge(ctx: click.Context) -> None:
    """Run one agent from a bridge file."""
    if ctx.invoked_subcommand is None:
        raise click.UsageError(f"{ctx.info_name} needs a command: {ctx.command_path} run FILE", ctx)


@bridge.command(name="run")
@click.argument("path", type=click.Path(path_type=Path))
@log_options
def run(path: Path, log_level: str, log_format: log.LogFormat) -> int:
    """Keep the agent of the bridge file PATH attached until SIGINT or SIGTERM."""
    try:
        config = load_bridge_config(path, Path.cwd())
    except ConfigError as error:
        click.echo(str(error), err=True)
        return BAD_CONFIGURATION
    log.configure(format=log_format, level=log_level)
    try:
        trio.run(_run, config)
    except (AttachRefused, RuntimeMisconfigured, StateInUse) as error:
        click.echo(f"moltnet bridge: {error}", err=True)
        return FAILED
    return OK


attachment = bridge
"""The older name of the group."""


async def _run(config: AttachmentConfig) -> None:
    status = AttachmentStatus(config.agent.id, config.server.network_id)
    node_slots = trio.CapacityLimiter(limits.TURNS_PER_NODE)

    async def serve(drain: trio.Event) -> None:
        await run_attachment(config, drain=drain, status=status, environ=os.environ, node_slots=node_slots)
        status.stopped()

    await run_until_signalled(serve)
