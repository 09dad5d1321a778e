"""Bugs that can be planted: each takes one promise away from the product, by replacing one named function of it.

What they break is real code while they are planted, and nothing of it is left afterwards.
"""

import itertools
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import orjson
import pytest
import trio

from bridge.conversation import Conversations
from bridge.ledger import Ledger, LedgerFile
from moltnet import app as app_module
from moltnet import journal as journal_module
from moltnet.attach.endpoint import Gateway
from moltnet.auth.policy import Authenticator
from moltnet.broker import Broker, Position, Subscription
from moltnet.directory import Directory
from moltnet.lane.wire import Wire
from moltnet.log import get_logger
from moltnet.pairing.courier import Courier
from moltnet.pairing.remote import RemoteNetwork
from moltnet.protocol.attachment import ServerSession
from moltnet.protocol.ids import event_id_of_message
from moltnet.storage.commands import AppendMessage, MessageStored
from moltnet.storage.memory import MemoryStore
from moltnet.storage.records import EventRecord
from moltnet.storage.sql import sqlite_database
from moltnet.storage.store import Committed
from tests.simulation.plan import Plan

Plant = Callable[[pytest.MonkeyPatch], None]
_BY_SEEDS: Final = "simulation"


@attrs.frozen
class PlantedBug:
    """One bug. `test` catches it, if the simulation can't; `suits` says in which worlds it can show at all."""

    name: str
    breaks: str
    plant: Plant
    suits: Callable[[Plan], bool] = lambda _plan: True
    test: str = ""

    @property
    def caught_by(self) -> str:
        return self.test or _BY_SEEDS


def has_node(plan: Plan) -> bool:
    return plan.node_agents > 0


def has_partners(plan: Plan) -> bool:
    return plan.networks > 1


def has_slow_partners(plan: Plan) -> bool:
    return has_partners(plan) and plan.kill_every_seconds > 0 and plan.weather.longest_seconds >= 0.2


def has_small_window(plan: Plan) -> bool:
    return plan.window < 10


def in_memory(plan: Plan) -> bool:
    return not plan.sqlite


def fails_in_sqlite(plan: Plan) -> bool:
    return plan.sqlite and plan.disk.failure_chance > 0


def has_churn(plan: Plan) -> bool:
    return plan.churn


def is_stormy(plan: Plan) -> bool:
    return plan.kill_every_seconds > 0 or plan.cut_every_seconds > 0


def _drop_an_event(patch: pytest.MonkeyPatch) -> None:
    receive = Subscription.receive

    async def mutated(self: Subscription, *args: Any, **kwargs: Any) -> Sequence[EventRecord]:
        while True:
            kept = [each for each in await receive(self, *args, **kwargs) if each.seq % 7]
            if kept:
                return kept

    patch.setattr(Subscription, "receive", mutated)


def _swap_events(patch: pytest.MonkeyPatch) -> None:
    publish = Broker.publish

    def mutated(self: Broker, records: Sequence[Any]) -> None:
        publish(self, records)
        if len(records) > 1:
            self._ring[-1], self._ring[-2] = self._ring[-2], self._ring[-1]

    patch.setattr(Broker, "publish", mutated)


def _publish_before_commit(patch: pytest.MonkeyPatch) -> None:
    write = journal_module._write

    async def mutated(batch: Sequence[Any], writer: Any) -> None:
        commands = [request.command for request in batch if request.command is not None]
        memory = getattr(writer.store, "_store", None)
        if isinstance(memory, MemoryStore) and commands:
            writer.publish(Committed.of(memory.decide(commands)))
            await trio.sleep(0.2)
            await write(batch, attrs.evolve(writer, publish=lambda _committed: None))
        else:
            await write(batch, writer)

    patch.setattr(journal_module, "_write", mutated)


def _answer_before_commit(patch: pytest.MonkeyPatch) -> None:
    commit = journal_module.Journal.commit

    async def mutated(self: journal_module.Journal, command: Any) -> Any:
        if not isinstance(command, AppendMessage):
            return await commit(self, command)
        await self._requests.send(journal_module._Request(command))
        return MessageStored(event_id_of_message(command.message.id))

    patch.setattr(journal_module.Journal, "commit", mutated)


