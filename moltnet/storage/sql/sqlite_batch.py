"""One batch on SQLite: load what it depends on, let ``plan`` decide, write what changed. Runs in the writer's thread.

Few statements, and few steps of each: a step gives the interpreter lock away, and a busy event loop is slow to return
it.
"""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence

import orjson

from moltnet.protocol.ids import DirectId, NetworkId, RoomId, event_id_of_message
from moltnet.protocol.rooms import DirectConversation
from moltnet.storage.changes import Changes
from moltnet.storage.commands import AnyCommand
from moltnet.storage.facts import Facts, Needs, needs
from moltnet.storage.marks import Mark
from moltnet.storage.plan import plan
from moltnet.storage.records import OldEvent, OldMessage, PairNetwork, StoredMessage, StoredRoom
from moltnet.storage.sql import rows
from moltnet.storage.sql import sqlite_statements as statements
from moltnet.storage.sql.rows import Row
from moltnet.storage.sql.sqlite_outbox import find_dead_letters, write_outbox
from moltnet.storage.store import Committed


def commit_batch(connection: sqlite3.Connection, commands: Sequence[AnyCommand], network_id: NetworkId) -> Committed:
    """What ``Store.commit`` promises, inside the caller's transaction."""
    facts = _load_facts(connection, needs(commands), network_id)
    # The planner updates the facts; what was there before tells which members and participants are new.
    known_rooms, known_directs = dict(facts.rooms), dict(facts.directs)
    planned = plan(commands, facts, network_id)
    write_changes(connection, planned.changes, known_rooms, known_directs)
    return Committed.of(planned)


def found(connection: sqlite3.Connection, text: str, keys: Collection[str]) -> Iterator[Row]:
    """The rows of a statement that takes a list of keys; it is not run for an empty one."""
    if keys:
        yield from connection.execute(text, (orjson.dumps(list(keys)).decode(),))


def _load_facts(connection: sqlite3.Connection, wanted: Needs, network_id: NetworkId) -> Facts:
    (newest_seq,) = connection.execute(statements.SELECT_NEWEST_SEQ).fetchone()
    facts = Facts(newest_seq)
    for message_id, digest in found(connection, statements.SELECT_KNOWN_MESSAGES, wanted.messages):
        facts.messages[message_id] = StoredMessage(event_id_of_message(message_id), digest)
    for row in found(connection, statements.SELECT_THREADS, wanted.threads):
        thread = rows.thread(row, network_id)
        facts.threads[thread.id] = thread
    for row in found(connection, statements.SELECT_DIRECTS, wanted.directs):
        direct = rows.direct(row, network_id)
        facts.directs[direct.id] = direct
    facts.posted_rooms.update(
        room_id for (room_id,) in found(connection, statements.SELECT_LIVE_ROOM_IDS, wanted.posted_rooms)
    )
    member_of = {room_id for (room_id,) in found(connection, statements.SELECT_ROOMS_OF, wanted.members)}
    for row in found(connection, statements.SELECT_ROOMS, wanted.rooms | member_of):
        stored = rows.stored_room(row, network_id)
        facts.rooms[stored.room.id] = stored
    for row in found(connection, statements.SELECT_AGENTS, wanted.agents):
        agent = rows.stored_agent(row, network_id)
        facts.agents[agent.id] = agent
    for row in found(connection, statements.SELECT_PAIR_NETWORKS, wanted.pair_keys):
        pair = PairNetwork(*row)
        facts.pair_networks[pair.credential_key] = pair
    for row in found(connection, statements.SELECT_MARKS, wanted.marks):
        facts.marks[row[0]] = Mark(*row)
    facts.dead_letters = find_dead_letters(connection, wanted.dead_letters)
    for row in found(connection, statements.SELECT_APPROVALS, wanted.approvals):
        approval = rows.stored_approval(row)
        facts.approvals[approval.id] = approval
    facts.pending_approvals.update(found(connection, statements.SELECT_PENDING_OF, wanted.pending_of))
    if wanted.swept_approvals:
        limit = wanted.swept_approvals
        due = connection.execute(statements.SELECT_DUE_APPROVALS, (wanted.approvals_due_us, limit))
        facts.due_approvals = [rows.stored_approval(row) for row in due]
        old = connection.execute(statements.SELECT_OLD_APPROVALS, (wanted.approvals_old_us, limit))
        facts.old_approvals = [rows.stored_approval(row) for row in old]
    if wanted.oldest_events:
        oldest = connection.execute(statements.SELECT_OLDEST_EVENTS, (wanted.oldest_events,))
        facts.oldest_events = [OldEvent(*row) for row in oldest]
    if wanted.oldest_messages:
        oldest = connection.execute(statements.SELECT_OLDEST_MESSAGES, (wanted.oldest_messages,))
        facts.oldest_messages = [OldMessage(*row) for row in oldest]
    return facts


