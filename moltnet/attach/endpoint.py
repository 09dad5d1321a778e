"""How an attachment comes about and ends: handshake, seat, lease, close (attach protocol §3, §8).

What runs in between is ``moltnet.attach.attachment``; which exception means which end, ``moltnet.attach.ending``.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import attrs
import trio

from moltnet.attach.attachment import Attachment
from moltnet.attach.delivery import AttachedAgent, Reporter
from moltnet.attach.ending import Ending, PeerFailed
from moltnet.attach.link import CloseCode, Link
from moltnet.attach.registry import REBOUND, REMOVED, Registry, Seat
from moltnet.attach.reports import Reports
from moltnet.auth.claims import ANONYMOUS_KEY, Claims, CredentialKind
from moltnet.auth.leases import Lease, Leases
from moltnet.auth.policy import agent_claims
from moltnet.auth.tokens import InvalidCredential, agent_key
from moltnet.broker import Broker, Position, StreamEnded
from moltnet.config.settings import Scope
from moltnet.core.agents import check_may_attach, claim_agent
from moltnet.core.errors import Forbidden, Unauthenticated
from moltnet.core.network import NetworkContext
from moltnet.fanout.hub import Hub
from moltnet.log import get_logger
from moltnet.protocol import limits
from moltnet.protocol.agents import AgentRegistration
from moltnet.protocol.attachment import Identified, PeerError, ServerSession
from moltnet.protocol.errors import ErrorCode, ProtocolViolation
from moltnet.protocol.identity import AgentAddress
from moltnet.protocol.ids import AgentId

log = get_logger("attach")
IDENTIFY_TIMEOUT = "identify_timeout"


async def _admit_all() -> None:
    pass


@attrs.frozen(eq=False)
class Gateway:
    """What all attachments of a server share. ``pending`` holds the handshakes that wait for IDENTIFY."""

    context: NetworkContext
    broker: Broker
    registry: Registry
    reports: Reports
    hub: Hub
    leases: Leases
    draining: trio.Event = attrs.field(factory=trio.Event, init=False)
    pending: set[trio.CancelScope] = attrs.field(factory=set, init=False)

    def drain(self) -> None:
        """Let all go: the server is about to stop. Doing it twice changes nothing."""
        self.draining.set()
        for waiting in tuple(self.pending):
            waiting.cancel(reason="the server is restarting")
        self.hub.end()

    async def serve(self, link: Link, claims: Claims, identified: Callable[[], Awaitable[None]] = _admit_all) -> str:
        """Serve one attachment whose credential has been checked. Returns how it ended; raises nothing.

        ``identified`` is called once the peer has said which agent it is, and may refuse it.

        Cancelled (the server stops without asking), the peer still gets a close frame if it takes it in time.
        """
        window = self.context.terms.delivery_window
        session = ServerSession(self.context.id, window_events=window, now=trio.current_time())
        ending = Ending()
        try:
            with ending.watched():
                await link.send(session.hello())
                identify = await self._identify(link, session, ending)
                await identified()
                await self._serve_identified(link, session, identify, claims, ending)
        except BaseException:  # only cancellation gets past the watch, alone or in a group
            with trio.move_on_after(limits.CLOSE_SECONDS, shield=True):
                await link.close(CloseCode.RESTART, "the server is shutting down")
            raise
        if not ending.was_ready:
            self.reports.metrics.refused(ending.cause or ending.label)
        with trio.move_on_after(limits.CLOSE_SECONDS):
            if ending.answer:
                await link.send(session.error(ending.answer))
            if ending.code is not None:
                await link.close(ending.code, ending.reason)
        return ending.label

    async def _identify(self, link: Link, session: ServerSession, ending: Ending) -> Identified:
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
                                raise PeerFailed(text)
            finally:
                self.pending.discard(waiting)
        if self.draining.is_set():
            raise StreamEnded
        ending.cause = IDENTIFY_TIMEOUT
        raise ProtocolViolation(f"no IDENTIFY within {limits.IDENTIFY_SECONDS:g} seconds")

    async def _serve_identified(
        self, link: Link, session: ServerSession, identified: Identified, claims: Claims, ending: Ending
    ) -> None:
        agent_id = AgentId(identified.agent.id)
        if not claims.may_act_as(agent_id):
            raise Forbidden(
                ErrorCode.AGENT_NOT_ALLOWED, f'attachment agent.id "{agent_id}" is not allowed for this token'
            )
        # Before READY, so that nothing published from now on is missed.
        position = await self.broker.locate(identified.cursor, self.context.clock())
        check_may_attach(self.context, claims)
        registration, _ = await claim_agent(self.context, agent_id, identified.agent.name.strip(), claims)
        key = self._collision_key(claims, registration)
        with self._until_drain():
            await self.registry.doubt(agent_id, key)
        if registration.agent_token:
            claims = agent_claims(key, frozenset({agent_id}))
        seat = self.registry.take(agent_id, key)
        attachment: Attachment | None = None
        try:
            self._check_still_owned(registration, key)
            lease = self._lease(claims, agent_id)
            # One scope for whatever ends it from outside, and no stack of context managers: an attachment is held open
            # in here for days, and each of them would be half a KiB of it.
            with seat.scope:
                lease.watch(seat.scope)
                try:
                    # Whatever changes meanwhile dismisses the seat.
                    with self._until_drain():
                        await self.registry.confirm(agent_id, key)
                    await link.send(_ready(session, registration, position))
                    attachment = self._attached(link, session, registration, seat, lease, ending)
                    self.context.sightings.introduced(agent_id, identified.about)
                    log.info("attached", agent_id=agent_id, cursor=identified.cursor or "live")
                    await attachment.run(position)
                finally:
                    lease.unwatch()
            if seat.dismissal is not None:
                ending.set(seat.dismissal.label, code=seat.dismissal.code, answer=seat.dismissal.text)
            elif lease.problem:
                ending.set("credential_ended", code=CloseCode.POLICY, answer=lease.problem)
        finally:
            if attachment is not None:
                attachment.report_end()
            self.registry.release(agent_id, key, seat)

    def _attached(
        self,
        link: Link,
        session: ServerSession,
        registration: AgentRegistration,
        seat: Seat,
        lease: Lease,
        ending: Ending,
    ) -> Attachment:
        """It is ready. Never waits: from here on its end is reported, too."""
        address = AgentAddress(self.context.id, registration.agent_id)
        agent = AttachedAgent(self.context.id, registration.agent_id, address.fqid, registration.display_name)
        attachment = Attachment(
            hub=self.hub,
            reports=self.reports,
            link=link,
            session=session,
            address=address,
            seat=seat,
            lease=lease,
            reporter=Reporter(agent, self.context.now, debug=self.context.debug_events),
            ending=ending,
        )
        ending.was_ready = True
        self.reports.metrics.opened.inc()
        self.reports.add(attachment.reporter.connected())
        return attachment

    @contextmanager
    def _until_drain(self) -> Iterator[None]:
        """Run what an agent waits for before it is ready. Raises ``StreamEnded`` at the drain."""
        with trio.CancelScope() as waiting:
            self.pending.add(waiting)
            try:
                yield
            finally:
                self.pending.discard(waiting)
        if self.draining.is_set():
            raise StreamEnded

    def _lease(self, claims: Claims, agent_id: AgentId) -> Lease:
        def may_stay(claims: Claims) -> bool:
            return claims.has(Scope.ATTACH) and claims.may_act_as(agent_id) and self._owns(claims, agent_id)

        try:
            return self.leases.grant(claims, may_stay)
        except InvalidCredential as gone:
            raise Unauthenticated(ErrorCode.INVALID_TOKEN, str(gone)) from None

    def _owns(self, claims: Claims, agent_id: AgentId) -> bool:
        known = self.context.directory.agent(agent_id)
        return Scope.ADMIN in claims.scopes or known is None or known.credential_key == claims.key

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


def _ready(session: ServerSession, registration: AgentRegistration, position: Position) -> str:
    return session.ready(
        registration.agent_id,
        registration.actor_uid,
        registration.actor_uri,
        agent_token=registration.agent_token,
        cursor=position.cursor,
        now=trio.current_time(),  # a slow disk is not the peer's silence
    )
