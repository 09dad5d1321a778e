"""SIGINT and SIGTERM: the first asks a service to drain, the second ends it. The only place that handles signals."""

import signal
from collections.abc import Awaitable, Callable

import trio

from bridge import limits
from bridge.errors import single_error
from moltnet.log import get_logger

log = get_logger("signals")


async def run_until_signalled(service: Callable[[trio.Event], Awaitable[None]]) -> None:
    """Run `service(drain)` to its end.

    A first signal sets `drain`. A second one, or `limits.STOP_SECONDS` after the first, cancels the service; that is a
    normal end too.
    """
    drain = trio.Event()
    with single_error():
        async with trio.open_nursery() as nursery:
            await nursery.start(_listen, drain, nursery.cancel_scope)
            await service(drain)
            nursery.cancel_scope.cancel(reason="the service has ended")


async def _listen(
    drain: trio.Event, scope: trio.CancelScope, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for number in signals:
            name = signal.Signals(number).name
            if drain.is_set():
                log.warning("stopping at once", signal=name)
                scope.cancel(reason="a second signal")
            else:
                log.info("stopping; once more to stop at once", signal=name)
                drain.set()
                scope.deadline = trio.current_time() + limits.STOP_SECONDS
