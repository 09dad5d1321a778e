"""`moltnet node …`: run a node in the foreground, and ask one that runs. Parse, do, say what came of it."""

import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import click
import trio

from bridge import limits
from bridge.cli import BAD_CONFIGURATION, FAILED, LEVELS, OK, PathGroup, log_options
from bridge.desk import Desk
from bridge.signals import run_until_signalled
from moltnet import log
from moltnet.config.problems import ConfigError
from moltnet.protocol.codec import encode
from node.config import load_node_config
from node.control import Answer, Operation, Refusal, Request, handle_letters
from node.control_client import NoAnswer, NotRunning, ask, find_socket
from node.descriptors import allow_many_descriptors
from node.recent_logs import LogQuery
from node.report_text import letter_lines, node_lines
from node.service import serve_node

NOT_FOUND: Final = 4
CONFLICT: Final = 5
NOT_REACHABLE: Final = 6

_EXIT_CODES: Final = {
    Refusal.BAD_CONFIGURATION: BAD_CONFIGURATION,
    Refusal.NOT_FOUND: NOT_FOUND,
    Refusal.CONFLICT: CONFLICT,
}


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


def file_argument(command: Any) -> Any:
    return click.argument("path", type=click.Path(path_type=Path), required=False)(command)


def json_option(command: Any) -> Any:
    return click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")(command)


@node.command(name="start")
@file_argument
@log_options
def start(path: Path | None, log_level: str, log_format: log.LogFormat) -> int:
    """Run the node of PATH, else of MOLTNET_NODE_CONFIG, else of ./MoltnetNode.

    SIGINT or SIGTERM lets running turns end for a while; a second one ends them at once. What was not finished goes on
    with the next start. SIGHUP reads the file again, as "moltnet node reload" does.
    """
    cwd = Path.cwd()
    try:
        config = load_node_config(path, os.environ, cwd, is_start=True)
    except ConfigError as error:
        click.echo(str(error), err=True)
        return BAD_CONFIGURATION
    log.configure(format=log_format, level=log_level)
    allow_many_descriptors()
    load = partial(load_node_config, config.source, os.environ, cwd, is_start=True)
    hangups, heard = trio.open_memory_channel[None](1)

    def on_hangup() -> None:
        with suppress(trio.WouldBlock):  # one that waits reads the newest file too
            hangups.send_nowait(None)

    async def run() -> None:
        await run_until_signalled(partial(serve_node, config, load, heard, os.environ), on_hangup)

    trio.run(run)
    return OK


@node.command(name="status")
@file_argument
@json_option
def status(path: Path | None, as_json: bool) -> int:
    """Show what the running node of PATH is doing: connections, queues, turns, brakes, errors.

    Without PATH the node is found as "moltnet node start" finds its file.
    """
    answer = _ask_running(path, Request(Operation.STATUS))
    if isinstance(answer, int):
        return answer
    if answer.status is None:
        return _refused(answer)
    _say([encode(answer.status).decode()] if as_json else node_lines(answer.status))
    return OK


@node.command(name="reload")
@file_argument
@json_option
def reload(path: Path | None, as_json: bool) -> int:
    """Let the running node of PATH read its file again.

    Attachments that were added, removed or changed are started, ended or restarted; those that wait to be tried again
    are tried now; all others notice nothing. A file with problems changes nothing.
    """
    answer = _ask_running(path, Request(Operation.RELOAD))
    if isinstance(answer, int):
        return answer
    done = answer.reloaded
    if done is None:
        return _refused(answer)
    for notice in done.notices:
        click.echo(f"note: {notice}", err=True)
    names = {"added": done.added, "removed": done.removed, "restarted": done.restarted, "tried again": done.nudged}
    said = [f"{what} {', '.join(agents)}" for what, agents in names.items() if agents]
    text = f"reloaded: {'; '.join([*said, f'{done.unchanged} unchanged'])}"
    _say([encode(done).decode() if as_json else text])
    return OK


@node.command(name="logs")
@file_argument
@click.option("--agent", "agent_id", default="", metavar="ID", help="Only lines about this agent.")
@click.option("--level", type=click.Choice(LEVELS), default="debug", help="The least that is shown.")
@click.option(
    "--last", type=click.IntRange(0, limits.MAX_LOG_LINES), default=50, show_default=True, metavar="N", help="How many."
)
@click.option("--follow", "-f", is_flag=True, help="Go on with what comes, until Ctrl-C or the end of the node.")
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each, as with --log-format json.")
def logs(path: Path | None, agent_id: str, level: str, last: int, follow: bool, as_json: bool) -> int:
    """Show the newest lines of the log of the running node of PATH.

    The node keeps some hundred lines of each agent in memory, of the level that it was started with. Older ones are
    where its standard error goes.
    """
    show = None if as_json else partial(log.console_line, colours=sys.stdout.isatty() and "NO_COLOR" not in os.environ)
    query = LogQuery(level, last)
    while True:
        answer = _ask_running(path, Request(Operation.LOGS, agent_id, log=query))
        if isinstance(answer, int):
            return answer if query.after is None else OK  # it was there before: the node has ended
        if answer.log is None:
            return _refused(answer)
        _say(answer.log.lines if show is None else map(show, answer.log.lines))
        if not follow:
            return OK
        query = LogQuery(level, after=answer.log.last)


