"""An attachment that is ready, while it runs: events out, ACKs in, signs of life (attach protocol §4 to §7).

It has one task, which reads: frames → session → what they mean. Everything else is done to it, by the hub's tasks and
without waking its own: events are handed out (``moltnet.fanout``), signs of life asked for, and missed. They share the
session without a lock: Trio runs one at a time, and nothing of it is touched across an ``await``. How it came about is
the business of ``moltnet.attach.endpoint``, what its end means of ``moltnet.attach.ending``.
"""

from typing import Final

import attrs
import trio

from moltnet.attach.delivery import Reporter, wake_of
from moltnet.attach.ending import Ending, PeerFailed
from moltnet.attach.link import CloseCode, Link
from moltnet.attach.registry import Seat
from moltnet.attach.reports import Reports
from moltnet.auth.claims import Claims
from moltnet.auth.leases import Lease
from moltnet.auth.policy import AuthPolicy
from moltnet.broker import Position
from moltnet.core.access import Viewer, attached_viewer
from moltnet.fanout.frames import Batch, Said
from moltnet.fanout.reader import Reader
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.attachment import Acked, Identified, PeerError, Reply, ServerSession
from moltnet.protocol.events import EventType
from moltnet.protocol.frames import Ping, encode_frame
from moltnet.protocol.identity import AgentAddress
from moltnet.storage.records import EventRecord

log = get_logger("attach")
_PING: Final = Said(encode_frame(Ping()))


@attrs.define(eq=False)
class Attachment(Reader):
    """An identified agent on its seat."""

    reports: Reports
    link: Link
    session: ServerSession
    address: AgentAddress
    seat: Seat
    lease: Lease
    reporter: Reporter
    ending: Ending
    _seen: Viewer = attrs.field(init=False, factory=Viewer)
    _seen_under: tuple[Claims, AuthPolicy] | None = attrs.field(init=False, default=None)

    async def run(self, position: Position) -> None:
        """Until the peer or the server ends it."""
        with self.ending.watched():
            try:
                self.hub.admit(self, position)
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
            finally:
                self.hub.drop(self)

    def report_end(self) -> None:
        """Leave the reports of an attachment that has ended. Never waits."""
        if self.ending.is_failure:
            for wake in self.seat.wakes.values():
                self.reports.metrics.woken("failed", wake.reason)
                self.reports.add(self.reporter.wake_failed(wake, self.ending.error))
        self.reports.metrics.closed(self.ending.label)
        self.reports.add(self.reporter.disconnected(self.ending.label))
        log.info("detached", agent_id=self.address.agent_id, reason=self.ending.label, error=self.ending.error)

    def look(self) -> Viewer:
        claims, policy = self.lease.claims, self.hub.context.policy
        under = self._seen_under
        if under is None or under[0] is not claims or under[1] is not policy:  # at first, and after a reload
            self._seen, self._seen_under = attached_viewer(claims, policy, self.address), (claims, policy)
        return self._seen

    def room(self) -> int:
        # Cancelled it is soon; until then it must not see what comes after its end.
        is_ended = self.ending.is_decided or self.seat.dismissal is not None or self.lease.problem
        return 0 if is_ended else self.session.room

    def sees(self, record: EventRecord) -> bool:
        return not self._is_about_its_own_end(record) and super().sees(record)

    def takes(self, batch: Batch) -> bool:
        return self.address.agent_id not in batch.removed

    def put(self, batch: Batch) -> bool:
        fqid = self.address.fqid
        if fqid in batch.addressed:
            for frame in batch.frames:
                wake = wake_of(frame, fqid, self.hub.context.now)
                if wake is not None:
                    self.seat.wakes[frame.record.id] = wake
        self.session.put_in_flight(batch.cursors)
        return self.link.push(batch)

    async def flush(self) -> None:
        await self.link.flush()

    def fail(self, error: Exception) -> None:
        with self.ending.watched():
            raise error
        self._end()

    def attend(self, now: float) -> float:
        """Ask for a sign of life, or give up. Says no goodbye itself: a peer that does not read would hold it up."""
        if self.session.read_deadline <= now:
            error = f"nothing received for {limits.READ_IDLE_SECONDS:g} seconds"
            self.ending.set("read_error", code=CloseCode.TRY_LATER, reason=error, error=error)
            self._end()
        elif self.session.ping_at <= now + limits.TIMER_SLACK_SECONDS:
            self.session.ping(now)
            if not self.link.push(_PING):
                self.start_flushing()
        return min(self.session.ping_at, self.session.read_deadline)

    def _settle(self, cursor: str) -> None:
        wake = self.seat.wakes.pop(cursor, None)
        if wake is not None:
            self.reports.metrics.woken("delivered", wake.reason)
            self.reports.add(self.reporter.wake_delivered(wake))
        self.go_on()

    def _is_about_its_own_end(self, record: EventRecord) -> bool:
        # A client takes it for its own, even if it is of an earlier agent of that id, read again after a resume.
        return record.type == EventType.AGENT_REMOVED and record.agent_id == self.address.agent_id

    def _end(self) -> None:
        self.seat.scope.cancel(reason="attachment ended")
