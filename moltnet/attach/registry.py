"""Who is attached right now, and whether another attachment of the same agent may come in (attach protocol §3).

Of other servers on the same database the store knows (``moltnet.storage.seating``); the rules here hold for all.
"""

from collections.abc import Sequence
from typing import Final

import attrs
import trio

from moltnet.attach.link import CloseCode
from moltnet.auth.claims import ANONYMOUS_KEY, NOBODY_KEY
from moltnet.auth.tokens import AGENT_PREFIX
from moltnet.core.errors import Conflict
from moltnet.protocol import limits
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import parse_timestamp
from moltnet.protocol.wakes import PendingWake
from moltnet.storage.seating import Occupied, Seating


@attrs.frozen
class Dismissal:
    """Why an attachment may not go on, for its reports and for its peer."""

    label: str
    text: str
    code: CloseCode = CloseCode.POLICY


REMOVED: Final = Dismissal("agent_removed", "agent was removed from the network")
REPLACED: Final = Dismissal(
    "replaced", "another attachment has come, and this one gave no sign of life", CloseCode.TRY_LATER
)
UNSEATED: Final = Dismissal(
    "replaced", "the agent was attached elsewhere while this server could not reach the database", CloseCode.TRY_LATER
)
CUT_OFF: Final = Dismissal("cut_off", "this server can't reach the network's database", CloseCode.TRY_LATER)
REBOUND: Final = Dismissal("agent_rebound", "agent was given to another credential")
ROTATED: Final = Dismissal("token_rotated", "the agent's token was replaced")
REVOKED: Final = Dismissal("token_revoked", "the agent's token was revoked")


def rebound(credential_key: str) -> Dismissal:
    """Why an agent's attachments end when it gets another credential."""
    if credential_key == NOBODY_KEY:
        return REVOKED
    return ROTATED if credential_key.startswith(AGENT_PREFIX) else REBOUND


@attrs.define(eq=False)
class Seat:
    """One attachment's place. What runs in ``scope`` is cancelled by a dismissal.

    ``wakes`` are those that were sent to it and not ACKed, by cursor, in the order of sending.
    """

    wakes: dict[str, PendingWake] = attrs.field(init=False, factory=dict)
    _doubted: trio.Event | None = attrs.field(init=False, default=None)
    scope: trio.CancelScope = attrs.field(init=False, factory=trio.CancelScope)
    dismissal: Dismissal | None = attrs.field(init=False, default=None)

    def hear(self) -> None:
        """Its peer has said something, or the seat is free."""
        if self._doubted is not None:
            self._doubted.set()
            self._doubted = None

    async def wait_heard(self) -> None:
        if self._doubted is None:
            self._doubted = trio.Event()
        await self._doubted.wait()


