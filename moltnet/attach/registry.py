"""Who is attached right now, and whether another attachment of the same agent may come in (attach protocol §3)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import attrs
import trio

from moltnet.attach.link import CloseCode
from moltnet.auth.claims import ANONYMOUS_KEY, NOBODY_KEY
from moltnet.auth.tokens import AGENT_PREFIX
from moltnet.core.errors import Conflict
from moltnet.protocol.errors import ErrorCode
from moltnet.protocol.ids import AgentId
from moltnet.protocol.times import parse_timestamp
from moltnet.protocol.wakes import PendingWake


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
    """Live attachments: for each agent the credential key that they share, and their seats."""

    _keys: dict[AgentId, str] = attrs.field(init=False, factory=dict)
    _seats: dict[AgentId, set[Seat]] = attrs.field(init=False, factory=dict)

    def __len__(self) -> int:
        return sum(map(len, self._seats.values()))

    def is_connected(self, agent_id: AgentId) -> bool:
        return agent_id in self._seats

    def pending_wakes(self, agent_id: AgentId) -> Sequence[PendingWake]:
        """What an agent was woken by and has not ACKed, the oldest first; once for each of its attachments."""
        wakes = (wake for seat in self._seats.get(agent_id, ()) for wake in seat.wakes.values())
        return sorted(wakes, key=lambda wake: parse_timestamp(wake.since))

    def count_pending_wakes(self) -> int:
        return sum(len(seat.wakes) for seats in self._seats.values() for seat in seats)

    def silent_seat(self, agent_id: AgentId, key: str) -> Seat | None:
        """The seat that keeps an agent without credentials from attaching, and may be one whose peer is lost."""
        seats = self._seats.get(agent_id)
        return next(iter(seats)) if seats and ANONYMOUS_KEY == key == self._keys[agent_id] else None

    @contextmanager
    def attached(self, agent_id: AgentId, key: str) -> Iterator[Seat]:
        """Count an attachment for as long as the block runs. Never waits, so that releasing it can't be cut off.

        The same credential may attach any number of times; without credentials an agent attaches once. Raises
        ``Conflict`` otherwise.
        """
        present = self._keys.get(agent_id)
        if present is not None and ANONYMOUS_KEY in (present, key):
            raise Conflict(
                ErrorCode.AGENT_ATTACHED_ELSEWHERE,
                f'agent "{agent_id}" already has an active attachment; attach with an actor credential to reconnect',
            )
        if present not in (None, key):
            raise Conflict(
                ErrorCode.AGENT_ATTACHED_ELSEWHERE, f'agent "{agent_id}" is already attached with different credentials'
            )
        seat = Seat()
        self._keys[agent_id] = key
        self._seats.setdefault(agent_id, set()).add(seat)
        try:
            yield seat
        finally:
            seat.hear()
            seats = self._seats.get(agent_id, set())
            if seat in seats:  # else it was dismissed, and others may sit there by now
                seats.remove(seat)
                if not seats:
                    del self._seats[agent_id], self._keys[agent_id]

    def dismiss(self, agent_id: AgentId, dismissal: Dismissal) -> None:
        """End all attachments of an agent. They no longer count: whoever has the agent next may attach at once."""
        self._keys.pop(agent_id, None)
        for seat in self._seats.pop(agent_id, ()):
            seat.dismissal = dismissal
            seat.scope.cancel(reason=dismissal.text)
