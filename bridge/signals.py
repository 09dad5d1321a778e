"""SIGINT and SIGTERM: the first asks a service to drain, the second ends it. SIGHUP asks it to read its file again.

The only place that handles signals.
"""

import os
import signal
from collections.abc import Awaitable, Callable

import trio

from bridge import limits
from bridge.errors import single_error
from moltnet.log import get_logger

log = get_logger("signals")

_STDIN = 0


async def run_until_signalled(
    service: Callable[[trio.Event], Awaitable[None]], on_hangup: Callable[[], None] | None = None
) -> None:
    """Run `service(drain)` to its end.

    With `on_hangup`, that is called for each SIGHUP; but when the terminal is closed in which we run, which is told by
    the same signal, it counts as a signal to stop. Without, SIGHUP does what it does to every process.

    A first signal sets `drain`. A second one, or `limits.STOP_SECONDS` after the first, cancels the service; that is a
    normal end too.
    """
    drain = trio.Event()
    with single_error():
        async with trio.open_nursery() as nursery:
            await nursery.start(_listen, drain, nursery.cancel_scope, on_hangup)
            await service(drain)
            nursery.cancel_scope.cancel(reason="the service has ended")


async def _listen(
    drain: trio.Event,
    scope: trio.CancelScope,
    on_hangup: Callable[[], None] | None,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    heard = [signal.SIGINT, signal.SIGTERM, *([] if on_hangup is None else [signal.SIGHUP])]
    had_terminal = os.isatty(_STDIN)
    with trio.open_signal_receiver(*heard) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            lost_terminal = had_terminal and not os.isatty(_STDIN)
            if number == signal.SIGHUP and on_hangup is not None and not lost_terminal:
                on_hangup()
            elif drain.is_set():
                log.warning("stopping at once", signal=name)
                scope.cancel(reason="a second signal")
            else:
                log.info("stopping; once more to stop at once", signal=name)
                drain.set()
                scope.deadline = trio.current_time() + limits.STOP_SECONDS
