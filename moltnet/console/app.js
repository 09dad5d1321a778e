// The console: which room the URL names, what the server says of it, and what people do here.
//
// The stream is opened first and the lists are fetched after it, so nothing falls between them. While something is being
// fetched, events wait; applied afterwards they change nothing that is up to date already.

import * as api from "./api.js";
import { byId, element, shortened } from "./elements.js";
import { Signing } from "./signing.js";
import { MAX_ROWS, Timeline } from "./timeline.js";

const PAGE_MESSAGES = 50;
const NOTICE_RETRY_MS = 5_000;
// Beyond this, fetching everything again is cheaper than applying what waited.
const MAX_HELD_EVENTS = 5_000;
const NAME_KEY = "moltnet.console.name";
const DEFAULT_NAME = "you";
const WIDE = matchMedia("(min-width: 48rem)");

const state = { network: null, rooms: new Map(), agents: new Map(), unread: new Map(), drafts: new Map() };
/** The open conversation. `newer`: messages that came while its newest rows were not in the window. */
const open = { roomId: "", loaded: false, hasOlder: false, atNewest: true, newer: 0, loading: false, generation: 0 };
const held = { depth: 0, events: [], overflowed: false };

const timeline = new Timeline(byId("timeline"), { onOlder: loadOlder, onFollow: showNewestButton });
const stream = new api.EventStream({ onState: showStream, onOpen: connected, onEvent: receive });
// What this reader may see has changed: everything is fetched anew.
const signing = new Signing({ onChange: () => location.reload() });

// ---- Start, and start again ------------------------------------------------------------------------------------------

async function start() {
  try {
    await signing.refresh();
    state.network = await api.getNetwork();
  } catch (error) {
    showProblem(error);
    return;
  }
  byId("notice").hidden = true;
  stream.open();
}

/** Every connection of the stream begins here: what it missed, or what may have changed silently, is fetched. */
async function connected(resumed) {
  try {
    await whileHolding(async () => {
      const [network, rooms, agents] = await Promise.all([api.getNetwork(), api.getRooms(), api.getAgents()]);
      state.network = network;
      state.rooms = new Map(rooms.map((room) => [room.id, room]));
      state.agents = new Map(agents.map((agent) => [agent.fqid || agent.id, agent]));
      byId("conversations").hidden = false;
      showLists();
      if (!resumed || !open.loaded) await route();
      showComposer();
    });
    byId("notice").hidden = true;
  } catch (error) {
    showProblem(error);
  }
}

function showProblem(error) {
  stream.close();
  if (error.needsSignIn) signing.ask();
  byId("notice-text").textContent = `${capitalised(error.message)}. Trying again by itself.`;
  byId("notice").hidden = error.needsSignIn;
  byId("conversations").hidden = error.needsSignIn || state.network === null;
  showStream(error.needsSignIn ? "sign-in needed" : "offline");
  clearTimeout(showProblem.timer);
  if (!error.needsSignIn) showProblem.timer = setTimeout(start, NOTICE_RETRY_MS);
}

// ---- Events ----------------------------------------------------------------------------------------------------------

/** Run `work` with events waiting, then apply them in order. */
async function whileHolding(work) {
  held.depth += 1;
  try {
    await work();
  } finally {
    held.depth -= 1;
    if (held.depth === 0) {
      const { events, overflowed } = held;
      Object.assign(held, { events: [], overflowed: false });
      if (overflowed) connected(false);
      else events.forEach(apply);
    }
  }
}

function receive(event) {
  if (held.depth === 0) apply(event);
  else if (held.events.length < MAX_HELD_EVENTS) held.events.push(event);
  else held.overflowed = true;
}

