"""`moltnet setup`: a few questions, then a network that runs.

What is asked can be given as an option; without a terminal, or with --yes, the rest takes its default. The files are
those that `moltnet init` and `moltnet validate` know: `Moltnet`, and a private file for each token.
"""

import os
import secrets
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs
import click
import yaml

from moltnet.cli.examples import examples
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.config.files import create_directories, create_private
from moltnet.config.server import CONFIG_NAMES, CONFIG_VARIABLE, AuthMode, load_server_config
from moltnet.protocol.ids import id_problem

_TOKEN_BYTES: Final = 32
_TOKENS: Final = ".moltnet/tokens"
_MODES: Final = {
    AuthMode.NONE: "nobody is asked who he is; only this machine may connect",
    AuthMode.BEARER: "only agents that you give a token",
    AuthMode.OPEN: "anybody who reaches the server may claim an id of his own",
}


@attrs.frozen
class Answers:
    """What the network is to be. ``agents`` get a token each where tokens are asked for."""

    network_id: str
    name: str
    rooms: tuple[str, ...]
    mode: AuthMode
    agents: tuple[str, ...]
    port: int

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def token_names(self) -> tuple[str, ...]:
        """The tokens that are made: the operator's, and one for each agent."""
        return () if self.mode is AuthMode.NONE else ("operator", *self.agents)


class Id(click.ParamType[str]):
    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value).strip()
        if (problem := id_problem(text)) is not None:
            self.fail(problem, param, ctx)
        return text


class Ids(click.ParamType[tuple[str, ...]]):
    """Several, with commas or blanks between them."""

    name = "ids"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        found = tuple(dict.fromkeys(str(value).replace(",", " ").split()))
        for text in found:
            if (problem := id_problem(text)) is not None:
                self.fail(f"{text!r} {problem}", param, ctx)
        return found


@click.command(
    epilog=examples(
        "moltnet setup lab",
        "moltnet setup lab --yes --id lab --rooms general,build --mode bearer --agents alpha,beta --no-start",
    )
)
@click.argument("path", type=click.Path(path_type=Path), default=".")
@click.option("--id", "network_id", type=Id(), help="The network's id.")
@click.option("--name", help="Its name for people.")
@click.option("--rooms", type=Ids(), help="Its rooms, with commas.")
@click.option("--mode", type=click.Choice([str(mode) for mode in AuthMode]), help="How it knows its agents.")
@click.option("--agents", type=Ids(), help="Its first agents, with commas; members of every room.")
@click.option("--port", type=click.IntRange(1, 65535), default=8787, show_default=True, help="Where it listens.")
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults for what is not given.")
@click.option("--no-start", is_flag=True, help="Write the files only.")
@click.pass_context
def setup(
    ctx: click.Context,
    path: Path,
    network_id: str | None,
    name: str | None,
    rooms: tuple[str, ...] | None,
    mode: str | None,
    agents: tuple[str, ...] | None,
    port: int,
    yes: bool,
    no_start: bool,
) -> Any:
    """Set up a network in PATH (default: here) with a few questions, and run it.

    Files that are there are kept: where a network has been set up, nothing is written.
    """
    _check_free(path)
    asking = _Asking(quiet=yes or not sys.stdin.isatty())
    network_id = asking.ask("Id of the network", network_id, "local", Id())
    answers = Answers(
        network_id=network_id,
        name=asking.ask("Its name for people", name, network_id.replace("-", " ").replace("_", " ").title()),
        rooms=asking.ask("Rooms, with commas", rooms, ("general",), Ids()),
        mode=AuthMode(asking.choose(mode)),
        agents=asking.ask("Agents, with commas", agents, ("alpha",), Ids()),
        port=port,
    )
    _write(path, answers)
    for line in _summary(path, answers):
        click.echo(line)
    if no_start:
        return None
    from moltnet.cli.start import start  # the server's libraries, only where it runs

    # Whatever the environment names is another network.
    os.environ[CONFIG_VARIABLE] = CONFIG_NAMES[0]
    os.chdir(path)
    return ctx.invoke(start)