def _skip_an_fsync(patch: pytest.MonkeyPatch) -> None:
    opening = sqlite_database._writing_connection

    @contextmanager
    def mutated(path: Path, busy_timeout_ms: int) -> Any:
        with opening(path, busy_timeout_ms) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            yield connection

    patch.setattr(sqlite_database, "_writing_connection", mutated)


def _forget_an_ack(patch: pytest.MonkeyPatch) -> None:
    settle, turns = ServerSession._settle, itertools.count()

    def mutated(self: ServerSession, ours: str) -> None:
        settle(self, ours)
        if next(turns) % 3 == 0:
            self._in_flight[ours] = ours

    patch.setattr(ServerSession, "_settle", mutated)


def _deliver_beyond_the_window(patch: pytest.MonkeyPatch) -> None:
    terms = app_module._terms

    def mutated(*args: Any) -> Any:
        found = terms(*args)
        return attrs.evolve(found, delivery_window=found.delivery_window + 3)

    patch.setattr(app_module, "_terms", mutated)


def _leak_a_task(patch: pytest.MonkeyPatch) -> None:
    serve = Gateway.serve

    async def mutated(self: Gateway, *args: Any, **kwargs: Any) -> Any:
        trio.lowlevel.spawn_system_task(trio.sleep_forever)
        return await serve(self, *args, **kwargs)

    patch.setattr(Gateway, "serve", mutated)


def _let_a_non_member_read(patch: pytest.MonkeyPatch) -> None:
    is_member = Directory.is_member
    patch.setattr(
        Directory, "is_member", lambda self, room_id, fqid: room_id == "changing" or is_member(self, room_id, fqid)
    )


def _forget_who_left(patch: pytest.MonkeyPatch) -> None:
    put = Directory._put_room

    def mutated(self: Directory, room: Any) -> None:
        known = self.room(room.id)
        members = () if known is None else known.members
        put(self, attrs.evolve(room, members=tuple(sorted({*room.members, *members}))))

    patch.setattr(Directory, "_put_room", mutated)


def _relay_twice(patch: pytest.MonkeyPatch) -> None:
    send = RemoteNetwork.send_message

    async def mutated(self: RemoteNetwork, body: bytes) -> Any:
        message = orjson.loads(body)
        message["id"] += "-again"
        if "origin" in message:
            message["origin"]["message_id"] = message["id"]
        await send(self, orjson.dumps(message))
        return await send(self, body)

    patch.setattr(RemoteNetwork, "send_message", mutated)


def _give_up_at_the_first_failure(patch: pytest.MonkeyPatch) -> None:
    failed = Courier._failed

    def mutated(self: Courier, lane: Any, row: Any, error: Any) -> None:
        self._settlements.delivered(row.seq)
        failed(self, lane, row, error)

    patch.setattr(Courier, "_failed", mutated)


def _spin_without_a_slot(patch: pytest.MonkeyPatch) -> None:
    looked = Courier._look_again_at

    def mutated(self: Courier, *, can_go: bool) -> float:
        later = looked(self, can_go=can_go)
        return min(later, self._lanes.next_rested()) if can_go else later

    patch.setattr(Courier, "_look_again_at", mutated)


def _keep_a_spoiled_connection(patch: pytest.MonkeyPatch) -> None:
    def mutated(connection: sqlite3.Connection, how: str) -> None:
        connection.execute(how)

    patch.setattr(sqlite_database, "_begin", mutated)


def _store_a_message_twice(patch: pytest.MonkeyPatch) -> None:
    facts = MemoryStore._facts
    patch.setattr(MemoryStore, "_facts", lambda self, commands: attrs.evolve(facts(self, commands), messages={}))


def _resume_one_too_late(patch: pytest.MonkeyPatch) -> None:
    locate = Broker.locate

    async def mutated(self: Broker, cursor: str, now: Any) -> Position:
        found = await locate(self, cursor, now)
        return attrs.evolve(found, seq=min(found.seq + 1, self.newest_seq)) if cursor else found

    patch.setattr(Broker, "locate", mutated)


def _lose_the_cursor(patch: pytest.MonkeyPatch) -> None:
    of_file = Ledger.of_file.__func__  # type: ignore[attr-defined]

    def mutated(cls: type[Ledger], file: LedgerFile, save: Any) -> Ledger:
        return of_file(cls, attrs.evolve(file, cursor=""), save)  # type: ignore[no-any-return]

    patch.setattr(Ledger, "of_file", classmethod(mutated))


