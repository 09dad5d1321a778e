"""Taking over a changed config file while the network runs (design §3.16): all of it, or nothing.

A reload reads the file as a start does, with the same rules. What it finds is stored in one transaction and then takes
effect in one step, ``App.adopt``; whoever uses a credential that still holds notices nothing.
"""

from collections.abc import Iterator
from itertools import islice
from operator import attrgetter
from typing import Final

import trio

from moltnet.app import App
from moltnet.config.problems import ConfigError
from moltnet.config.settings import MoltnetConfig
from moltnet.core.declare import declare
from moltnet.core.errors import Conflict, Invalid
from moltnet.log import configure, get_logger
from moltnet.protocol.administration import ReloadResult
from moltnet.protocol.codec import Problem
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.limits import MAX_REPORTED_PROBLEMS

log = get_logger("server")

# What other things were built on: sockets, a database, addresses that are in every message, whether anybody is asked
# who he is.
_FIXED: Final = ("network.id", "server.listen_addr", "auth.mode", "storage")
_LIVE: Final = ("network.name", "server", "auth", "rooms", "pairings", "log")


async def reload(app: App) -> ReloadResult:
    """Read the file again and go on with it. Refused or failed, nothing has changed; cancelled, all or nothing has.

    Raises ``Invalid`` for a file that no server would start with, ``Conflict`` for one that changes what only a restart
    can, and ``StorageError``.
    """
    async with app.reloading:
        before, config = app.config, await _loaded(app)
        _check_fixed(before, config)
        # A caller that hangs up here must not leave stored agents without the tokens that they now belong to.
        with trio.CancelScope(shield=True):
            await declare(app.context, config.rooms, config.auth.tokens)
            ended = app.adopt(config)
    if config.log != before.log:
        configure(format=config.log.format.value, level=config.log.level.value)
    changed = tuple(name for name in _LIVE if _differs(name, before, config))
    log.info("reloaded", changed=changed, ended=ended)
    for notice in config.notices:
        log.warning(notice)
    return ReloadResult(changed=changed, ended=ended, notices=config.notices)


async def _loaded(app: App) -> MoltnetConfig:
    if app.load is None:
        raise Conflict(ErrorCode.NEEDS_RESTART, "this server has no config file to read again")
    try:
        return await trio.to_thread.run_sync(app.load)
    except ConfigError as error:
        log.warning("reload refused: the config file has problems", problems=str(error).splitlines())
        problems = tuple(islice(_described(error), MAX_REPORTED_PROBLEMS))
        message = f"nothing was changed, the config file has problems: {'; '.join(map(str, problems))}"
        raise Invalid(message, problems, ErrorCode.CONFIG_INVALID) from None


def _check_fixed(before: MoltnetConfig, config: MoltnetConfig) -> None:
    fixed = [name for name in _FIXED if _differs(name, before, config)]
    if fixed:
        log.warning("reload refused: a restart is needed", changed=fixed)
        raise Conflict(
            ErrorCode.NEEDS_RESTART, f"nothing was changed, because this needs a restart: {', '.join(fixed)}"
        )


def _differs(name: str, one: MoltnetConfig, other: MoltnetConfig) -> bool:
    value = attrgetter(name)
    return bool(value(one) != value(other))


def _described(error: ConfigError) -> Iterator[Problem]:
    for problem in error.problems:
        line = "" if problem.line is None else f"line {problem.line}: "
        yield Problem(problem.path, line + problem.message)
