// Messages of conversations: pages of history, what arrives, what is being sent, drafts.

import * as api from "../lib/api.js";
import { store } from "../lib/store.js";
import { remember, remembered, shortened } from "../lib/texts.js";
import { announce } from "./announcements.js";
import { whileHolding } from "./holding.js";
import { keyOf, model, sender } from "./model.js";

const PAGE_MESSAGES = 100;
/** Of one conversation; a reader further back lets go of the newest, and the other way round. */
const MAX_MESSAGES = 4_000;
const DROPPED_AT_ONCE = 1_000;
const KEPT_CONVERSATIONS = 12;

/** The conversation on the screen; `following` tells that its newest message is in sight. */
export const open = { key: "", following: true };

function fresh(conversation) {
  const flags = { loaded: false, loading: "", error: "", missing: false, hasOlder: false, hasNewer: false };
  return { ...conversation, messages: [], ids: new Set(), newer: 0, generation: 0, ...flags };
}

export function conversation(where) {
  const key = keyOf(where);
  if (!model.conversations.has(key)) model.conversations.set(key, fresh(where));
  return model.conversations.get(key);
}

const told = (key) => store.changed(`conversation:${key}`);

// ---- Opening and reading back ----------------------------------------------------------------------------------------

/** Make a conversation the open one, at its newest messages or around one of them. */
export async function openConversation(where, messageId = "") {
  const key = keyOf(where);
  Object.assign(open, { key, following: !messageId });
  markRead(key);
  letGo(key);
  const found = conversation(where);
  const isThere = found.loaded && (messageId ? found.ids.has(messageId) : !found.hasNewer);
  if (!isThere) await load(where, messageId);
}

/** The least recently opened conversations are forgotten; their messages are at the server. */
function letGo(key) {
  const found = model.conversations.get(key);
  model.conversations.delete(key);
  if (found) model.conversations.set(key, found);
  const rest = [...model.conversations.keys()].filter((other) => other !== key);
  for (const old of rest.slice(0, Math.max(0, rest.length - KEPT_CONVERSATIONS))) model.conversations.delete(old);
}

export async function load(where, messageId = "") {
  const found = conversation(where);
  const generation = (found.generation += 1);
  Object.assign(found, { loading: "newest", error: "", missing: false });
  told(keyOf(where));
  await whileHolding(async () => {
    try {
      const page = messageId ? await around(where, messageId) : await newest(where);
      if (generation !== found.generation) return;
      Object.assign(found, page, { ids: new Set(page.messages.map(({ id }) => id)), loaded: true, newer: 0 });
      if (page.messages.length > 0) active(keyOf(where), page.messages.at(-1));
    } catch (error) {
      if (generation !== found.generation) return;
      if (error.status === 404) Object.assign(found, { missing: true, loaded: true, messages: [], ids: new Set() });
      else found.error = error.message;
    } finally {
      if (generation === found.generation) found.loading = "";
      told(keyOf(where));
    }
  });
}

async function newest(where) {
  const { messages, page } = await api.getMessages(where, { limit: PAGE_MESSAGES });
  return { messages, hasOlder: page.has_more, hasNewer: false };
}

/** The messages before one, and those after them, of which it is the first. */
async function around(where, messageId) {
  const older = await api.getMessages(where, { limit: PAGE_MESSAGES / 2, before: messageId });
  const last = older.messages.at(-1)?.id;
  if (last) {
    const after = await api.getMessages(where, { limit: PAGE_MESSAGES / 2, after: last });
    return { messages: [...older.messages, ...after.messages], hasOlder: older.page.has_more, hasNewer: after.page.has_more };
  }
  // It is the very first one: no cursor comes before it, so its successors are fetched and it is found by the room's threads.
  const after = await api.getMessages(where, { limit: PAGE_MESSAGES, after: messageId });
  const first = await firstBefore(where, after.messages[0]?.id);
  return { messages: [...first, ...after.messages], hasOlder: false, hasNewer: after.page.has_more };
}

async function firstBefore(where, id) {
  const { messages } = await api.getMessages(where, { limit: 1, ...(id && { before: id }) });
  return messages;
}

export const loadOlder = (where) => loadMore(where, "older");
export const loadNewer = (where) => loadMore(where, "newer");

async function loadMore(where, direction) {
  const found = conversation(where);
  const has = direction === "older" ? "hasOlder" : "hasNewer";
  const edge = direction === "older" ? found.messages[0] : found.messages.at(-1);
  if (!found[has] || found.loading || !edge) return;
  const { generation } = found;
  Object.assign(found, { loading: direction, error: "" });
  told(keyOf(where));
  await whileHolding(async () => {
    try {
      const cursor = direction === "older" ? { before: edge.id } : { after: edge.id };
      const { messages, page } = await api.getMessages(where, { limit: PAGE_MESSAGES, ...cursor });
      if (generation !== found.generation) return;
      found[has] = page.has_more;
      add(found, messages, direction);
    } catch (error) {
      if (generation === found.generation) found.error = error.message;
    } finally {
      if (generation === found.generation) found.loading = "";
      told(keyOf(where));
    }
  });
}

