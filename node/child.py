"""One attachment of a node: run, started again, parked, changed, ended. Its siblings are `node.supervisor`'s business.

What is wanted of a child is a configuration, or nothing any more. A change drains what runs, as a stop of the node
does, and starts what is wanted now.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from typing import Protocol

import attrs
import trio

from bridge import limits
from bridge.config import AttachmentConfig
from bridge.desk import Desk
from bridge.errors import AttachRefused, StateInUse
from bridge.runtimes.runtime import RuntimeMisconfigured
from bridge.status import AttachmentStatus
from moltnet.backoff import backoff_delays
from moltnet.config.secrets import Secret, TokenUnavailable
from moltnet.log import describe_error, get_logger

log = get_logger("node")


class RunAttachment(Protocol):
    """See `bridge.loop.run_attachment`."""

    def __call__(
        self,
        config: AttachmentConfig,
        *,
        drain: trio.Event,
        status: AttachmentStatus,
        environ: Mapping[str, str],
        node_slots: trio.CapacityLimiter,
        desk: Desk,
    ) -> Awaitable[None]: ...


@attrs.define(eq=False)
class Child:
    """One agent of a node, from `supervise` to its end."""

    wanted: AttachmentConfig | None
    """None: it shall end."""
    _run: RunAttachment
    _environ: Mapping[str, str]
    _slots: trio.CapacityLimiter
    config: AttachmentConfig = attrs.field(init=False)
    """What runs now, which is what is wanted as soon as the old one has drained."""
    status: AttachmentStatus = attrs.field(init=False)
    desk: Desk = attrs.field(init=False)
    _drain: trio.Event = attrs.field(factory=trio.Event, init=False)
    _nudged: trio.Event = attrs.field(factory=trio.Event, init=False)
    _is_over: bool = attrs.field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        assert self.wanted is not None
        self._take(self.wanted)

    def want(self, config: AttachmentConfig | None) -> None:
        """Go on with another configuration, or none, as soon as running turns have ended or their time is up."""
        self.wanted = config
        self._drain.set()

    def end(self) -> None:
        """Drain, because the whole node does."""
        self._is_over = True
        self._drain.set()

    def nudge(self) -> None:
        """Try now what would be tried later."""
        self._nudged.set()

    async def has_new_token(self) -> bool:
        """Whether its token is another one now than the last that was used."""
        return await self._token() not in (None, self.status.used_token)

    async def supervise(self) -> None:
        """Keep it running until nothing is wanted. Only cancellation gets out of here, and bugs beside it."""
        while self.wanted is not None and not self._is_over:
            if self._drain.is_set():
                self._take(self.wanted)
            await self._keep_running()
            if not self._drain.is_set():
                break
        self.status.stopped()

    def _take(self, config: AttachmentConfig) -> None:
        self.config = config
        self.status = AttachmentStatus(config.agent.id, config.server.network_id)
        self.desk = Desk(config)
        self._drain = trio.Event()

    async def _keep_running(self) -> None:
        delays = _restart_delays()
        while not self._drain.is_set():
            began = trio.current_time()
            self._nudged = trio.Event()
            try:
                await self._run(
                    self.config,
                    drain=self._drain,
                    status=self.status,
                    environ=self._environ,
                    node_slots=self._slots,
                    desk=self.desk,
                )
                return
            except AttachRefused as refusal:
                self.status.parked(refusal.reason, limits.PARKED_SECONDS)
                await self._pause(limits.PARKED_SECONDS, partial(self._wait_other_token, self.status.used_token))
                continue
            except RuntimeMisconfigured as refusal:
                # A token that is gone is one of the reasons; another is a missing program, and then it may be new.
                self.status.parked(refusal.reason, limits.PARKED_SECONDS)
                token = await self._token()
                await self._pause(limits.PARKED_SECONDS, partial(self._wait_other_token, token))
                continue
            except StateInUse as taken:
                delay_seconds = next(delays)
                self.status.taken(str(taken), delay_seconds)
            except Exception as error:
                if trio.current_time() - began >= limits.HEALTHY_SECONDS:
                    delays = _restart_delays()
                delay_seconds = next(delays)
                self.status.backing_off(describe_error(error), delay_seconds)
                log.exception("attachment failed", agent_id=self.config.agent.id, retry_seconds=round(delay_seconds, 1))
            await self._pause(delay_seconds)

    async def _pause(self, delay_seconds: float, sooner: Callable[[], Awaitable[None]] = trio.sleep_forever) -> None:
        """Until the time is over or `sooner` returns; an end and a nudge end it too."""
        with trio.move_on_after(delay_seconds):
            async with trio.open_nursery() as nursery:

                async def end_after(wait: Callable[[], Awaitable[None]]) -> None:
                    await wait()
                    nursery.cancel_scope.cancel(reason="there is a reason to go on")

                for wait in (self._drain.wait, self._nudged.wait, sooner):
                    nursery.start_soon(end_after, wait)

    async def _wait_other_token(self, than: Secret | None) -> None:
        """Until the token's file holds another one; nothing else can change while we run. Whatever is wrong, a try that
        follows from this is not the next of many without a pause."""
        await trio.sleep(limits.RECONNECT_BASE_SECONDS)
        if self.config.server.token is None or self.config.server.token.path is None:
            await trio.sleep_forever()
        while await self._token() in (None, than):  # noqa: ASYNC110 - a file can only be looked at
            await trio.sleep(limits.TOKEN_LOOK_SECONDS)
        log.info("another token, trying it", agent_id=self.config.agent.id)

    async def _token(self) -> Secret | None:
        """The token that would be used now; none if none can be had."""
        if self.config.server.token is None:
            return None
        return await trio.to_thread.run_sync(self._resolve)

    def _resolve(self) -> Secret | None:
        source = self.config.server.token
        try:
            return None if source is None else Secret(source.resolve(self._environ))
        except TokenUnavailable:
            return None


def _restart_delays() -> Iterator[float]:
    return backoff_delays(base_seconds=limits.RECONNECT_BASE_SECONDS, cap_seconds=limits.RECONNECT_CAP_SECONDS)
