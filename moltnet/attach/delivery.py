"""What an event means to one attachment: is it a wake, and which reports follow (attach protocol §7, §8). Pure."""

from collections.abc import Callable

import attrs

from moltnet.fanout.frames import SharedFrame
from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.protocol.ids import EventId, NetworkId, new_event_id
from moltnet.protocol.messages import Target
from moltnet.protocol.times import Timestamp
from moltnet.protocol.wakes import PendingWake

REASON_DM = "dm"
REASON_MENTION = "mention"


@attrs.frozen
class AttachedAgent:
    """Whom the reports of an attachment are about."""

    network_id: NetworkId
    agent_id: str
    fqid: str
    name: str


def wake_of(frame: SharedFrame, fqid: str, now: Callable[[], Timestamp]) -> PendingWake | None:
    """The wake that an event is for the agent, or ``None``. An agent's own messages never wake it.

    It does not hold the message, which may be large.
    """
    record = frame.record
    if record.type != EventType.MESSAGE_CREATED or fqid not in record.addressed or record.sender == fqid:
        return None
    return PendingWake(
        message_id=record.message_id,
        reason=REASON_DM if record.direct_id else REASON_MENTION,
        since=now(),
        target=frame.target(),
    )


@attrs.frozen
class Reporter:
    """Makes the ``agent.*`` events of one attachment."""

    agent: AttachedAgent
    now: Callable[[], Timestamp]
    debug: bool = False

    def connected(self) -> Event:
        return self._event(EventType.AGENT_CONNECTED, reason="attachment_ready" if self.debug else "")

    def disconnected(self, reason: str) -> Event:
        return self._event(EventType.AGENT_DISCONNECTED, reason=reason if self.debug else "")

    def wake_delivered(self, wake: PendingWake) -> Event:
        return self._wake(EventType.AGENT_WAKE_DELIVERED, wake)

    def wake_failed(self, wake: PendingWake, error: str) -> Event:
        return self._wake(EventType.AGENT_WAKE_FAILED, wake, error)

    def _wake(self, kind: EventType, wake: PendingWake, error: str = "") -> Event:
        return self._event(kind, reason=wake.reason, message_id=wake.message_id, target=wake.target, error=error)

    def _event(
        self, kind: EventType, *, reason: str = "", message_id: str = "", target: Target | None = None, error: str = ""
    ) -> Event:
        agent = self.agent
        return Event(
            id=EventId(new_event_id()),
            type=kind,
            network_id=agent.network_id,
            created_at=self.now(),
            agent=AgentEvent(
                agent_id=agent.agent_id,
                network_id=agent.network_id,
                fqid=agent.fqid,
                name=agent.name,
                message_id=message_id,
                reason=reason,
                target=target,
                error=error,
            ),
        )
