"""What must hold, each as code, with the number that it has in docs/simulation.md.

A broken promise ends the run at once. What is checked where it happens: `Judge` is told of each answer, each event that
a reader receives, each turn; what it compares with is `Truth`.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

import attrs
import trio

from moltnet.log import describe_error
from moltnet.storage.records import EventRecord
from tests.simulation.trace import Trace
from tests.simulation.truth import Reader, Truth, conversation_of
from tests.simulation.wires import host_name

SECRET_MARK: Final = "PLANTED-SECRET"
"""What every planted token begins with; minted ones are told to the judge."""


class PromiseBroken(AssertionError):
    """Says which guarantee, and how."""


@attrs.define(eq=False)
class Judge:
    """The promises of a world. `end` stops it; the first broken promise is what a run reports."""

    trace: Trace
    end: Callable[[], None] = lambda: None
    broken: list[str] = attrs.field(factory=list)
    is_dead: Callable[[str], bool] = lambda _host: False
    secrets: set[str] = attrs.field(factory=lambda: {SECRET_MARK})
    hear: Callable[[str, logging.LogRecord], None] = lambda _host, _record: None
    """Told what living hosts log."""
    counts: Counter[str] = attrs.field(factory=Counter)
    """How often each promise was looked at: one that nobody looks at proves nothing."""

    def demand(self, holds: bool, guarantee: int, text: str) -> None:
        """Guarantee `guarantee` holds, or the run ends here."""
        self.counts[f"guarantee {guarantee}"] += 1
        if not holds:
            self.break_off(f"guarantee {guarantee}: {text}")

    def break_off(self, text: str) -> None:
        self.trace.note("BROKEN", text)
        self.broken.append(text)
        self.end()

    # 1: an accepted message is stored.

    def accepted(self, truth: Truth, message_id: str, event_id: str) -> None:
        """A message was answered with 202."""
        self.demand(message_id in truth.messages, 1, f"{message_id} was accepted and is not committed")
        self.demand(event_id in truth.seq_of, 1, f"{message_id} was accepted with an event that is not committed")

    def read_back(self, truth: Truth, conversation: tuple[str, str], seen: Iterable[str], sure: Iterable[str]) -> None:
        """A whole history was read: `seen` are its message ids, `sure` those that were stored before the request."""
        seen = list(seen)
        order = [message_id for message_id in truth.texts(conversation) if message_id in set(seen)]
        self.demand(seen == order, 2, f"the history of {conversation} is not in the order of the log")
        missing = [message_id for message_id in sure if message_id not in set(seen)]
        self.demand(not missing, 1, f"the history of {conversation} lacks {missing[:3]}")

    # 2, 3 and 5: one order, nothing twice, nothing left out, nothing that is not allowed.

    def received(self, session: "Session", event_id: str) -> None:
        """A reader was handed an event."""
        truth, reader = session.truth, session.reader
        seq = truth.seq_of.get(event_id)
        if seq is None:
            self.demand(False, 1, f"{reader.name} received {event_id}, which is not committed")
            return
        record = truth.log[seq - truth.log[0].seq]
        about = record.room_id or record.direct_id or record.agent_id
        is_allowed = truth.could_see(reader, record, truth.step_of[event_id])
        self.demand(is_allowed, 5, f"{reader.name} received {record.type} {event_id} of {about}")
        self.demand(seq != session.last_seq, 3, f"{reader.name} received {event_id} twice in one session")
        self.demand(
            seq >= session.last_seq, 2, f"{reader.name} received event {seq} after {session.last_seq}, in one session"
        )
        for left_out in truth.log[max(0, session.last_seq) : seq - 1] if session.last_seq >= 0 else ():
            self.demand(
                not session.must_see(left_out),
                3,
                f"{reader.name} received event {seq} after {session.last_seq} and not {left_out.seq}, "
                f"{left_out.type} {left_out.id}, which it may see",
            )
        session.last_seq = seq

    # 7: no secret is shown.

    def said(self, where: str, text: str) -> None:
        """Something that is no answer to the owner of a secret."""
        leaked = any(secret in text for secret in self.secrets)
        self.demand(not leaked, 7, f"a secret in {where}: {text[:300]}")


@attrs.define(eq=False)
class Session:
    """One connection of a reader, or for event streams all of them. `last_seq` is -1 until its place is known."""

    truth: Truth
    reader: Reader
    last_seq: int = -1
    all_events: bool = False

    def must_see(self, record: EventRecord) -> bool:
        """Whether the reader was allowed the event all the time, from its commit on."""
        if self.all_events:
            return True
        if record.direct_id:
            return self.truth.could_see(self.reader, record, self.truth.step_of[record.id])
        if not record.room_id or record.type == "room.removed":
            return False
        states = self.truth.states_since(record.room_id, self.truth.step_of[record.id])
        return bool(states) and all(self.truth.allows(self.reader, state) for state in states)


class LogWatch(logging.Handler):
    """What product and libraries log: no secrets, and of hosts that are alive no errors."""

    def __init__(self, judge: Judge, shorten: Callable[[str], str]) -> None:
        super().__init__(level=logging.INFO)
        self._judge, self._shorten = judge, shorten

    def emit(self, record: logging.LogRecord) -> None:
        host = host_name.get()
        if self._judge.is_dead(host):
            return
        fields = getattr(record, "fields", {})
        # Sorted: what is bound to a context has no order. A duration is measured by the real clock.
        values = (f"{key}={value}" for key, value in sorted(fields.items()) if key != "duration_ms")
        text = self._shorten(" ".join([record.getMessage(), *values]))
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({describe_error(record.exc_info[1])})"
        try:
            trio.lowlevel.current_task()
        except RuntimeError:
            return  # before or after the run
        self._judge.trace.note("log", host, record.levelname.lower(), record.name, text)
        self._judge.said(f"the log of {host}", text)
        self._judge.hear(host, record)
        if record.levelno >= logging.ERROR:
            self._judge.break_off(f"{host} logged an error: {text}")


def relayed_once(judge: Judge, source: Truth, target: Truth, conversation: tuple[str, str]) -> None:
    """4: what was said at `source` is at `target` once and in the order of the conversation."""
    here = [
        each.id
        for each in source.messages.values()
        if conversation_of(each) == conversation and each.sender.network_id == source.network_id
    ]
    there = [
        each.id
        for each in target.messages.values()
        if conversation_of(each) == conversation and each.sender.network_id == source.network_id
    ]
    missing = [each for each in here if each not in set(there)]
    judge.demand(not missing, 4, f"{missing[:3]} of {conversation} did not get from {source.network_id}")
    judge.demand(there == here, 4, f"{conversation} is in another order at {target.network_id}: {there} for {here}")
