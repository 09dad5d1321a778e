"""The attach session without I/O: which frame may come when, and what it means (attach protocol §3, §4).

``ServerSession`` and ``ClientSession`` turn text messages into inputs and decisions into text messages. They hold no
socket, clock or randomness: time is an argument, in seconds of any clock that never goes back. Which frame may come
when stands in one table for both, ``moltnet.protocol.transitions``: a frame is taken where its row allows it, and sent
only where the *other* half's row does, so neither half can be softer on itself. Who may attach as whom, and which
events an attachment sees, is decided elsewhere.

Every message of the peer is one of:

- a text that the peer may send now → a tuple of inputs, possibly empty;
- anything else → ``ProtocolViolation``, once; the session is then closed and only ``error`` may still be called;
- after the end → an empty tuple, because frames that crossed our goodbye are nobody's fault.

Calling a method that the state does not allow is our own bug: ``ProtocolMisuse``.
"""

import math
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Mapping
from typing import ClassVar, Generic, TypeVar

import attrs

from moltnet.protocol import limits
from moltnet.protocol.agents import About
from moltnet.protocol.codec import DecodeError, structure
from moltnet.protocol.errors import ProtocolMisuse, ProtocolViolation
from moltnet.protocol.events import Event
from moltnet.protocol.frames import (
    Ack,
    ErrorFrame,
    EventFrame,
    Frame,
    FrameCapabilities,
    Hello,
    Identify,
    Ping,
    Pong,
    Ready,
    acked_cursor,
    encode_frame,
    parse_frame,
    version_problem,
)
from moltnet.protocol.ids import id_problem
from moltnet.protocol.messages import AGENT, Actor
from moltnet.protocol.session_inputs import Acked as Acked
from moltnet.protocol.session_inputs import Attached as Attached
from moltnet.protocol.session_inputs import ClientInput as ClientInput
from moltnet.protocol.session_inputs import Delivered as Delivered
from moltnet.protocol.session_inputs import HelloReceived as HelloReceived
from moltnet.protocol.session_inputs import Identified as Identified
from moltnet.protocol.session_inputs import PeerError as PeerError
from moltnet.protocol.session_inputs import Reply as Reply
from moltnet.protocol.session_inputs import ServerInput as ServerInput
from moltnet.protocol.session_inputs import Unreadable as Unreadable
from moltnet.protocol.transitions import TRANSITIONS, Refusal, Role
from moltnet.protocol.transitions import State as State

Input = TypeVar("Input")


@attrs.define(eq=False)
class _Session(ABC, Generic[Input]):
    """What both halves share: the table, and how long the peer may stay silent."""

    ROLE: ClassVar[Role]
    FIRST_FRAME_SECONDS: ClassVar[float]

    network_id: str
    _opened_at: float = attrs.field(kw_only=True, alias="now")
    state: State = attrs.field(default=State.GREETING, init=False)
    read_deadline: float = attrs.field(init=False)
    """When the peer has been silent for too long. Every frame that is taken moves it."""
    _idle_seconds: float = attrs.field(default=limits.READ_IDLE_SECONDS, init=False)

    @read_deadline.default
    def _first_deadline(self) -> float:
        return self._opened_at + self.FIRST_FRAME_SECONDS

    def receive_text(self, text: str | bytes, now: float) -> tuple[Input, ...]:
        """Take one message of the peer; a ``bytes`` one is binary, which the protocol does not have.

        Raises:
            ProtocolViolation: the peer may not say this now. The session is closed; answer with ``error``.
        """
        if self.state is State.CLOSED:
            return ()
        try:
            frame = _read_frame(text)
            outcome = TRANSITIONS[self.ROLE, self.state][type(frame)]
            if isinstance(outcome, Refusal):
                raise ProtocolViolation(outcome.answer(frame))
            problem = version_problem(frame)
            if problem is not None:
                raise ProtocolViolation(problem)
            inputs = self._take(frame)
        except ProtocolViolation:
            self.state = State.CLOSED
            raise
        self.state = outcome
        self.read_deadline = now + self._idle_seconds
        return inputs

    def error(self, text: str) -> str:
        """End the session, from any state: the ERROR frame that tells the peer why."""
        return self._send(ErrorFrame(error=text[: limits.MAX_ERROR_CHARACTERS]))

    @abstractmethod
    def _take(self, frame: Frame) -> tuple[Input, ...]:
        """What a frame that the table allows means. Raises ``ProtocolViolation`` if its content is not acceptable."""

    def _send(self, frame: Frame) -> str:
        self._pass(type(frame))
        return encode_frame(frame)

    def _pass(self, cls: type[Frame]) -> None:
        outcome = TRANSITIONS[self.ROLE.peer, self.state][cls]
        # A closed peer takes everything, to ignore it; that does not allow us to go on talking.
        if isinstance(outcome, Refusal) or (self.state is State.CLOSED and cls is not ErrorFrame):
            raise ProtocolMisuse(f"the {self.ROLE.value} may not send {cls.__name__} while {self.state.value}")
        self.state = outcome


