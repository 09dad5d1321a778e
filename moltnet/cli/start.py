"""``moltnet start``: run the server in the foreground."""

import errno
import os
import shutil
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import click
import trio

from moltnet.app import open_app
from moltnet.cli.exit_codes import ExitCode
from moltnet.cli.streams import abandon_stdout
from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config
from moltnet.config.settings import AuthMode, MoltnetConfig, StorageKind
from moltnet.log import configure, get_logger, leaves_of
from moltnet.serving import (
    CannotListen,
    allow_many_connections,
    open_sockets,
    reload_on_hangup,
    serve,
    settle_memory,
    stop_on_signals,
    tell_service_manager,
)
from moltnet.storage.store import StorageError
from moltnet.systemd import ServiceManager
from moltnet.workers.crew import MAX_WORKERS, WorkerFailed, run_crew

log = get_logger("server")


@click.command(
    epilog="Examples:\n\n  moltnet start\n\n  moltnet start --workers 4\n\n  MOLTNET_CONFIG=./Moltnet moltnet start",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MAX_WORKERS),
    default=1,
    metavar="N",
    help="Serve with N processes on the one address, for machines with many cores. [default: 1]",
)
def start(workers: int) -> None:
    """Run the server of the network that ./Moltnet (or MOLTNET_CONFIG) describes.

    Without any config file it runs a network on 127.0.0.1:8787 that is open to everybody on this machine. SIGINT or
    SIGTERM stops it after saying goodbye to everybody; a second one stops it at once. SIGHUP reads the file again, as
    "moltnet reload" does.
    """
    try:
        config = load_server_config(None, os.environ, Path.cwd())
    except ConfigError as error:
        click.echo(str(error), err=True)
        sys.exit(ExitCode.USAGE)
    configure(format=config.log.format.value, level=config.log.level.value)
    for notice in config.notices:
        log.warning(notice)
    failed = False
    try:
        if workers == 1:
            trio.run(_run, config)
        else:
            trio.run(run_crew, config, workers, partial(_announce, config))
    except* (CannotListen, StorageError) as group:
        failed = True
        for failure in leaves_of(group):
            click.echo(f"moltnet: {failure}{_advice(failure)}", err=True)
    except* WorkerFailed:
        failed = True  # it has said why
    # Not in there: what is raised in such a clause becomes part of a group in early releases of Python 3.11.
    if failed:
        sys.exit(ExitCode.SERVER)
    log.info("stopped")


def _announce(config: MoltnetConfig, urls: Sequence[str]) -> None:
    try:
        click.echo(welcome(config, urls))
    except OSError:
        abandon_stdout()  # nobody reads it, or the disk is full: no reason to end a network


def _advice(failure: BaseException) -> str:
    if isinstance(failure.__cause__, OSError) and failure.__cause__.errno == errno.EADDRINUSE:
        return "; another program (another moltnet?) uses it: stop it, or set server.listen_addr or MOLTNET_LISTEN_ADDR"
    return ""


async def _run(config: MoltnetConfig) -> None:
    allow_many_connections()
    # Before the database: a start that cannot listen leaves none behind. Who connects meanwhile waits.
    sockets = open_sockets(config.server.listen_addr)
    with ExitStack() as bound:
        for sock in sockets:
            bound.enter_context(sock)
        await _serve(config, sockets)


async def _serve(config: MoltnetConfig, sockets: Sequence[socket.socket]) -> None:
    # The same file again, whatever is beside it by then. Without any file, one that is written later counts.
    load = partial(load_server_config, config.source, os.environ, Path.cwd())
    async with stop_on_signals() as stop, open_app(config, load=load) as app, trio.open_nursery() as nursery:
        settle_memory()

        async def serve_until_stopped(task_status: trio.TaskStatus[list[str]]) -> None:
            await serve(app, sockets, stop=stop, task_status=task_status)
            nursery.cancel_scope.cancel(reason="the server has stopped")

        manager = ServiceManager.of_environment(os.environ)
        await nursery.start(reload_on_hangup, app, stop, manager)
        urls: list[str] = await nursery.start(serve_until_stopped)
        nursery.start_soon(tell_service_manager, app, manager, stop)
        log.info("serving", network_id=config.network.id, urls=urls, **_storage(config))
        _announce(config, urls)


def _storage(config: MoltnetConfig) -> dict[str, str]:
    sqlite = config.storage.sqlite if config.storage.kind is StorageKind.SQLITE else None
    return {"storage": config.storage.kind} | ({} if sqlite is None else {"database": str(sqlite.path)})


def welcome(config: MoltnetConfig, urls: Sequence[str]) -> str:
    """What to open and type next, for whoever started this."""
    url = _reachable(urls[0]) if urls else ""
    room = config.rooms[0].id if config.rooms else "general"
    lines = [
        "",
        f"  {config.network.name} ({config.network.id}) is running.",
        "",
        f"  API       {url}/v1/network",
        f"  Console   {url}/console/",
        "",
    ]
    if config.auth.mode is AuthMode.NONE and config.server.human_ingress and config.rooms:
        body = (
            f'{{"target":{{"kind":"room","room_id":"{room}"}},"from":{{"type":"human","id":"you"}},'
            '"parts":[{"kind":"text","text":"Hello"}]}'
        )
        lines += [
            f"  Say something in the room {room}:",
            f"    curl {url}/v1/messages -d '{body}'",
            "  Read it:",
            f"    curl {url}/v1/rooms/{room}/messages",
            "  Watch everything as it happens:",
            f"    curl -N {url}/v1/events/stream",
            "  See two agents talk, in another terminal:",
            f"    {_own_name()} demo",
        ]
    elif config.auth.mode is AuthMode.BEARER:
        lines += [
            "  Ask it who it is, with a token of this network in TOKEN:",
            f'    curl -H "Authorization: Bearer $TOKEN" {url}/v1/network',
        ]
    lines += ["", "  Ctrl-C stops it.", ""]
    return "\n".join(lines)


def _own_name() -> str:
    """This program as somebody in this directory would type it."""
    return "moltnet" if shutil.which("moltnet") else os.path.relpath(sys.argv[0])


def _reachable(url: str) -> str:
    """A bound address as somebody on this machine would type it."""
    for everywhere in ("//0.0.0.0:", "//[::]:"):
        url = url.replace(everywhere, "//127.0.0.1:")
    return url