function add(found, messages, direction) {
  const unseen = messages.filter(({ id }) => !found.ids.has(id));
  for (const { id } of unseen) found.ids.add(id);
  // A new array: views compare it.
  found.messages = direction === "older" ? [...unseen, ...found.messages] : [...found.messages, ...unseen];
  if (found.messages.length > MAX_MESSAGES) {
    const keep = found.messages.length - DROPPED_AT_ONCE;
    const dropped = direction === "older" ? found.messages.slice(keep) : found.messages.slice(0, DROPPED_AT_ONCE);
    for (const { id } of dropped) found.ids.delete(id);
    found.messages = direction === "older" ? found.messages.slice(0, keep) : found.messages.slice(DROPPED_AT_ONCE);
    found[direction === "older" ? "hasNewer" : "hasOlder"] = true;
  }
  return unseen.length;
}

/** The threads of a room, or the thread itself: asked for once when it is opened; events keep them current. */
export async function learnThreads({ kind, id }) {
  if (kind === "dm") return;
  await whileHolding(async () => {
    // Without an answer the messages are there all the same, and say what is wrong.
    const threads = await (kind === "room" ? api.getThreads(id) : api.getThread(id).then((thread) => [thread])).catch(() => []);
    for (const thread of threads) model.threads.set(thread.id, thread);
    store.changed("threads");
  });
}

// ---- What arrives ----------------------------------------------------------------------------------------------------

export function arrived(message, key) {
  const found = model.conversations.get(key);
  settled(key, message.id);
  if (found?.ids.has(message.id)) return;
  if (found?.loaded) {
    found.missing = false;
    const isFull = found.messages.length >= MAX_MESSAGES && open.key === key && !open.following;
    if (found.hasNewer || isFull) found.hasNewer = true;
    else add(found, [message], "newer");
    if (open.key === key && !open.following) found.newer += 1;
    told(key);
  }
  active(key, message);
  const isRead = open.key === key && !document.hidden;
  if (message.from.id === sender().id) return;
  if (isRead) {
    const text = message.parts.map((part) => part.text ?? part.filename ?? part.kind).join(" ");
    announce(`${message.from.name || message.from.id}: ${shortened(text, 200)}`);
    return;
  }
  model.unread.set(key, (model.unread.get(key) ?? 0) + 1);
  store.changed("unread");
}

function active(key, message) {
  const known = model.lastAt.get(key);
  if (known && new Date(known) >= new Date(message.created_at)) return;
  model.lastAt.set(key, message.created_at);
  store.changed("unread");
}

export function markRead(key) {
  if (model.unread.delete(key)) store.changed("unread");
}

export function follow(key, following) {
  if (open.key !== key || open.following === following) return;
  open.following = following;
  const found = model.conversations.get(key);
  if (following && found) found.newer = 0;
  told(key);
}

// ---- Sending ---------------------------------------------------------------------------------------------------------

export const pendingOf = (key) => model.pending.get(key) ?? [];

/** Say something: it is shown at once, and the answer tells what became of it. */
export function send(where, target, text) {
  const message = { id: api.newId("msg"), target, from: sender(), parts: [{ kind: "text", text }] };
  const attempt = { message, state: "sending", error: "" };
  const key = keyOf(where);
  model.pending.set(key, [...pendingOf(key), attempt]);
  return transmit(key, attempt);
}

/** Try again, under the same id: it can't be said twice. */
export function retry(key, id) {
  const attempt = pendingOf(key).find((each) => each.message.id === id);
  if (attempt && attempt.state === "failed") transmit(key, attempt);
}

export function discard(key, id) {
  settled(key, id);
}

async function transmit(key, attempt) {
  Object.assign(attempt, { state: "sending", error: "" });
  told(key);
  try {
    await api.sendMessage(attempt.message);
    attempt.state = "sent";
    // The stream brings it; should that be down, it is shown as it was sent until the stream is back.
  } catch (error) {
    Object.assign(attempt, { state: "failed", error: error.message });
  }
  const found = model.conversations.get(key);
  if (found?.ids.has(attempt.message.id)) settled(key, attempt.message.id);
  if (attempt.state === "sent" && found?.missing) load(found);
  told(key);
}

function settled(key, id) {
  const rest = pendingOf(key).filter(({ message }) => message.id !== id);
  if (rest.length === pendingOf(key).length) return;
  model.pending.set(key, rest);
  told(key);
}

// ---- Drafts: of this tab, because they may be private ----------------------------------------------------------------

export const draftOf = (key) => remembered(`draft.${key}`, "sessionStorage");
export const keepDraft = (key, text) => remember(`draft.${key}`, text, "sessionStorage");
