"""Whose turn it is: what waits for one pairing, by conversation, as far as it is in memory. No I/O, no clock.

Each conversation has a lane, in which order counts; lanes overtake each other. Rows are read once, in the order of the
log, up to ``place``. A lane takes so many of them; what it has no room for is skipped and read again, of its
conversation alone, when it has sent the others. So a conversation that does not get on keeps one row here, and nobody
waiting. Conversations of a kind that may not go now keep none: they are left, and found again from the beginning.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator

import attrs

from moltnet.backoff import backoff_delays
from moltnet.pairing.relay_limits import (
    LANE_RETRY_BASE_SECONDS,
    LANE_RETRY_CAP_SECONDS,
    LANE_ROWS,
    WINDOW_BYTES,
    WINDOW_ROWS,
)
from moltnet.protocol.messages import TargetKind
from moltnet.storage.outbox import OutboxRow, kind_of


@attrs.define(eq=False)
class Lane:
    """One conversation. ``skipped``: rows after ``last_seq`` wait in the store that reading has passed by."""

    conversation: str
    rows: deque[OutboxRow] = attrs.field(factory=deque)
    last_seq: int = 0
    skipped: bool = False
    is_busy: bool = False
    is_resting: bool = False
    rests_until: float = 0.0
    failed_at: float = float("-inf")
    _delays: Iterator[float] | None = None

    @property
    def kind(self) -> TargetKind:
        return kind_of(self.conversation)

    def next_delay(self) -> float:
        """How long to rest after a failure, in seconds: longer each time."""
        if self._delays is None:
            self._delays = backoff_delays(base_seconds=LANE_RETRY_BASE_SECONDS, cap_seconds=LANE_RETRY_CAP_SECONDS)
        return next(self._delays)

    def got_on(self) -> None:
        """Its first message has left: begin with the shortest delay again."""
        self._delays, self.failed_at = None, float("-inf")


@attrs.define(eq=False)
class Lanes:
    """All lanes with something in them. A lane is with whoever took it until it is put back."""

    place: int = 0
    left: set[TargetKind] = attrs.field(factory=set, init=False)
    """Kinds of which something was passed by for good: whoever wants to send that begins with other lanes."""
    _lanes: dict[str, Lane] = attrs.field(factory=dict, init=False)
    _ready: deque[Lane] = attrs.field(factory=deque, init=False)
    _resting: list[Lane] = attrs.field(factory=list, init=False)
    _hungry: list[Lane] = attrs.field(factory=list, init=False)
    _rows: int = attrs.field(default=0, init=False)
    _bytes: int = attrs.field(default=0, init=False)

    def __len__(self) -> int:
        """How many rows are in memory."""
        return self._rows

    @property
    def has_room(self) -> bool:
        return self._rows < WINDOW_ROWS and self._bytes < WINDOW_BYTES

    def read(self, rows: Iterable[OutboxRow]) -> None:
        """Take in what comes next in the log."""
        for row in rows:
            self.place = row.seq
            if kind_of(row.conversation) in self.left:
                continue
            lane = self._lanes.get(row.conversation)
            if lane is None:
                lane = self._lanes[row.conversation] = Lane(row.conversation)
                self._ready.append(lane)
            if lane.skipped or lane.is_resting or len(lane.rows) >= LANE_ROWS:
                lane.skipped = True
            else:
                self._add(lane, row)

    def hungry(self) -> list[Lane]:
        """Lanes that want what was skipped of them: each is to be given something by ``feed``."""
        wanting, self._hungry = self._hungry, []
        return wanting

    def feed(self, lane: Lane, rows: Iterable[OutboxRow]) -> None:
        """Give a hungry lane what follows in its conversation; nothing, if nothing does."""
        found = list(rows)
        passed = [row for row in found if row.seq <= self.place]
        for row in passed[:LANE_ROWS]:
            self._add(lane, row)
        # Whatever lies beyond will be read in its turn.
        lane.skipped = bool(passed) and len(passed) == len(found)
        self.put_back(lane)

    def take(self, now: float, may_go: Callable[[TargetKind], bool]) -> Lane | None:
        """The lane whose turn it is. One whose kind may not go is left."""
        for lane in [each for each in self._resting if each.rests_until <= now]:
            self._resting.remove(lane)
            lane.is_resting = False
            self._ready.append(lane)
        while self._ready:
            lane = self._ready.popleft()
            if may_go(lane.kind):
                lane.is_busy = True
                return lane
            self._leave(lane)
        return None

    def drop_first(self, lane: Lane) -> None:
        """Its first row has been answered."""
        row = lane.rows.popleft()
        self._rows -= 1
        self._bytes -= len(row.body)

    def put_back(self, lane: Lane) -> None:
        """Let the lane wait for its next turn, be fed, or go if it is empty."""
        lane.is_busy = False
        if lane.rows:
            self._ready.append(lane)
        elif lane.skipped:
            self._hungry.append(lane)
        else:
            del self._lanes[lane.conversation]

    def rest(self, lane: Lane, until: float) -> None:
        """Put the lane back, with its first row alone, not to be taken before ``until``."""
        lane.is_busy, lane.is_resting, lane.rests_until = False, True, until
        while len(lane.rows) > 1:
            row = lane.rows.pop()
            self._rows -= 1
            self._bytes -= len(row.body)
            lane.skipped = True
        lane.last_seq = lane.rows[0].seq
        self._resting.append(lane)

    def next_rested(self) -> float:
        """When the first resting lane may go on; infinity if none rests."""
        return min((lane.rests_until for lane in self._resting), default=float("inf"))

    def _leave(self, lane: Lane) -> None:
        self.left.add(lane.kind)
        while lane.rows:
            self.drop_first(lane)
        del self._lanes[lane.conversation]

    def _add(self, lane: Lane, row: OutboxRow) -> None:
        lane.rows.append(row)
        lane.last_seq = row.seq
        self._rows += 1
        self._bytes += len(row.body)
