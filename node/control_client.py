"""Asking a running node, from another process, over its control socket.

What is asked and answered is in `node.control`.
"""

from collections.abc import Mapping
from pathlib import Path

import trio

from bridge import limits
from moltnet.config.files import rebased
from moltnet.config.problems import ConfigError
from moltnet.config.shapes import read_shape
from moltnet.protocol.codec import DecodeError, decode, encode
from node.config import DEFAULT_STATE_PATH, NodeFile, find_node_config
from node.control import Answer, Request, receive_line, socket_address, socket_path


class NotRunning(Exception):
    """No node of this file listens."""


class NoAnswer(Exception):
    """A node listens, and does not answer, or not in a way that we understand."""


def find_socket(path: Path | None, environ: Mapping[str, str], cwd: Path) -> tuple[Path, Path]:
    """The node file, and where a node of it listens. Raises `ConfigError` if there is no such file.

    A running node must be reachable also while its file is being edited: what is wrong in it does not matter here, and
    one that can't be read at all is taken for one without a `state_path`.
    """
    source = cwd / find_node_config(path, environ, cwd)
    try:
        _, keys, _ = read_shape(source, NodeFile)
        written = keys.state_path.strip()
    except ConfigError:
        if not source.exists():
            raise
        written = ""
    return source, socket_path(rebased(written or DEFAULT_STATE_PATH, source.parent), source)


async def ask(path: Path, request: Request) -> Answer:
    """Ask the node that listens at `path`. Raises `NotRunning`, `NoAnswer`."""
    with trio.move_on_after(2 * limits.CONTROL_SECONDS):
        try:
            with socket_address(path) as address:
                stream = await trio.open_unix_socket(address)
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunning(f"no node listens at {path}") from None
        except OSError as error:
            raise NoAnswer(f"{path}: {error.strerror or error}") from error
        async with stream:
            try:
                await stream.send_all(encode(request) + b"\n")
                line = await receive_line(stream, limits.MAX_CONTROL_ANSWER_BYTES)
            except trio.BrokenResourceError:
                line = None
        if line is None:
            raise NoAnswer("the node ended the connection; ask again")
        try:
            return decode(line, Answer)
        except DecodeError as error:
            raise NoAnswer(f"the node answered something else: {error}") from error
    raise NoAnswer("the node does not answer")