function apply(event) {
  switch (event.type) {
    case "message.created":
      if (event.message.target.kind === "room") arrived(event.message);
      break;
    case "room.created":
    case "room.members.updated":
      refreshRoom(event.room.id);
      break;
    case "room.removed":
      state.rooms.delete(event.room.id);
      showLists();
      break;
    case "agent.connected":
    case "agent.disconnected":
      showPresence(event.agent, event.type === "agent.connected");
      break;
    case "agent.removed":
      state.agents.delete(event.agent.fqid);
      showLists();
      break;
    case "stream.replay_gap":
      connected(false);
      break;
  }
}

function arrived(message) {
  const roomId = message.target.room_id;
  if (roomId === open.roomId) {
    // A reader of older messages keeps them; what does not fit any more is fetched on the way back.
    if (!timeline.following && timeline.size >= MAX_ROWS) open.atNewest = false;
    const isNew = !open.atNewest || timeline.append([message]) > 0;
    if (isNew && !timeline.following) open.newer += 1;
    if (timeline.size >= MAX_ROWS) open.hasOlder = true;
    if (open.loaded && !open.loading) byId("timeline-state").textContent = "";
    showNewestButton(timeline.following);
  }
  if (roomId !== open.roomId || document.hidden) {
    state.unread.set(roomId, (state.unread.get(roomId) ?? 0) + 1);
    showLists();
  }
}

/** A room as this reader may see it: events do not say what may be written. */
async function refreshRoom(roomId) {
  try {
    state.rooms.set(roomId, await api.getRoom(roomId));
  } catch {
    state.rooms.delete(roomId);
  }
  showLists();
  showComposer();
}

function showPresence(agent, isConnected) {
  const known = state.agents.get(agent.fqid) ?? { id: agent.agent_id, fqid: agent.fqid, name: agent.name, rooms: [] };
  state.agents.set(agent.fqid, { ...known, connected: isConnected });
  showLists();
}

// ---- The URL is the selection ----------------------------------------------------------------------------------------

function roomInUrl() {
  const [, id = ""] = /^\/console\/room\/([^/]+)\/?$/.exec(location.pathname) ?? [];
  try {
    return decodeURIComponent(id);
  } catch {
    return "";
  }
}

function roomUrl(roomId) {
  return `/console/room/${encodeURIComponent(roomId)}`;
}

async function route() {
  const [firstRoom] = state.rooms.keys();
  // A wide window has room for a conversation beside the list; a phone shows the list first.
  if (!roomInUrl() && WIDE.matches && firstRoom) history.replaceState(null, "", roomUrl(firstRoom));
  await openRoom(roomInUrl());
}

document.addEventListener("click", (click) => {
  const link = click.target.closest("a[href^='/console/']");
  if (!link || click.button !== 0 || click.metaKey || click.ctrlKey || click.shiftKey || click.altKey) return;
  click.preventDefault();
  history.pushState(null, "", link.getAttribute("href"));
  route();
});
addEventListener("popstate", route);
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && state.unread.delete(open.roomId)) showLists();
});

// ---- The open room ---------------------------------------------------------------------------------------------------

async function openRoom(roomId) {
  const generation = (open.generation += 1);
  state.drafts.set(open.roomId, byId("composer-text").value);
  Object.assign(open, { roomId, loaded: false, hasOlder: false, atNewest: true, newer: 0, loading: false });
  byId("composer-text").value = state.drafts.get(roomId) ?? "";
  byId("composer-note").textContent = "";
  document.body.dataset.view = roomId ? "room" : "rooms";
  state.unread.delete(roomId);
  timeline.clear();
  showNewestButton(true);
  showLists();
  showComposer();
  if (!roomId) {
    byId("timeline-state").textContent = state.rooms.size > 0 ? "Choose a room." : "Nothing to show yet.";
    return;
  }
  byId("timeline-state").textContent = "loading…";
  await whileHolding(() => loadNewest(generation));
}

