"""Deciding what a batch of commands changes: pure, and the same for every backend.

A backend asks ``facts.needs`` which rows the batch depends on, loads them as ``Facts`` inside its transaction, calls
``plan`` and writes the ``Changes``. So a batch costs a fixed number of statements, whatever its size, and the rules
of integrity (a message id is used once, a thread stays in its room, a direct conversation belongs to its
participants) stand in one place: the ``plan_…`` modules, one for each subject.
"""

from collections.abc import Callable, Sequence

import attrs

from moltnet.protocol.ids import EventId, NetworkId, new_event_id
from moltnet.storage.approval_commands import DecideApproval, RequestApproval, SweepApprovals
from moltnet.storage.changes import Changes
from moltnet.storage.commands import (
    AnyCommand,
    AnyOutcome,
    AppendMessage,
    Applied,
    ApplyNetwork,
    BindAgent,
    BindPairNetwork,
    ChangeCredential,
    CloseSessions,
    CreateRoom,
    Declared,
    DeclareNetwork,
    DeclareRoom,
    EventsRecorded,
    OpenSession,
    Prune,
    RecordEvents,
    RegisterAgent,
    RemoveAgent,
    RemoveRoom,
    RestoreRoom,
    UpdateMembers,
    UpdateRoom,
)
from moltnet.storage.draft import Draft
from moltnet.storage.facts import Facts
from moltnet.storage.marks import MuteAgent, NoteSeen, SwitchPairing
from moltnet.storage.outbox import DropRelays, RetryRelays, SettleRelays
from moltnet.storage.plan_agents import bind_agent, change_credential, register_agent, remove_agent
from moltnet.storage.plan_approvals import decide_approval, request_approval, sweep_approvals
from moltnet.storage.plan_credentials import bind_pair_network, close_sessions, open_session
from moltnet.storage.plan_marks import mute_agent, note_seen, switch_pairing
from moltnet.storage.plan_messages import append_message
from moltnet.storage.plan_outbox import drop_relays, retry_relays, settle_relays
from moltnet.storage.plan_pruning import prune
from moltnet.storage.plan_rooms import (
    create_room,
    declare_room,
    remove_room,
    restore_room,
    shape_room,
    update_members,
    update_room,
)
from moltnet.storage.records import StoredRoom


@attrs.frozen
class Plan:
    """Outcomes in the order of the commands, and the changes that make them true."""

    outcomes: tuple[AnyOutcome, ...]
    changes: Changes


def plan(
    commands: Sequence[AnyCommand],
    facts: Facts,
    network_id: NetworkId,
    new_id: Callable[[], EventId] = new_event_id,
) -> Plan:
    """Decide every command in order. Facts must hold all rows that ``needs`` asks for and that exist."""
    draft = Draft(facts, network_id, new_id)
    return Plan(tuple(_decide(draft, command) for command in commands), draft.changes)


def _decide(draft: Draft, command: AnyCommand) -> AnyOutcome:
    match command:
        case AppendMessage():
            return append_message(draft, command)
        case CreateRoom():
            return create_room(draft, command)
        case DeclareRoom():
            return declare_room(draft, command)
        case UpdateMembers():
            return update_members(draft, command)
        case UpdateRoom():
            return update_room(draft, command)
        case RemoveRoom():
            return remove_room(draft, command)
        case RestoreRoom():
            return restore_room(draft, command)
        case RegisterAgent():
            return register_agent(draft, command)
        case BindAgent(agent=agent):
            return bind_agent(draft, agent)
        case RemoveAgent():
            return remove_agent(draft, command)
        case ChangeCredential():
            return change_credential(draft, command)
        case ApplyNetwork():
            return _apply(draft, command)
        case DeclareNetwork(agents=agents, rooms=rooms):
            for agent in agents:
                bind_agent(draft, agent)
            return Declared(tuple(declare_room(draft, room) for room in rooms))
        case OpenSession():
            return open_session(draft, command)
        case CloseSessions():
            return close_sessions(draft, command)
        case BindPairNetwork():
            return bind_pair_network(draft, command)
        case RecordEvents(events=events):
            for event in events:
                draft.record_event(event)
            return EventsRecorded()
        case RequestApproval():
            return request_approval(draft, command)
        case DecideApproval():
            return decide_approval(draft, command)
        case SweepApprovals():
            return sweep_approvals(draft, command)
        case MuteAgent():
            return mute_agent(draft, command)
        case NoteSeen():
            return note_seen(draft, command)
        case SwitchPairing():
            return switch_pairing(draft, command)
        case Prune():
            return prune(draft, command)
        case SettleRelays():
            return settle_relays(draft, command)
        case RetryRelays():
            return retry_relays(draft, command)
        case DropRelays():
            return drop_relays(draft, command)


def _apply(draft: Draft, command: ApplyNetwork) -> Applied:
    agents = tuple(bind_agent(draft, agent).agent for agent in command.agents)
    rooms = []
    for room in command.rooms:
        # What the config file last said stays remembered: a start with the same file leaves the room as it is now.
        known = draft.facts.rooms.get(room.id)
        rooms.append(shape_room(draft, StoredRoom(room, "" if known is None else known.declaration)).room)
    return Applied(tuple(rooms), agents)