@attrs.define(eq=False)
class Registry:
    """Live attachments: for each agent the credential key that they share, and their seats.

    ``seating`` is what other servers have, if there can be any.
    """

    seating: Seating | None = None
    _keys: dict[AgentId, str] = attrs.field(init=False, factory=dict)
    _seats: dict[AgentId, list[Seat]] = attrs.field(init=False, factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self._seats.values()))

    def count(self, agent_id: AgentId) -> int:
        """How many attachments of an agent are here."""
        return len(self._seats.get(agent_id, ()))

    def is_connected(self, agent_id: AgentId) -> bool:
        """Whether an agent is attached, to whatever server."""
        return agent_id in self._seats or (self.seating is not None and self.seating.is_attached_elsewhere(agent_id))

    def count_elsewhere(self, key: str) -> int:
        """How many attachments a credential has at other servers."""
        return 0 if self.seating is None else self.seating.attachments_elsewhere(key)

    def pending_wakes(self, agent_id: AgentId) -> Sequence[PendingWake]:
        """What an agent was woken by here and has not ACKed, the oldest first; once for each of its attachments."""
        wakes = (wake for seat in self._seats.get(agent_id, ()) for wake in seat.wakes.values())
        return sorted(wakes, key=lambda wake: parse_timestamp(wake.since))

    def count_pending_wakes(self) -> int:
        return sum(len(seat.wakes) for seats in self._seats.values() for seat in seats)

    def silent_seat(self, agent_id: AgentId, key: str) -> Seat | None:
        """The seat that keeps an agent without credentials from attaching, and may be one whose peer is lost."""
        seats = self._seats.get(agent_id)
        return seats[0] if seats and ANONYMOUS_KEY == key == self._keys[agent_id] else None

    def take(self, agent_id: AgentId, key: str) -> Seat:
        """Count an attachment, until its seat is released.

        The same credential may attach any number of times; without credentials an agent attaches once. Raises
        ``Conflict`` otherwise. Of other servers only ``confirm`` knows.
        """
        present = self._keys.get(agent_id)
        if present is not None and (present != key or key == ANONYMOUS_KEY):
            raise _collision(agent_id, present, key)
        seat = Seat()
        self._keys[agent_id] = key
        self._seats.setdefault(agent_id, []).append(seat)
        self._note(agent_id, key)
        return seat

    def release(self, agent_id: AgentId, key: str, seat: Seat) -> None:
        """The attachment has ended. Never waits, so that it can't be cut off."""
        seat.hear()
        seats = self._seats.get(agent_id, [])
        if seat in seats:  # else it was dismissed, and others may sit there by now
            seats.remove(seat)
            if not seats:
                del self._seats[agent_id], self._keys[agent_id]
            self._note(agent_id, key)

    async def confirm(self, agent_id: AgentId, key: str) -> None:
        """Wait until the seat that was just taken is ours as far as the other servers are concerned.

        What is in the way may have ended there, without our knowing it yet; one that is silent, and without credentials
        as ours is, is doubted there as it would be here. Raises ``Conflict``, and ``StorageError`` if nobody can say.
        """
        if self.seating is None:
            return
        began_at = trio.current_time()
        while True:
            try:
                await self.seating.confirm(agent_id)
            except Occupied as occupied:
                patience_seconds = limits.SEAT_ELSEWHERE_SECONDS
                if occupied.key == ANONYMOUS_KEY == key:
                    self.seating.doubt(agent_id)
                    patience_seconds += limits.SILENT_SEAT_SECONDS
                if trio.current_time() >= began_at + patience_seconds:
                    raise _collision(agent_id, occupied.key, key) from None
            else:
                return
            await trio.sleep(limits.SEAT_AGAIN_SECONDS)

    async def doubt(self, agent_id: AgentId, key: str) -> None:
        """Let go of an attachment that stands in the way and is half-open, as far as anybody can tell."""
        seat = self.silent_seat(agent_id, key)
        if seat is None:
            return
        with trio.move_on_after(limits.SILENT_SEAT_SECONDS) as waiting:
            await seat.wait_heard()
        if waiting.cancelled_caught and seat is self.silent_seat(agent_id, key):
            self.dismiss(agent_id, REPLACED)

    def dismiss(self, agent_id: AgentId, dismissal: Dismissal) -> None:
        """End all attachments of an agent. They no longer count: whoever has the agent next may attach at once."""
        key = self._keys.pop(agent_id, None)
        for seat in self._seats.pop(agent_id, ()):
            seat.dismissal = dismissal
            seat.scope.cancel(reason=dismissal.text)
        if key is not None:
            self._note(agent_id, key)

    def dismiss_all(self, dismissal: Dismissal) -> None:
        """End all attachments."""
        for agent_id in tuple(self._seats):
            self.dismiss(agent_id, dismissal)

    def _note(self, agent_id: AgentId, key: str) -> None:
        if self.seating is not None:
            self.seating.note(agent_id, key, self.count(agent_id), alone=key == ANONYMOUS_KEY)


def _collision(agent_id: AgentId, present: str, coming: str) -> Conflict:
    """Why two attachments of an agent can't be there at once."""
    if ANONYMOUS_KEY in (present, coming):
        text = f'agent "{agent_id}" already has an active attachment; attach with an actor credential to reconnect'
    else:
        text = f'agent "{agent_id}" is already attached with different credentials'
    return Conflict(ErrorCode.AGENT_ATTACHED_ELSEWHERE, text)