async function loadNewest(generation) {
  let text = "";
  try {
    const { messages, page } = await api.getMessages(open.roomId, PAGE_MESSAGES);
    if (generation !== open.generation) return;
    Object.assign(open, { loaded: true, hasOlder: page.has_more });
    timeline.append(messages);
    if (messages.length === 0) text = "Nothing has been said here yet.";
  } catch (error) {
    if (generation !== open.generation) return;
    text = error.status === 404 ? `There is no room ${shortened(open.roomId)}.` : `${capitalised(error.message)}.`;
  }
  byId("timeline-state").textContent = text;
}

async function loadOlder() {
  if (!open.hasOlder || open.loading || !timeline.oldestId) return;
  const { generation } = open;
  open.loading = true;
  byId("timeline-state").textContent = "loading older messages…";
  let text = "";
  try {
    const { messages, page } = await api.getMessages(open.roomId, PAGE_MESSAGES, timeline.oldestId);
    if (generation !== open.generation) return;
    open.hasOlder = page.has_more;
    if (timeline.prepend(messages) > 0) open.atNewest = false;
  } catch (error) {
    text = `${capitalised(error.message)}; scroll to try again.`;
  } finally {
    if (generation === open.generation) {
      open.loading = false;
      byId("timeline-state").textContent = text;
      showNewestButton(timeline.following);
    }
  }
}

byId("newest").addEventListener("click", () => {
  if (!open.atNewest) {
    openRoom(open.roomId);
    return;
  }
  timeline.scrollToEnd();
  byId("timeline").focus();
});

// ---- Saying something ------------------------------------------------------------------------------------------------

const composer = byId("composer");
/** The attempt that failed, so that trying it again cannot say it twice. */
let attempt = { id: "", roomId: "", text: "" };
let sending = false;

function whyReadOnly() {
  const room = state.rooms.get(open.roomId);
  if (!room) return "";
  if (!state.network.console?.can_send_human) return "Read only: this network takes no messages from people here.";
  if (room.access && !room.access.can_write) return `Read only: this room may be written by its ${room.write_policy}.`;
  return "";
}

function showComposer() {
  const reason = state.network ? whyReadOnly() : "";
  const writable = state.rooms.has(open.roomId) && !reason;
  composer.hidden = !writable;
  byId("read-only").hidden = !reason;
  byId("read-only").textContent = reason;
  showAgents();
}

/** A human's id is made of the name, because a name may hold anything and an id may not. */
function senderNamed(name) {
  const id = name.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 100);
  return { id: id || "human", name };
}

// A browser that keeps nothing for any site throws; the name then lasts as long as the page.
function rememberName(name) {
  try {
    localStorage.setItem(NAME_KEY, name);
  } catch {
    return;
  }
}

function rememberedName() {
  try {
    return localStorage.getItem(NAME_KEY);
  } catch {
    return null;
  }
}

async function send() {
  const text = byId("composer-text").value.trim();
  const name = byId("composer-name").value.trim() || DEFAULT_NAME;
  const { roomId } = open;
  if (!text || sending) return;
  if (attempt.text !== text || attempt.roomId !== roomId) attempt = { id: api.newMessageId(), roomId, text };
  sending = true;
  tell("sending…");
  try {
    await api.sendAsHuman({ id: attempt.id, roomId, sender: senderNamed(name), text });
    attempt = { id: "", roomId: "", text: "" };
    state.drafts.delete(roomId);
    if (open.roomId === roomId) byId("composer-text").value = "";
    tell("");
  } catch (error) {
    tell(`Not sent: ${error.message}.`);
  } finally {
    sending = false;
    fitComposer();
  }
}

function tell(text) {
  byId("composer-note").textContent = text;
}

function fitComposer() {
  const box = byId("composer-text");
  // One row per line, up to what the style allows: no measuring, no inline style.
  box.rows = Math.min(8, box.value.split("\n").length);
}

function mention(agentId) {
  const box = byId("composer-text");
  box.setRangeText(`@${agentId} `, box.selectionStart, box.selectionEnd, "end");
  box.focus();
}

