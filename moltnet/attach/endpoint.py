"""One attachment from its first frame to its last: the driver of the sans-IO session (attach protocol §3 to §8).

Tasks of an attachment, all in one nursery; whichever returns first ends it::

    serve_attachment
    ├── read      frames → session → what they mean
    ├── deliver   subscription → what this agent may see → frames, while the window has room
    ├── ping      asks for a sign of life
    └── hang_up   when the server drains, or the peer has been silent for too long

They share the session without a lock: Trio runs one at a time, and nothing of it is touched across an ``await``.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager

import attrs
import trio

from moltnet.attach.delivery import AttachedAgent, Reporter, Wake, wake_of
from moltnet.attach.frames import FrameCache
from moltnet.attach.link import CloseCode, Link, LinkClosed
from moltnet.attach.registry import REBOUND, REMOVED, Registry, Seat
from moltnet.attach.reports import Reports
from moltnet.auth.claims import ANONYMOUS_KEY, Claims, CredentialKind
from moltnet.auth.tokens import agent_key
from moltnet.broker import Broker, Position, StreamEnded
from moltnet.config.settings import Scope
from moltnet.core.access import Viewer, attached_viewer, can_see
from moltnet.core.agents import claim_agent
from moltnet.core.errors import Conflict, Forbidden, Refused
from moltnet.core.network import NetworkContext
from moltnet.journal import JournalClosed
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.attachment import Acked, Identified, PeerError, Reply, ServerSession
from moltnet.protocol.errors import ErrorCode, ProtocolViolation
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import AgentAddress
from moltnet.protocol.ids import AgentId
from moltnet.storage.records import EventRecord
from moltnet.storage.store import StorageError

log = get_logger("attach")


@attrs.frozen(eq=False)
class Gateway:
    """What all attachments of a server share. ``pending`` holds the handshakes that wait for IDENTIFY."""

    context: NetworkContext
    broker: Broker
    registry: Registry
    reports: Reports
    frames: FrameCache
    draining: trio.Event = attrs.field(factory=trio.Event, init=False)
    pending: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    def drain(self) -> None:
        """Let all go: the server is about to stop. Doing it twice changes nothing."""
        self.draining.set()
        for waiting in tuple(self.pending):
            waiting.cancel(reason="the server is restarting")

    async def serve(self, link: Link, claims: Claims) -> None:
        """Serve one attachment whose credential has been checked. Returns when it has ended; raises nothing.

        Cancelled (the server stops without asking), the peer still gets a close frame if it takes it in time.
        """
        session = ServerSession(self.context.id, now=trio.current_time())
        ending = _Ending()
        try:
            with ending.watched():
                await link.send(session.hello())
                identified = await self._identify(link, session)
                await self._serve_identified(link, session, identified, claims, ending)
        except BaseException:  # only cancellation gets past the watch, alone or in a group
            with trio.move_on_after(limits.CLOSE_SECONDS, shield=True):
                await link.close(CloseCode.RESTART, "the server is shutting down")
            raise
        with trio.move_on_after(limits.CLOSE_SECONDS):
            if ending.answer:
                await link.send(session.error(ending.answer))
            if ending.code is not None:
                await link.close(ending.code, ending.reason)

    async def _identify(self, link: Link, session: ServerSession) -> Identified:
        """The peer's IDENTIFY, or a violation: of the protocol, or of its time. Raises ``StreamEnded`` at the drain."""
        with trio.move_on_after(limits.IDENTIFY_SECONDS) as waiting:
            self.pending.add(waiting)
            try:
                while not self.draining.is_set():
                    for received in session.receive_text(await link.receive(), trio.current_time()):
                        match received:
                            case Identified():
                                return received
                            case PeerError(text=text):
                                raise _PeerFailed(text)
            finally:
                self.pending.discard(waiting)
        if self.draining.is_set():
            raise StreamEnded
        raise ProtocolViolation(f"no IDENTIFY within {limits.IDENTIFY_SECONDS:g} seconds")

    async def _serve_identified(
        self, link: Link, session: ServerSession, identified: Identified, claims: Claims, ending: "_Ending"
    ) -> None:
        agent_id = AgentId(identified.agent.id)
        if not claims.may_act_as(agent_id):
            raise Forbidden(
                ErrorCode.AGENT_NOT_ALLOWED, f'attachment agent.id "{agent_id}" is not allowed for this token'
            )
        # Before READY, so that nothing published from now on is missed.
        position = await self.broker.locate(identified.cursor, self.context.clock())
        registration, _ = await claim_agent(self.context, agent_id, identified.agent.name.strip(), claims)
        with ExitStack() as released:
            key = self._collision_key(claims, registration)
            seat = released.enter_context(self.registry.attached(agent_id, key))
            self._check_still_owned(registration, key)
            with _seated(seat, ending):
                await link.send(
                    session.ready(
                        agent_id,
                        registration.actor_uid,
                        registration.actor_uri,
                        agent_token=registration.agent_token,
                        cursor=position.cursor,
                        now=trio.current_time(),  # a slow disk is not the peer's silence
                    )
                )
                address = AgentAddress(self.context.id, agent_id)
                agent = AttachedAgent(self.context.id, agent_id, address.fqid, registration.display_name)
                attachment = _Attachment(
                    gateway=self,
                    link=link,
                    session=session,
                    address=address,
                    viewer=attached_viewer(claims, self.context.policy, address),
                    reporter=Reporter(agent, self.context.now, debug=self.context.debug_events),
                    ending=ending,
                )
                self.reports.add(attachment.reporter.connected())
                log.info("attached", agent_id=agent_id, cursor=identified.cursor or "live")
                released.callback(attachment.report_end)
                await attachment.run(position)

    def _check_still_owned(self, registration: AgentRegistration, key: str) -> None:
        """Refuse an agent that was removed, or given away, after it was registered and before it had a seat."""
        known = self.context.directory.agent(registration.agent_id)
        if known is None or known.registration.actor_uid != registration.actor_uid:
            raise Forbidden(ErrorCode.AGENT_NOT_REGISTERED, REMOVED.text)
        if known.credential_key != key:
            raise Forbidden(ErrorCode.AGENT_NOT_ALLOWED, REBOUND.text)

    def _collision_key(self, claims: Claims, registration: AgentRegistration) -> str:
        if registration.agent_token:
            return agent_key(registration.agent_token)
        if claims.kind is CredentialKind.STATIC and Scope.ADMIN in claims.scopes:
            owner = self.context.directory.agent(registration.agent_id)
            return ANONYMOUS_KEY if owner is None else owner.credential_key
        return claims.key


