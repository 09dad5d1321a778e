// The list of conversations: what is new in them, when something last happened, and a filter.

import { cutLists } from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { navigate, path, route } from "../lib/router.js";
import { useCalmSlices, useSlices } from "../lib/store.js";
import { ago } from "../lib/texts.js";
import { findAgent, keyOf, model, titleOf } from "../state/model.js";

/** A list longer than this needs the filter: drawing thousands of links for every event helps nobody. */
const SHOWN = 200;
// The order of the list may change with every message; nobody reads a list that moves faster than this.
const CALM_MS = 400;

/** All conversations of the list in its order: what was active last comes first. */
export function conversationsInOrder() {
  const rooms = [...model.rooms.keys()].map((id) => ({ kind: "room", id }));
  const directs = [...model.dms.keys()].map((id) => ({ kind: "dm", id }));
  return [...newestFirst(rooms), ...newestFirst(directs)];
}

function newestFirst(conversations) {
  return conversations
    .map((where) => ({ where, at: model.lastAt.get(keyOf(where)) ?? 0, title: titleOf(where) }))
    .sort((a, b) => b.at - a.at || a.title.localeCompare(b.title))
    .map(({ where }) => where);
}

/** Open the next conversation of the list, or the one before. */
export function step(by) {
  const all = conversationsInOrder();
  const now = all.findIndex(({ kind, id }) => kind === route.view && id === route.id);
  const next = all[(now + by + all.length) % all.length] ?? all[0];
  if (next) navigate(path(next.kind, next.id));
}

export function Navigation() {
  useSlices("rooms", "dms", "unread", "route", "network", "threads", "agents");
  useCalmSlices(CALM_MS, "activity");
  const [filter, setFilter] = useState("");
  const [onlyUnread, setOnlyUnread] = useState(false);
  const wanted = filter.trim().toLowerCase();
  const isShown = (where) =>
    (!wanted || `${where.id} ${titleOf(where)}`.toLowerCase().includes(wanted)) &&
    (!onlyUnread || model.unread.has(keyOf(where)));
  const all = conversationsInOrder().filter(isShown);
  const threads = [...model.unread.keys()].filter((key) => key.startsWith("thread:")).map((key) => ({ kind: "thread", id: key.slice(7) }));
  const directs = model.network?.capabilities.direct_messages;
  const empty = wanted || onlyUnread ? "Nothing fits." : "";
  return html`<nav class="side" aria-label="Conversations">
    <div class="filter">
      <input id="filter" type="search" placeholder="Filter ( / )" aria-label="Filter conversations" value=${filter}
        onInput=${(input) => setFilter(input.target.value)} />
      <label class="check"><input type="checkbox" checked=${onlyUnread} onChange=${(change) => setOnlyUnread(change.target.checked)} /> unread</label>
    </div>
    <${List} title="rooms" items=${all.filter(({ kind }) => kind === "room")} empty=${empty || "No rooms yet."} isCut=${cutLists.has("/v1/rooms")} />
    ${threads.length > 0 && html`<${List} title="threads with news" items=${threads.filter(isShown)} empty="Nothing fits." />`}
    ${directs && html`<${List} title="direct" items=${all.filter(({ kind }) => kind === "dm")}
      empty=${empty || "No direct conversations that you may read."} isCut=${cutLists.has("/v1/dms")} />`}
  </nav>`;
}

function List({ title, items, empty, isCut = false }) {
  const shown = items.slice(0, SHOWN);
  const id = `list-${title.replace(/\W/g, "-")}`;
  return html`<section aria-labelledby=${id}>
    <h2 id=${id}>${title} <span class="count">${items.length}</span></h2>
    <ul>${shown.map((where) => html`<${Item} key=${keyOf(where)} where=${where} />`)}</ul>
    ${items.length === 0 && html`<p class="empty">${empty}</p>`}
    ${items.length > SHOWN && html`<p class="empty">${items.length - SHOWN} more: use the filter.</p>`}
    ${isCut && html`<p class="empty">There are more than this page reads: open one by its address, /console/room/ and its id.</p>`}
  </section>`;
}

const SIGNS = { room: "#", thread: "↳" };

/** Whether somebody of a direct conversation is here. */
function isHere(id) {
  return (model.dms.get(id)?.participant_ids ?? []).some((participant) => findAgent(participant)?.connected);
}

function Item({ where }) {
  const key = keyOf(where);
  const unread = model.unread.get(key) ?? 0;
  const at = model.lastAt.get(key);
  const isOpen = route.view === where.kind && route.id === where.id;
  return html`<li>
    <a href=${path(where.kind, where.id)} aria-current=${isOpen ? "page" : undefined} class=${unread > 0 ? "unread" : ""}>
      ${where.kind === "dm"
        ? html`<span class="sign presence ${isHere(where.id) ? "online" : ""}" aria-hidden="true"><span class="dot"></span></span>`
        : html`<span class="sign" aria-hidden="true">${SIGNS[where.kind]}</span>`}
      <span class="label" title=${where.id}><bdi>${titleOf(where)}</bdi></span>
      ${at && html`<span class="faint ago">${ago(at)}</span>`}
      ${unread > 0 && html`<span class="badge" aria-label="${unread} unread">${unread > 99 ? "99+" : unread}</span>`}
    </a>
  </li>`;
}
