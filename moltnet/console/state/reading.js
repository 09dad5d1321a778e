// What this browser has read: for each conversation the last message, kept across reloads and shared by its tabs.

import * as api from "../lib/api.js";
import { store } from "../lib/store.js";
import { remember, remembered } from "../lib/texts.js";
import { keyOf, model, sender } from "./model.js";

// A browser that has read more conversations than this forgets those that it has read longest ago.
const KEPT = 1_000;
const SAVE_MS = 1_000;
/** Unread messages of a conversation are counted up to here. */
const COUNTED = 100;
// How many conversations are asked for what is new in them, for the order of the list and its counts.
const ASKED = 60;
const ASKED_AT_ONCE = 4;

/** `since`: when the last thing was said that this browser knew of when it was here before; 0 if it never was. */
const reading = { name: "", since: 0, marks: new Map(), timer: 0 };

/** Begin with what this browser remembers of a network. */
export function rememberReading(networkId) {
  reading.name = `read.${networkId}`;
  const { since = 0, marks = [] } = parsed(remembered(reading.name));
  Object.assign(reading, { since, marks: new Map(marks) });
}

function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}

/** The last message that was read: `{ id, at }`; of a conversation that was never open there is none. */
export const markOf = (key) => reading.marks.get(key);

/** Everything up to this message is read. */
export function mark(key, { id, created_at }) {
  const known = reading.marks.get(key);
  if (known && known.at >= created_at) return;
  reading.marks.delete(key);
  reading.marks.set(key, { id, at: created_at });
  if (reading.marks.size > KEPT) reading.marks.delete(reading.marks.keys().next().value);
  reading.timer ||= setTimeout(save, SAVE_MS);
}

function save() {
  clearTimeout(reading.timer);
  reading.timer = 0;
  if (!reading.name) return;
  // Another tab may have read elsewhere meanwhile.
  for (const [key, { id, at }] of parsed(remembered(reading.name)).marks ?? []) {
    if (!(reading.marks.get(key)?.at >= at)) reading.marks.set(key, { id, at });
  }
  // By the server's clock, which need not be that of this browser.
  let since = 0;
  for (const at of model.lastAt.values()) since = Math.max(since, at);
  remember(reading.name, JSON.stringify({ since: since || Date.now(), marks: [...reading.marks].slice(-KEPT) }));
}

addEventListener("pagehide", save);
addEventListener("storage", ({ key, newValue }) => {
  if (!reading.name || !key?.endsWith(reading.name)) return;
  for (const [where, { id, at }] of parsed(newValue).marks ?? []) {
    if (reading.marks.get(where)?.at >= at) continue;
    reading.marks.set(where, { id, at });
    if (!(model.lastAt.get(where) > Date.parse(at)) && model.unread.delete(where)) store.changed("unread");
  }
});

/** Ask what is new in these conversations since this browser was here, those that are known to have nothing left out. */
export async function countUnread(conversations) {
  const isNew = ({ kind, id }) => kind !== "dm" || !(Date.parse(markOf(keyOf({ kind, id }))?.at) >= model.lastAt.get(keyOf({ kind, id })));
  const next = conversations.filter(isNew).slice(0, ASKED)[Symbol.iterator]();
  const look = async () => {
    for (const where of next) await countIn(where).catch(() => {});
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, look));
  save();
}

async function countIn(where) {
  const key = keyOf(where);
  const known = markOf(key);
  const before = model.unread.get(key) ?? 0;
  const found = known ? await api.getMessages(where, { limit: COUNTED, after: known.id }) : await api.getMessages(where, { limit: reading.since > 0 ? COUNTED : 1 });
  const newest = found.messages.at(-1);
  const at = Date.parse(newest?.created_at ?? known?.at ?? "");
  if (at && !(model.lastAt.get(key) >= at)) model.lastAt.set(key, at);
  store.changed("activity");
  // Of a browser that was never here nothing is unread; a conversation that it has not opened began while it was away.
  const isUnread = ({ from, created_at }) => from.id !== sender().id && (known || (reading.since > 0 && Date.parse(created_at) > reading.since));
  const unread = found.messages.filter(isUnread).length;
  if (!known && unread === 0 && newest) mark(key, newest);
  // What has come or was read meanwhile was counted as it came.
  if (unread === before || (model.unread.get(key) ?? 0) !== before) return;
  if (unread > 0) model.unread.set(key, unread);
  else model.unread.delete(key);
  store.changed("unread");
}
