"""Invariant: any bytes are a configuration that loads, or a ``ConfigError`` whose lines hold no value of the file.

Every problem names a place and says something; what loads, loads the same again; and a secret that stands in the file
is in no text that is shown: not in an error, not in the ``repr`` of what was loaded.

An input is the kind of a file (``server.yaml``, ``node.json``, …), a line break, and what the file holds.
"""

import sys
import tempfile
from collections.abc import Callable, Hashable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Final

from bridge.config import load_bridge_config
from fuzz.campaign import Target, main, shape
from moltnet.config.client import load_client_config
from moltnet.config.limits import MAX_CONFIG_BYTES
from moltnet.config.problems import ConfigError
from moltnet.config.server import load_server_config
from node.config import load_node_config

SECRET: Final = "5f0c2a8e91b7d4630a6e1f8b2d9c47e0"
ENVIRONMENT: Final[Mapping[str, str]] = {"SOME_TOKEN": SECRET[::-1]}
MAX_ERROR_BYTES: Final = 4 * MAX_CONFIG_BYTES
LOADERS: Final[Mapping[str, Callable[[Path], object]]] = {
    "server": lambda path: load_server_config(path, ENVIRONMENT, path.parent, overrides=False),
    "node": lambda path: load_node_config(path, ENVIRONMENT, path.parent),
    "bridge": lambda path: load_bridge_config(path, path.parent),
    "client": lambda path: load_client_config(path, ENVIRONMENT, path.parent),
}
FORMATS: Final = ("yaml", "json")
TOKENS: Final = tuple(
    token.encode()
    for token in (
        *(f"{kind}.{form}\n" for kind in LOADERS for form in FORMATS),
        *("version: moltnet.v1\n", "network: {id: lab, name: Lab}\n", "server:\n", "  listen_addr: ", "127.0.0.1:0"),
        *(
            "auth:\n",
            "  mode: bearer\n",
            "  tokens:\n",
            "    - {id: a, value: ",
            f"{SECRET}}}\n",
            "value_env: SOME_TOKEN",
        ),
        *("rooms:\n", "  - {id: general, members: [alpha]}\n", "storage: {kind: sqlite}\n", "pairings:\n", "limits:\n"),
        *("attachments:\n", "agent: {id: alpha}", "runtime: {kind: codex}", "token_path: ", "command: ", "wake: all"),
        *("&a ", "*a", "<<: ", "!!python/object:os.system ", "---\n", "...\n", "? ", "- ", ": ", "|\n", ">\n", "\t"),
        *("yes", "0x10", "1_000", "0o7", ".inf", "2001-01-01", "~", "'", '"', "{", "}", "[", "]", ",", "#", "\ufeff"),
    )
)


def check(data: bytes) -> Hashable:
    """Raises if a file breaks the invariant; otherwise says what became of it."""
    name, _, content = data.partition(b"\n")
    kind, _, form = name.decode(errors="replace").partition(".")
    if kind not in LOADERS or form not in FORMATS:
        return "no kind"
    path = _directory() / f"file.{form}"
    path.touch(mode=0o600)
    path.write_bytes(content)
    load = partial(LOADERS[kind], path)
    try:
        loaded = load()
    except ConfigError as error:
        _check_problems(error)
        return name, shape("; ".join(problem.message for problem in error.problems[:3]))
    if load() != loaded:
        raise AssertionError("the same file is two configurations")
    if SECRET in _shown(loaded) and content.count(SECRET.encode()) == 1 and SECRET.encode() in _secrets_in(content):
        raise AssertionError("a secret is shown")
    return name, "loads"


@cache
def _directory() -> Path:
    """One for the process: private, as files with secrets want it, and gone at its end."""
    kept = tempfile.TemporaryDirectory(prefix="moltnet-fuzz-")
    _directories.append(kept)
    return Path(kept.name)


_directories: Final[list["tempfile.TemporaryDirectory[str]"]] = []


def _shown(loaded: object) -> str:
    return f"{loaded!r} {loaded}"


def _secrets_in(content: bytes) -> bytes:
    """The lines on which a secret has its own place; anywhere else, as a room's name, it is none."""
    return b"\n".join(line for line in content.split(b"\n") if b" value: " in line or b'"token":' in line)


def _check_problems(error: ConfigError) -> None:
    if not error.problems:
        raise AssertionError("refused without a problem") from error
    text = str(error)
    if SECRET in text:
        raise AssertionError(f"a value of the file is shown: {text[:500]!r}") from error
    if len(text.encode(errors="replace")) > MAX_ERROR_BYTES:
        raise AssertionError("what is wrong is longer than the file") from error
    for problem in error.problems:
        if not problem.path or not problem.message or "\n" in problem.message:
            raise AssertionError(f"{problem} is not a line that says where and what") from error


TARGET: Final = Target("configs", check, TOKENS)

if __name__ == "__main__":
    sys.exit(main([TARGET]))
