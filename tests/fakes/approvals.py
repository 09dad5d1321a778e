"""The approvals of a server: what it answers to who asks for one, and the events of what was decided."""

import json
from typing import Final

import attrs

from moltnet.protocol.approvals import Approval, ApprovalState, approval_id_of
from moltnet.protocol.codec import encode
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.ids import AgentId, EventId, MessageId
from moltnet.protocol.times import Timestamp
from tests.fakes.attach_server import AttachServer
from tests.fakes.messages import NETWORK, NOW, noise

# So far away that no test waits for it.
LATER: Final = Timestamp("2999-01-01T00:00:00Z")


@attrs.define(eq=False)
class ServedApprovals:
    """Give `answer` to a fake server. `refusal` is answered in its place, as status and body."""

    known: dict[str, Approval] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    """The events that were asked about, each as often as it was."""
    refusal: tuple[int, bytes] | None = None
    expires_at: Timestamp = LATER

    def answer(self, body: bytes) -> tuple[int, bytes]:
        event_id = json.loads(body)["event_id"]
        self.asked.append(event_id)
        if self.refusal is not None:
            return self.refusal
        if event_id in self.known:
            return 200, encode(self.known[event_id])
        self.known[event_id] = Approval(
            id=approval_id_of("agent-1", event_id),
            agent_id=AgentId("agent-1"),
            event_id=EventId(event_id),
            message_id=MessageId("unused"),
            state=ApprovalState.PENDING,
            requested_at=NOW,
            expires_at=self.expires_at,
        )
        return 201, encode(self.known[event_id])

    def decide(self, event: Event, state: ApprovalState = ApprovalState.APPROVED) -> Event:
        """Decide about the wake by `event`; the event that tells so, which nobody has heard yet."""
        decided = attrs.evolve(self.known[event.id], state=state, decided_at=NOW, decided_by="token:ops")
        self.known[event.id] = decided
        return Event(EventId(f"evt_of-{decided.id}"), EventType.APPROVAL_DECIDED, NETWORK, NOW, approval=decided)


async def asked(server: AttachServer, approvals: ServedApprovals, *events: Event) -> None:
    """Until each was asked about at least once."""
    wanted = {event.id for event in events}
    await server.wait_until(lambda _: wanted <= set(approvals.asked))


async def told(server: AttachServer, *events: Event) -> None:
    """Deliver events, and wait until they were taken in."""
    server.publish(*events)
    await server.wait_acked(*events)


async def delivered(server: AttachServer, approvals: ServedApprovals, *wakes: Event) -> None:
    """Deliver the first wakes of an attachment, until each was asked about."""
    await server.wait_attached()
    await told(server, noise(0), *wakes)
    await asked(server, approvals, *wakes)
