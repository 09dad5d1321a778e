"""Deciding about messages, and about the threads and direct conversations that they make or extend."""

import attrs

from moltnet.protocol.artifacts import artifacts_of
from moltnet.protocol.codec import encode
from moltnet.protocol.events import EventType
from moltnet.protocol.identity import canonical_member, direct_fqid, thread_fqid
from moltnet.protocol.ids import event_id_of_message
from moltnet.protocol.limits import MAX_PARTICIPANTS
from moltnet.protocol.messages import Message, TargetKind
from moltnet.protocol.rooms import DirectConversation, Thread
from moltnet.storage.changes import ArtifactRow, MessageRow, message_payload
from moltnet.storage.commands import (
    AppendMessage,
    DirectFull,
    MessageOutcome,
    MessageRepeated,
    MessageStored,
    NotParticipant,
    RoomMissing,
    ThreadElsewhere,
)
from moltnet.storage.draft import Draft
from moltnet.storage.plan_outbox import add_relays
from moltnet.storage.records import StoredMessage


def append_message(draft: Draft, command: AppendMessage) -> MessageOutcome:
    message = command.message
    known = draft.facts.messages.get(message.id)
    if known is not None:
        # Without a digest it came from the reference implementation, for which every repeat was the same message.
        return MessageRepeated(known.event_id, not known.digest or known.digest == command.digest)
    thread_created = dm_created = False
    addressed = command.addressed
    match message.target.kind:
        case TargetKind.DM:
            direct = _join_direct(draft, message)
            if isinstance(direct, NotParticipant | DirectFull):
                return direct
            dm_created = direct.message_count == 1
            addressed = draft.fqids(direct.participant_ids)
        case TargetKind.THREAD:
            if message.target.room_id not in draft.facts.posted_rooms:
                return RoomMissing(message.target.room_id)
            known_thread = draft.facts.threads.get(message.target.thread_id)
            if known_thread is not None and known_thread.room_id != message.target.room_id:
                return ThreadElsewhere(known_thread.room_id)
            thread_created = _extend_thread(draft, message, known_thread)
        case _:
            if message.target.room_id not in draft.facts.posted_rooms:
                return RoomMissing(message.target.room_id)
    record = draft.record(
        EventType.MESSAGE_CREATED,
        message.created_at,
        message_payload(command.body),
        event_id=event_id_of_message(message.id),
        room_id=message.target.room_id,
        direct_id=message.target.dm_id,
        message_id=message.id,
        sender=message.sender.fqid,
        addressed=addressed,
    )
    draft.changes.messages.append(MessageRow(record.seq, message, command.body, command.digest))
    draft.changes.artifacts.extend(
        ArtifactRow(artifact.id, artifact.target, encode(artifact)) for artifact in artifacts_of(message)
    )
    draft.facts.messages[message.id] = StoredMessage(record.id, command.digest)
    add_relays(draft, message, record.seq, command.relays)
    return MessageStored(record.id, thread_created=thread_created, dm_created=dm_created)


def _extend_thread(draft: Draft, message: Message, known: Thread | None) -> bool:
    target = message.target
    if known is None:
        thread = Thread(
            id=target.thread_id,
            network_id=draft.network_id,
            fqid=thread_fqid(draft.network_id, target.thread_id),
            room_id=target.room_id,
            parent_message_id=target.parent_message_id,
            message_count=1,
            last_message_at=message.created_at,
        )
        draft.record(
            EventType.THREAD_CREATED,
            message.created_at,
            b'"thread":' + encode(thread),
            room_id=target.room_id,
            sender=message.sender.fqid,
        )
    else:
        thread = attrs.evolve(known, message_count=known.message_count + 1, last_message_at=message.created_at)
    draft.facts.threads[thread.id] = draft.changes.threads[thread.id] = thread
    return known is None


def _join_direct(draft: Draft, message: Message) -> DirectConversation | NotParticipant | DirectFull:
    """The conversation with this message counted, or why it can't be.

    A participant may bring in others by naming them; nobody can bring in themselves.
    """
    target = message.target
    named = {canonical_member(p, draft.network_id) for p in target.participant_ids}
    sender = canonical_member(message.sender.fqid, draft.network_id)
    known = draft.facts.directs.get(target.dm_id)
    if sender not in (named if known is None else known.participant_ids):
        return NotParticipant()
    participants = tuple(sorted(named if known is None else named.union(known.participant_ids)))
    if len(participants) > MAX_PARTICIPANTS:
        # Every message of the conversation is kept with the list of those whom it addresses.
        return DirectFull()
    if known is None:
        direct = DirectConversation(
            id=target.dm_id,
            network_id=draft.network_id,
            fqid=direct_fqid(draft.network_id, target.dm_id),
            participant_ids=participants,
            message_count=1,
            last_message_at=message.created_at,
        )
        draft.record(
            EventType.DM_CREATED,
            message.created_at,
            b'"dm":' + encode(direct),
            direct_id=target.dm_id,
            sender=message.sender.fqid,
            addressed=draft.fqids(direct.participant_ids),
        )
    else:
        direct = attrs.evolve(
            known,
            participant_ids=participants,
            message_count=known.message_count + 1,
            last_message_at=message.created_at,
        )
    draft.facts.directs[direct.id] = draft.changes.directs[direct.id] = direct
    return direct
