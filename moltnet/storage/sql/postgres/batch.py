"""One batch on PostgreSQL: load what it depends on, let ``plan`` decide, write what changed.

All of it are units of work on a connection, with few statements each, whatever the size of the batch. The usual batch,
messages in rooms, takes four: begin and lock, load, write, commit.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Final, TypeVar

import attrs

from moltnet.protocol.ids import DirectId, NetworkId, RoomId, event_id_of_message
from moltnet.protocol.rooms import DirectConversation
from moltnet.storage.changes import Changes
from moltnet.storage.commands import AnyCommand
from moltnet.storage.facts import Facts, Needs, needs
from moltnet.storage.marks import Mark
from moltnet.storage.merging import merged
from moltnet.storage.plan import plan
from moltnet.storage.records import OldEvent, OldMessage, PairNetwork, StoredMessage, StoredRoom
from moltnet.storage.sql import rows
from moltnet.storage.sql.postgres import statements
from moltnet.storage.sql.postgres.database import Connection, Work
from moltnet.storage.sql.postgres.feed import Position, news_since
from moltnet.storage.sql.postgres.names import agent_row, room_row, stored_agent, stored_room
from moltnet.storage.sql.postgres.outbox import find_dead_letters, retried_keys, write_outbox
from moltnet.storage.sql.rows import Row
from moltnet.storage.store import Committed, StorageError

Result = TypeVar("Result")

# Empty for a transaction that has written nothing.
_TRANSACTION_ID: Final = "SELECT coalesce(pg_current_xact_id_if_assigned()::text, '')"
_TRANSACTION_STATUS: Final = "SELECT pg_xact_status($1::text::xid8)"


@attrs.frozen
class Written:
    """A batch that is written but for the word COMMIT, or that was: what it comes to, and where the log ends with it.

    ``own_id`` is its last event, which is in the log if and only if the batch is; empty if it has none. Then
    ``transaction_id`` is what the database calls it, empty if the batch has written nothing at all. ``end`` is what
    remains to be said: that others shall look, if there is something to see, and COMMIT.
    """

    committed: Committed
    position: Position
    own_id: str
    transaction_id: str
    end: str


async def transaction(
    connection: Connection, begin: str, work: Work[Result], end: Callable[[Result], str] = lambda _result: "COMMIT"
) -> Result:
    """Run ``work`` between ``begin`` and ``end``, which commits. If anything fails before, nothing was written."""
    try:
        await connection.execute(begin)
        result = await work(connection)
    except Exception:
        # If that fails as well, the connection is gone, and the transaction with it.
        with suppress(Exception):
            await connection.execute("ROLLBACK")
        raise
    await connection.execute(end(result))
    return result


async def write_batch(
    connection: Connection, commands: Sequence[AnyCommand], network_id: NetworkId, seen: Position
) -> Written:
    """What ``Store.commit`` promises, inside a transaction that holds the lock on the log.

    ``seen`` is how far the caller knows what happened; what others have committed since comes with the result.
    """
    wanted = needs(commands)
    facts, revision = await _load_facts(connection, wanted, network_id)
    before = Position(facts.newest_seq, revision)
    news = await news_since(connection, seen, before, network_id)
    # The planner updates the facts; what was there before tells which members and participants are new.
    known_rooms, known_directs = dict(facts.rooms), dict(facts.directs)
    planned = plan(commands, facts, network_id)
    changes = planned.changes
    await write_changes(connection, changes, known_rooms, known_directs)
    changed = list(changed_keys(changes))
    if changed:
        revision += 1
        await statements.PUT_CHANGES.run(connection, ((kind, key, revision) for kind, key in changed))
    if changes.closed_sessions:
        await connection.execute(statements.FORGET_CLOSED_SESSIONS)
    own_id = changes.records[-1].id if changes.records else ""
    return Written(
        committed=merged(news, Committed.of(planned)),
        position=Position(facts.newest_seq, revision),
        own_id=own_id,
        # Almost all batches have an event, and are spared the question.
        transaction_id="" if own_id else await connection.fetchval(_TRANSACTION_ID),
        end=statements.NOTIFY_AND_COMMIT if changed or changes.records else "COMMIT",
    )


async def was_written(connection: Connection, written: Written) -> bool:
    """Whether a batch was committed whose COMMIT had no answer. Asked under the lock, so it is not still under way.

    One that wrote nothing was not: made again, it comes to the same. Raises ``StorageError`` if nobody knows any more.
    """
    if written.own_id:
        return bool(await connection.fetchval(statements.SELECT_EVENT_SEQ, written.own_id) == written.position.seq)
    if not written.transaction_id:
        return False
    status = await connection.fetchval(_TRANSACTION_STATUS, written.transaction_id)
    if status not in ("committed", "aborted"):
        raise StorageError("whether the change was made is not known: the database has forgotten its transaction")
    return bool(status == "committed")


async def found(connection: Connection, text: str, keys: Collection[str]) -> Sequence[Row]:
    """The rows of a statement that takes a list of keys; it is not run for an empty one."""
    return await connection.fetch(text, list(keys)) if keys else ()


async def _load_facts(connection: Connection, wanted: Needs, network_id: NetworkId) -> tuple[Facts, int]:
    """The facts, and the revision of the directory."""
    facts, revision = Facts(0), 0
    ground = await connection.fetch(statements.SELECT_GROUND, list(wanted.messages), list(wanted.posted_rooms))
    for kind, key, digest, newest_seq, newest_revision in ground:
        match kind:
            case "position":
                facts.newest_seq, revision = newest_seq, newest_revision
            case "message":
                facts.messages[key] = StoredMessage(event_id_of_message(key), digest)
            case _:
                facts.posted_rooms.add(key)
    for row in await found(connection, statements.SELECT_THREADS, wanted.threads):
        thread = rows.thread(row, network_id)
        facts.threads[thread.id] = thread
    for row in await found(connection, statements.SELECT_DIRECTS, wanted.directs):
        direct = rows.direct(row, network_id)
        facts.directs[direct.id] = direct
    member_of = {room_id for (room_id,) in await found(connection, statements.SELECT_ROOMS_OF, wanted.members)}
    for row in await found(connection, statements.SELECT_ROOMS, wanted.rooms | member_of):
        stored = stored_room(row, network_id)
        facts.rooms[stored.room.id] = stored
    for row in await found(connection, statements.SELECT_AGENTS, wanted.agents):
        agent = stored_agent(row, network_id)
        facts.agents[agent.id] = agent
    for row in await found(connection, statements.SELECT_PAIR_NETWORKS, wanted.pair_keys):
        pair = PairNetwork(*row)
        facts.pair_networks[pair.credential_key] = pair
    for row in await found(connection, statements.SELECT_APPROVALS, wanted.approvals):
        approval = rows.stored_approval(row)
        facts.approvals[approval.id] = approval
    facts.pending_approvals.update(await found(connection, statements.SELECT_PENDING_OF, wanted.pending_of))
    if wanted.swept_approvals:
        limit = wanted.swept_approvals
        due = await connection.fetch(statements.SELECT_DUE_APPROVALS, wanted.approvals_due_us, limit)
        facts.due_approvals = [rows.stored_approval(row) for row in due]
        old = await connection.fetch(statements.SELECT_OLD_APPROVALS, wanted.approvals_old_us, limit)
        facts.old_approvals = [rows.stored_approval(row) for row in old]
    for row in await found(connection, statements.SELECT_MARKS, wanted.marks):
        facts.marks[row[0]] = Mark(*row)
    facts.dead_letters = await find_dead_letters(connection, wanted.dead_letters)
    if wanted.oldest_events:
        oldest = await connection.fetch(statements.SELECT_OLDEST_EVENTS, wanted.oldest_events)
        facts.oldest_events = [OldEvent(*row) for row in oldest]
    if wanted.oldest_messages:
        oldest = await connection.fetch(statements.SELECT_OLDEST_MESSAGES, wanted.oldest_messages)
        facts.oldest_messages = [OldMessage(*row) for row in oldest]
    return facts, revision


async def write_changes(
    connection: Connection,
    changes: Changes,
    known_rooms: Mapping[RoomId, StoredRoom],
    known_directs: Mapping[DirectId, DirectConversation],
) -> None:
    if changes.messages_pruned_to:
        await connection.execute(statements.DELETE_ARTIFACTS_TO, changes.messages_pruned_to)
        await connection.execute(statements.DELETE_MESSAGES_TO, changes.messages_pruned_to)
    if changes.events_pruned_to:
        await connection.execute(statements.DELETE_EVENTS_TO, changes.events_pruned_to)
    # Parents before children: foreign keys are checked at the end of each statement.
    await statements.PUT_ROOMS.run(connection, map(room_row, changes.rooms.values()))
    come, gone = _memberships(changes, known_rooms)
    if gone:
        await connection.execute(statements.DELETE_MEMBERS, *zip(*gone, strict=True))
    await statements.INSERT_MEMBERS.run(connection, come)
    if changes.removed_agents:
        await connection.execute(statements.DELETE_AGENTS, list(changes.removed_agents))
        await connection.execute(statements.DELETE_APPROVALS_OF, list(changes.removed_agents))
    await statements.PUT_AGENTS.run(connection, map(agent_row, changes.agents.values()))
    if changes.closed_sessions:
        await connection.execute(statements.DELETE_SESSIONS, list(changes.closed_sessions))
    await statements.PUT_SESSIONS.run(connection, map(rows.session_row, changes.sessions.values()))
    await statements.INSERT_PAIR_NETWORKS.run(connection, map(rows.pair_network_row, changes.pair_networks.values()))
    if changes.removed_marks:
        await connection.execute(statements.DELETE_MARKS, list(changes.removed_marks))
    await statements.PUT_MARKS.run(connection, map(rows.mark_row, changes.marks.values()))
    if changes.forgotten_approvals:
        await connection.execute(statements.DELETE_APPROVALS, list(changes.forgotten_approvals))
    await statements.PUT_APPROVALS.run(connection, map(rows.approval_row, changes.approvals.values()))
    await statements.PUT_THREADS.run(connection, map(rows.thread_row, changes.threads.values()))
    await statements.PUT_DIRECTS.run(connection, map(rows.direct_row, changes.directs.values()))
    await statements.INSERT_PARTICIPANTS.run(connection, _new_participants(changes, known_directs))
    if changes.records:
        await connection.execute(statements.WRITE_LOG, *_log_columns(changes))
    await write_outbox(connection, changes)


def _log_columns(changes: Changes) -> Iterator[Sequence[object]]:
    bodies = {row.seq for row in changes.messages}
    events = [rows.event_row(record, holds_message=record.seq in bodies) for record in changes.records]
    yield from _columns(events, len(rows.EVENT_COLUMNS))
    yield from _columns([rows.message_row(row) for row in changes.messages], len(rows.MESSAGE_COLUMNS))
    yield from _columns([rows.artifact_row(row) for row in changes.artifacts], len(rows.ARTIFACT_COLUMNS))


def _columns(block: Sequence[Row], width: int) -> Sequence[Sequence[object]]:
    return list(zip(*block, strict=True)) if block else [()] * width


def _memberships(
    changes: Changes, known_rooms: Mapping[RoomId, StoredRoom]
) -> tuple[Sequence[tuple[str, str]], Sequence[tuple[str, str]]]:
    """Who comes and who goes, as room and member."""
    come: list[tuple[str, str]] = []
    gone: list[tuple[str, str]] = []
    for room_id, stored in changes.rooms.items():
        known = known_rooms.get(room_id)
        wanted, before = set(stored.room.members), set() if known is None else set(known.room.members)
        come.extend((room_id, member) for member in sorted(wanted - before))
        gone.extend((room_id, member) for member in sorted(before - wanted))
    return come, gone


def _new_participants(
    changes: Changes, known_directs: Mapping[DirectId, DirectConversation]
) -> Iterator[tuple[str, str]]:
    # Nobody ever leaves a direct conversation.
    for direct_id, direct in changes.directs.items():
        known = known_directs.get(direct_id)
        before = set() if known is None else set(known.participant_ids)
        yield from ((direct_id, participant) for participant in direct.participant_ids if participant not in before)


def changed_keys(changes: Changes) -> Iterator[tuple[str, str]]:
    yield from (("room", room_id) for room_id in changes.rooms)
    yield from (("agent_removed", agent_id) for agent_id in changes.removed_agents)
    yield from (("agent", agent_id) for agent_id in changes.agents)
    yield from (("session", digest) for digest in {**changes.sessions, **dict.fromkeys(changes.closed_sessions)})
    yield from (("pair_network", key) for key in changes.pair_networks)
    yield from (("mark", id) for id in {**changes.marks, **dict.fromkeys(changes.removed_marks)})
    yield from retried_keys(changes)
