"""EVENT frames made once and shared by every attachment that is sent the same event."""

from collections import OrderedDict

import attrs

from moltnet.protocol import limits
from moltnet.protocol.frames import event_frame_text
from moltnet.protocol.ids import NetworkId
from moltnet.storage.records import EventRecord


@attrs.define(eq=False)
class FrameCache:
    """The newest frames by their event's place in the log."""

    network_id: NetworkId
    _frames: OrderedDict[int, str] = attrs.field(init=False, factory=OrderedDict)
    _characters: int = attrs.field(init=False, default=0)

    def text(self, record: EventRecord) -> str:
        """The frame of an event. Records without a place of their own (``seq`` 0) are not kept."""
        frame = self._frames.get(record.seq)
        if frame is None:
            frame = event_frame_text(self.network_id, record.id, record.wire)
            if record.seq:
                self._keep(record.seq, frame)
        return frame

    def _keep(self, seq: int, frame: str) -> None:
        self._frames[seq] = frame
        self._characters += len(frame)
        while len(self._frames) > limits.SHARED_FRAMES or self._characters > limits.SHARED_FRAME_CHARACTERS:
            _, oldest = self._frames.popitem(last=False)
            self._characters -= len(oldest)
