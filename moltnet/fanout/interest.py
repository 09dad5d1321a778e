"""Who is to see an event: the same answer as ``moltnet.core.access.can_see`` gives for each reader, for all at once.

Readers that see the same are in one circle. A circle is found by what an event is about, its room or its agents, so a
reader that has nothing to do with it costs nothing.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Generic, TypeVar

import attrs

from moltnet.core.access import Viewer
from moltnet.core.network import NetworkContext
from moltnet.protocol.events import EventType
from moltnet.protocol.rooms import Visibility
from moltnet.storage.records import THE_PUBLIC, EventRecord

Reader = TypeVar("Reader")


@attrs.define(eq=False)
class Circle(Generic[Reader]):
    """Readers with one view. Lists, as most have one member, and a set would take three times the memory."""

    viewer: Viewer
    readers: list[Reader] = attrs.field(factory=list)


@attrs.define(eq=False)
class Interest(Generic[Reader]):
    """All readers by what they may see. Nothing here waits.

    A view is what ``viewer_of`` or ``attached_viewer`` make: it has no ``shown_rooms``.
    """

    context: NetworkContext
    _circles: dict[Viewer, Circle[Reader]] = attrs.field(init=False, factory=dict)
    _of_agent: dict[str, list[Circle[Reader]]] = attrs.field(init=False, factory=dict)
    _of_conversations: dict[Circle[Reader], None] = attrs.field(init=False, factory=dict)
    _of_reports: dict[Circle[Reader], None] = attrs.field(init=False, factory=dict)
    _of_the_public: dict[Circle[Reader], None] = attrs.field(init=False, factory=dict)
    # As long as no room changes, and nobody comes who sees what nobody has seen before, or is the last to leave it.
    _of_room: dict[str, Collection[Circle[Reader]]] = attrs.field(init=False, factory=dict)
    _rooms_known: int = attrs.field(init=False, default=-1)

    def __iter__(self) -> Iterator[Reader]:
        for circle in tuple(self._circles.values()):
            yield from tuple(circle.readers)

    def add(self, reader: Reader, viewer: Viewer) -> Viewer:
        """Count a reader in; returns its view as those share it who have the same."""
        circle = self._circles.get(viewer)
        if circle is None:
            circle = self._circles[viewer] = Circle(viewer)
            for table in self._tables(viewer):
                table[circle] = None
            for fqid in viewer.agents:
                self._of_agent.setdefault(fqid, []).append(circle)
            self._of_room.clear()
        circle.readers.append(reader)
        return circle.viewer

    def discard(self, reader: Reader, viewer: Viewer) -> None:
        """Forget a reader that was counted in with this view."""
        circle = self._circles[viewer]
        circle.readers.remove(reader)
        if circle.readers:
            return
        del self._circles[viewer]
        for table in self._tables(viewer):
            del table[circle]
        for fqid in viewer.agents:
            circles = self._of_agent[fqid]
            circles.remove(circle)
            if not circles:
                del self._of_agent[fqid]
        self._of_room.clear()

    def circles(self, record: EventRecord) -> Collection[Circle[Reader]]:
        """Everybody who may see an event now. Not a copy: the next reader that comes changes it."""
        if record.direct_id:
            return self._among(record.addressed) if self.context.policy.direct_messages else ()
        if record.room_id:
            return self._in_room(record)
        if record.agent_id:
            circles = dict(self._of_reports)
            circles.update(dict.fromkeys(self._of_agent.get(self.context.directory.fqid(record.agent_id), ())))
            return circles
        return tuple(self._circles.values()) if record.type == EventType.REPLAY_GAP else self._of_reports

    def _in_room(self, record: EventRecord) -> Collection[Circle[Reader]]:
        directory = self.context.directory
        if record.type == EventType.ROOM_REMOVED:
            # The directory knows nothing of the room by now; who could read it stands in the event.
            return self._among(record.addressed, public=THE_PUBLIC in record.addressed)
        if self._rooms_known != directory.room_changes:
            self._rooms_known = directory.room_changes
            self._of_room.clear()
        circles = self._of_room.get(record.room_id)
        if circles is None:
            room = directory.room(record.room_id)
            is_public = room is not None and room.visibility is Visibility.PUBLIC
            members = directory.members(record.room_id) if room is not None else ()
            circles = self._of_room[record.room_id] = self._among(members, public=is_public)
        return circles

    def _among(self, fqids: Collection[str], *, public: bool = False) -> Collection[Circle[Reader]]:
        """Who sees all conversations, who reads as one of these, and the public if this is for the public."""
        circles = dict(self._of_conversations)
        if public:
            circles.update(self._of_the_public)
        # In an order that is the same in every process: it is that in which readers are served.
        if len(fqids) <= len(self._of_agent):
            found: Iterable[str] = sorted(fqids)
        else:
            wanted = frozenset(fqids)
            found = (fqid for fqid in self._of_agent if fqid in wanted)
        for fqid in found:
            circles.update(dict.fromkeys(self._of_agent.get(fqid, ())))
        return circles

    def _tables(self, viewer: Viewer) -> Iterator[dict[Circle[Reader], None]]:
        if viewer.all_conversations:
            yield self._of_conversations
        if viewer.all_reports:
            yield self._of_reports
        if viewer.public_rooms:
            yield self._of_the_public
