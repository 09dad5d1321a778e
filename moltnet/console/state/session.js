// Start, sign-in and sign-out, and everything that a connection of the stream begins with.

import * as api from "../lib/api.js";
import { SharedStream } from "../lib/sharing.js";
import { store } from "../lib/store.js";
import { keyOf, mayObserve, model } from "./model.js";
import { load, open } from "./conversations.js";
import { receive } from "./events.js";
import { holding, whileHolding } from "./holding.js";
import { countUnread, rememberReading } from "./reading.js";

const RETRY_MS = 5_000;

const stream = new SharedStream({
  onState: showStream,
  onOpen: connected,
  onEvent: receive,
  // What this reader may see has changed: everything is fetched anew.
  onSession: () => location.reload(),
});
let retrying = 0;

export async function start() {
  clearTimeout(retrying);
  try {
    model.who = await api.whoAmI();
    model.network = await api.getNetwork();
  } catch (error) {
    failed(error);
    return;
  }
  rememberReading(model.network.id);
  store.changed("session", "network");
  const { kind, credential_id = "", scopes = [], expires_at = "" } = model.who;
  stream.open([kind, credential_id, ...scopes, expires_at].join(" "));
}

// A page that is kept for the way back would keep its connection too, of which a browser has six for all its tabs.
addEventListener("pagehide", () => stream.close());
addEventListener("pageshow", (shown) => shown.persisted && start());

export async function signIn(token) {
  await api.signIn(token);
  stream.sayNewSession();
  location.reload();
}

export async function signOut() {
  await api.signOut();
  stream.sayNewSession();
  location.reload();
}

function showStream(state) {
  model.stream.state = state;
  if (state === "reconnecting" && model.phase === "starting") model.problem = "the server gives no stream of events";
  store.changed("stream", "session");
  // Only a question with a status tells a session that has ended from a server that restarts.
  if (state === "reconnecting") api.whoAmI().then(recognise, () => {});
}

/** A session may end while the page is open. */
function recognise(who) {
  const ended = model.who.signed_in && !who.signed_in;
  model.who = who;
  store.changed("session");
  if (ended) start();
}

/** Every connection begins here: what it missed, or what may have changed silently, is fetched. */
async function connected(resumed) {
  try {
    await whileHolding(async () => {
      await fetchLists(resumed);
      model.phase = "ready";
      model.problem = "";
      store.changed("session");
    });
    await reloadConversations(resumed);
  } catch (error) {
    failed(error);
  }
}

holding.refresh = () => connected(false);

async function fetchLists(resumed) {
  const observing = mayObserve();
  const withDirects = observing || model.who.kind === "agent" || model.who.agents?.length > 0;
  const none = Promise.resolve([]);
  const [network, rooms, agents, dms, pairings, approvals, outbox] = await Promise.all([
    api.getNetwork(),
    api.getRooms(),
    api.getAgents(),
    withDirects ? api.getDirects() : none,
    observing ? api.getPairings() : none,
    observing ? api.getApprovals().then((page) => page.approvals) : none,
    observing ? api.getOutbox().then((answer) => answer.queues) : none,
  ]);
  const seen = new Map([...model.agents].map(([key, agent]) => [key, agent.seenAt]));
  const agentKey = (agent) => agent.fqid || agent.id;
  model.network = network;
  model.rooms = new Map(rooms.map((room) => [room.id, room]));
  model.agents = new Map(agents.map((agent) => [agentKey(agent), { ...agent, seenAt: seen.get(agentKey(agent)) }]));
  model.dms = new Map(dms.map((dm) => [dm.id, dm]));
  model.pairings = new Map(pairings.map((pairing) => [pairing.id, pairing]));
  model.approvals = new Map(approvals.map((approval) => [approval.id, approval]));
  model.outbox = new Map(outbox.map((queue) => [queue.pairing_id, queue]));
  for (const dm of dms) model.lastAt.set(`dm:${dm.id}`, Date.parse(dm.last_message_at));
  store.changed("network", "rooms", "agents", "dms", "pairings", "approvals", "outbox", "activity");
  // A stream that went on has told what is new.
  const asked = rooms.filter(({ id }) => !resumed || !model.lastAt.has(`room:${id}`)).map(({ id }) => ({ kind: "room", id }));
  const recent = [...dms].sort((a, b) => b.last_message_at.localeCompare(a.last_message_at)).map(({ id }) => ({ kind: "dm", id }));
  countUnread([...asked, ...(resumed ? [] : recent)].filter((where) => keyOf(where) !== open.key));
}

/**
 * Where events were missed the open conversation is fetched again, the others when they are opened. What could not be
 * fetched is tried again in any case.
 */
async function reloadConversations(resumed) {
  for (const [key, found] of model.conversations) {
    if (resumed && !found.error) continue;
    if (key !== open.key) model.conversations.delete(key);
    else if (found.loaded || found.error) await load(found);
  }
}

function failed(error) {
  stream.close();
  model.stream.state = error.needsSignIn ? "sign-in needed" : "offline";
  model.problem = error.needsSignIn ? "" : error.message;
  if (error.needsSignIn) model.phase = "signed-out";
  else if (model.phase === "starting") model.phase = "offline";
  store.changed("session", "stream");
  clearTimeout(retrying);
  if (!error.needsSignIn) retrying = setTimeout(start, RETRY_MS);
}

/** The queues of pairings are not told by events. */
export async function refreshPairings() {
  await whileHolding(async () => {
    const [pairings, outbox] = await Promise.all([api.getPairings(), api.getOutbox()]);
    model.pairings = new Map(pairings.map((pairing) => [pairing.id, pairing]));
    model.outbox = new Map(outbox.queues.map((queue) => [queue.pairing_id, queue]));
    store.changed("pairings", "outbox");
  });
}