class _PeerFailed(Exception):
    """The peer said ERROR."""


@attrs.define(eq=False)
class _Ending:
    """How an attachment ends: the ERROR text and close frame that the peer gets, and what reports say of it.

    What ended it first counts. ``code`` is ``None`` when the peer closed first.
    """

    answer: str = ""
    code: CloseCode | None = CloseCode.RESTART
    reason: str = ""
    label: str = "request_context_done"
    error: str = ""
    _decided: bool = attrs.field(default=False, init=False)

    def set(self, label: str, *, code: CloseCode | None, reason: str = "", answer: str = "", error: str = "") -> None:
        if self._decided:
            return
        self._decided = True
        self.label, self.code, self.reason, self.answer = label, code, reason or answer, answer
        self.error = error or answer

    @property
    def is_failure(self) -> bool:
        """Whether what was not ACKed has failed. After a goodbye of either side it has only not happened yet."""
        return self.label in ("read_error", "client_error")

    def watched(self) -> "_Watch":
        return _Watch(self)


@attrs.frozen
class _Watch:
    """Turns what ends an attachment into its ``_Ending``. Bugs pass, after the peer was told to try again."""

    ending: _Ending

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> bool:
        match error:
            case None:
                return True
            case ProtocolViolation():
                self.ending.set("read_error", code=_close_code(error.close_code), answer=error.answer)
            case LinkClosed():
                label = {1000: "client_closed", 1001: "client_going_away"}.get(error.code, "read_error")
                self.ending.set(label, code=None, error=str(error))
            case _PeerFailed():
                self.ending.set("client_error", code=CloseCode.RESTART, error=f"client error: {error}")
            case Conflict() if error.code is ErrorCode.AGENT_ATTACHED_ELSEWHERE:
                self.ending.set("refused", code=CloseCode.TRY_LATER, answer=error.message)
            case Refused():
                self.ending.set("refused", code=CloseCode.POLICY, answer=error.message)
            case StreamEnded():
                self.ending.set("request_context_done", code=CloseCode.RESTART, reason="the server is restarting")
            case StorageError() | JournalClosed():
                self.ending.set("event_stream_closed", code=CloseCode.TRY_LATER, reason="storage is unavailable")
            case Exception():
                log.error("attachment crashed", exc_info=error)
                self.ending.set("event_stream_closed", code=CloseCode.TRY_LATER, reason="internal error")
            case _:
                return False
        return True