@node.group(name="dead-letters")
def dead_letters() -> None:
    """Messages that were given up: list them, have them tried again, or drop them.

    It does not matter whether the node runs.
    """


def letter_options(command: Any) -> Any:
    command = click.option("--agent", "agent_id", default="", metavar="ID", help="Only those of this agent.")(command)
    return click.option(
        "--file", "path", type=click.Path(path_type=Path), help="The MoltnetNode file, if it is not found by itself."
    )(command)


def chosen_letters(command: Any) -> Any:
    """Which dead letters a command is about: ids, or explicitly all."""
    command = click.argument("ids", nargs=-1, metavar="[ID]...")(command)
    return click.option("--all", "everything", is_flag=True, help="All of them.")(command)


@dead_letters.command(name="list")
@letter_options
@json_option
def list_letters(path: Path | None, agent_id: str, as_json: bool) -> int:
    """Show the messages that were given up, and why."""
    answer = _handle_letters(path, Request(Operation.LIST, agent_id))
    if isinstance(answer, int):
        return answer
    if as_json:
        _say([encode(answer.letters).decode()])
    else:
        _say(line for each in answer.letters for line in letter_lines(each.agent_id, each.letters))
    return OK


@dead_letters.command(name="retry")
@letter_options
@chosen_letters
def retry_letters(path: Path | None, agent_id: str, ids: tuple[str, ...], everything: bool) -> int:
    """Have messages tried again, named by their event or message ids, as if they had just come."""
    return _change_letters(path, Operation.RETRY, agent_id, ids, everything)


@dead_letters.command(name="drop")
@letter_options
@chosen_letters
def drop_letters(path: Path | None, agent_id: str, ids: tuple[str, ...], everything: bool) -> int:
    """Forget messages, named by their event or message ids."""
    return _change_letters(path, Operation.DROP, agent_id, ids, everything)


def _change_letters(
    path: Path | None, operation: Operation, agent_id: str, ids: tuple[str, ...], everything: bool
) -> int:
    if bool(ids) == everything:
        raise click.UsageError("name the messages by their ids, or say --all", click.get_current_context())
    answer = _handle_letters(path, Request(operation, agent_id, ids))
    if isinstance(answer, int):
        return answer
    handled = [letter for each in answer.letters for letter in each.letters]
    done = "to be tried again" if operation is Operation.RETRY else "dropped"
    for letter in handled:
        click.echo(f"{done}: {letter.event_id}")
    missing = [each for each in ids if all(each not in (letter.event_id, letter.message_id) for letter in handled)]
    for each in missing:
        click.echo(f"moltnet node: no dead letter {each}", err=True)
    return NOT_FOUND if missing else OK


def _handle_letters(path: Path | None, request: Request) -> Answer | int:
    """Over the socket of a node that runs, else with its files. An exit code if there is no answer."""
    try:
        source, socket = find_socket(path, os.environ, Path.cwd())
        try:
            answer = trio.run(ask, socket, request)
        except NotRunning:
            config = load_node_config(source, os.environ, Path.cwd())
            desks = {str(attachment.agent.id): Desk(attachment) for attachment in config.attachments}
            answer = trio.run(handle_letters, desks, request)
    except ConfigError as error:
        click.echo(str(error), err=True)
        return BAD_CONFIGURATION
    except NoAnswer as error:
        return _not_reachable(str(error))
    return _refused(answer) if answer.refusal else answer


def _ask_running(path: Path | None, request: Request) -> Answer | int:
    """The answer of a running node, or an exit code."""
    try:
        source, socket = find_socket(path, os.environ, Path.cwd())
        return trio.run(ask, socket, request)
    except ConfigError as error:
        click.echo(str(error), err=True)
        return BAD_CONFIGURATION
    except NotRunning:
        return _not_reachable(f"no node of {source} is running")
    except NoAnswer as error:
        return _not_reachable(str(error))


def _refused(answer: Answer) -> int:
    click.echo(f"moltnet node: {answer.text}", err=True)
    known = {str(refusal): code for refusal, code in _EXIT_CODES.items()}
    return known.get(answer.refusal, FAILED)


def _not_reachable(text: str) -> int:
    click.echo(f"moltnet node: {text}", err=True)
    return NOT_REACHABLE


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        click.echo(line)
