"""Wakes that wait until an operator approves them (`reply: manual`): held on disk, asked about, then run or dropped.

    held       in the ledger before the server is told that we have it, so it takes no place in the delivery window
    asked      the server keeps the question, for operators; who asks again is told what became of it
    approved   goes into its conversation, before those that came after it
    denied     or not approved in time: finished without a turn

A decision comes as an event, and is asked for at every start: so one that came while the node was down is found. What
waits here holds back no other wake. What can't be asked about, because the server has no approvals or does not know the
message any more, becomes a dead letter: then the operator of the node decides (`bridge.desk`).
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from itertools import dropwhile, islice
from typing import Protocol

import attrs
import trio

from bridge import limits
from bridge.activity import WaitingApproval
from bridge.config import AttachmentConfig
from bridge.credential import find_token
from bridge.dead_letters import DeadLetters
from bridge.errors import AttachRefused
from bridge.ledger import Ledger
from bridge.policy import Wake
from bridge.runtimes.runtime import Conversation
from bridge.status import AttachmentStatus
from moltnet.backoff import backoff_delays
from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import BadServerAddress, BadToken, ClientError, ServerAnswered
from moltnet.log import get_logger
from moltnet.protocol.approvals import Approval, ApprovalState, RequestApprovalRequest
from moltnet.protocol.codec import encode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.times import WallClock, parse_timestamp, utc_now

log = get_logger("bridge.approvals")

_TOO_MANY = "too many messages wait for approval already"
_UNKNOWN = "the server does not know this message any more, so nobody can approve it there"
_UNSUPPORTED = "this server has no approvals; moltnet node dead-letters retry runs it, drop forgets it"
_NO_ROUTE = frozenset({404, 405})


class Deliver(Protocol):
    """See `bridge.conversation.Conversations.deliver`."""

    def __call__(self, wake: Wake, ahead_of: Collection[str] = ()) -> None: ...


class _CannotAsk(Exception):
    """The server can't be asked now. The text says why."""


