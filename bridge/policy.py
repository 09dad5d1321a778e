"""Does an event wake this agent, and why? Pure decisions over the attachment's configuration (node and bridge §7).

Which events reach the attachment at all is the server's decision; how a wake becomes a turn is `bridge.conversation`'s.
"""

from enum import StrEnum

import attrs

from bridge.config import AttachmentConfig
from moltnet.config.wake import WakePolicy, WakeRule
from moltnet.protocol.addressing import is_mentioned, is_participant, is_sender
from moltnet.protocol.events import Event, EventType
from moltnet.protocol.identity import AgentAddress
from moltnet.protocol.ids import AgentId, EventId, NetworkId
from moltnet.protocol.messages import Message, Target, TargetKind


class WakeReason(StrEnum):
    """Why the agent is woken. A mention in a room that always wakes is still called a mention."""

    MENTION = "mention"
    DM = "dm"
    ROOM = "room"
    THREAD = "thread"


class Ignored(StrEnum):
    """Why an event wakes nobody here."""

    NOT_A_MESSAGE = "not a message"
    OTHER_NETWORK = "of another network"
    OWN_MESSAGE = "the agent's own message"
    ROOM_NOT_BOUND = "in a room without a binding"
    DMS_DISABLED = "direct messages are not enabled"
    NOT_A_PARTICIPANT = "a direct message of others"
    NOT_MENTIONED = "not mentioned"
    NOT_A_THREAD = "not in a thread"
    NEVER = "the policy is never"
    UNKNOWN_TARGET = "an unknown kind of conversation"


@attrs.frozen
class Wake:
    """An event that starts a turn. `cursor` settles it with the server, `event_id` knows it when it comes again.

    What waits for a turn must not hold a MiB each, so `message` is without its parts and `body` is what a prompt shows
    of them (`bridge.render`).
    """

    event_id: EventId
    cursor: str
    message: Message
    reason: WakeReason
    body: str


def judge(config: AttachmentConfig, event: Event) -> WakeReason | Ignored:
    """Whether `event` wakes the agent of `config`.

    Mentions come from the server's metadata only; text is never searched. A thread follows the binding of its room.
    Where the policy is `manual`, this says what would wake it if it were approved (`needs_approval`).
    """
    message = event.message
    if event.type != EventType.MESSAGE_CREATED or message is None:
        return Ignored.NOT_A_MESSAGE
    network_id = config.server.network_id
    if message.network_id != network_id:
        return Ignored.OTHER_NETWORK
    me = AgentAddress(NetworkId(network_id), AgentId(config.agent.id))
    if is_sender(message.sender, me):
        return Ignored.OWN_MESSAGE
    match message.target.kind:
        case TargetKind.ROOM | TargetKind.THREAD:
            return _judge_room(config, message, me)
        case TargetKind.DM:
            return _judge_direct(config, message, me)
        case _:
            return Ignored.UNKNOWN_TARGET


def needs_approval(config: AttachmentConfig, target: Target) -> bool:
    """Whether a wake of this conversation waits until an operator approves it."""
    if target.kind == TargetKind.DM:
        return config.dms.wake.policy is WakePolicy.MANUAL
    return any(each.id == target.room_id and each.wake.policy is WakePolicy.MANUAL for each in config.rooms)


def _wanted(rule: WakeRule) -> WakePolicy:
    """Which messages wake, whether or not somebody has to approve it first."""
    if rule.policy is WakePolicy.MANUAL:
        return rule.on_approval or WakePolicy.ALL
    return rule.policy


def _judge_room(config: AttachmentConfig, message: Message, me: AgentAddress) -> WakeReason | Ignored:
    binding = next((each for each in config.rooms if each.id == message.target.room_id), None)
    if binding is None:
        return Ignored.ROOM_NOT_BOUND
    in_thread = message.target.kind == TargetKind.THREAD
    mentioned = is_mentioned(message, me, config.agent.name)
    unnamed = WakeReason.THREAD if in_thread else WakeReason.ROOM
    reason = WakeReason.MENTION if mentioned else unnamed
    match _wanted(binding.wake):
        case WakePolicy.ALL:
            return reason
        case WakePolicy.MENTIONS:
            return reason if mentioned else Ignored.NOT_MENTIONED
        case WakePolicy.THREAD_ONLY:
            return reason if in_thread else Ignored.NOT_A_THREAD
        case WakePolicy.NEVER | WakePolicy.MANUAL:
            return Ignored.NEVER


def _judge_direct(config: AttachmentConfig, message: Message, me: AgentAddress) -> WakeReason | Ignored:
    if not config.dms.enabled:
        return Ignored.DMS_DISABLED
    if not is_participant(message, me):
        return Ignored.NOT_A_PARTICIPANT
    match _wanted(config.dms.wake):
        case WakePolicy.ALL | WakePolicy.MENTIONS:
            return WakeReason.DM
        case WakePolicy.THREAD_ONLY | WakePolicy.NEVER | WakePolicy.MANUAL:
            return Ignored.NEVER
