// Messages of conversations: pages of history, what arrives, what is being sent, drafts.

import * as api from "../lib/api.js";
import { store } from "../lib/store.js";
import { remember, remembered, shortened } from "../lib/texts.js";
import { path } from "../lib/router.js";
import { announce } from "./announcements.js";
import { whileHolding } from "./holding.js";
import { keyOf, model, sender, titleOf } from "./model.js";
import { notify } from "./notifications.js";
import { mark, markOf } from "./reading.js";

const PAGE_MESSAGES = 100;
/** Of one conversation; a reader further back lets go of the newest, and the other way round. */
const MAX_MESSAGES = 4_000;
const DROPPED_AT_ONCE = 1_000;
const KEPT_CONVERSATIONS = 12;

/** The conversation on the screen; `following` tells that its newest message is in sight. */
export const open = { key: "", following: true };

function fresh(conversation) {
  const flags = { loaded: false, loading: "", error: "", missing: false, hasOlder: false, hasNewer: false };
  return { ...conversation, messages: [], ids: new Set(), newer: 0, readTo: "", first: "", generation: 0, ...flags };
}

export function conversation(where) {
  const key = keyOf(where);
  if (!model.conversations.has(key)) model.conversations.set(key, fresh(where));
  return model.conversations.get(key);
}

const told = (key) => store.changed(`conversation:${key}`);

// ---- Opening and reading back ----------------------------------------------------------------------------------------

/** Make a conversation the open one: at its newest messages, around one of them, or at a time. */
export async function openConversation(where, { messageId = "", at = "" } = {}) {
  const key = keyOf(where);
  Object.assign(open, { key, following: !messageId && !at });
  letGo(key);
  const found = conversation(where);
  // Where the reader was: a line in the list shows it, for as long as the conversation is open.
  found.readTo = model.unread.has(key) ? (markOf(key)?.id ?? "") : "";
  markRead(key);
  const isThere = found.loaded && !at && (messageId ? found.ids.has(messageId) : !found.hasNewer);
  if (!isThere) await load(where, { messageId, at });
}

/** The least recently opened conversations are forgotten; their messages are at the server. */
function letGo(key) {
  const found = model.conversations.get(key);
  model.conversations.delete(key);
  if (found) model.conversations.set(key, found);
  const rest = [...model.conversations.keys()].filter((other) => other !== key);
  for (const old of rest.slice(0, Math.max(0, rest.length - KEPT_CONVERSATIONS))) model.conversations.delete(old);
}

export async function load(where, { messageId = "", at = "" } = {}) {
  const found = conversation(where);
  const generation = (found.generation += 1);
  Object.assign(found, { loading: "newest", error: "", missing: false });
  told(keyOf(where));
  await whileHolding(async () => {
    try {
      const page = await (messageId ? around(where, messageId) : at ? from(where, at) : newest(where));
      if (generation !== found.generation) return;
      Object.assign(found, page, { ids: new Set(page.messages.map(({ id }) => id)), loaded: true, newer: 0 });
      if (page.messages.length > 0 && !page.hasNewer) active(keyOf(where), page.messages.at(-1));
      markRead(keyOf(where));
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
  return { messages, hasOlder: page.has_more, hasNewer: false, first: "" };
}

/** Where they end is seen when somebody reads on: then there is nothing more. */
async function around(where, messageId) {
  const { messages } = await api.getMessages(where, { limit: PAGE_MESSAGES, around: messageId });
  return { messages, hasOlder: true, hasNewer: true, first: "" };
}

/** From a time on. Of a time after everything: the newest. */
async function from(where, at) {
  const { messages } = await api.getMessages(where, { limit: PAGE_MESSAGES, at });
  if (messages.length === 0) return newest(where);
  return { messages, hasOlder: true, hasNewer: true, first: messages[0].id };
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
  if (isRead) mark(key, message);
  if (message.from.id === sender().id) return;
  const text = message.parts.map((part) => part.text ?? part.filename ?? part.kind).join(" ");
  const name = message.from.name || message.from.id;
  if (isRead) {
    announce(`${name}: ${shortened(text, 200)}`);
    return;
  }
  const where = found ?? whereOf(key);
  if (where.kind === "dm" || isForMe(message)) notify(`${name} · ${titleOf(where)}`, text, { id: message.id, to: path(where.kind, where.id, { message: message.id }) });
  model.unread.set(key, (model.unread.get(key) ?? 0) + 1);
  store.changed("unread");
}

const whereOf = (key) => ({ kind: key.slice(0, key.indexOf(":")), id: key.slice(key.indexOf(":") + 1) });

/** Whether a message names the human who writes here. People are not registered: their names stand in the text only. */
export function isForMe({ mentions = [], parts }) {
  const { id } = sender();
  const named = new RegExp(`(?<![\\w@])@${id}(?![\\w-])`, "i");
  return mentions.some((fqid) => fqid.endsWith(`/agents/${id}`)) || parts.some(({ text }) => text && named.test(text));
}

function active(key, message) {
  const at = Date.parse(message.created_at);
  if (model.lastAt.get(key) >= at) return;
  model.lastAt.set(key, at);
  store.changed("activity");
}

/** The newest message that is loaded is read, unless what comes after it was let go. */
export function markRead(key) {
  const found = model.conversations.get(key);
  if (found?.hasNewer) return;
  if (found?.messages.length > 0) mark(key, found.messages.at(-1));
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
