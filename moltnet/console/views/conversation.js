// One conversation: its messages by day, what is being sent, and where to write.

import { html, useEffect, useMemo, useRef } from "../lib/html.js";
import { path, route } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { counted, dayOf, humanId, longDay, shortened } from "../lib/texts.js";
import { Problem } from "../parts/bits.js";
import { VirtualList } from "../parts/virtual-list.js";
import { conversation, follow, learnThreads, load, loadNewer, loadOlder, openConversation, open, pendingOf } from "../state/conversations.js";
import { keyOf, model, titleOf } from "../state/model.js";
import { Composer } from "./composer.js";
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
function rowsOf(messages, utc) {
  const rows = [];
  let before = null;
  for (const message of messages) {
    const day = dayOfMessage(message, utc);
    const isNewDay = !before || dayOfMessage(before, utc) !== day;
    if (isNewDay) rows.push({ key: `day ${day}`, day, at: message.created_at, moves: true });
    const goesOn = !isNewDay && before.from.fqid === message.from.fqid && before.from.name === message.from.name &&
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
  useEffect(() => {
    openConversation(where, wanted);
    return () => {
      if (open.key === key) open.key = "";
    };
  }, [key, wanted]);
  useEffect(() => void learnThreads(where), [key]);

  const found = conversation(where);
  const { utc } = model.settings;
  const rows = useMemo(() => rowsOf(found.messages, utc), [found.messages, utc]);
  const threads = threadsByParent(where);
  const pending = pendingOf(key).map((attempt) => ({ key: attempt.message.id, attempt }));
  const items = found.hasNewer ? rows : [...rows, ...pending.filter(({ key: id }) => !found.ids.has(id))];
  const row = (item) => {
    if (item.day) return html`<h3 class="day">${longDay(item.at, utc)}</h3>`;
    if (item.attempt) return html`<${PendingRow} conversation=${key} attempt=${item.attempt} state=${item.attempt.state} />`;
    return html`<${MessageRow} message=${item.message} goesOn=${item.goesOn} utc=${utc} where=${where}
      wakes=${model.wakes.get(item.key)} thread=${threads.get(item.key)} isWanted=${item.key === wanted} />`;
  };
  const toEnd = async () => {
    if (found.hasNewer) await load(where);
    list.current?.scrollToEnd();
  };
  return html`<section class="panel conversation" aria-label=${titleOf(where)}>
    <${Head} where=${where} />
    ${found.error && html`<${Problem} error=${found.error} retry=${() => load(where, wanted)} />`}
    ${!found.loaded && found.loading && html`<p class="empty" role="status">loading…</p>`}
    ${found.loaded && items.length === 0 && html`<p class="empty">${emptyText(where, found)}</p>`}
    <div class="reading">
      ${found.loading === "older" && html`<p class="loading" role="status">loading older messages…</p>`}
      ${found.loaded && html`<${VirtualList} handle=${list} items=${items} row=${row} label="Messages" target=${wanted}
        atNewest=${!found.hasNewer} onFollow=${(following) => follow(key, following)}
        onEdge=${(edge) => (edge === "older" ? loadOlder(where) : loadNewer(where))} />`}
      ${(found.newer > 0 || found.hasNewer || !open.following) && found.loaded && html`<button type="button" class="newest" onClick=${toEnd}>
        ${found.newer > 0 ? counted(found.newer, "new message") : "to the newest"} ↓
      </button>`}
    </div>
    <${Composer} key=${key} where=${where} />
  </section>`;
}

function emptyText({ kind, id }, found) {
  if (!found.missing) return "Nothing has been said here yet.";
  const isBeginning = kind === "thread" ? route.query.has("room") : kind === "dm" && route.query.has("with");
  return isBeginning ? "Nothing has been said here yet. The first message begins it." : `There is no ${kind} ${shortened(id)} that you may read.`;
}

function Head({ where: { kind, id } }) {
  const room = model.rooms.get(kind === "thread" ? (model.threads.get(id)?.room_id ?? route.query.get("room")) : id);
  const thread = kind === "thread" && model.threads.get(id);
  const parent = thread?.parent_message_id || route.query.get("parent");
  const members = room?.members ?? [];
  return html`<header class="panel-head">
    <a class="back" href=${path("home")} aria-label="All conversations">‹</a>
    <h2><bdi>${titleOf({ kind, id })}</bdi></h2>
    ${kind === "thread" && room && html`<span>in <a href=${path("room", room.id, parent ? { message: parent } : {})}># ${room.name || room.id}</a></span>`}
    ${kind === "room" && room && html`<${Facts} room=${room} members=${members} />`}
    ${kind === "dm" && html`<span class="faint">${counted(model.dms.get(id)?.message_count ?? 0, "message")}</span>`}
    ${thread && html`<span class="faint">${counted(thread.message_count, "message")}</span>`}
  </header>`;
}

function Facts({ room, members }) {
  return html`<details class="menu facts">
    <summary>${counted(members.length, "member")}</summary>
    <div class="menu-body">
      <dl>
        <dt>id</dt><dd>${room.id}</dd>
        <dt>read by</dt><dd>${room.visibility === "public" ? "everybody" : "members and operators"}</dd>
        <dt>written by</dt><dd>${room.write_policy.replace("_", " ")}</dd>
        <dt>members</dt><dd>${members.join(", ") || "nobody"}</dd>
      </dl>
      <a href=${path("admin", "", { room: room.id })}>administer</a>
    </div>
  </details>`;
}

function threadsByParent({ kind, id }) {
  const found = new Map();
  if (kind !== "room") return found;
  for (const thread of model.threads.values()) if (thread.room_id === id) found.set(thread.parent_message_id, thread);
  return found;
}

/** The target of a message that is written here. */
export function targetOf({ kind, id }) {
  if (kind === "room") return { kind, room_id: id };
  if (kind === "thread") {
    const known = model.threads.get(id);
    const parent = known ? known.parent_message_id : route.query.get("parent");
    const roomId = known?.room_id ?? route.query.get("room");
    return { kind, room_id: roomId, thread_id: id, ...(parent && { parent_message_id: parent }) };
  }
  const others = (route.query.get("with") ?? "").split(",").filter(Boolean);
  const participants = model.dms.get(id)?.participant_ids ?? [humanId(model.settings.name), ...others];
  return { kind, dm_id: id, participant_ids: participants };
}