def _finish_before_the_turn(patch: pytest.MonkeyPatch) -> None:
    start = Ledger.start

    async def mutated(self: Ledger, event_ids: Any) -> None:
        event_ids = list(event_ids)
        await start(self, event_ids)
        await self.finish(event_ids)

    patch.setattr(Ledger, "start", mutated)


def _forget_what_is_finished(patch: pytest.MonkeyPatch) -> None:
    async def mutated(self: Ledger, event_ids: Any) -> None:
        await trio.lowlevel.checkpoint()

    patch.setattr(Ledger, "finish", mutated)


def _forget_what_waits(patch: pytest.MonkeyPatch) -> None:
    deliver, turns = Conversations.deliver, itertools.count(1)

    def mutated(self: Conversations, wake: Any, ahead_of: Any = ()) -> None:
        if next(turns) % 5:
            deliver(self, wake, ahead_of)

    patch.setattr(Conversations, "deliver", mutated)


def _log_a_secret(patch: pytest.MonkeyPatch) -> None:
    authenticate, log = Authenticator.authenticate, get_logger("http")

    def mutated(self: Authenticator, authorization: str | None) -> Any:
        log.info("looking at it", shown=(authorization or "").rpartition(" ")[2])
        return authenticate(self, authorization)

    patch.setattr(Authenticator, "authenticate", mutated)


def _lose_unsent_bytes(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Wire, "_keep", lambda self, data: None)


PLANTED: Final = (
    PlantedBug("drop-an-event", "every seventh event is not handed to those who read along", _drop_an_event),
    PlantedBug("swap-events", "two events that are committed together are published in the wrong order", _swap_events),
    PlantedBug(
        "publish-before-commit", "readers see events that are not stored yet", _publish_before_commit, in_memory
    ),
    PlantedBug("answer-before-commit", "202 is answered when the message has only been queued", _answer_before_commit),
    PlantedBug(
        "skip-an-fsync",
        "commits are not synced",
        _skip_an_fsync,
        test="tests/storage/sql/test_sqlite_database.py",
    ),
    PlantedBug("store-twice", "a message that is sent again is stored again", _store_a_message_twice, in_memory),
    PlantedBug(
        "spoiled-connection",
        "a connection whose rollback failed is used as it is",
        _keep_a_spoiled_connection,
        fails_in_sqlite,
    ),
    PlantedBug("forget-an-ack", "every third ACK does not make room in the window", _forget_an_ack, has_small_window),
    PlantedBug(
        "beyond-the-window",
        "three events more than allowed are in flight",
        _deliver_beyond_the_window,
        has_small_window,
    ),
    PlantedBug("resume-too-late", "the first event after a cursor is left out", _resume_one_too_late, is_stormy),
    PlantedBug("leak-a-task", "a task stays behind for each attachment", _leak_a_task),
    PlantedBug("non-member-reads", "one room lets everybody read", _let_a_non_member_read),
    PlantedBug("forget-who-left", "who was taken out of a room still reads it", _forget_who_left, has_churn),
    PlantedBug("log-a-secret", "a token is logged", _log_a_secret),
    PlantedBug("lose-unsent-bytes", "what the peer does not take at once is dropped", _lose_unsent_bytes),
    PlantedBug("relay-twice", "each message is relayed under two ids", _relay_twice, has_partners),
    PlantedBug(
        "give-up-a-relay",
        "a message whose relay fails once counts as relayed",
        _give_up_at_the_first_failure,
        has_partners,
    ),
    PlantedBug("spin", "a relay without a free slot spins until it has one", _spin_without_a_slot, has_slow_partners),
    PlantedBug("lose-the-cursor", "a node that starts again begins with live events", _lose_the_cursor, has_node),
    PlantedBug(
        "finish-too-early", "a wake is recorded as finished when its turn begins", _finish_before_the_turn, has_node
    ),
    PlantedBug("forget-the-finished", "a finished turn is not recorded", _forget_what_is_finished, has_node),
    PlantedBug("forget-a-wake", "every fifth wake does not get into its mailbox", _forget_what_waits, has_node),
)
