"""Secrets in configuration: values that do not print themselves, where a token comes from, and token files.

Which token a server accepts is decided in ``moltnet.auth``; this module never compares a token with anything but
placeholders of documentation.
"""

import hmac
import re
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

import attrs

from moltnet.config.files import create_directories, read_file, rebased, write_private
from moltnet.config.limits import (
    MAX_TOKEN_CHARACTERS,
    MAX_TOKEN_FILE_BYTES,
    MIN_TOKEN_CHARACTERS,
    MIN_TOKEN_DISTINCT_CHARACTERS,
)

AGENT_TOKEN_PREFIX: Final = "magt_v1_"  # the public prefix of generated agent tokens (auth §4)

_ADVICE: Final = "make one with: openssl rand -hex 32"
# What documentation writes: markup around a name, an unexpanded variable, or an instruction.
_PLACEHOLDER: Final = re.compile(
    r"<.*>|\[.*\]|\{\{.*\}\}|%\w+%|\$\w+|\$[{(].*[})]"
    r"|(?:replace|change|paste|insert|enter|your|example|placeholder)[-_ .].*"
    r"|.*(?:replace[-_ ]?(?:with|me)|change[-_ ]?me|placeholder|[-_ ]here).*",
    re.IGNORECASE | re.DOTALL,
)
_VISIBLE_ASCII: Final = re.compile(r"[!-~]+")


class Secret:
    """Text that is never shown by accident: printing, formatting and ``repr`` give dots, only ``reveal`` the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret('…')"

    def __str__(self) -> str:
        return "…"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


class TokenUnavailable(Exception):
    """A configured token cannot be had; the text says why, for the operator, and holds no secret."""


class TokenFileMissing(TokenUnavailable):
    """The token file does not exist: in mode open the agent has not claimed its id yet."""


@attrs.frozen
class TokenSource:
    """Where a token comes from: written inline, an environment variable, or a private file. Exactly one is set."""

    inline: Secret | None = None
    env: str | None = None
    path: Path | None = None

    def __attrs_post_init__(self) -> None:
        if sum(source is not None for source in (self.inline, self.env, self.path)) != 1:
            raise ValueError("a token has exactly one source")

    @classmethod
    def choose(cls, *, token: Secret | None, token_env: str, token_path: str, directory: Path) -> Self | None:
        """The first source that is configured decides (node and bridge §8); ``None`` if none is.

        Empty text is not configured; a token of blanks is, and is refused when it is resolved. ``directory`` is
        where a relative path starts.
        """
        if token:
            return cls(inline=token)
        if name := token_env.strip():
            return cls(env=name)
        if file := token_path.strip():
            return cls(path=rebased(file, directory))
        return None

    def resolve(self, environ: Mapping[str, str]) -> str:
        """The token, trimmed. There is no fall-through to another source.

        Raises ``TokenFileMissing`` if the file does not exist and ``TokenUnavailable`` for every other reason.
        """
        if self.path is not None:
            return read_token_file(self.path)
        if self.env is not None:
            token = environ.get(self.env, "").strip()
            if not token:
                raise TokenUnavailable(f"environment variable {self.env} is not set or blank")
            return token
        token = self.inline.reveal().strip() if self.inline else ""
        if not token:
            raise TokenUnavailable("the token is blank")
        return token


def placeholder_problem(token: str) -> str | None:
    """Why ``token`` looks copied from documentation instead of made, as a phrase that follows the field's name."""
    if _PLACEHOLDER.fullmatch(token):
        return f"is a placeholder, not a token; {_ADVICE}"
    return None


def header_problem(token: str) -> str | None:
    """Why ``token`` can't be sent to anybody, as a phrase that follows the field's name."""
    if not _VISIBLE_ASCII.fullmatch(token):
        return "holds characters that cannot travel in an HTTP header (only visible ASCII, no blanks)"
    return None


def strength_problem(token: str) -> str | None:
    """Why a server must not accept ``token`` as a credential, as a phrase that follows the field's name."""
    if (problem := placeholder_problem(token)) is not None:
        return problem
    if token.startswith(AGENT_TOKEN_PREFIX):
        return f"must not start with {AGENT_TOKEN_PREFIX}, which marks generated agent tokens; {_ADVICE}"
    if len(token) < MIN_TOKEN_CHARACTERS:
        return f"is shorter than {MIN_TOKEN_CHARACTERS} characters; {_ADVICE}"
    if len(token) > MAX_TOKEN_CHARACTERS:
        return f"is longer than {MAX_TOKEN_CHARACTERS} characters"
    if (problem := header_problem(token)) is not None:
        return problem
    if len(set(token)) < MIN_TOKEN_DISTINCT_CHARACTERS:
        return f"repeats too few different characters; {_ADVICE}"
    return None


def read_token_file(path: Path) -> str:
    """The trimmed content of a private token file.

    Raises ``TokenFileMissing``, or ``TokenUnavailable`` if it is a symlink, not a file, not private or empty.
    """
    try:
        file = read_file(path, max_bytes=MAX_TOKEN_FILE_BYTES)
    except FileNotFoundError as error:
        raise TokenFileMissing(f"token file {path} does not exist") from error
    except OSError as error:
        raise TokenUnavailable(f"token file {path}: {error.strerror}") from error
    for problem in file.privacy_problems():
        raise TokenUnavailable(f"token file {path} {problem}")
    try:
        token = file.data.decode("utf-8").strip()
    except UnicodeDecodeError:
        raise TokenUnavailable(f"token file {path} is not UTF-8 text") from None
    if not token:
        raise TokenUnavailable(f"token file {path} is empty")
    return token


def prepare_token_file(path: Path) -> None:
    """Prove, before an id is claimed, that its token can be kept: the answer shows it only once.

    An existing file must be fit to be replaced; otherwise the directory is created (0700) and written to, for proof.
    Raises ``TokenUnavailable``.
    """
    try:
        read_token_file(path)
    except TokenFileMissing:
        pass
    else:
        return
    try:
        create_directories(path.parent)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".moltnet-token-probe-"):
            pass
    except OSError as error:
        raise TokenUnavailable(f"token file {path} cannot be written: {error.strerror}") from error


def write_token_file(path: Path, token: str) -> None:
    """Keep a token, durably, in a private file. Raises ``TokenUnavailable``; the old file then is still whole."""
    token = token.strip()
    if not token:
        raise TokenUnavailable("a blank token is not written")
    try:
        status = path.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise TokenUnavailable(f"token file {path}: {error.strerror}") from error
    else:
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o077:
            # Someone else may hold it open; a quiet repair would hide that.
            raise TokenUnavailable(f"token file {path} must not be accessible by group or others")
    try:
        write_private(path, f"{token}\n".encode())
    except OSError as error:
        raise TokenUnavailable(f"token file {path}: {error.strerror}") from error