@contextmanager
def _seated(seat: Seat, ending: _Ending) -> Iterator[None]:
    """Run what a dismissal cancels."""
    with seat.scope:
        yield
    if seat.dismissal is not None:
        ending.set(seat.dismissal.label, code=CloseCode.POLICY, answer=seat.dismissal.text)


def _close_code(code: int) -> CloseCode:
    return CloseCode.TOO_BIG if code == CloseCode.TOO_BIG else CloseCode.POLICY


@attrs.define(eq=False)
class _Attachment:
    """An identified attachment while it runs."""

    gateway: Gateway
    link: Link
    session: ServerSession
    address: AgentAddress
    viewer: Viewer
    reporter: Reporter
    ending: _Ending
    _wakes: dict[str, Wake] = attrs.field(init=False, factory=dict)
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
            for wake in self._wakes.values():
                self.gateway.reports.add(self.reporter.wake_failed(wake, self.ending.error))
        self.gateway.reports.add(self.reporter.disconnected(self.ending.label))
        log.info("detached", agent_id=self.address.agent_id, reason=self.ending.label, error=self.ending.error)

    async def _read(self) -> None:
        while True:
            text = await self.link.receive()
            for received in self.session.receive_text(text, trio.current_time()):
                match received:
                    case Acked(cursor=cursor):
                        self._settle(cursor)
                    case Reply(text=reply):
                        await self.link.send(reply)
                    case PeerError(text=error):
                        raise _PeerFailed(error)
                    case Identified():
                        pass

    def _settle(self, cursor: str) -> None:
        wake = self._wakes.pop(cursor, None)
        if wake is not None:
            self.gateway.reports.add(self.reporter.wake_delivered(wake))
        self._acked.unpark_all()

    async def _deliver(self, position: Position) -> None:
        gateway = self.gateway
        if position.gap is not None:
            await self._send(position.gap)
        subscription = gateway.broker.subscribe(position.seq)
        while True:
            for record in await subscription.receive():
                if self._is_about_its_own_end(record):
                    continue
                if can_see(self.viewer, record, gateway.context.policy, gateway.context.directory):
                    await self._send(record)

    def _is_about_its_own_end(self, record: EventRecord) -> bool:
        # A client takes it for its own, even if it is of an earlier agent of that id, read again after a resume.
        return record.type == EventType.AGENT_REMOVED and record.agent_id == self.address.agent_id

    async def _send(self, record: EventRecord) -> None:
        while not self.session.can_send:
            await self._acked.park()
        wake = wake_of(record, self.address.fqid)
        if wake is not None:
            self._wakes[record.id] = wake
        await self.link.send(self.session.event(record.id, self.gateway.frames.text(record)))

    async def _ping(self) -> None:
        while True:
            await trio.sleep_until(self.session.ping_at)
            await self.link.send(self.session.ping(trio.current_time()))

    async def _hang_up(self) -> None:
        # Writes nothing itself: a peer that does not read would hold it up.
        while (deadline := self.session.read_deadline) > trio.current_time():
            with trio.move_on_at(deadline):
                await self.gateway.draining.wait()
                self.ending.set("request_context_done", code=CloseCode.RESTART, reason="the server is restarting")
                return
        error = f"nothing received for {limits.READ_IDLE_SECONDS:g} seconds"
        self.ending.set("read_error", code=CloseCode.TRY_LATER, reason=error, error=error)
