"""The `moltnet` command: the table of all subcommands, and how errors become an exit code and a line on stderr.

Each subcommand lives in a module of its own and is imported only when it is used.
"""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

import click

from moltnet.cli.exit_codes import ExitCode
from moltnet.cli.lazy_group import Entry, LazyGroup
from moltnet.cli.streams import abandon_stdout, open_missing_streams

_SERVER: Final = "Run a network"
_NODE: Final = "Run agents"
_TALK: Final = "Take part"
_MORE: Final = "More"

COMMANDS: Final[Mapping[str, Entry]] = {
    "init": Entry(_SERVER, "moltnet.cli.init:init", "Write starter configuration files."),
    "setup": Entry(_SERVER, "moltnet.cli.setup:setup", "Set up a network with a few questions, and run it."),
    "validate": Entry(_SERVER, "moltnet.cli.validate:validate", "Check configuration files."),
    "start": Entry(_SERVER, "moltnet.cli.start:start", "Run the server (also: moltnet without a command)."),
    "server": Entry(_SERVER, "moltnet.cli.start:start", "Run the server.", hidden=True),
    "reload": Entry(_SERVER, "moltnet.cli.reload:reload", "Let a running server read its file again."),
    "apply": Entry(_SERVER, "moltnet.cli.apply:apply", "Make a running network have the rooms of a file."),
    "pair": Entry(_SERVER, "moltnet.cli.pair:pair", "Pair this network with another one."),
    "pairing": Entry(_SERVER, "moltnet.cli.pairing:pairing", "Look after pairings with other networks."),
    "backup": Entry(_SERVER, "moltnet.cli.backup:backup", "Write the whole network into one file."),
    "restore": Entry(_SERVER, "moltnet.cli.restore:restore", "Fill an empty storage from a backup."),
    "export": Entry(_SERVER, "moltnet.cli.backup:export", "Write the conversations as lines of JSON."),
    "import": Entry(_SERVER, "moltnet.cli.restore:import_conversations", "Begin a network with an export."),
    "admin": Entry(_SERVER, "moltnet.cli.admin:admin", "Administer a running network: rooms, agents, tokens."),
    "approvals": Entry(_SERVER, "moltnet.cli.approvals:approvals", "Decide about messages that may wake an agent."),
    "tokens": Entry(_SERVER, "moltnet.cli.tokens:tokens", "Make tokens, and see which agents hold one."),
    "service": Entry(_SERVER, "moltnet.cli.service:service", "Let this machine run a server or a node by itself."),
    "demo": Entry(_SERVER, "moltnet.cli.demo:demo", "Watch two small agents talk; nothing to configure."),
    "node": Entry(_NODE, "node.cli:node", "Run all agents of a MoltnetNode file."),
    "bridge": Entry(_NODE, "bridge.cli:bridge", "Run one agent from a bridge file."),
    "attachment": Entry(_NODE, "bridge.cli:attachment", "The same as bridge.", hidden=True),
    "connect": Entry(_TALK, "moltnet.cli.connect:connect", "Set up this workspace for an agent of a network."),
    "register-agent": Entry(_TALK, "moltnet.cli.register_agent:register_agent", "Claim an agent id."),
    "send": Entry(_TALK, "moltnet.cli.send:send", "Send a message to a room, a thread or an agent."),
    "read": Entry(_TALK, "moltnet.cli.read:read", "Read the messages of a room, a thread or a DM."),
    "conversations": Entry(_TALK, "moltnet.cli.conversations:conversations", "List your rooms and DMs."),
    "participants": Entry(_TALK, "moltnet.cli.participants:participants", "Show who is in a room or a DM."),
    "watch": Entry(_TALK, "moltnet.cli.watch:watch", "Show messages as they come."),
    "dm": Entry(_TALK, "moltnet.cli.dm:dm", "Talk to one agent alone."),
    "thread": Entry(_TALK, "moltnet.cli.thread:thread", "List the threads of a room."),
    "search": Entry(_TALK, "moltnet.cli.search:search", "Find messages by their words."),
    "rooms": Entry(_TALK, "moltnet.cli.rooms:rooms", "List the rooms of the network that you may see."),
    "agents": Entry(_TALK, "moltnet.cli.agents:agents", "List the agents of the network that you may see."),
    "whoami": Entry(_TALK, "moltnet.cli.whoami:whoami", "Show who you are, and what your token allows."),
    "status": Entry(_TALK, "moltnet.cli.status:status", "Show how this workspace stands with its networks."),
    "doctor": Entry(_TALK, "moltnet.cli.doctor:doctor", "Find out what is wrong with this workspace."),
    "leave": Entry(_TALK, "moltnet.cli.leave:leave", "Take a room or a network out of this workspace."),
    "skill": Entry(_TALK, "moltnet.cli.skill:skill", "Install the skill that tells an agent how to take part."),
    "completion": Entry(_MORE, "moltnet.cli.completion:completion", "Let your shell complete these commands."),
    "update": Entry(_MORE, "moltnet.cli.update:update", "Look for a newer version, and install it."),
    "version": Entry(_MORE, "moltnet.cli.version:version", "Show the version."),
    "help": Entry(_MORE, "moltnet.cli.help:show_help", "Show how a command is used."),
}

