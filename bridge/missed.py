"""What was said while an agent was away for so long that the server's log of events does not reach back to its place.

The log is kept for some days, by the reference for 256 events; the history of conversations is kept for longer. So the
messages after our place are read there, and those that wake the agent are kept in the ledger (`bridge.ledger`), because
the server will not send them again. What still is in the log comes a second time, and is known by its event id.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Final

import attrs
import trio

from bridge import limits
from bridge.approvals import Approvals
from bridge.config import AttachmentConfig, WakePolicy
from bridge.credential import find_token
from bridge.dead_letters import DeadLetters
from bridge.errors import ConnectionLost
from bridge.ledger import Ledger
from bridge.policy import Wake, needs_approval
from bridge.runtimes.runtime import Conversation
from bridge.status import AttachmentStatus
from moltnet.client.api import MoltnetClient, open_client
from moltnet.client.errors import ClientError, ServerAnswered
from moltnet.client.listing import all_dms, all_threads
from moltnet.log import get_logger
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import event_id_of_message
from moltnet.protocol.limits import MAX_PAGE_ITEMS
from moltnet.protocol.messages import Message, Target, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.times import Timestamp, parse_timestamp

log = get_logger("bridge.missed")

_TOO_MUCH: Final = "missed while the agent was away, with so much else that it was not run by itself"
# This token may not read there, or nothing is there; asking again does not help.
_NOT_TOLD: Final = frozenset({400, 401, 403, 404, 405, 410, 501})

AsWake = Callable[[Event], Wake | None]


@attrs.define(eq=False)
class Missed:
    """Fetches what one attachment has missed."""

    _config: AttachmentConfig
    _environ: Mapping[str, str]
    _ledger: Ledger
    _dead_letters: DeadLetters
    _status: AttachmentStatus
    _as_wake: AsWake

    async def fetch(self, approvals: Approvals) -> tuple[Wake, ...]:
        """Take over what woke the agent behind our place; returns what is to be run now, in order. Held for approval is
        what needs it, and what is too much becomes a dead letter.

        Raises:
            ConnectionLost: the history can't be read now; whoever connects again is told of the gap again.
            OSError: the ledger can't be written.
        """
        since = _moment(self._ledger.cursor_at)
        if since is None:
            log.warning("what was missed can't be fetched: the time of the last event is not known")
            return ()
        missed = await self._read(since)
        missed.sort(key=lambda message: _moment(message.created_at) or since)
        wakes = (self._as_wake(_as_event(message)) for message in missed)
        found = [wake for wake in wakes if wake is not None and not self._ledger.knows(wake.event_id)]
        to_run: list[Wake] = []
        left_bytes = limits.MAX_RETAKEN_BYTES
        for wake in found:
            if needs_approval(self._config, wake.message.target):
                await approvals.hold(wake)
                continue
            left_bytes -= len(wake.body.encode()) + limits.WAKE_HEADER_BYTES
            if left_bytes < 0:
                where = Conversation.of_target(wake.message.network_id, wake.message.target)
                await self._dead_letters.record(where, [wake], 0, _TOO_MUCH)
                self._status.given_up_wakes += 1
            else:
                to_run.append(wake)
        await self._ledger.fetch(found, to_run)
        log.info("missed messages fetched", since=self._ledger.cursor_at, messages=len(missed), wakes=len(found))
        return tuple(to_run)

    async def _read(self, since: datetime) -> list[Message]:
        """The messages since then in all conversations that may wake the agent. Raises `ConnectionLost`."""
        found: list[Message] = []
        try:
            with trio.fail_after(limits.MISSED_SECONDS):
                token = await find_token(self._config, self._environ)
                async with open_client(self._config.server.base_url, token, environ=self._environ) as client:
                    for target in await self._targets(client, since):
                        with _passing_over(target):
                            found += await _read_back(client, target, since)
        except (ClientError, trio.TooSlowError) as error:
            reason = str(error) or f"no answer within {limits.MISSED_SECONDS:g} s"
            raise ConnectionLost(f"what was missed can't be fetched: {reason}") from error
        return found

    async def _targets(self, client: MoltnetClient, since: datetime) -> list[Target]:
        """The conversations that may wake the agent, and in which something was said since then."""
        targets: list[Target] = []
        for binding in self._config.rooms:
            if binding.wake.policy is WakePolicy.NEVER:
                continue
            targets.append(room := Target(kind=TargetKind.ROOM, room_id=binding.id))
            with _passing_over(room):
                targets += (
                    Target(kind=TargetKind.THREAD, room_id=binding.id, thread_id=thread.id)
                    for thread in await all_threads(client, binding.id)
                    if _is_after(thread.last_message_at, since)
                )
        if self._config.dms.enabled:
            with _passing_over("direct conversations"):
                targets += (
                    Target(kind=TargetKind.DM, dm_id=dm.id)
                    for dm in await all_dms(client)
                    if _is_after(dm.last_message_at, since)
                )
        return targets


async def _read_back(client: MoltnetClient, target: Target, since: datetime) -> list[Message]:
    """The messages of one conversation since then; of very many the newest."""
    found: list[Message] = []
    before = ""
    while True:
        answer = await client.messages(target, PageRequest(limit=MAX_PAGE_ITEMS, before=before))
        newer = [message for message in answer.messages if _is_after(message.created_at, since)]
        found += newer
        if len(newer) < len(answer.messages) or answer.page.next_before in ("", before):
            return found
        if len(found) >= limits.MAX_MISSED_MESSAGES:
            log.warning("too much was missed, older messages are left out", target=str(target), read=len(found))
            return found
        before = answer.page.next_before


@contextmanager
def _passing_over(what: object) -> Iterator[None]:
    """Go on without what this token may not read, or what is not there (any more)."""
    try:
        yield
    except ServerAnswered as answer:
        if answer.status not in _NOT_TOLD:
            raise
        log.warning("what was missed can't be read here", where=str(what), reason=str(answer))


def _is_after(timestamp: str, since: datetime) -> bool:
    """Not before, to be exact: what happened in the same microsecond is told apart by its id."""
    moment = _moment(timestamp)
    return moment is not None and moment >= since


def _moment(timestamp: str) -> datetime | None:
    """None for what is no time with a zone."""
    with suppress(ValueError):
        moment = parse_timestamp(Timestamp(timestamp))
        return moment if moment.tzinfo is not None else None
    return None


def _as_event(message: Message) -> Event:
    return Event(
        id=event_id_of_message(message.id),
        type=EventType.MESSAGE_CREATED,
        network_id=message.network_id,
        created_at=message.created_at,
        message=message,
    )
