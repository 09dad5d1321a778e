"""`moltnet node start [FILE]`: all attachments of a node in the foreground. Parse, run, nothing else."""

import os
from pathlib import Path

import click
import trio

from bridge.cli import BAD_CONFIGURATION, OK, PathGroup, log_options
from bridge.signals import run_until_signalled
from moltnet import log
from moltnet.config.problems import ConfigError
from node.config import NodeConfig, load_node_config
from node.supervisor import run_node


@click.group(cls=PathGroup, path_command="start", invoke_without_command=True)
@click.pass_context
def node(ctx: click.Context) -> int | None:
    """Run all agents of a MoltnetNode file.

    `moltnet node` and `moltnet node FILE` do the same as `moltnet node start [FILE]`.
    """
    if ctx.invoked_subcommand is not None:
        return None
    with start.make_context("start", [], parent=ctx) as inner:
        started = start.invoke(inner)
    assert isinstance(started, int)
    return started


@node.command(name="start")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@log_options
def start(path: Path | None, log_level: str, log_format: log.LogFormat) -> int:
    """Run the node of PATH, else of MOLTNET_NODE_CONFIG, else of ./MoltnetNode.

    SIGINT or SIGTERM lets running turns end for a while; a second one ends them at once. What was not finished goes on
    with the next start.
    """
    try:
        config = load_node_config(path, os.environ, Path.cwd())
    except ConfigError as error:
        click.echo(str(error), err=True)
        return BAD_CONFIGURATION
    log.configure(format=log_format, level=log_level)
    trio.run(_run, config)
    return OK


async def _run(config: NodeConfig) -> None:
    async def serve(drain: trio.Event) -> None:
        await run_node(config, drain=drain, environ=os.environ)

    await run_until_signalled(serve)
