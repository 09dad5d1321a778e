// From events to state: each is applied as it comes, and nothing is fetched again for it.

import * as api from "../lib/api.js";
import { store } from "../lib/store.js";
import { arrived } from "./conversations.js";
import { holding, pass } from "./holding.js";
import { conversationOf, keyOf, MAX_EVENTS, model } from "./model.js";

const MAX_WAKES = 2_000;

export function receive(event) {
  remember(event);
  pass(event);
}

/** For the view of events, and for how much happens: both know of an event even while others wait. */
function remember(event) {
  model.events.push(event);
  if (model.events.length > MAX_EVENTS + 200) model.events.splice(0, model.events.length - MAX_EVENTS);
  const now = Date.now();
  const second = Math.floor(now / 1_000);
  const rates = model.stream.perSecond;
  if (rates.at(-1)?.second === second) rates.at(-1).count += 1;
  else rates.push({ second, count: 1 });
  if (rates.length > 120) rates.shift();
  model.stream.lagMs = Math.max(0, now - new Date(event.created_at).getTime());
  store.changed("events");
}

const HANDLERS = {
  "message.created": ({ message }) => message && counted(message),
  "thread.created": ({ thread }) => put("threads", thread.id, thread),
  "dm.created": ({ dm }) => put("dms", dm.id, dm),
  "room.created": ({ room }) => roomChanged(room),
  "room.members.updated": ({ room }) => roomChanged(room),
  "room.removed": ({ room }) => drop("rooms", room.id),
  "agent.connected": ({ agent, created_at }) => present(agent, true, created_at),
  "agent.disconnected": ({ agent, created_at }) => present(agent, false, created_at),
  "agent.removed": ({ agent }) => drop("agents", agent.fqid || agent.agent_id),
  "agent.wake.delivered": (event) => woken(event, "delivered"),
  "agent.wake.failed": (event) => woken(event, "failed"),
  "approval.requested": ({ approval }) => put("approvals", approval.id, approval),
  "approval.decided": ({ approval }) => put("approvals", approval.id, approval),
  "pairing.updated": ({ pairing }) => pairing && put("pairings", pairing.id, pairing),
  "stream.replay_gap": () => holding.refresh(),
};

holding.apply = (event) => HANDLERS[event.type]?.(event);

function put(slice, id, value) {
  model[slice].set(id, value);
  store.changed(slice);
}

function drop(slice, id) {
  model[slice].delete(id);
  store.changed(slice);
}

function counted(message) {
  const { kind, id } = conversationOf(message.target);
  const list = { dm: model.dms, thread: model.threads }[kind];
  const known = list?.get(id);
  if (known && new Date(message.created_at) > new Date(known.last_message_at)) {
    const grown = { message_count: known.message_count + 1, last_message_at: message.created_at };
    put(kind === "dm" ? "dms" : "threads", id, { ...known, ...grown });
  }
  arrived(message, keyOf({ kind, id }));
}

/** Events do not say what this reader may write: `access` is asked for once for each change of a room. */
async function roomChanged(room) {
  put("rooms", room.id, { ...room, access: model.rooms.get(room.id)?.access });
  for (const agent of model.agents.values()) {
    const isMember = (room.members ?? []).some((member) => member === agent.id || member === agent.fqid);
    const rooms = (agent.rooms ?? []).filter((id) => id !== room.id);
    agent.rooms = isMember ? [...rooms, room.id].sort() : rooms;
  }
  store.changed("agents");
  try {
    put("rooms", room.id, await api.getRoom(room.id));
  } catch (error) {
    if (error.status === 403 || error.status === 404) drop("rooms", room.id);
  }
}

function present(agent, connected, at) {
  const key = agent.fqid || agent.agent_id;
  const fresh = { id: agent.agent_id, network_id: agent.network_id, fqid: agent.fqid, name: agent.name, rooms: [] };
  put("agents", key, { ...(model.agents.get(key) ?? fresh), connected, seenAt: at });
}

export function woken({ agent, created_at }, state) {
  // A new map: rows compare it.
  const byAgent = new Map(model.wakes.get(agent.message_id));
  byAgent.set(agent.fqid || agent.agent_id, { state, reason: agent.reason, error: agent.error ?? "", at: created_at });
  model.wakes.set(agent.message_id, byAgent);
  if (model.wakes.size > MAX_WAKES) model.wakes.delete(model.wakes.keys().next().value);
  store.changed("wakes");
}
