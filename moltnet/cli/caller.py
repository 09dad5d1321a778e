"""As whom a command talks to a server: the attachment that flags, environment and workspace name, and its token.

Also what the workspace allows that agent to do: a check before any request, by purpose, so that a room that may only be
read can be read.
"""

import os
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
import click
import trio

from moltnet.cli.exit_codes import CommandFailed, ExitCode
from moltnet.cli.numbers import Number
from moltnet.client.api import MoltnetClient, open_client
from moltnet.config.client import ClientAttachment, ClientConfig, load_client_config, select_attachment
from moltnet.protocol.messages import Target, TargetKind

P = ParamSpec("P")
T = TypeVar("T")

# Enough for a server that restarts in between; an agent that waits longer has other things to do.
DEFAULT_TIMEOUT_SECONDS: Final = 30.0


@attrs.frozen
class CallerFlags:
    """What the command line says about the caller."""

    config: Path | None
    network: str | None
    member: str | None
    timeout_seconds: float

    def caller(self) -> "Caller":
        """Find the configuration, the attachment and its token. Raises what the configuration's readers raise."""
        return self.caller_of(select_attachment(self.load(), network=self.network, member=self.member))

    def load(self) -> ClientConfig:
        """The configuration that they mean. Raises ``ConfigError``."""
        return load_client_config(self.config, os.environ, Path.cwd())

    def caller_of(self, attachment: ClientAttachment) -> "Caller":
        """With one attachment's token. Raises ``TokenUnavailable``."""
        token = attachment.token.resolve(os.environ) if attachment.token is not None else None
        return Caller(attachment, token, self.timeout_seconds)


@attrs.frozen
class Caller:
    """One agent at one network, ready to call."""

    attachment: ClientAttachment
    _token: str | None = attrs.field(repr=False)
    _timeout_seconds: float

    @property
    def member_id(self) -> str:
        return self.attachment.member_id

    def call(self, ask: Callable[[MoltnetClient], Awaitable[T]]) -> T:
        """Run `ask` with a client for the agent's server, within the time that the command line allows."""
        return trio.run(self.asked, ask)

    async def asked(self, ask: Callable[[MoltnetClient], Awaitable[T]]) -> T:
        """The same in a running event loop."""
        return await self.within(partial(self._with_client, ask))

    def follow(self, ask: Callable[[MoltnetClient], Awaitable[T]]) -> T:
        """Run `ask` for as long as it lasts. What waits for one answer in it sets its own limit."""
        return trio.run(self._with_client, ask)

    async def within(self, run: Callable[[], Awaitable[T]]) -> T:
        """Wait for one answer, within the time that the command line allows, inside of `follow`."""
        return await within(self._timeout_seconds, self.attachment.base_url, run)

    def check_may_read(self, target: Target) -> None:
        """Raises `CommandFailed` if this workspace is not set up for the conversation."""
        if target.kind == TargetKind.DM:
            if not self.attachment.dms.enabled:
                raise CommandFailed(
                    ExitCode.USAGE,
                    f"direct messages are not enabled for {self.member_id}; "
                    "enable them with: moltnet connect … --enable-dms",
                )
        elif all(room.id != target.room_id for room in self.attachment.rooms):
            raise CommandFailed(
                ExitCode.USAGE,
                f"room {target.room_id} is not attached for {self.member_id}; "
                f"add it with: moltnet connect … --rooms {target.room_id}",
            )

    def check_may_write(self, target: Target) -> None:
        """Raises `CommandFailed` if this workspace is not set up for writing there."""
        self.check_may_read(target)
        for room in self.attachment.rooms:
            if target.kind != TargetKind.DM and room.id == target.room_id and room.read_only is not None:
                raise CommandFailed(
                    ExitCode.AUTH,
                    f"room {room.id} is read-only for {self.member_id}: {room.read_only}; "
                    "it can still be read with: moltnet read",
                )

    async def _with_client(self, ask: Callable[[MoltnetClient], Awaitable[T]]) -> T:
        async with open_client(self.attachment.base_url, self._token) as client:
            return await ask(client)


def call_within(timeout_seconds: float, base_url: str, run: Callable[[], Awaitable[T]]) -> T:
    """Run one conversation with a server under a deadline. Raises `CommandFailed` when it passes."""
    return trio.run(within, timeout_seconds, base_url, run)


async def within(timeout_seconds: float, base_url: str, run: Callable[[], Awaitable[T]]) -> T:
    """The same in a running event loop."""
    try:
        with trio.fail_after(timeout_seconds):
            return await run()
    except trio.TooSlowError as error:
        raise CommandFailed(
            ExitCode.NETWORK, f"{base_url}: no complete answer within {timeout_seconds:g} s; --timeout sets the limit"
        ) from error


def timeout_option(command: Callable[..., T]) -> Callable[..., T]:
    return click.option(
        "--timeout",
        "timeout_seconds",
        type=Number(min=0, min_open=True),
        default=DEFAULT_TIMEOUT_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Give up after this time, retries included.",
    )(command)


def caller_options(command: Callable[Concatenate[CallerFlags, P], T]) -> Callable[..., T]:
    """Add the options that say who calls, and pass them as `CallerFlags`, first."""

    @click.option(
        "--config",
        type=click.Path(path_type=Path),
        help="Client configuration. [default: .moltnet/config.json here or above]",
    )
    @click.option("--network", envvar="MOLTNET_NETWORK", show_envvar=True, help="Which network, if there are several.")
    @click.option("--member", envvar="MOLTNET_MEMBER", show_envvar=True, help="As which agent, if there are several.")
    @timeout_option
    @wraps(command)
    def with_flags(
        *args: Any,
        config: Path | None,
        network: str | None,
        member: str | None,
        timeout_seconds: float,
        **kwargs: Any,
    ) -> T:
        return command(CallerFlags(config, network, member, timeout_seconds), *args, **kwargs)

    return with_flags