@attrs.define(eq=False)
class Approvals:
    """The wakes of one attachment that wait for an operator. `run` is its task; `bridge.loop` calls the others."""

    _config: AttachmentConfig
    _environ: Mapping[str, str]
    _ledger: Ledger
    _dead_letters: DeadLetters
    _status: AttachmentStatus
    _deliver: Deliver
    _clock: WallClock = utc_now
    _ask_at: dict[str, float] = attrs.field(factory=dict, init=False)
    """When the server is asked about each that waits, by event id."""
    _stirred: trio.Event = attrs.field(factory=trio.Event, init=False)

    def __attrs_post_init__(self) -> None:
        self._status.approvals.clear()  # of a run before this one, after which an operator may have taken some back
        # Which of them were approved only the server knows.
        for wake in self._ledger.held.values():
            self._wait_for(wake)

    async def hold(self, wake: Wake) -> None:
        """Keep a wake until it is decided; when this returns, the server may forget it. Raises `OSError`."""
        if wake.event_id in self._ledger.held:
            await self._ledger.hold(wake)
            return
        held = [*self._ledger.held.values(), wake]
        if len(held) > limits.MAX_HELD_WAKES or sum(len(encode(each)) for each in held) > limits.MAX_HELD_BYTES:
            await self._give_up(wake, _TOO_MANY)
            return
        await self._ledger.hold(wake)
        waiting = self._wait_for(wake)
        log.info("waits for approval", conversation=waiting.conversation, sender=waiting.sender, event_id=wake.event_id)

    async def hear(self, approval: Approval) -> None:
        """What the server says of an approval. Raises `OSError`."""
        waiting = self._status.approvals.get(approval.event_id)
        if waiting is None or approval.agent_id != self._config.agent.id:
            return
        if approval.state is ApprovalState.PENDING:
            self._note_pending(waiting, approval)
            return
        wake = self._ledger.held.get(approval.event_id)
        self._forget(approval.event_id)
        if wake is None:
            return  # retried from the dead letters, after a crash had left it waiting too
        if approval.state is ApprovalState.APPROVED:
            log.info("approved", approval_id=approval.id, by=approval.decided_by, conversation=waiting.conversation)
            later = dropwhile(lambda event_id: event_id != wake.event_id, self._ledger.held)
            self._deliver(wake, ahead_of=frozenset(islice(later, 1, None)))
            return
        self._status.refused_wakes += 1
        await self._ledger.finish([wake.event_id])
        # Said when it is on disk: from here on it wakes nobody.
        if approval.state is ApprovalState.DENIED:
            log.info("denied", approval_id=approval.id, by=approval.decided_by, note=approval.note)
        else:
            log.info("not approved in time", approval_id=approval.id)

    def ask_again(self) -> None:
        """Decisions may have been missed: ask about all that wait."""
        self._ask_at = dict.fromkeys(self._ask_at, trio.current_time())
        self._stirred.set()

    async def run(self) -> None:
        """Ask the server about what waits, whenever that is due. Raises `OSError`."""
        delays = _retry_delays()
        while True:
            self._stirred = trio.Event()
            try:
                await self._ask_all()
            except _CannotAsk as trouble:
                delay_seconds = next(delays)
                self._note_trouble(str(trouble))
                # What stirs us comes later: a server that is down must not be asked for each message.
                await trio.sleep(delay_seconds)
                continue
            delays = _retry_delays()
            self._status.approvals_problem = ""
            with trio.CancelScope(deadline=min(self._ask_at.values(), default=float("inf"))):
                await self._stirred.wait()

    async def _ask_all(self) -> None:
        """Raises `_CannotAsk`, `OSError`."""
        due = [event_id for event_id, ask_at in self._ask_at.items() if ask_at <= trio.current_time()]
        if not due:
            return
        try:
            token = await find_token(self._config, self._environ)
            async with open_client(self._config.server.base_url, token, environ=self._environ) as client:
                for event_id in due:
                    wake = self._ledger.held.get(event_id)
                    if wake is None:
                        self._forget(event_id)
                    elif event_id in self._ask_at:  # else an event has decided it meanwhile
                        await self._ask(client, wake)
        except (AttachRefused, ClientError, BadServerAddress, BadToken) as error:
            raise _CannotAsk(str(error)) from error

    async def _ask(self, client: MoltnetClient, wake: Wake) -> None:
        wanted = RequestApprovalRequest(wake.event_id, wake.reason, self._config.brakes.approval_seconds)
        try:
            with trio.move_on_after(limits.APPROVAL_REQUEST_SECONDS) as asking:
                approval = await client.request_approval(self._config.agent.id, wanted)
        except ServerAnswered as answer:
            if answer.code == ErrorCode.UNKNOWN_EVENT:
                await self._give_up(wake, _UNKNOWN)
            elif answer.status in _NO_ROUTE and answer.code in ("", ErrorCode.UNKNOWN_ROUTE):
                await self._give_up(wake, _UNSUPPORTED)
            else:
                raise
            return
        if asking.cancelled_caught:
            raise _CannotAsk(f"no answer within {limits.APPROVAL_REQUEST_SECONDS:g} s")
        if (approval.agent_id, approval.event_id) != (self._config.agent.id, wake.event_id):
            raise _CannotAsk("the server answered about another message")
        await self.hear(approval)

    async def _give_up(self, wake: Wake, reason: str) -> None:
        # First, or what an event says of it meanwhile would run it.
        self._forget(wake.event_id)
        await self._dead_letters.record(_conversation(wake), [wake], 0, reason)
        self._status.given_up_wakes += 1
        await self._ledger.finish([wake.event_id])

    def _wait_for(self, wake: Wake) -> WaitingApproval:
        sender = wake.message.sender
        waiting = WaitingApproval(wake.event_id, _conversation(wake).key, sender.fqid or sender.id, wake.reason)
        self._status.approvals[wake.event_id] = waiting
        self._ask_at[wake.event_id] = trio.current_time()
        self._stirred.set()
        return waiting

    def _forget(self, event_id: str) -> None:
        self._status.approvals.pop(event_id, None)
        self._ask_at.pop(event_id, None)

    def _note_pending(self, waiting: WaitingApproval, approval: Approval) -> None:
        """It waits at the server now, which tells by an event what was decided; or else we ask again."""
        waiting.approval_id = approval.id
        silence_seconds = limits.APPROVAL_RECHECK_SECONDS
        with suppress(ValueError, TypeError):  # not a time
            left_seconds = (parse_timestamp(approval.expires_at) - self._clock()).total_seconds()
            waiting.expires_at = approval.expires_at
            if left_seconds > 0:
                silence_seconds = left_seconds + limits.APPROVAL_OVERDUE_SECONDS
        silence_seconds = min(silence_seconds, limits.APPROVAL_LONGEST_SILENCE_SECONDS)
        self._ask_at[approval.event_id] = trio.current_time() + silence_seconds

    def _note_trouble(self, reason: str) -> None:
        if reason != self._status.approvals_problem:
            log.warning("can't ask for approval, trying again", reason=reason, waiting=len(self._ask_at))
        self._status.approvals_problem = reason


def _conversation(wake: Wake) -> Conversation:
    return Conversation.of_target(wake.message.network_id, wake.message.target)


def _retry_delays() -> Iterator[float]:
    return backoff_delays(
        base_seconds=limits.APPROVAL_RETRY_BASE_SECONDS, cap_seconds=limits.APPROVAL_RETRY_CAP_SECONDS
    )