def write_changes(
    connection: sqlite3.Connection,
    changes: Changes,
    known_rooms: Mapping[RoomId, StoredRoom],
    known_directs: Mapping[DirectId, DirectConversation],
) -> None:
    """Write what a plan, or a backup, says, beside these rooms and conversations that are there."""
    if changes.messages_pruned_to:
        connection.execute(statements.DELETE_ARTIFACTS_TO, (changes.messages_pruned_to,))
        connection.execute(statements.DELETE_MESSAGES_TO, (changes.messages_pruned_to,))
    if changes.events_pruned_to:
        connection.execute(statements.DELETE_EVENTS_TO, (changes.events_pruned_to,))
    # Parents before children: foreign keys are checked row by row.
    statements.PUT_ROOMS.run(connection, map(rows.room_row, changes.rooms.values()))
    for room_id, stored in changes.rooms.items():
        known = known_rooms.get(room_id)
        _write_members(connection, stored, () if known is None else known.room.members)
    if changes.removed_agents:
        removed = orjson.dumps(list(changes.removed_agents)).decode()
        connection.execute(statements.DELETE_AGENTS, (removed,))
        connection.execute(statements.DELETE_APPROVALS_OF, (removed,))
    statements.PUT_AGENTS.run(connection, map(rows.agent_row, changes.agents.values()))
    if changes.closed_sessions:
        connection.execute(statements.DELETE_SESSIONS, (orjson.dumps(list(changes.closed_sessions)).decode(),))
    statements.PUT_SESSIONS.run(connection, map(rows.session_row, changes.sessions.values()))
    statements.INSERT_PAIR_NETWORKS.run(connection, map(rows.pair_network_row, changes.pair_networks.values()))
    if changes.removed_marks:
        connection.execute(statements.DELETE_MARKS, (orjson.dumps(list(changes.removed_marks)).decode(),))
    statements.PUT_MARKS.run(connection, map(rows.mark_row, changes.marks.values()))
    if changes.forgotten_approvals:
        connection.execute(statements.DELETE_APPROVALS, (orjson.dumps(list(changes.forgotten_approvals)).decode(),))
    statements.PUT_APPROVALS.run(connection, map(rows.approval_row, changes.approvals.values()))
    statements.PUT_THREADS.run(connection, map(rows.thread_row, changes.threads.values()))
    statements.PUT_DIRECTS.run(connection, map(rows.direct_row, changes.directs.values()))
    statements.INSERT_PARTICIPANTS.run(connection, _new_participants(changes, known_directs))
    bodies = {row.seq for row in changes.messages}
    statements.INSERT_EVENTS.run(
        connection, (rows.event_row(record, holds_message=record.seq in bodies) for record in changes.records)
    )
    statements.INSERT_MESSAGES.run(connection, map(rows.message_row, changes.messages))
    statements.INSERT_ARTIFACTS.run(connection, map(rows.artifact_row, changes.artifacts))
    write_outbox(connection, changes)


def _write_members(connection: sqlite3.Connection, stored: StoredRoom, known: Sequence[str]) -> None:
    wanted, before = set(stored.room.members), set(known)
    gone = before - wanted
    if gone:
        connection.execute(statements.DELETE_MEMBERS, (stored.room.id, orjson.dumps(list(gone)).decode()))
    statements.INSERT_MEMBERS.run(connection, ((stored.room.id, member) for member in sorted(wanted - before)))


def _new_participants(
    changes: Changes, known_directs: Mapping[DirectId, DirectConversation]
) -> Iterator[tuple[str, str]]:
    # Nobody ever leaves a direct conversation.
    for direct_id, direct in changes.directs.items():
        known = known_directs.get(direct_id)
        before = set() if known is None else set(known.participant_ids)
        yield from ((direct_id, participant) for participant in direct.participant_ids if participant not in before)
