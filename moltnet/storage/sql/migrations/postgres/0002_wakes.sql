-- What became of the wakes of each agent, which is listed; and when an agent was removed, since its wakes are nothing to
-- a later one of its id.

CREATE INDEX events_of_wakes ON events (agent_id, seq) WHERE type IN ('agent.wake.delivered', 'agent.wake.failed');
CREATE INDEX events_of_removed_agents ON events (agent_id, seq) WHERE type = 'agent.removed';
