"""Which module serves which kind of runtime: one line for each of ours. Other kinds are `plugins.py`'s."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Final

from bridge.config import AttachmentConfig, RuntimeKind
from bridge.runtimes.claude_code import open_claude_code
from bridge.runtimes.codex import open_codex
from bridge.runtimes.command import open_command
from bridge.runtimes.openclaw.runtime import open_openclaw
from bridge.runtimes.pi import open_pi
from bridge.runtimes.picoclaw import open_picoclaw
from bridge.runtimes.plugins import open_plugin
from bridge.runtimes.runtime import Runtime
from bridge.runtimes.tinyclaw import open_tinyclaw

OpenKind = Callable[[AttachmentConfig], AbstractAsyncContextManager[Runtime]]
"""On entering it raises `RuntimeMisconfigured` if what the runtime needs is missing on this machine."""

OPEN: Final[Mapping[str, OpenKind]] = {
    RuntimeKind.CLAUDE_CODE: open_claude_code,
    RuntimeKind.CODEX: open_codex,
    RuntimeKind.COMMAND: open_command,
    RuntimeKind.OPENCLAW: open_openclaw,
    RuntimeKind.PI: open_pi,
    RuntimeKind.PICOCLAW: open_picoclaw,
    RuntimeKind.TINYCLAW: open_tinyclaw,
}


def open_runtime(config: AttachmentConfig) -> AbstractAsyncContextManager[Runtime]:
    """The runtime of an attachment, ready for turns inside the block.

    Raises:
        RuntimeMisconfigured: on entering: what it needs is missing on this machine.
    """
    return OPEN.get(config.runtime.kind, open_plugin)(config)