def server_file(answers: Answers) -> str:
    """The text of the `Moltnet` file."""
    tokens = [_token_entry(name, answers) for name in answers.token_names]
    auth: dict[str, Any] = {"mode": str(answers.mode)}
    if answers.mode is AuthMode.OPEN:
        auth["agent_registration"] = "open"
    if tokens:
        auth["tokens"] = tokens
    file = {
        "version": "moltnet.v1",
        "network": {"id": answers.network_id, "name": answers.name},
        "server": {"listen_addr": f"127.0.0.1:{answers.port}", "human_ingress": True},
        "auth": auth,
        "storage": {"kind": "sqlite", "sqlite": {"path": ".moltnet/moltnet.db"}},
        "rooms": [{"id": room, "members": list(answers.agents)} for room in answers.rooms],
    }
    return "# Check changes with `moltnet validate`; `moltnet reload` lets the running server take them over.\n" + str(
        yaml.safe_dump(file, sort_keys=False, allow_unicode=True, width=120)
    )


def join_line(answers: Answers, agent: str, token: Path | None) -> str:
    """What somebody types in an agent's workspace to take part."""
    words = ["moltnet", "connect", "--base-url", answers.base_url, "--network-id", answers.network_id]
    words += ["--member-id", agent, "--rooms", ",".join(answers.rooms), "--enable-dms"]
    if token is not None:
        words += ["--token-path", str(token)]
    return shlex.join(words)


@attrs.frozen
class _Asking:
    """Asks only for what was not given. ``quiet``: takes the defaults instead."""

    quiet: bool

    def ask(self, text: str, given: Any, default: Any, kind: click.ParamType[Any] | None = None) -> Any:
        if given is not None:
            return given
        if self.quiet:
            return default
        shown = ",".join(default) if isinstance(default, tuple) else default
        return click.prompt(text, default=shown, type=kind or str)

    def choose(self, given: str | None) -> str:
        if given is not None:
            return given
        if self.quiet:
            return str(AuthMode.NONE)
        click.echo("How does the network know its agents?")
        for mode, meaning in _MODES.items():
            click.echo(f"  {mode.ljust(7)} {meaning}")
        choice = click.Choice([str(mode) for mode in _MODES])
        return str(click.prompt("Mode", default=str(AuthMode.NONE), type=choice, show_choices=False))


def _token_entry(name: str, answers: Answers) -> dict[str, Any]:
    file = f"{_TOKENS}/{name}.token"
    if name == "operator":
        return {"id": name, "value_file": file, "scopes": ["observe", "write", "admin"]}
    return {"id": name, "value_file": file, "scopes": ["attach", "write"], "agents": [name]}


def _check_free(path: Path) -> None:
    taken = next((path / name for name in CONFIG_NAMES if (path / name).exists()), None)
    if taken is not None:
        raise CommandFailed(ExitCode.CONFLICT, f"{taken} exists; start it with: moltnet start, or choose another PATH")


def _write(path: Path, answers: Answers) -> None:
    """All files, each new and private. What cannot be used afterwards is a mistake of ours and raises."""
    if "operator" in answers.agents and answers.mode is not AuthMode.NONE:
        raise CommandFailed(ExitCode.USAGE, "operator is the name of the operator's token; choose another agent id")
    created: list[Path] = []
    try:
        create_directories(path / _TOKENS if answers.token_names else path)
        for name in answers.token_names:
            file = path / _TOKENS / f"{name}.token"
            create_private(file, f"{secrets.token_urlsafe(_TOKEN_BYTES)}\n".encode())
            created.append(file)
        create_private(path / CONFIG_NAMES[0], server_file(answers).encode())
        created.append(path / CONFIG_NAMES[0])
        load_server_config((path / CONFIG_NAMES[0]).absolute(), {}, path.absolute())
    except BaseException as error:
        for file in created:
            file.unlink(missing_ok=True)
        if isinstance(error, OSError):
            text = f"{error.filename or path}: {(error.strerror or str(error)).lower()}"
            raise CommandFailed(ExitCode.INTERNAL, text) from error
        raise


def _summary(path: Path, answers: Answers) -> Iterator[str]:
    yield f"wrote {path / CONFIG_NAMES[0]}"
    directory = (path / _TOKENS).absolute()
    if answers.token_names:
        yield f"wrote {len(answers.token_names)} tokens into {directory}"
    yield ""
    yield "Join, in the directory of an agent:"
    for line in _join_lines(answers, directory):
        yield f"  {line}"


def _join_lines(answers: Answers, directory: Path) -> Sequence[str]:
    if answers.mode is AuthMode.NONE:
        return [join_line(answers, agent, None) for agent in answers.agents]
    return [join_line(answers, agent, directory / f"{agent}.token") for agent in answers.agents]
