"""The credential of an attachment: from the command line's options and what was there before, to what is presented,
stored, and written into the client configuration.
"""

import os
import sys
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import attrs
import click

from moltnet.cli.output import print_note
from moltnet.config.client import ClientAttachment
from moltnet.config.secrets import (
    Secret,
    TokenFileMissing,
    TokenSource,
    prepare_token_file,
    write_token_file,
)
from moltnet.config.settings import AuthMode, Registration
from moltnet.config.workspace import AuthChange

P = ParamSpec("P")
T = TypeVar("T")

ASK: Final = "-"


@attrs.frozen
class CredentialFlags:
    """What the command line says about the credential. `token_path` is absolute."""

    mode: AuthMode | None = None
    registration: Registration | None = None
    token: Secret | None = None
    token_env: str = ""
    token_path: Path | None = None

    @property
    def source(self) -> TokenSource | None:
        """Where the token is from now on; a token given together with a file goes into the file."""
        if self.token_path is not None:
            return TokenSource(path=self.token_path)
        if self.token is not None:
            return TokenSource(inline=self.token)
        return TokenSource(env=self.token_env) if self.token_env else None


@attrs.frozen
class Credential:
    """How an agent proves who it is. `may_claim`: it may have no token yet, because the server gives it one."""

    mode: AuthMode
    registration: Registration
    source: TokenSource | None
    _given: Secret | None = attrs.field(default=None, repr=False)

    @property
    def may_claim(self) -> bool:
        return self.registration is Registration.OPEN or self.mode is AuthMode.OPEN

    def present(self, environ: Mapping[str, str], *, claiming: bool) -> str | None:
        """The token for the next request; `None` for none. If `claiming`, a token file may be missing; it is proven
        then that it can be written.

        Raises `TokenUnavailable`.
        """
        if self.source is None or self.mode is AuthMode.NONE:
            return None
        if self._given is not None:
            return self._given.reveal().strip()
        try:
            return self.source.resolve(environ)
        except TokenFileMissing:
            if not claiming or self.source.path is None:
                raise
            prepare_token_file(self.source.path)
            return None

    def store_given(self) -> None:
        """Put a token from the command line into the file that was named with it. Raises `TokenUnavailable`."""
        if self._given is not None and self.source is not None and self.source.path is not None:
            write_token_file(self.source.path, self._given.reveal())

    def keep(self, minted: str) -> "Credential":
        """The credential with a token that the server just made: in its file, otherwise inline, whatever was there.

        Raises `TokenUnavailable` if the file cannot be written.
        """
        mode = AuthMode.OPEN if self.mode is AuthMode.NONE else self.mode
        if self.source is not None and self.source.path is not None:
            write_token_file(self.source.path, minted)
            return attrs.evolve(self, mode=mode)
        return attrs.evolve(self, mode=mode, source=TokenSource(inline=Secret(minted)))

    def change(self, directory: Path) -> AuthChange:
        """The `auth` block for a configuration in `directory`. A file below the workspace is named relative to it."""
        source = self.source
        path = source.path if source is not None else None
        return AuthChange(
            mode=self.mode,
            registration=None if self.registration is Registration.DISABLED else self.registration,
            token=source.inline if source is not None else None,
            token_env=(source.env or "") if source is not None else "",
            token_path=_relative(path, directory) if path is not None else "",
        )


def credential_for(flags: CredentialFlags, existing: ClientAttachment | None) -> Credential:
    """What the options ask for, on top of what is there. Pure; nothing that is not named is lost.

    A token implies mode bearer; open registration without a mode implies mode open, which works with and without a
    token; mode open implies open registration; mode none drops the token.
    """
    before = existing if existing is not None and existing.auth_mode is not AuthMode.NONE else None
    if flags.mode is not None:
        mode = flags.mode
    elif before is not None:
        mode = before.auth_mode
    elif flags.source is not None:
        mode = AuthMode.BEARER
    else:
        mode = AuthMode.OPEN if flags.registration is Registration.OPEN else AuthMode.NONE
    if flags.registration is not None:
        registration = flags.registration
    elif flags.mode is AuthMode.OPEN:
        registration = Registration.OPEN
    else:
        registration = existing.registration if existing is not None else Registration.DISABLED
    source = flags.source
    if source is None and before is not None and mode is not AuthMode.NONE:
        source = before.token
    return Credential(mode, registration, source, flags.token)


def credential_options(command: Callable[Concatenate[CredentialFlags, P], T]) -> Callable[..., T]:
    """Add the options about the credential, and pass them as `CredentialFlags`, first."""

    @click.option(
        "--auth-mode",
        type=click.Choice([str(mode) for mode in AuthMode]),
        help="How the network knows its agents. [default: what was set before; bearer with a token, otherwise none]",
    )
    @click.option(
        "--registration",
        type=click.Choice([str(registration) for registration in Registration]),
        help="Who may claim ids there; with open, the id is claimed now.",
    )
    @click.option("--token-env", default="", metavar="NAME", help="Take the token from this environment variable.")
    @click.option(
        "--token-path",
        "--token-file",
        "token_path",
        type=click.Path(path_type=Path),
        help="Keep the token in this private file; a token that the server gives goes there too.",
    )
    @click.option(
        "--token",
        metavar="TOKEN",
        help=f"The token itself, {ASK} to be asked for it. As an argument other users of this machine can see it.",
    )
    @wraps(command)
    def with_flags(
        *args: Any,
        auth_mode: str | None,
        registration: str | None,
        token_env: str,
        token_path: Path | None,
        token: str | None,
        **kwargs: Any,
    ) -> T:
        if token_env and (token is not None or token_path is not None):
            raise click.UsageError("--token-env excludes --token and --token-path")
        flags = CredentialFlags(
            mode=AuthMode(auth_mode) if auth_mode is not None else None,
            registration=Registration(registration) if registration is not None else None,
            token=given_token(token) if token is not None else None,
            token_env=token_env.strip(),
            token_path=Path(os.path.abspath(token_path)) if token_path is not None else None,
        )
        return command(flags, *args, **kwargs)

    return with_flags


def given_token(text: str) -> Secret:
    """What `--token` means: the value, or `-` to ask for it. Raises `click.UsageError`."""
    if text != ASK:
        print_note(
            "a token on the command line is seen by others and stays in the shell's history; "
            f"better: --token {ASK}, --token-env or --token-path"
        )
    elif sys.stdin.isatty():
        text = click.prompt("Token", hide_input=True, err=True)
    else:
        text = sys.stdin.readline()
    if not text.strip():
        raise click.UsageError("the token is empty")
    return Secret(text.strip())


def _relative(path: Path, directory: Path) -> str:
    """`path` as a configuration in `directory` names it, so that a workspace can be moved as a whole."""
    workspace = directory.absolute().parent
    return os.path.relpath(path, directory.absolute()) if path.is_relative_to(workspace) else str(path)
