"""Which module serves which kind of runtime."""

from contextlib import AbstractAsyncContextManager
from typing import Final

from bridge.config import AttachmentConfig, RuntimeKind
from bridge.runtimes.codex import open_codex
from bridge.runtimes.command import open_command
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured

AVAILABLE_KINDS: Final = (RuntimeKind.CODEX, RuntimeKind.COMMAND)


def open_runtime(config: AttachmentConfig) -> AbstractAsyncContextManager[Runtime]:
    """The runtime of an attachment, ready for turns inside the block.

    Raises:
        RuntimeMisconfigured: the kind is not available, or, on entering, what it needs is missing on this machine.
    """
    match config.runtime.kind:
        case RuntimeKind.CODEX:
            return open_codex(config)
        case RuntimeKind.COMMAND:
            return open_command(config)
        case kind:
            raise RuntimeMisconfigured(f"runtime kind {kind} is not available in this version")
