// One conversation: its messages by day, what is being sent, its files, and where to write.

import { html, useEffect, useMemo, useRef } from "../lib/html.js";
import { path, route } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { counted, dayOf, longDay, shortened } from "../lib/texts.js";
import { Problem } from "../parts/bits.js";
import { Icon } from "../parts/icons.js";
import { VirtualList } from "../parts/virtual-list.js";
import { conversation, follow, learnThreads, load, loadNewer, loadOlder, openConversation, open, pendingOf } from "../state/conversations.js";
import { keyOf, model, titleOf } from "../state/model.js";
import { Composer } from "./composer.js";
import { Files } from "./files.js";
import { Head } from "./head.js";
import { MessageRow, PendingRow } from "./message.js";

const days = new WeakMap();

function dayOfMessage(message, utc) {
  const known = days.get(message);
  if (known?.utc === utc) return known.day;
  const day = dayOf(message.created_at, utc);
  days.set(message, { utc, day });
  return day;
}

/** Rows of messages and days. A sender who goes on within five minutes is not named again. */
function rowsOf(messages, utc, readTo) {
  const rows = [];
  let before = null;
  for (const message of messages) {
    const day = dayOfMessage(message, utc);
    const isNewDay = !before || dayOfMessage(before, utc) !== day;
    const isNew = before !== null && before.id === readTo;
    if (isNewDay) rows.push({ key: `day ${day}`, day, at: message.created_at, moves: true });
    if (isNew) rows.push({ key: "new", isNew, moves: true });
    const goesOn = !isNewDay && !isNew && before.from.fqid === message.from.fqid && before.from.name === message.from.name &&
      new Date(message.created_at) - new Date(before.created_at) < 300_000;
    rows.push({ key: message.id, message, goesOn });
    before = message;
  }
  return rows;
}

export function ConversationView({ where }) {
  const key = keyOf(where);
  useSlices(`conversation:${key}`, "settings", "wakes", "threads", "rooms", "dms", "route", "agents");
  const list = useRef(null);
  const wanted = route.query.get("message") ?? "";
  const at = route.query.get("at") ?? "";
  useEffect(() => {
    openConversation(where, { messageId: wanted, at });
    return () => {
      if (open.key === key) open.key = "";
    };
  }, [key, wanted, at]);
  useEffect(() => void learnThreads(where), [key]);

  const found = conversation(where);
  const { utc } = model.settings;
  const rows = useMemo(() => rowsOf(found.messages, utc, found.readTo), [found.messages, utc, found.readTo]);
  const threads = threadsByParent(where);
  const pending = pendingOf(key).map((attempt) => ({ key: attempt.message.id, attempt }));
  const items = found.hasNewer ? rows : [...rows, ...pending.filter(({ key: id }) => !found.ids.has(id))];
  const row = (item) => {
    if (item.day) return html`<h3 class="day"><span>${longDay(item.at, utc)}</span></h3>`;
    if (item.isNew) return html`<h3 class="day new"><span>new</span></h3>`;
    if (item.attempt) return html`<${PendingRow} conversation=${key} attempt=${item.attempt} state=${item.attempt.state} />`;
    return html`<${MessageRow} message=${item.message} goesOn=${item.goesOn} utc=${utc} where=${where}
      wakes=${model.wakes.get(item.key)} thread=${threads.get(item.key)} isWanted=${item.key === wanted} />`;
  };
  const toEnd = async () => {
    if (found.hasNewer) await load(where);
    list.current?.scrollToEnd();
  };
  const isAway = found.loaded && (found.newer > 0 || found.hasNewer || !open.following);
  const showsFiles = route.query.get("show") === "files";
  return html`<section class="conversation ${showsFiles ? "with-aside" : ""}" aria-label=${titleOf(where)}>
    <${Head} where=${where} />
    <div class="talk">
      ${found.error && html`<${Problem} error=${found.error} retry=${() => load(where, { messageId: wanted, at })} />`}
      ${!found.loaded && found.loading && html`<p class="empty" role="status">loading…</p>`}
      ${found.loaded && items.length === 0 && html`<p class="empty">${emptyText(where, found)}</p>`}
      <div class="reading">
        ${found.loading === "older" && html`<p class="loading" role="status">loading older messages…</p>`}
        ${found.loaded && html`<${VirtualList} handle=${list} items=${items} row=${row} label="Messages" target=${wanted || found.first}
          atNewest=${!found.hasNewer} onFollow=${(following) => follow(key, following)}
          onEdge=${(edge) => (edge === "older" ? loadOlder(where) : loadNewer(where))} />`}
        ${isAway && html`<button type="button" class="newest" onClick=${toEnd}>
          ${found.newer > 0 ? counted(found.newer, "new message") : "to the newest"} <${Icon} name="down" />
        </button>`}
      </div>
      <${Composer} key=${key} where=${where} />
    </div>
    ${showsFiles && html`<${Files} key=${key} where=${where} />`}
  </section>`;
}

function emptyText({ kind, id }, found) {
  if (!found.missing) return "Nothing has been said here yet.";
  const isBeginning = kind === "thread" ? route.query.has("room") : kind === "dm" && route.query.has("with");
  return isBeginning ? "Nothing has been said here yet. The first message begins it." : `There is no ${kind} ${shortened(id)} that you may read.`;
}

function threadsByParent({ kind, id }) {
  const found = new Map();
  if (kind !== "room") return found;
  for (const thread of model.threads.values()) if (thread.room_id === id) found.set(thread.parent_message_id, thread);
  return found;
}