def _read_frame(text: str | bytes) -> Frame:
    if isinstance(text, bytes):
        raise ProtocolViolation("attachment protocol only accepts text JSON frames")
    # A character takes one to four bytes, so short texts need no counting.
    if len(text) * 4 > limits.MAX_FRAME_BYTES and len(text.encode(errors="surrogatepass")) > limits.MAX_FRAME_BYTES:
        raise ProtocolViolation(f"attachment frame must be {limits.MAX_FRAME_BYTES} bytes or fewer", close_code=1009)
    return parse_frame(text)


def _check_network(claimed: str, expected: str) -> None:
    if claimed != expected:
        quoted = claimed[: limits.MAX_QUOTED_CHARACTERS]
        raise ProtocolViolation(f'attachment network_id "{quoted}" does not match "{expected}"')


@attrs.define(eq=False)
class ServerSession(_Session[ServerInput]):
    """The server's half of one connection. ``now`` is when it was accepted: IDENTIFY is due 10 s later.

    At most ``window_events`` events are in flight (sent, not yet ACKed). Of the settled ones the newest
    ``MAX_SETTLED_CURSORS`` are remembered, so that a repeated ACK is harmless (design §3.4); an older repeat can't be
    told from the ACK of an event that was never sent and is refused like one. A client that far out of step is better
    off with a fresh session, which resumes by cursor and loses nothing.
    """

    ROLE: ClassVar[Role] = Role.SERVER
    FIRST_FRAME_SECONDS: ClassVar[float] = limits.IDENTIFY_SECONDS

    window_events: int = attrs.field(
        default=limits.DELIVERY_WINDOW_EVENTS, kw_only=True, validator=attrs.validators.ge(1)
    )
    _ping_at: float = attrs.field(default=math.inf, init=False)
    _in_flight: dict[str, str] = attrs.field(factory=dict, init=False)
    # Searched from end to end for a repeated ACK, which is rare. As a table it would take six times the memory, of
    # every attachment; before the first ACK even this would take half a KiB.
    _settled: deque[str] | tuple[()] = attrs.field(default=(), init=False)

    @property
    def in_flight(self) -> tuple[str, ...]:
        """The cursors that were sent and not ACKed, in the order of sending. Stays readable after the end."""
        return tuple(self._in_flight)

    @property
    def can_send(self) -> bool:
        """Whether ``event`` may be called: attached, and the window has room."""
        return self.state is State.ATTACHED and len(self._in_flight) < self.window_events

    @property
    def room(self) -> int:
        """How many events may be put in flight now."""
        return self.window_events - len(self._in_flight) if self.state is State.ATTACHED else 0

    @property
    def ping_at(self) -> float:
        """When the next PING is due; never, unless attached."""
        return self._ping_at if self.state is State.ATTACHED else math.inf

    def hello(self) -> str:
        """The first frame of the connection."""
        return self._send(Hello(limits.HEARTBEAT_INTERVAL_MS, takes_about=True))

    def ready(
        self,
        agent_id: str,
        actor_uid: str,
        actor_uri: str,
        agent_token: str = "",
        *,
        cursor: str = "",
        now: float | None = None,
    ) -> str:
        """Accept the client. ``agent_token`` is there only if this handshake minted one.

        ``cursor`` tells the client where it is, so that it can come back there before it has received anything.
        The timers start at ``now``; without it at the moment of IDENTIFY, which is earlier.
        """
        text = self._send(
            Ready(
                network_id=self.network_id,
                agent_id=agent_id,
                actor_uid=actor_uid,
                actor_uri=actor_uri,
                agent_token=agent_token,
                cursor=cursor,
            )
        )
        started_at = self.read_deadline - self._idle_seconds if now is None else now
        self.read_deadline = started_at + self._idle_seconds
        self._ping_at = started_at + limits.PING_SECONDS
        return text

    def event(self, cursor: str, frame_text: str) -> str:
        """Put the event in flight and return its frame, encoded once for all readers (``event_frame_text``).

        Raises:
            ProtocolMisuse: ``can_send`` is false, or this cursor is in flight already.
        """
        self.put_in_flight({cursor: cursor})
        return frame_text

    def put_in_flight(self, cursors: Mapping[str, str]) -> None:
        """The same for several events at once, in order; each cursor is its own value, the string that is kept of it.

        Raises:
            ProtocolMisuse: there is no ``room`` for all of them, or one is in flight already.
        """
        self._pass(EventFrame)
        if len(cursors) > self.room:
            raise ProtocolMisuse(f"{len(self._in_flight)} of {self.window_events} events are in flight already")
        if not self._in_flight.keys().isdisjoint(cursors):
            raise ProtocolMisuse(f"one of the events {', '.join(cursors)} is in flight already")
        self._in_flight.update(cursors)

    def receive_text(self, text: str | bytes, now: float) -> tuple[ServerInput, ...]:
        # Nearly all that an agent ever says: spared the JSON, the frame and the table, with the same outcome.
        if self.state is State.ATTACHED and (cursor := acked_cursor(text)):
            ours = self._in_flight.pop(cursor, None)
            if ours is not None:
                self.read_deadline = now + self._idle_seconds
                self._settle(ours)
                return (Acked(ours),)
        return super().receive_text(text, now)

    def ping(self, now: float) -> str:
        """Ask for a sign of life, and set the time of the next one."""
        text = self._send(Ping())
        self._ping_at = now + limits.PING_SECONDS
        return text

    def _take(self, frame: Frame) -> tuple[ServerInput, ...]:
        match frame:
            case Identify():
                return (self._identified(frame),)
            case Ack():
                return self._acked(frame.cursor.strip())
            case Ping():
                return (Reply(encode_frame(Pong())),)
            case ErrorFrame():
                return (PeerError(frame.error[: limits.MAX_ERROR_CHARACTERS]),)
            case _:
                return ()  # PONG: that it came is all it says.

    def _identified(self, frame: Identify) -> Identified:
        _check_network(frame.network_id.strip(), self.network_id)
        agent_id = "" if frame.agent is None else frame.agent.id.strip()
        if frame.agent is None or not agent_id:
            raise ProtocolViolation("attachment agent.id is required")
        problem = id_problem(agent_id)
        if problem is not None:
            raise ProtocolViolation(f"attachment agent.id {problem}")
        cursor = frame.cursor.strip()
        # Ours are ids. A longer one names no event, and a replay gap would send it back.
        if len(cursor) > limits.MAX_ID_CHARACTERS:
            raise ProtocolViolation(f"attachment cursor must be {limits.MAX_ID_CHARACTERS} characters or fewer")
        agent = Actor(type=frame.agent.type.strip() or AGENT, id=agent_id, name=frame.agent.name.strip())
        return Identified(agent, cursor, About() if frame.about is None else frame.about.trimmed())

    def _acked(self, cursor: str) -> tuple[ServerInput, ...]:
        # The event's own string, which all its readers share, and not the copy that this peer sent.
        ours = self._in_flight.pop(cursor, None)
        if ours is None:
            if cursor in self._settled:
                return ()
            raise ProtocolViolation("unexpected ACK cursor")
        self._settle(ours)
        return (Acked(ours),)

    def _settle(self, cursor: str) -> None:
        if isinstance(self._settled, tuple):
            self._settled = deque(maxlen=limits.MAX_SETTLED_CURSORS)
        self._settled.append(cursor)
        if not self._in_flight:
            self._in_flight.clear()  # gives back the room of a burst, which a table keeps otherwise


