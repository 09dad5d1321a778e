"""What every agent runtime promises to the bridge. Which kind is served by which module is in `registry.py`.

A `Runtime` takes one turn at a time per conversation and says when it is done; what the agent answers goes to the
network by `moltnet send`, not through here.
"""

from collections.abc import Mapping
from typing import Protocol

import attrs

from bridge import limits
from moltnet.protocol.messages import Target, TargetKind


class TurnFailed(Exception):
    """The agent did not finish its turn. `retryable`: the same turn may succeed later.

    A retried turn may be done twice in part: the agent may have answered before it failed.
    """

    def __init__(self, reason: str, *, retryable: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retryable = retryable


class RuntimeMisconfigured(Exception):
    """No turn can succeed before someone changes the configuration or the machine; the attachment is parked."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@attrs.frozen
class Conversation:
    """Where a turn belongs: what an agent remembers together, and where its answer goes."""

    network_id: str
    kind: TargetKind
    id: str
    room_id: str = ""
    """The room of a thread; empty for the other kinds."""

    @classmethod
    def of_target(cls, network_id: str, target: Target) -> "Conversation":
        """The conversation of a message. Raises `ValueError` for a kind that is not known."""
        match TargetKind(target.kind):
            case TargetKind.ROOM:
                return cls(network_id, TargetKind.ROOM, target.room_id)
            case TargetKind.THREAD:
                return cls(network_id, TargetKind.THREAD, target.thread_id, target.room_id)
            case TargetKind.DM:
                return cls(network_id, TargetKind.DM, target.dm_id)

    @property
    def key(self) -> str:
        """`<network>:room:<id>`, `<network>:thread:<id>` (its id is unique over all rooms) or `<network>:dm:<id>`."""
        return f"{self.network_id}:{self.kind}:{self.id}"

    @property
    def target(self) -> str:
        """How `moltnet send --target` names it: `room:<id>`, `thread:<room id>/<id>` or `dm:<id>`."""
        return f"{self.kind}:{self.room_id}/{self.id}" if self.kind is TargetKind.THREAD else f"{self.kind}:{self.id}"


@attrs.frozen
class Turn:
    """One delivery to a runtime: one wake, or several of one conversation."""

    conversation: Conversation
    prompt: str
    environment: Mapping[str, str] = attrs.field(factory=dict, repr=False)
    """Variables of the agent's own, such as `MOLTNET_CLIENT_CONFIG`. They may hold its token."""
    message_id: str = ""
    """The message that woke the agent; of several the newest. Empty if none did."""
    sender: str = ""
    """The address of who sent it."""
    reason: str = ""
    """Why the agent is woken: `mention`, `dm`, `room` or `thread`."""

    def checked_prompt(self) -> str:
        """The prompt as UTF-8 can hold it. Raises `TurnFailed` if it is too long."""
        data = self.prompt.encode(errors="replace")
        if len(data) > limits.MAX_PROMPT_BYTES:
            raise TurnFailed(f"the prompt is longer than {limits.MAX_PROMPT_BYTES} bytes", retryable=False)
        return data.decode()

    def variables(self) -> dict[str, str]:
        """What the agent's process finds in its environment about this turn, beside `environment`."""
        return {
            "MOLTNET_CONVERSATION": self.conversation.key,
            "MOLTNET_TARGET": self.conversation.target,
            "MOLTNET_MESSAGE_ID": self.message_id,
            "MOLTNET_SENDER": self.sender,
            "MOLTNET_REASON": self.reason,
        }


class Runtime(Protocol):
    """An agent program that can be given turns."""

    async def run_turn(self, turn: Turn) -> str | None:
        """Return when the agent has finished the turn. Whether it answered is not known here: silence is success.

        What is returned is the agent's last word as the program reports it, None if it doesn't. It goes nowhere unless
        the attachment says `publish_output` (`bridge.publishing`).

        May be called for several conversations at once; turns of one conversation are done one after another. Bounded
        by the runtime's own turn limit. Cancelled, nothing of the turn is left running, and it may have been done in
        part.

        Raises:
            TurnFailed: this turn was not finished.
            RuntimeMisconfigured: no turn will be.
        """
        ...
