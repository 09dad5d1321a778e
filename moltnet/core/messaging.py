"""Sending a message: from a decoded request and the caller's claims to a committed message, or a refusal.

Knows nothing of HTTP and WebSockets: they read what the journal publishes. What goes to other networks is stored with
the message, whoever sends it there.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from moltnet.auth.claims import Claims
from moltnet.core.access import can_write_room
from moltnet.core.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, Unauthenticated
from moltnet.core.muting import check_may_speak
from moltnet.core.network import NetworkContext
from moltnet.core.recipients import mentioned
from moltnet.core.relaying import relays_of
from moltnet.core.senders import Sender, prove_sender, spoken_for, wrong_network
from moltnet.protocol import limits
from moltnet.protocol.codec import Problem, encode_plain, unstructure
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.identity import canonical_member
from moltnet.protocol.ids import DirectId, MessageId, NetworkId, new_message_id
from moltnet.protocol.messages import (
    Message,
    MessageAccepted,
    MessageOrigin,
    SendMessageRequest,
    Target,
    TargetKind,
    send_problems,
)
from moltnet.storage.commands import (
    AppendMessage,
    BindPairNetwork,
    DirectFull,
    MessageOutcome,
    MessageRepeated,
    MessageStored,
    NotParticipant,
    RoomMissing,
    ThreadElsewhere,
)
from moltnet.storage.records import PairNetwork

# Room for what an EVENT frame holds beside the message: ids, types, times and braces, all of bounded length.
_FRAME_OVERHEAD_BYTES = 2 * limits.KIB


async def send_message(context: NetworkContext, request: SendMessageRequest, claims: Claims) -> MessageAccepted:
    """Check, store and publish one message.

    Sending the same message again under the same id gives the first answer again (design §3.7). Raises ``Refused``,
    ``StorageError``, ``JournalClosed``. Cancelled, the message may or may not have been stored; the id tells.
    """
    request = request.trimmed()
    if not request.id:
        # Relayed without an id of its own, it is known by that of its origin, so that sent again it is the same.
        origin = request.origin
        is_relayed = origin.network_id not in ("", context.id) and origin.message_id
        request = attrs.evolve(request, id=origin.message_id if is_relayed else new_message_id())
    if request.target.kind == TargetKind.DM and not context.policy.direct_messages:
        raise Forbidden(ErrorCode.DIRECT_MESSAGES_DISABLED, "direct messages are disabled for this network")
    problems = send_problems(request)
    if problems:
        raise Invalid.from_problems(problems)
    _check_participants(request.target, context.id)
    try:
        sender = _admitted(context, request, claims)
    except (NotFound, Forbidden, Unauthenticated) as refusal:
        if refusal.code is ErrorCode.UNAUTHORIZED:
            raise  # whoever has no token is nobody's news
        # Room, membership or agent may be the work of a moment ago, at another server.
        await context.catch_up()
        sender = _admitted(context, request, claims)
    command = _command(context, request, sender)
    if sender.address.network_id != context.id:
        await _bind_pair_token(context, sender.address.network_id, claims)
    return _answer(request, await context.journal.commit(command))


def _check_participants(target: Target, local: NetworkId) -> None:
    """One agent in two spellings is one participant, and talks to nobody."""
    if target.kind == TargetKind.DM and len({canonical_member(member, local) for member in target.participant_ids}) < 2:
        problem = "must name at least two different participants; these are spellings of one"
        raise Invalid.from_problems([Problem("$.target.participant_ids", problem)])


def _admitted(context: NetworkContext, request: SendMessageRequest, claims: Claims) -> Sender:
    """Who sends, if it may."""
    sender = prove_sender(request.sender, request.origin, claims, context.policy, context.directory)
    check_may_speak(context, sender.address)
    if request.target.kind != TargetKind.DM:
        _check_room(context, request.target, sender, claims)
    return sender


async def _bind_pair_token(context: NetworkContext, origin: NetworkId, claims: Claims) -> None:
    """The first message that a pair token hands in decides for which network it speaks, unless the file does."""
    if spoken_for(claims, context.directory) is None:
        bound = await context.journal.commit(BindPairNetwork(PairNetwork(claims.key, origin)))
        if bound.network_id != origin:
            raise wrong_network(bound.network_id, origin)


def _check_room(context: NetworkContext, target: Target, sender: Sender, claims: Claims) -> None:
    room = context.directory.room(target.room_id)
    if room is None:
        raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{target.room_id}"')
    if not can_write_room(claims, sender.address, room, context.policy, context.directory):
        raise Forbidden(
            ErrorCode.ROOM_WRITE_FORBIDDEN,
            f'room "{room.id}" does not let "{sender.actor.id}" write: its policy is {room.write_policy}',
        )


def _command(context: NetworkContext, request: SendMessageRequest, sender: Sender) -> AppendMessage:
    mentions = mentioned(request, context.directory, context.mention_aliases)
    message_id = MessageId(request.id)
    message = Message(
        id=message_id,
        network_id=context.id,
        origin=_origin(request.origin, message_id, context.id),
        target=_stored_target(request.target, context.id),
        sender=sender.actor,
        parts=request.parts,
        mentions=mentions,
        created_at=context.now(),
    )
    plain = unstructure(message)
    body = encode_plain(plain)
    if len(body) > limits.MAX_FRAME_BYTES - _FRAME_OVERHEAD_BYTES:
        raise TooLarge(
            ErrorCode.MESSAGE_TOO_LARGE,
            f"the message takes {len(body)} bytes; at most {limits.MAX_FRAME_BYTES - _FRAME_OVERHEAD_BYTES} can be "
            "delivered to every reader",
        )
    relays = relays_of(message, context.id, context.terms.relaying)
    return AppendMessage(message, body, _content_digest(plain, request.mentions), mentions, relays)


def _origin(claimed: MessageOrigin, message_id: MessageId, local: NetworkId) -> MessageOrigin:
    """Where the message first appeared. Only a relayed one, whose sender was proved, may say so itself."""
    if claimed.network_id in ("", local):
        return MessageOrigin(local, message_id)
    return MessageOrigin(claimed.network_id, claimed.message_id or message_id)


def _stored_target(target: Target, local: NetworkId) -> Target:
    """The target without fields that its kind does not have, participants in one spelling each."""
    match target.kind:
        case TargetKind.DM:
            participants = sorted({canonical_member(member, local) for member in target.participant_ids})
            return Target(kind=target.kind, dm_id=target.dm_id, participant_ids=tuple(participants))
        case TargetKind.THREAD:
            return attrs.evolve(target, participant_ids=(), dm_id=DirectId(""))
        case _:
            return Target(kind=target.kind, room_id=target.room_id)


def _content_digest(message: Mapping[str, Any], mentions: tuple[str, ...]) -> bytes:
    """What must be equal for two sends under one id to be the same: all but the time and who is a member by now.

    ``message`` is in plain values; ``mentions`` are those that the sender listed, as it wrote them.
    """
    sender = {key: value for key, value in message["from"].items() if key != "name"}
    content = (message["origin"], message["target"], sender, message["parts"], mentions)
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()


def _answer(request: SendMessageRequest, outcome: MessageOutcome) -> MessageAccepted:
    match outcome:
        case MessageStored(event_id=event_id, thread_created=thread_created, dm_created=dm_created):
            return MessageAccepted(
                MessageId(request.id), event_id, thread_created=thread_created, dm_created=dm_created
            )
        case MessageRepeated(event_id=event_id, same=True):
            return MessageAccepted(MessageId(request.id), event_id)
        case MessageRepeated():
            raise Conflict(
                ErrorCode.MESSAGE_ID_CONFLICT,
                f'message id "{request.id}" is taken by a message with other content; choose a new id',
            )
        case RoomMissing(room_id=room_id):
            raise NotFound(ErrorCode.UNKNOWN_ROOM, f'unknown room "{room_id}"')
        case ThreadElsewhere():
            raise Conflict(
                ErrorCode.THREAD_IN_OTHER_ROOM,
                f'thread "{request.target.thread_id}" belongs to another room than "{request.target.room_id}"',
            )
        case DirectFull():
            raise Invalid(
                f'direct conversation "{request.target.dm_id}" would have more than {limits.MAX_PARTICIPANTS} '
                "participants; use a room"
            )
        case NotParticipant():
            raise Forbidden(
                ErrorCode.NOT_A_PARTICIPANT,
                f'the sender takes no part in direct conversation "{request.target.dm_id}"',
            )
