"""One authenticated connection to an OpenClaw gateway: requests and their answers, in any order, until it is lost.

What is asked is the business of `runtime.py`; what frames look like, of `frames.py`. The tasks of a connection::

    GatewayLink.gateway          whoever has a turn; the first makes the connection, the others use it too
    └── _hold                    keeps it open until it is lost, in the nursery of the runtime
        └── Gateway.read         frames to answers; the only reader
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import attrs
import trio

from bridge import limits
from bridge.errors import AttachRefused, ConnectionLost
from bridge.runtimes.openclaw.device import DeviceKey
from bridge.runtimes.openclaw.frames import (
    Answer,
    Challenge,
    Frame,
    FrameUnreadable,
    Refusal,
    connect_failure,
    connect_params,
    parse_frame,
    request,
)
from bridge.runtimes.runtime import RuntimeMisconfigured
from moltnet.backoff import backoff_delays
from moltnet.client.address import ServerAddress
from moltnet.client.websocket import WebSocket, open_websocket
from moltnet.log import get_logger

log = get_logger("bridge.openclaw")


class GatewayRefused(Exception):
    """The gateway answered a request, and not with ok."""

    def __init__(self, method: str, answer: Answer, refusal: Refusal) -> None:
        super().__init__(f"{method}: {refusal}")
        self.method = method
        self.payload = answer.payload
        self.refusal = refusal


@attrs.frozen
class GatewayAccess:
    """Where the gateway is and who asks. `find_token` is asked for each connection; it gives empty text for none."""

    address: ServerAddress
    agent_id: str
    device: DeviceKey
    find_token: Callable[[], str]


@attrs.define(eq=False)
class _Request:
    answered: trio.Event = attrs.field(factory=trio.Event)
    answer: Answer | None = None
    """None if the connection was lost before."""


@attrs.define(eq=False)
class Gateway:
    """An open connection. Made by `open_gateway`; any number of tasks may use it."""

    _websocket: WebSocket
    methods: frozenset[str]
    _silence_seconds: float
    _requests: dict[str, _Request] = attrs.field(factory=dict, init=False)
    _slots: trio.Semaphore = attrs.field(factory=lambda: trio.Semaphore(limits.MAX_GATEWAY_REQUESTS), init=False)
    _numbers: Iterator[int] = attrs.field(factory=count, init=False)
    _lost: trio.Event = attrs.field(factory=trio.Event, init=False)
    _reason: str = attrs.field(default="", init=False)

    @property
    def lost_because(self) -> str:
        """Empty while it is open."""
        return self._reason

    @property
    def is_lost(self) -> bool:
        return self._lost.is_set()

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def call(self, method: str, params: Mapping[str, Any], *, longer_seconds: float = 0.0) -> Mapping[str, Any]:
        """Ask and wait for the first answer, as long as the limits allow and `longer_seconds` on top.

        Cancelled, the gateway may still do what it was asked.

        Raises:
            GatewayRefused: the answer is not ok.
            ConnectionLost: there will be none, here.
        """
        async with self._slots:
            if self.is_lost:
                raise ConnectionLost(self._reason)
            id = f"{method.replace('.', '-')}-{next(self._numbers)}"
            waiting = self._requests[id] = _Request()
            try:
                with trio.move_on_after(limits.GATEWAY_ANSWER_SECONDS + longer_seconds) as limit:
                    # Half a frame would be the end of the connection, which others use too. Bounded by itself.
                    with trio.CancelScope(shield=True):
                        await self._websocket.send(request(id, method, params))
                    await waiting.answered.wait()
            except ConnectionLost as loss:
                self._lose(loss.reason)
                raise
            finally:
                del self._requests[id]
        if limit.cancelled_caught:
            self._lose(f"the gateway did not answer {method} in time")
        if waiting.answer is None:
            raise ConnectionLost(self._reason)
        if waiting.answer.refusal is not None:
            raise GatewayRefused(method, waiting.answer, waiting.answer.refusal)
        return waiting.answer.payload

    async def read(self) -> None:
        """Take what the gateway sends until the connection is lost. Raises nothing."""
        try:
            while True:
                with trio.move_on_after(self._silence_seconds) as silence:
                    self._take(await _receive(self._websocket))
                if silence.cancelled_caught:
                    raise ConnectionLost(f"the gateway was silent for {self._silence_seconds:g} s")
        except ConnectionLost as loss:
            self._lose(loss.reason)

    def _take(self, frame: Frame) -> None:
        match frame:
            # A request that was given up, or the second answer of `agent`, has nobody who waits.
            case Answer(id=id) if id in self._requests:
                waiting = self._requests[id]
                waiting.answer = waiting.answer or frame
                waiting.answered.set()
            case _:
                pass

    def _lose(self, reason: str) -> None:
        if not self.is_lost:
            self._reason = reason
            self._lost.set()
            for waiting in self._requests.values():
                waiting.answered.set()


@attrs.define(eq=False)
class GatewayLink:
    """The connection of one attachment: made when a turn needs it, kept for the next ones, made again after a loss."""

    _access: GatewayAccess
    _nursery: trio.Nursery
    _gateway: Gateway | None = attrs.field(default=None, init=False)
    _making: trio.Lock = attrs.field(factory=trio.Lock, init=False)

    @property
    def connected(self) -> Gateway | None:
        """The connection, if there is one now."""
        return None if self._gateway is None or self._gateway.is_lost else self._gateway

    async def gateway(self) -> Gateway:
        """The open connection. A gateway that is not there, or that starts, is tried again for a while.

        Raises:
            ConnectionLost: for `limits.GATEWAY_PATIENCE_SECONDS` there was none.
            RuntimeMisconfigured: the gateway refuses us.
        """
        give_up_at = trio.current_time() + limits.GATEWAY_PATIENCE_SECONDS
        delays = backoff_delays(
            base_seconds=limits.RECONNECT_BASE_SECONDS, cap_seconds=limits.GATEWAY_RETRY_CAP_SECONDS
        )
        async with self._making:
            while True:
                if (gateway := self.connected) is not None:
                    return gateway
                try:
                    self._gateway = await self._nursery.start(self._hold)
                except ConnectionLost as loss:
                    delay_seconds = max(next(delays), min(loss.retry_after_seconds, limits.GATEWAY_RETRY_CAP_SECONDS))
                    if trio.current_time() + delay_seconds > give_up_at:
                        raise
                    log.info("gateway not ready", reason=loss.reason, retry_seconds=round(delay_seconds, 1))
                    await trio.sleep(delay_seconds)

    async def _hold(self, task_status: trio.TaskStatus[Gateway] = trio.TASK_STATUS_IGNORED) -> None:
        async with open_gateway(self._access) as gateway:
            log.info("gateway connected", gateway=str(self._access.address))
            task_status.started(gateway)
            await gateway.wait_lost()
        log.info("gateway connection lost", reason=gateway.lost_because)


@asynccontextmanager
async def open_gateway(access: GatewayAccess) -> AsyncIterator[Gateway]:
    """Connect, prove who we are, and keep reading until the block ends.

    Raises:
        ConnectionLost: no connection now.
        RuntimeMisconfigured: none before somebody changes something.
    """
    try:
        async with open_websocket(
            access.address,
            None,
            os.environ,
            path="" if access.address.prefix else "/",
            max_message_bytes=limits.MAX_GATEWAY_FRAME_BYTES,
        ) as websocket:
            with trio.move_on_after(limits.GATEWAY_CONNECT_SECONDS) as connecting:
                gateway = await _shake_hands(websocket, access)
            if connecting.cancelled_caught:
                raise ConnectionLost(f"{access.address} did not greet as a gateway")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(gateway.read)
                yield gateway
                nursery.cancel_scope.cancel(reason="the connection is not needed any more")
    except AttachRefused as refused:
        raise RuntimeMisconfigured(f"openclaw: {refused.reason}") from refused


async def _shake_hands(websocket: WebSocket, access: GatewayAccess) -> Gateway:
    while not isinstance(challenge := await _receive(websocket), Challenge):
        pass
    token = access.find_token()
    params = connect_params(access.agent_id, token, access.device.proof(challenge, token))
    await websocket.send(request("connect", "connect", params))
    while not (isinstance(answer := await _receive(websocket), Answer) and answer.id == "connect"):
        pass
    if answer.refusal is not None:
        if answer.refusal.passes:
            raise ConnectionLost(f"gateway: {answer.refusal}", retry_after_seconds=answer.refusal.retry_after_seconds)
        raise connect_failure(answer.refusal, access.device.id)
    return Gateway(websocket, _methods(answer.payload), limits.GATEWAY_TICKS_MISSED * _tick_seconds(answer.payload))


async def _receive(websocket: WebSocket) -> Frame:
    """The next frame. Raises `ConnectionLost`, also for what is none."""
    try:
        return parse_frame(await websocket.receive())
    except FrameUnreadable as error:
        raise ConnectionLost(f"what the gateway sent cannot be read: {error}") from error


def _methods(hello: Mapping[str, Any]) -> frozenset[str]:
    features = hello.get("features")
    methods = features.get("methods") if isinstance(features, dict) else None
    return (
        frozenset(method for method in methods if isinstance(method, str)) if isinstance(methods, list) else frozenset()
    )


def _tick_seconds(hello: Mapping[str, Any]) -> float:
    policy = hello.get("policy")
    tick_ms = policy.get("tickIntervalMs") if isinstance(policy, dict) else None
    if not isinstance(tick_ms, int | float) or tick_ms <= 0:
        return limits.GATEWAY_TICK_SECONDS
    return min(tick_ms / 1000, limits.MAX_GATEWAY_TICK_SECONDS)
