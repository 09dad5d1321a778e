"""Any program as an agent: one process per turn, the prompt on its stdin, done when it exits with 0
(docs/runtimes.md)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs

from bridge.config import AttachmentConfig
from bridge.runtimes.runtime import Runtime, RuntimeMisconfigured, Turn, TurnFailed
from bridge.runtimes.turn_process import TurnProcess, describe_failure
from moltnet.log import get_logger

log = get_logger("bridge.command")


@attrs.define(eq=False)
class CommandRuntime:
    """Runs `argv` for each turn. What the program prints goes to the log at level debug, cut to the limits."""

    _argv: tuple[str, ...]
    _process: TurnProcess

    async def run_turn(self, turn: Turn) -> str | None:
        """See `Runtime.run_turn`. Any other exit code than 0 is a failure that may be retried."""
        with self._process.time_limit():
            ending = await self._process.run(self._argv, turn)
        log.debug("command ended", conversation=turn.conversation.key, exit_code=ending.exit_code, output=ending.output)
        if ending.exit_code != 0:
            raise TurnFailed(describe_failure(ending), retryable=True)
        return ending.output


@asynccontextmanager
async def open_command(config: AttachmentConfig) -> AsyncIterator[Runtime]:
    """The runtime of kind `command`. Raises `RuntimeMisconfigured`."""
    runtime = config.runtime
    if not runtime.command:
        raise RuntimeMisconfigured("command needs runtime.command")
    argv = (*runtime.command, *runtime.args)
    given = {} if runtime.home_path is None else {"HOME": str(runtime.home_path)}
    process = TurnProcess.of(config, given)
    process.require(argv[0])
    yield CommandRuntime(argv, process)
