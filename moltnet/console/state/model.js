// What the console knows, by slice, and what can be told from it. Nothing here asks the server.

import { store } from "../lib/store.js";
import { humanId, remember, remembered } from "../lib/texts.js";

/** Beyond this the oldest events of the view are let go. */
export const MAX_EVENTS = 2_000;

export const model = {
  /** "starting", "ready", "signed-out", or "offline" before anything could be shown. */
  phase: "starting",
  problem: "",
  /** A mistake of this program that has come to light. */
  fault: "",
  who: { kind: "anonymous", scopes: [], agents: [], signed_in: false },
  network: null,
  /** `perSecond`: of each of the last seconds `{ second, count, lagMs }`, the lag being the longest of an event. */
  stream: { state: "connecting", lagMs: 0, perSecond: [] },
  rooms: new Map(),
  dms: new Map(),
  threads: new Map(),
  /** By FQID: agents of two networks may have the same id. */
  agents: new Map(),
  pairings: new Map(),
  approvals: new Map(),
  outbox: new Map(),
  /** By message: what became of its wakes, by agent. */
  wakes: new Map(),
  /** By key of a conversation. */
  conversations: new Map(),
  unread: new Map(),
  /** When something was last said, in milliseconds. */
  lastAt: new Map(),
  pending: new Map(),
  events: [],
  /** How many came since this page was opened, also those that were let go. */
  eventCount: 0,
  settings: {
    name: remembered("name") || "you",
    theme: remembered("theme") || "system",
    contrast: remembered("contrast") || "system",
    utc: remembered("utc") === "yes",
    notify: remembered("notify") === "yes",
  },
};

export function setSetting(name, value) {
  model.settings[name] = value;
  remember(name, value === true ? "yes" : value || "");
  store.changed("settings");
}

// ---- What the reader may ---------------------------------------------------------------------------------------------

export function may(...scopes) {
  return model.who.kind === "unchecked" || scopes.some((scope) => model.who.scopes.includes(scope));
}

export const isAdmin = () => may("admin");
export const mayObserve = () => may("observe", "admin");

/** Why something for administrators is shown and can't be used; empty if it can. */
export function whyNotAdmin() {
  return isAdmin() ? "" : "Read only: this needs a token with the scope admin.";
}

/** Who sends what is written here. */
export function sender() {
  return { type: "human", id: humanId(model.settings.name), name: model.settings.name };
}

/** Why nothing can be written in a conversation; empty if it can. */
export function whyReadOnly({ kind, id }) {
  if (!model.network) return "Not connected.";
  if (!model.network.capabilities.human_ingress) return "Read only: this network takes no messages from people.";
  if (!model.network.console?.can_send_human) {
    return model.who.kind === "anonymous"
      ? "Read only: sign in with a token that has the scope write to say something here."
      : "Read only: this needs a token with the scope write that belongs to no agent.";
  }
  if (kind === "dm") return whyNotDirect(id);
  const room = model.rooms.get(kind === "thread" ? model.threads.get(id)?.room_id : id);
  if (!room) return kind === "thread" ? "" : "Read only: there is no such room here.";
  if (!room.access || room.access.can_write) return "";
  const who = { members: "its members", registered_agents: "registered agents", operators: "operators" };
  return `Read only: this room is written by ${who[room.write_policy] ?? room.write_policy}.`;
}

function whyNotDirect(id) {
  if (!model.network.capabilities.direct_messages) return "Read only: direct messages are off in this network.";
  const participants = model.dms.get(id)?.participant_ids;
  const me = humanId(model.settings.name);
  if (!participants || participants.includes(me)) return "";
  return `Read only: ${me} takes no part in this conversation of ${participants.join(", ")}.`;
}

// ---- Conversations ---------------------------------------------------------------------------------------------------

export const keyOf = ({ kind, id }) => `${kind}:${id}`;

export function conversationOf(target) {
  const id = { room: target.room_id, thread: target.thread_id, dm: target.dm_id }[target.kind];
  return { kind: target.kind, id };
}

export function titleOf({ kind, id }) {
  if (kind === "room") return model.rooms.get(id)?.name || id;
  if (kind === "dm") return model.dms.get(id)?.participant_ids?.join(", ") || id;
  return `thread ${id}`;
}

export function agentName(fqidOrId) {
  const agent = model.agents.get(fqidOrId);
  return agent?.name || agent?.id || fqidOrId.replace(/^molt:\/\/([^/]+)\/agents\//, "$1:");
}

/** The agent of a bare id or an FQID. */
export function findAgent(id) {
  return model.agents.get(id) ?? model.agents.get(`molt://${model.network?.id}/agents/${id}`);
}

/** The agents that a message there could mention: members first. */
export function mentionable({ kind, id }) {
  const agents = [...model.agents.values()];
  if (kind === "dm") {
    const participants = model.dms.get(id)?.participant_ids;
    return participants ? agents.filter((agent) => participants.includes(agent.id)) : agents;
  }
  const roomId = kind === "thread" ? model.threads.get(id)?.room_id : id;
  const isMember = (agent) => (agent.rooms ?? []).includes(roomId);
  return [...agents.filter(isMember), ...agents.filter((agent) => !isMember(agent))];
}

export const unreadTotal = () => [...model.unread.values()].reduce((sum, count) => sum + count, 0);
export const pendingApprovals = () => [...model.approvals.values()].filter((approval) => approval.state === "pending");
export const isOfAnotherNetwork = (agent) => Boolean(agent.network_id) && agent.network_id !== model.network?.id;