composer.addEventListener("submit", (submit) => {
  submit.preventDefault();
  send();
});
byId("composer-text").addEventListener("input", fitComposer);
byId("composer-text").addEventListener("keydown", (key) => {
  // Enter that ends the choice of a character belongs to the input method.
  if (key.key !== "Enter" || key.shiftKey || key.isComposing) return;
  key.preventDefault();
  send();
});
byId("composer-name").addEventListener("change", (change) => rememberName(change.target.value.trim()));
byId("notice-retry").addEventListener("click", start);

// ---- What is shown ---------------------------------------------------------------------------------------------------

function showLists() {
  showRooms();
  showAgents();
  const { network } = state;
  byId("network-name").textContent = network?.name || network?.id || "";
  byId("network-id").textContent = network ? `${network.id} · v${network.version}` : "";
  const title = open.roomId ? `${roomName(open.roomId)} · ${network?.name ?? ""}` : (network?.name ?? "");
  const unread = [...state.unread.values()].reduce((sum, count) => sum + count, 0);
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${title || "Moltnet Console"}`;
  byId("conversation-title").textContent = open.roomId ? roomName(open.roomId) : "messages";
  const members = state.rooms.get(open.roomId)?.members ?? [];
  const note = byId("conversation-note");
  note.title = shortened(members.join(", "), 500);
  note.textContent = members.length > 0 ? `${members.length} ${members.length === 1 ? "member" : "members"}` : "";
}

function roomName(roomId) {
  return state.rooms.get(roomId)?.name || roomId;
}

function showRooms() {
  const rows = [...state.rooms.values()].map((room) => {
    const unread = state.unread.get(room.id) ?? 0;
    const label = element("span", { className: "label", title: room.id }, room.name || room.id);
    const badge = element("span", { className: "badge", ariaLabel: `${unread} unread` }, String(unread));
    const link = element("a", { href: roomUrl(room.id) }, label, ...(unread > 0 ? [badge] : []));
    if (room.id === open.roomId) link.ariaCurrent = "page";
    return element("li", {}, link);
  });
  replaceRows("rooms", rows);
}

function showAgents() {
  const agents = [...state.agents.values()].sort((a, b) => b.connected - a.connected || a.id.localeCompare(b.id));
  const rows = agents.map((agent) => {
    const presence = agent.connected ? "online" : "offline";
    const dot = element("span", { className: `dot ${presence}`, ariaHidden: "true" });
    const label = element("span", { className: "label" }, agent.name || agent.id);
    if (agent.name && agent.name !== agent.id) label.append(" ", element("small", {}, agent.id));
    const shown = [dot, label, element("span", { className: "faint" }, presence)];
    if (composer.hidden) return element("li", {}, element("span", { className: "row", title: agent.fqid }, ...shown));
    const title = `mention ${agent.id}`;
    return element("li", {}, element("button", { type: "button", title, onclick: () => mention(agent.id) }, ...shown));
  });
  replaceRows("agents", rows);
}

function replaceRows(id, rows) {
  const list = byId(id);
  // Whoever walks through the list by keyboard keeps the place.
  const focused = [...list.children].findIndex((row) => row.contains(document.activeElement));
  list.replaceChildren(...rows);
  if (focused >= 0) list.children[Math.min(focused, rows.length - 1)]?.firstElementChild?.focus();
  byId(`${id}-count`).textContent = rows.length > 0 ? String(rows.length) : "";
  byId(`${id}-empty`).hidden = rows.length > 0 || state.network === null;
}

function showNewestButton(following) {
  if (following && open.atNewest) open.newer = 0;
  const button = byId("newest");
  button.hidden = following && open.atNewest;
  button.textContent = open.newer > 0 ? `${open.newer} new ↓` : "newest ↓";
}

function showStream(name) {
  byId("stream").dataset.state = name;
  byId("stream").textContent = name;
}

function capitalised(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

byId("composer-name").value = rememberedName() || DEFAULT_NAME;
start();
