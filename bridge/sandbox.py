"""The environment of a runtime process: what it may see of the node's, by name, and what a turn adds.

A node holds the secrets of many attachments, and an agent can print its environment into a room. So nothing passes
that is not on a list; and what an agent prints is shown without the secrets that it was given. The limits of the
process are kept by `bridge.keeper`, and what it sees of files and network in a sandbox is `bridge.bubblewrap`.
"""

import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

_PLACE: Final = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE")
_TERMINAL: Final = ("TERM", "COLORTERM", "NO_COLOR")
# Without these nothing reaches the outside from behind a company's proxy. Programs disagree about the case.
_PROXY: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_AUTHORITIES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")

PASSED_NAMES: Final = frozenset((*_PLACE, *_TERMINAL, *_PROXY, *(name.lower() for name in _PROXY), *_AUTHORITIES))
PASSED_PREFIXES: Final = ("LC_", "XDG_")

MASK: Final = "***"
# Shorter values stand in ordinary text too, and hiding them would only hide that text.
_MIN_SECRET_CHARACTERS: Final = 8
_SECRET_NAME: Final = re.compile(r"(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS?|DSN)$", re.IGNORECASE)

_LOCALE_NAMES: Final = ("LC_ALL", "LC_CTYPE", "LANG")
_FALLBACK_LOCALE: Final = "C.UTF-8"  # messages are UTF-8; under a bare C locale many programs garble them


def runtime_environment(
    environ: Mapping[str, str],
    *,
    passed: Iterable[str] = (),
    given: Mapping[str, str],
    programs: Path | None = None,
) -> dict[str, str]:
    """The environment of a runtime process.

    Args:
        environ: The node's own environment.
        passed: Names of the node's variables that this runtime gets beside the usual ones, if they are set.
        given: Variables with their values; they win. A NUL cannot be in an environment and is dropped from a value.
        programs: Where `moltnet` lies, which the agent answers with; put at the end of `PATH`. By default it is where
            the running Python is.
    """
    names = {*PASSED_NAMES, *passed}
    environment = {
        name: value for name, value in environ.items() if name in names or name.startswith(PASSED_PREFIXES)
    } | {name: value.replace("\0", "") for name, value in given.items()}
    programs = Path(sys.executable).parent if programs is None else programs
    if (programs / "moltnet").exists():
        path = environment.get("PATH", os.defpath).split(os.pathsep)
        if str(programs) not in path:
            environment["PATH"] = os.pathsep.join([*path, str(programs)])
    if not any(environment.get(name) for name in _LOCALE_NAMES):
        environment["LANG"] = _FALLBACK_LOCALE
    return environment


def sandbox_environment(environment: Mapping[str, str], passed: Iterable[str]) -> dict[str, str]:
    """The environment of a process in a sandbox: temporary files go where it can write, and no proxy is named, which
    could not be reached, unless `passed` names its variable."""
    unreachable = {*_PROXY, *(name.lower() for name in _PROXY)} - set(passed)
    inside = {name: value for name, value in environment.items() if name not in unreachable}
    return inside | {"TMPDIR": "/tmp"}


def secrets_in(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The values that must not be shown, by the names of their variables; longest first, so that none is cut."""
    found = {
        value
        for name, value in environment.items()
        if _SECRET_NAME.search(name) and len(value) >= _MIN_SECRET_CHARACTERS
    }
    return tuple(sorted(found, key=len, reverse=True))


def mask_values(text: str, secrets: Iterable[str]) -> str:
    """``text`` without these values."""
    for secret in secrets:
        text = text.replace(secret, MASK)
    return text