@attrs.define(eq=False)
class ClientSession(_Session[ClientInput]):
    """The client's half of one connection. ``now`` is when it was opened: HELLO is due 10 s later.

    ``cursor`` is the event to resume after, empty for live events only. An event that comes again before it was ACKed
    is not delivered again.
    """

    ROLE: ClassVar[Role] = Role.CLIENT
    FIRST_FRAME_SECONDS: ClassVar[float] = limits.HELLO_SECONDS

    agent_id: str
    agent_name: str
    cursor: str = attrs.field(kw_only=True)
    capabilities: FrameCapabilities = attrs.field(kw_only=True)
    about: About = attrs.field(default=About(), kw_only=True)
    _takes_about: bool = attrs.field(default=False, init=False)
    _unacked: dict[str, None] = attrs.field(factory=dict, init=False)

    def identify(self) -> str:
        """Answer HELLO: who attaches to which network, and from where on."""
        return self._send(
            Identify(
                network_id=self.network_id,
                agent=Actor(type=AGENT, id=self.agent_id, name=self.agent_name),
                cursor=self.cursor,
                about=self.about if self._takes_about and self.about != About() else None,
                capabilities=self.capabilities,
            )
        )

    def ack(self, cursor: str) -> str:
        """Settle one delivered event. Individual and in any order, but once: a reference server drops us otherwise.

        Raises:
            ProtocolMisuse: not attached, or this cursor was not delivered or is ACKed already.
        """
        self._pass(Ack)
        if cursor not in self._unacked:
            raise ProtocolMisuse(f"no event {cursor} waits for its ACK")
        del self._unacked[cursor]
        return encode_frame(Ack(cursor=cursor))

    def _take(self, frame: Frame) -> tuple[ClientInput, ...]:
        match frame:
            case Hello():
                return (self._greeted(frame),)
            case Ready():
                _check_network(frame.network_id, self.network_id)
                return (Attached(frame),)
            case EventFrame():
                return self._delivered(frame)
            case Ping():
                return (Reply(encode_frame(Pong())),)
            case ErrorFrame():
                return (PeerError(frame.error[: limits.MAX_ERROR_CHARACTERS]),)
            case _:  # pragma: no cover  # the table refuses every other op
                raise AssertionError(frame)

    def _greeted(self, frame: Hello) -> HelloReceived:
        self._takes_about = frame.takes_about
        wanted_ms = frame.heartbeat_interval_ms
        heartbeat_ms = min(wanted_ms, limits.MAX_HEARTBEAT_MS) if wanted_ms > 0 else limits.FALLBACK_HEARTBEAT_MS
        self._idle_seconds = max(limits.READ_IDLE_SECONDS, 2 * heartbeat_ms / 1000)
        return HelloReceived(heartbeat_ms)

    def _delivered(self, frame: EventFrame) -> tuple[ClientInput, ...]:
        if frame.event is None or not frame.cursor.strip():
            raise ProtocolViolation("attachment EVENT needs a cursor and an event")
        if frame.cursor in self._unacked:
            return ()
        if len(self._unacked) == limits.MAX_CLIENT_UNACKED_EVENTS:
            raise ProtocolViolation(f"{limits.MAX_CLIENT_UNACKED_EVENTS} events wait for their ACK", close_code=1013)
        self._unacked[frame.cursor] = None
        try:
            return (Delivered(frame.cursor, structure(frame.event, Event)),)
        except DecodeError as error:
            return (Unreadable(frame.cursor, str(error)[: limits.MAX_ERROR_CHARACTERS]),)
