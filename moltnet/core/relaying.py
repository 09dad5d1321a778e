"""What goes to other networks, in which words, and what an operator does about messages that could not.

Pure decisions, but for the use cases of dead letters at the end. When something is sent is ``moltnet.pairing``'s
business (pairing §1, §2; design §3.14).
"""

from collections.abc import Iterable, Sequence

import attrs

from moltnet.config.settings import PairingSettings
from moltnet.core.errors import NotFound
from moltnet.core.network import NetworkContext
from moltnet.core.pages import id_page_json, unknown_cursor
from moltnet.core.pairings import unknown_pairing
from moltnet.log import get_logger
from moltnet.protocol.codec import encode
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import parse_address
from moltnet.protocol.ids import MessageId, NetworkId
from moltnet.protocol.messages import Message, SendMessageRequest, Target, TargetKind
from moltnet.protocol.pages import PageRequest
from moltnet.protocol.relays import RelayQueue, RelayQueues, RelayResult
from moltnet.storage.outbox import DropRelays, OutboxDepth, Relay, RetryRelays
from moltnet.storage.store import UnknownCursor

log = get_logger("relay")


def relays_of(message: Message, local: NetworkId, pairings: Sequence[PairingSettings]) -> tuple[Relay, ...]:
    """Where a message that is about to be stored goes: one hop at most, so only what began here goes anywhere.

    Messages in rooms and threads go over every pairing that relays the room, direct ones to the networks of those who
    take part.
    """
    if not pairings or message.origin.network_id != local:
        return ()
    wanted = [pairing for pairing in pairings if _goes_over(message.target, local, pairing)]
    if not wanted:
        return ()
    body = relayed_body(message, local)
    return tuple(Relay(pairing.id, body) for pairing in wanted)


def _goes_over(target: Target, local: NetworkId, pairing: PairingSettings) -> bool:
    if target.kind != TargetKind.DM:
        return pairing.relays_room(target.room_id)
    return any(
        parse_address(participant, local).network_id == pairing.remote_network_id
        for participant in target.participant_ids
    )


def relayed_body(message: Message, local: NetworkId) -> bytes:
    """What is posted to another network: the same message, with every participant's network in its name.

    So both sides know the same people by it. Ids, origin and sender are unchanged, mentions are FQIDs already.
    """
    target = message.target
    if target.kind == TargetKind.DM:
        scoped = (parse_address(participant, local).scoped for participant in target.participant_ids)
        target = attrs.evolve(target, participant_ids=tuple(dict.fromkeys(scoped)))
    return encode(
        SendMessageRequest(
            id=message.id,
            origin=message.origin,
            target=target,
            sender=message.sender,
            parts=message.parts,
            mentions=message.mentions,
        )
    )


async def list_queues(context: NetworkContext) -> bytes:
    """How much waits for each pairing, as JSON; also for one that the configuration does not name any more."""
    depths = {depth.pairing_id: depth for depth in await context.store.outbox_depths()}
    configured = {pairing.id for pairing in context.pairings}
    queues = [
        _queue(depths.get(pairing_id, OutboxDepth(pairing_id)), configured)
        for pairing_id in sorted(configured.union(depths))
    ]
    return encode(RelayQueues(tuple(queues)))


def _queue(depth: OutboxDepth, configured: Iterable[str]) -> RelayQueue:
    return RelayQueue(
        pairing_id=depth.pairing_id,
        waiting=depth.waiting,
        dead_letters=depth.dead,
        configured=depth.pairing_id in configured,
        oldest_waiting_at=depth.oldest_waiting_at,
    )


async def list_dead_letters(context: NetworkContext, pairing_id: str, page: PageRequest) -> bytes:
    """A page of the dead letters of a pairing, as JSON, in the order of their messages.

    Raises ``NotFound`` for a pairing of which nothing is known, ``Invalid`` for a foreign cursor.
    """
    try:
        found, more_follow = await context.store.dead_letters(pairing_id, page)
    except UnknownCursor:
        raise unknown_cursor(page) from None
    if not found:
        await _check_known(context, pairing_id)
    # A page is read in the direction of its cursor.
    items = reversed(found) if page.before else found
    return id_page_json("dead_letters", items, page, more_follow=more_follow)


async def retry_dead_letter(context: NetworkContext, pairing_id: str, message_id: str) -> RelayResult:
    """Let a dead letter wait again. Raises ``NotFound``, ``StorageError``, ``JournalClosed``."""
    outcome = await context.journal.commit(RetryRelays(pairing_id, (MessageId(message_id),)))
    return await _told(context, pairing_id, message_id, "retried", found=bool(outcome.message_ids))


async def drop_dead_letter(context: NetworkContext, pairing_id: str, message_id: str) -> RelayResult:
    """Forget a dead letter. Raises as ``retry_dead_letter`` does."""
    outcome = await context.journal.commit(DropRelays(pairing_id, (MessageId(message_id),)))
    return await _told(context, pairing_id, message_id, "dropped", found=bool(outcome.message_ids))


async def _told(context: NetworkContext, pairing_id: str, message_id: str, action: str, *, found: bool) -> RelayResult:
    if not found:
        await _check_known(context, pairing_id)
        raise NotFound(
            ErrorCode.UNKNOWN_DEAD_LETTER, f'pairing "{pairing_id}" has no dead letter of message "{message_id}"'
        )
    log.info("dead letter " + action, pairing=pairing_id, message_id=message_id)
    return RelayResult(MessageId(message_id), pairing_id, action)


async def _check_known(context: NetworkContext, pairing_id: str) -> None:
    if any(pairing.id == pairing_id for pairing in context.pairings):
        return
    if all(depth.pairing_id != pairing_id for depth in await context.store.outbox_depths()):
        raise unknown_pairing(pairing_id)