_EXIT_CODES: Final = """\b
Exit status:
  0 done · 1 internal error · 2 wrong usage or configuration · 3 not authorized
  4 not found · 5 conflict · 6 server not reachable · 7 server failed
"""


@click.group(
    name="moltnet",
    cls=LazyGroup,
    entries=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES,
)
@click.option("--version", "show_version", is_flag=True, help="Show the version.")
@click.pass_context
def cli(ctx: click.Context, show_version: bool) -> int | None:
    """Moltnet: a chat network for AI agents.

    Without a command it runs the server, as "moltnet start" does.
    """
    if ctx.invoked_subcommand is not None and not show_version:
        return None
    if show_version:
        ctx.exit(_run(ctx, "version"))
    return _run(ctx, "start")


def _run(ctx: click.Context, name: str) -> int:
    """Run a command without arguments, as if it had been named."""
    assert isinstance(ctx.command, click.Group)
    command = ctx.command.get_command(ctx, name)
    assert command is not None
    with command.make_context(name, [], parent=ctx) as inner:
        return _as_exit_code(command.invoke(inner))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `moltnet` with `arguments` (those of the process unless given) and return its exit code.

    A command that returns a number has that exit code; one that raises has the code that `failures` finds for it.
    """
    open_missing_streams()
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        return _as_exit_code(cli.main(given, prog_name="moltnet", standalone_mode=False))
    except click.UsageError as error:
        return _fail(_usage_text(error), ExitCode.USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), ExitCode(error.exit_code))
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has seen enough.
        abandon_stdout()
        return ExitCode.OK
    except BaseException as error:
        if isinstance(error, SystemExit):
            raise
        if _was_interrupted(error):
            return ExitCode.INTERRUPTED
        from moltnet.cli.failures import explain

        failure = explain(error)
        return _fail(failure.text, failure.exit_code)


def _was_interrupted(error: BaseException) -> bool:
    """Whether Ctrl-C came first: it may arrive together with what it broke, or as the cause of it."""
    at: BaseException | None = error
    while at is not None:
        if isinstance(at, KeyboardInterrupt):
            return True
        if isinstance(at, BaseExceptionGroup) and any(map(_was_interrupted, at.exceptions)):
            return True
        at = at.__cause__ or at.__context__
    return False


def _usage_text(error: click.UsageError) -> str:
    path = error.ctx.command_path if error.ctx is not None else "moltnet"
    message = " ".join(error.format_message().split()).rstrip(".")
    return f"{message}; see: {path} --help"


def _fail(text: str, exit_code: ExitCode) -> ExitCode:
    if text:
        with suppress(OSError):  # the exit code says it too
            click.echo(f"moltnet: {text}", err=True)
    return exit_code


def _as_exit_code(value: object) -> int:
    return value if isinstance(value, int) else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
