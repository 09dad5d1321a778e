"""Deciding about agents: who owns an id, with which credential, and what goes with an agent that is removed."""

import attrs

from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.storage.commands import (
    AgentMissing,
    AgentOwned,
    AgentRemoved,
    AgentStored,
    ChangeCredential,
    CredentialChanged,
    CredentialElsewhere,
    RegisterAgent,
    RemoveAgent,
)
from moltnet.storage.draft import Draft
from moltnet.storage.plan_rooms import change_members
from moltnet.storage.records import StoredAgent


def register_agent(draft: Draft, command: RegisterAgent) -> AgentStored | AgentOwned:
    known = draft.facts.agents.get(command.agent.id)
    if known is None:
        return _keep(draft, command.agent, created=True)
    if known.credential_key != command.agent.credential_key and not command.as_admin:
        return AgentOwned(known.credential_key)
    return _keep(draft, _refreshed(known, command.agent, known.credential_key), created=False)


def bind_agent(draft: Draft, agent: StoredAgent) -> AgentStored:
    known = draft.facts.agents.get(agent.id)
    if known is None:
        return _keep(draft, agent, created=True)
    refreshed = _refreshed(known, agent, agent.credential_key)
    if (known.credential_key, known.registration.display_name) == (
        refreshed.credential_key,
        refreshed.registration.display_name,
    ):
        return AgentStored(known, created=False)
    return _keep(draft, refreshed, created=False)


def change_credential(
    draft: Draft, command: ChangeCredential
) -> CredentialChanged | CredentialElsewhere | AgentMissing:
    known = draft.facts.agents.get(command.agent_id)
    if known is None:
        return AgentMissing(command.agent_id)
    if known.credential_key != command.expected_key:
        return CredentialElsewhere()
    registration = attrs.evolve(known.registration, updated_at=command.at)
    changed = StoredAgent(registration, command.credential_key)
    draft.keep_agent(changed)
    return CredentialChanged(changed)


def remove_agent(draft: Draft, command: RemoveAgent) -> AgentRemoved | AgentMissing:
    address = command.address
    known = draft.facts.agents.get(address.agent_id)
    spellings = frozenset(address.spellings)
    rooms = [
        stored
        for _, stored in sorted(draft.facts.rooms.items())
        if not stored.removed_at and not spellings.isdisjoint(stored.room.members)
    ]
    if known is None and not rooms:
        return AgentMissing(address.agent_id)
    for stored in rooms:
        change_members(draft, stored, set(stored.room.members) - spellings, command.at)
    draft.drop_agent(address.agent_id)
    draft.record_event(
        Event(
            id=draft.new_id(),
            type=EventType.AGENT_REMOVED,
            network_id=draft.network_id,
            created_at=command.at,
            agent=AgentEvent(
                agent_id=address.agent_id,
                network_id=address.network_id,
                fqid=address.fqid,
                name="" if known is None else known.registration.display_name,
                reason="removed",
            ),
        )
    )
    return AgentRemoved(address.agent_id)


def _refreshed(known: StoredAgent, asked: StoredAgent, credential_key: str) -> StoredAgent:
    name = asked.registration.display_name or known.registration.display_name
    return StoredAgent(
        attrs.evolve(known.registration, display_name=name, updated_at=asked.registration.updated_at),
        credential_key,
    )


def _keep(draft: Draft, agent: StoredAgent, *, created: bool) -> AgentStored:
    draft.keep_agent(agent)
    return AgentStored(agent, created=created)
