"""As whom an operator's command talks to a server: an address and a token with scope admin.

On the server's own machine both are in the server's config file, so that nothing has to be given. A workspace whose
agent administers the network is named with `--config`.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from http import HTTPStatus
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
import click

from moltnet.cli.caller import call_within, timeout_option
from moltnet.cli.credentials import given_token
from moltnet.cli.enrolment import option_address
from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import ServerAnswered
from moltnet.config.client import load_client_config, select_attachment
from moltnet.config.secrets import Secret, TokenSource
from moltnet.config.server import MoltnetConfig, Scope, load_server_config
from moltnet.config.settings import AuthMode
from moltnet.config.urls import LOOPBACK_HOST, ListenAddress

P = ParamSpec("P")
T = TypeVar("T")

TOKEN_VARIABLE: Final = "MOLTNET_ADMIN_TOKEN"


@attrs.frozen
class OperatorFlags:
    """What the command line says about the server and the operator."""

    base_url: str | None
    token_env: str
    token_path: Path | None
    timeout_seconds: float
    token: Secret | None = None
    mode: AuthMode | None = None
    config: Path | None = None
    network: str | None = None
    member: str | None = None

    def operator(self) -> "Operator":
        """Find the server and the token. Raises what the configuration's readers raise, and `CommandFailed`."""
        given = None if self.mode is AuthMode.NONE else self._given_token()
        if self.config is not None:
            return self._of_workspace(self.config, given)
        if self.base_url is not None:
            return Operator(str(option_address(self.base_url)), (given,), self.timeout_seconds)
        config = load_server_config(None, os.environ, Path.cwd())
        tokens = (given,) if given is not None else tuple(_admin_tokens(config))
        return Operator(own_url(config.server.listen_addr), tokens, self.timeout_seconds)

    def _of_workspace(self, path: Path, given: str | None) -> "Operator":
        workspace = load_client_config(path, os.environ, Path.cwd())
        attachment = select_attachment(workspace, network=self.network, member=self.member)
        if given is None and attachment.token is not None and self.mode is not AuthMode.NONE:
            given = attachment.token.resolve(os.environ)
        base_url = attachment.base_url if self.base_url is None else str(option_address(self.base_url))
        return Operator(base_url, (given,), self.timeout_seconds)

    def _given_token(self) -> str | None:
        if self.token is not None:
            return self.token.reveal()
        if self.token_path is not None:
            return TokenSource(path=Path.cwd() / self.token_path).resolve(os.environ)
        if self.token_env:
            return TokenSource(env=self.token_env).resolve(os.environ)
        return os.environ.get(TOKEN_VARIABLE, "").strip() or None


@attrs.frozen
class Operator:
    """A server, and the tokens that may open it: while one is exchanged, the server may know only the older."""

    base_url: str
    _tokens: Sequence[str | None] = attrs.field(repr=False)
    _timeout_seconds: float

    def call(self, ask: Callable[[MoltnetClient], Awaitable[T]]) -> T:
        """Run `ask` with a client, within the time that the command line allows.

        A token that the server does not know does nothing there, so the next one may try the same.
        """

        async def run() -> T:
            *others, last = self._tokens
            for token in others:
                async with open_client(self.base_url, token) as client:
                    try:
                        return await ask(client)
                    except ServerAnswered as answer:
                        if answer.status != HTTPStatus.UNAUTHORIZED:
                            raise
            async with open_client(self.base_url, last) as client:
                return await ask(client)

        return call_within(self._timeout_seconds, self.base_url, run)


def _admin_tokens(config: MoltnetConfig) -> list[str | None]:
    """The values of all tokens of the file with scope admin, in its order; while one rotates, its new value first."""
    if config.auth.mode is AuthMode.NONE:
        return [None]
    tokens = [token for token in config.auth.tokens if Scope.ADMIN in token.scopes]
    values: list[str | None] = [value.reveal() for token in tokens for value, _ in token.values]
    if not values:
        raise CommandFailed(
            ExitCode.AUTH,
            f"{config.source} has no token with scope admin: nobody can administer this network over its API",
        )
    return values


def own_url(address: ListenAddress) -> str:
    """The address of a server on this machine, for somebody on this machine."""
    if not address.port:
        raise CommandFailed(ExitCode.USAGE, "the server listens on a port of its own choice; name it with --base-url")
    return f"http://{ListenAddress(LOOPBACK_HOST, address.port) if address.is_wildcard else address}"


def operator_options(command: Callable[Concatenate[OperatorFlags, P], T]) -> Callable[..., T]:
    """Add the options that say which server and by which token, and pass them as `OperatorFlags`, first."""

    @click.option("--member", metavar="AGENT", help="With --config: as which agent, if there are several.")
    @operator_options_but_member
    @wraps(command)
    def with_member(flags: OperatorFlags, /, *args: Any, member: str | None, **kwargs: Any) -> T:
        return command(attrs.evolve(flags, member=member), *args, **kwargs)

    return with_member


def operator_options_but_member(command: Callable[Concatenate[OperatorFlags, P], T]) -> Callable[..., T]:
    """The same for a command whose own `--member` means something else."""

    @click.option(
        "--base-url", metavar="URL", help="The server's address. [default: from the server's file, on its own machine]"
    )
    @click.option(
        "--token-env",
        default="",
        metavar="NAME",
        help=f"Take the token from this environment variable. [default: {TOKEN_VARIABLE}, else from the server's file]",
    )
    @click.option(
        "--token-path",
        "--token-file",
        "token_path",
        type=click.Path(path_type=Path),
        help="Take the token from this private file.",
    )
    @click.option("--token", metavar="TOKEN", help="The token itself; - to be asked for it.")
    @click.option("--auth-mode", type=click.Choice([str(mode) for mode in AuthMode]), help="none: ask without a token.")
    @click.option(
        "--config", type=click.Path(path_type=Path), help="Take address and token from this client configuration."
    )
    @click.option("--network", metavar="ID", help="With --config: which network, if there are several.")
    @timeout_option
    @wraps(command)
    def with_flags(
        *args: Any,
        base_url: str | None,
        token_env: str,
        token_path: Path | None,
        token: str | None,
        auth_mode: str | None,
        config: Path | None,
        network: str | None,
        timeout_seconds: float,
        **kwargs: Any,
    ) -> T:
        if token_env and (token_path is not None or token is not None):
            raise click.UsageError("--token-env excludes --token-path and --token")
        if token_path is not None and token is not None:
            raise click.UsageError("--token-path excludes --token")
        flags = OperatorFlags(
            base_url=base_url,
            token_env=token_env.strip(),
            token_path=token_path,
            timeout_seconds=timeout_seconds,
            token=given_token(token) if token is not None else None,
            mode=AuthMode(auth_mode) if auth_mode is not None else None,
            config=config,
            network=network,
        )
        return command(flags, *args, **kwargs)

    return with_flags
