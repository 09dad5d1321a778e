"""Deciding about marks: who is muted, who was there when, and which pairings are switched."""

from moltnet.protocol.events import AgentEvent, Event, EventType
from moltnet.storage.draft import Draft
from moltnet.storage.marks import (
    MarkKind,
    MuteAgent,
    MuteChanged,
    NobodyToMute,
    NoteSeen,
    PairingSwitched,
    SeenNoted,
    SwitchPairing,
    about_mark,
    mark_id,
    mute_mark,
    seen_mark,
    switch_mark,
)


def mute_agent(draft: Draft, command: MuteAgent) -> MuteChanged | NobodyToMute:
    agent = draft.facts.agents.get(command.agent_id)
    if agent is None:
        return NobodyToMute(command.agent_id)
    id = mark_id(MarkKind.MUTE, command.agent_id)
    known = draft.facts.marks.get(id)
    if command.mute is None:
        if known is None:
            return MuteChanged(None, changed=False)
        draft.drop_mark(id)
    else:
        mark = mute_mark(command.agent_id, command.mute)
        if known == mark:
            return MuteChanged(command.mute, changed=False)
        draft.keep_mark(mark)
    draft.record_event(
        Event(
            id=draft.new_id(),
            type=EventType.AGENT_UNMUTED if command.mute is None else EventType.AGENT_MUTED,
            network_id=draft.network_id,
            created_at=command.at,
            agent=AgentEvent(
                agent_id=command.agent_id,
                network_id=draft.network_id,
                fqid=agent.registration.actor_uri,
                name=agent.registration.display_name,
                reason="" if command.mute is None else command.mute.reason,
                mute=command.mute,
            ),
        )
    )
    return MuteChanged(command.mute, changed=True)


def note_seen(draft: Draft, command: NoteSeen) -> SeenNoted:
    for agent_id, at in command.seen:
        if agent_id in draft.facts.agents:
            draft.keep_mark(seen_mark(agent_id, at))
    for agent_id, about in command.about:
        if agent_id in draft.facts.agents:
            draft.keep_mark(about_mark(agent_id, about))
    return SeenNoted()


def switch_pairing(draft: Draft, command: SwitchPairing) -> PairingSwitched:
    mark = switch_mark(command.pairing_id, command.switch)
    if draft.facts.marks.get(mark.id) == mark:
        return PairingSwitched(changed=False)
    draft.keep_mark(mark)
    draft.record_event(command.event)
    return PairingSwitched(changed=True)
