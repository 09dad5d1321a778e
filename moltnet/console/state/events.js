// From events to state: each is applied as it comes, and nothing is fetched again for it.

import * as api from "../lib/api.js";
import { store } from "../lib/store.js";
import { path } from "../lib/router.js";
import { arrived } from "./conversations.js";
import { holding, pass } from "./holding.js";
import { agentName, conversationOf, keyOf, MAX_EVENTS, mayObserve, model } from "./model.js";
import { notify } from "./notifications.js";

const MAX_WAKES = 2_000;
const KEPT_SECONDS = 120;
const NETWORK_MS = 1_000;
const ARRIVALS_MS = 1_000;
const MOST_ARRIVALS = 20;

export function receive(event) {
  remember(event);
  pass(event);
}

/** For the view of events, and for how much happens: both know of an event even while others wait. */
function remember(event) {
  model.events.push(event);
  model.eventCount += 1;
  if (model.events.length > MAX_EVENTS + 200) model.events.splice(0, model.events.length - MAX_EVENTS);
  const now = Date.now();
  const second = Math.floor(now / 1_000);
  const rates = model.stream.perSecond;
  const lagMs = Math.max(0, now - Date.parse(event.created_at));
  if (rates.at(-1)?.second !== second) rates.push({ second, count: 0, lagMs: 0 });
  rates.at(-1).count += 1;
  rates.at(-1).lagMs = Math.max(lagMs, rates.at(-1).lagMs);
  if (rates.length > KEPT_SECONDS) rates.shift();
  model.stream.lagMs = lagMs;
  store.changed("events");
}

const HANDLERS = {
  "message.created": ({ message }) => message && counted(message),
  "thread.created": ({ thread }) => put("threads", thread.id, thread),
  "dm.created": ({ dm }) => put("dms", dm.id, dm),
  "room.created": ({ room }) => roomChanged(room),
  "room.updated": ({ room }) => roomChanged(room),
  "room.members.updated": ({ room }) => roomChanged(room),
  "room.removed": ({ room }) => drop("rooms", room.id),
  "agent.connected": ({ agent, created_at }) => present(agent, true, created_at),
  "agent.disconnected": ({ agent, created_at }) => present(agent, false, created_at),
  "agent.muted": ({ agent }) => muted(agent),
  "agent.unmuted": ({ agent }) => muted(agent),
  "agent.removed": ({ agent }) => drop("agents", agent.fqid || agent.agent_id),
  "agent.wake.delivered": (event) => woken(event, "delivered"),
  "agent.wake.failed": (event) => woken(event, "failed"),
  "approval.requested": ({ approval }) => asked(approval),
  "approval.decided": ({ approval }) => put("approvals", approval.id, approval),
  "pairing.updated": ({ pairing }) => pairing && paired(pairing),
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

function asked(approval) {
  put("approvals", approval.id, approval);
  notify("An approval waits", `${agentName(approval.agent_id)} asks to be woken.`, { id: approval.id, to: path("approvals") });
}

let askingForNetwork = 0;

/** The network warns of its pairings; it is asked once for many changes of them. */
function paired(pairing) {
  put("pairings", pairing.id, pairing);
  askingForNetwork ||= setTimeout(async () => {
    askingForNetwork = 0;
    model.network = await api.getNetwork().catch(() => model.network);
    store.changed("network");
  }, NETWORK_MS);
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
  if (connected && mayObserve()) arrivals.add(key);
  if (arrivals.size > 0) learning ||= setTimeout(learnArrivals, ARRIVALS_MS);
}

const arrivals = new Set();
let learning = 0;

/** What runs an agent is not told by events. Of a crowd that arrives at once nobody is asked about: a view asks for one. */
async function learnArrivals() {
  const keys = [...arrivals];
  arrivals.clear();
  learning = 0;
  if (keys.length > MOST_ARRIVALS) return;
  for (const key of keys) await learnAgent(key);
}

/** Ask for all that may be known of an agent. */
export async function learnAgent(key) {
  const told = await api.getAgent(key).catch(() => null);
  const known = model.agents.get(key);
  if (told && known) put("agents", key, { ...told, connected: known.connected, seenAt: known.seenAt });
}

function muted({ fqid, agent_id, mute }) {
  const key = fqid || agent_id;
  const known = model.agents.get(key);
  if (known) put("agents", key, { ...known, mute });
}

export function woken({ agent, created_at }, state) {
  // A new map: rows compare it.
  const byAgent = new Map(model.wakes.get(agent.message_id));
  byAgent.set(agent.fqid || agent.agent_id, { state, reason: agent.reason, error: agent.error ?? "", at: created_at });
  model.wakes.set(agent.message_id, byAgent);
  if (model.wakes.size > MAX_WAKES) model.wakes.delete(model.wakes.keys().next().value);
  store.changed("wakes");
}
