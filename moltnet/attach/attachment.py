"""An attachment that is ready, while it runs: events out, ACKs in, signs of life (attach protocol §4 to §7).

Tasks of an attachment, all in one nursery; whichever returns first ends it::

    Attachment.run
    ├── read      frames → session → what they mean
    ├── deliver   subscription → what this agent may see → frames, while the window has room
    ├── ping      asks for a sign of life
    └── hang_up   when the server drains, or the peer has been silent for too long

They share the session without a lock: Trio runs one at a time, and nothing of it is touched across an ``await``. How it
came about is the business of ``moltnet.attach.endpoint``, what its end means of ``moltnet.attach.ending``.
"""

from collections.abc import Awaitable, Callable

import attrs
import trio

from moltnet.attach.delivery import Reporter, wake_of
from moltnet.attach.ending import Ending, PeerFailed
from moltnet.attach.frames import FrameCache
from moltnet.attach.link import CloseCode, Link
from moltnet.attach.registry import Seat
from moltnet.attach.reports import Reports
from moltnet.auth.claims import Claims
from moltnet.auth.leases import Lease
from moltnet.auth.policy import AuthPolicy
from moltnet.broker import Broker, Position
from moltnet.core.access import Viewer, attached_viewer, can_see
from moltnet.core.network import NetworkContext
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.attachment import Acked, Identified, PeerError, Reply, ServerSession
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import AgentAddress
from moltnet.storage.records import EventRecord

log = get_logger("attach")


@attrs.define(eq=False)
class Attachment:
    """An identified agent on its seat. ``draining`` is set when the server is about to stop."""

    context: NetworkContext
    broker: Broker
    reports: Reports
    frames: FrameCache
    draining: trio.Event
    link: Link
    session: ServerSession
    address: AgentAddress
    seat: Seat
    lease: Lease
    reporter: Reporter
    ending: Ending
    _viewer: Viewer = attrs.field(init=False, factory=Viewer)
    _viewed_under: tuple[Claims, AuthPolicy] | None = attrs.field(init=False, default=None)
    _acked: trio.lowlevel.ParkingLot = attrs.field(init=False, factory=trio.lowlevel.ParkingLot)

    async def run(self, position: Position) -> None:
        """Until the peer or the server ends it."""
        async with trio.open_nursery() as nursery:

            async def first_to_end(task: Callable[[], Awaitable[None]]) -> None:
                with self.ending.watched():
                    await task()
                nursery.cancel_scope.cancel(reason="attachment ended")

            for task in (lambda: self._deliver(position), self._ping, self._hang_up):
                nursery.start_soon(first_to_end, task)
            # In the attachment's own task, which would only wait: a task takes about 4 KiB.
            await first_to_end(self._read)

    def report_end(self) -> None:
        """Leave the reports of an attachment that has ended. Never waits."""
        if self.ending.is_failure:
            for wake in self.seat.wakes.values():
                self.reports.metrics.woken("failed", wake.reason)
                self.reports.add(self.reporter.wake_failed(wake, self.ending.error))
        self.reports.metrics.closed(self.ending.label)
        self.reports.add(self.reporter.disconnected(self.ending.label))
        log.info("detached", agent_id=self.address.agent_id, reason=self.ending.label, error=self.ending.error)

    async def _read(self) -> None:
        while True:
            text = await self.link.receive()
            self.seat.hear()
            for received in self.session.receive_text(text, trio.current_time()):
                match received:
                    case Acked(cursor=cursor):
                        self._settle(cursor)
                    case Reply(text=reply):
                        await self.link.send(reply)
                    case PeerError(text=error):
                        raise PeerFailed(error)
                    case Identified():
                        pass

    def _settle(self, cursor: str) -> None:
        wake = self.seat.wakes.pop(cursor, None)
        if wake is not None:
            self.reports.metrics.woken("delivered", wake.reason)
            self.reports.add(self.reporter.wake_delivered(wake))
        self._acked.unpark_all()

    async def _deliver(self, position: Position) -> None:
        if position.gap is not None:
            await self._send(position.gap)
        subscription = self.broker.subscribe(position.seq)
        while True:
            # Of others' comings and goings only who observes need hear.
            agent_id = "" if self._view().all_reports else self.address.agent_id
            for record in await subscription.receive(agent_id=agent_id):
                if not self._is_about_its_own_end(record) and self._sees(record):
                    await self._send(record)

    def _view(self) -> Viewer:
        claims, policy = self.lease.claims, self.context.policy
        under = self._viewed_under
        if under is None or under[0] is not claims or under[1] is not policy:  # at first, and after a reload
            self._viewer, self._viewed_under = attached_viewer(claims, policy, self.address), (claims, policy)
        return self._viewer

    def _sees(self, record: EventRecord) -> bool:
        return can_see(self._view(), record, self.context.policy, self.context.directory)

    def _is_about_its_own_end(self, record: EventRecord) -> bool:
        # A client takes it for its own, even if it is of an earlier agent of that id, read again after a resume.
        return record.type == EventType.AGENT_REMOVED and record.agent_id == self.address.agent_id

    async def _send(self, record: EventRecord) -> None:
        while not self.session.can_send:
            await self._acked.park()
        wake = wake_of(record, self.address.fqid, self.context.now)
        if wake is not None:
            self.seat.wakes[record.id] = wake
        await self.link.send(self.session.event(record.id, self.frames.text(record)))

    async def _ping(self) -> None:
        while True:
            await trio.sleep_until(self.session.ping_at)
            await self.link.send(self.session.ping(trio.current_time()))

    async def _hang_up(self) -> None:
        # Writes nothing itself: a peer that does not read would hold it up.
        while (deadline := self.session.read_deadline) > trio.current_time():
            with trio.move_on_at(deadline):
                await self.draining.wait()
                self.ending.set("request_context_done", code=CloseCode.RESTART, reason="the server is restarting")
                return
        error = f"nothing received for {limits.READ_IDLE_SECONDS:g} seconds"
        self.ending.set("read_error", code=CloseCode.TRY_LATER, reason=error, error=error)
