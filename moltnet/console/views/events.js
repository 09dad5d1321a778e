// The events: those that were, from the server, and those that come; filtered, held still, saved.

import * as api from "../lib/api.js";
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { EVENT_TYPES } from "../lib/stream.js";
import { useCalmSlices, useSlices } from "../lib/store.js";
import { clock, dayOf, shortened } from "../lib/texts.js";
import { AgentLink, Panel, Problem, TargetLink, Time } from "../parts/bits.js";
import { VirtualList } from "../parts/virtual-list.js";
import { findAgent, model } from "../state/model.js";

// More than anybody reads by scrolling; beyond, a filter helps.
const MAX_HISTORY = 10_000;
const SUGGESTED = 300;
// Filtering thousands of events for each one that comes would be all that the page does.
const CALM_MS = 200;
const TYPING_MS = 250;
const NOTHING = { kind: "", agent: "", room: "" };

export function EventsView() {
  useSlices("settings", "rooms", "agents");
  useCalmSlices(CALM_MS, "events");
  const [filter, setFilter] = useState(NOTHING);
  const [words, setWords] = useState("");
  const [paused, setPaused] = useState(null);
  const history = useHistory(filter);
  const live = paused?.events ?? model.events;
  const wanted = words.trim().toLowerCase();
  const shown = useMemo(() => {
    const ids = new Set(history.events.map(({ id }) => id));
    const since = live.filter((event) => !ids.has(event.id) && fits(event, filter));
    const isSaid = (event) => !wanted || JSON.stringify(event).toLowerCase().includes(wanted);
    // What the server says while the view is held still may be newer than the moment that it shows.
    const before = history.events.filter((event) => !paused || event.created_at <= paused.upTo);
    return withDays([...before, ...since].filter(isSaid), model.settings.utc);
  }, [paused, history.events, live, live.length, live.at(-1)?.id, filter, wanted, model.settings.utc]);
  const events = shown.filter(({ event }) => event);
  const missed = paused ? model.eventCount - paused.count : 0;
  const change = (name) => (input) => setFilter((before) => ({ ...before, [name]: input.target.value.trim() }));
  const controls = html`<div class="actions filters">
    <select aria-label="Type of event" value=${filter.kind} onChange=${change("kind")}>
      <option value="">all types</option>${EVENT_TYPES.map((type) => html`<option value=${type}>${type}</option>`)}
    </select>
    <input type="search" aria-label="Agent" placeholder="Agent" list="agents-known" value=${filter.agent} onInput=${change("agent")} />
    <datalist id="agents-known">${[...model.agents.values()].slice(0, SUGGESTED).map((agent) => html`<option value=${agent.id}>${agent.name}</option>`)}</datalist>
    <input type="search" aria-label="Room" placeholder="Room" list="rooms-known" value=${filter.room} onInput=${change("room")} />
    <datalist id="rooms-known">${[...model.rooms.values()].slice(0, SUGGESTED).map((room) => html`<option value=${room.id}>${room.name}</option>`)}</datalist>
    <input type="search" aria-label="Filter events" placeholder="Any text" value=${words} onInput=${(input) => setWords(input.target.value)} />
    <button type="button" aria-pressed=${paused ? "true" : "false"} onClick=${() => setPaused(paused ? null : heldStill(history.events))}>
      ${paused ? `go on${missed > 0 ? ` (${missed} new)` : ""}` : "pause"}
    </button>
    <button type="button" onClick=${() => save(events.map(({ event }) => event))}>save as JSON</button>
  </div>`;
  return html`<div class="fill"><${Panel} title="events" count=${events.length} actions=${controls}>
    ${history.error && html`<${Problem} error=${history.error} retry=${history.more} />`}
    ${events.length === 0 && !history.isLoading && html`<p class="empty">${history.hasMore && !history.error ? "None of those that were looked at fits." : "No event fits."}
      ${history.hasMore && !history.error && html` <button type="button" onClick=${history.more}>look further back</button>`}</p>`}
    <div class="reading">
      ${history.isLoading && html`<p class="loading" role="status">loading older events…</p>`}
      <${VirtualList} items=${shown} row=${row} label="Events" onEdge=${(edge) => edge === "older" && events.length > 0 && history.more()} />
    </div>
  <//></div>`;
}

/** The events up to now, for a view that does not go on. */
function heldStill(older) {
  const events = [...model.events];
  return { events, count: model.eventCount, upTo: (events.at(-1) ?? older.at(-1))?.created_at ?? new Date().toISOString() };
}

/** Whether an event is about what the filter names; the server judges its own in the same way. */
function fits({ type, message, room, agent, thread, approval }, wanted) {
  if (wanted.kind && type !== wanted.kind) return false;
  const target = message?.target ?? agent?.target ?? approval?.target;
  if (wanted.room && ![room?.id, target?.room_id, thread?.room_id].includes(wanted.room)) return false;
  if (!wanted.agent) return true;
  const fqid = findAgent(wanted.agent)?.fqid ?? wanted.agent;
  const about = [message?.from.id, message?.from.fqid, agent?.agent_id, agent?.fqid, approval?.agent_id, ...(message?.mentions ?? [])];
  return about.includes(wanted.agent) || about.includes(fqid);
}

function withDays(events, utc) {
  const items = [];
  let day = "";
  for (const event of events) {
    const here = dayOf(event.created_at, utc);
    if (here !== day) items.push({ key: `day ${here}`, day: here, moves: true });
    day = here;
    items.push({ key: event.id || event.created_at, event });
  }
  return items;
}

const NO_HISTORY = { events: [], before: "", hasMore: true, isLoading: false, error: "" };

/** What the server still holds, page by page backwards; it looks at a bounded number of events for each. */
function useHistory({ kind, agent, room }) {
  const [, redraw] = useState(0);
  // Not in the state of the view, which is that of its last drawing: two pages must never be asked for with one cursor.
  const history = useRef({ ...NO_HISTORY, number: 0 }).current;
  const become = (change) => {
    Object.assign(history, change);
    redraw((count) => count + 1);
  };
  const more = async () => {
    if (!history.hasMore || history.isLoading) return;
    const { number } = history;
    become({ isLoading: true, error: "" });
    try {
      const { events, page } = await api.getEvents({ type: kind, agent_id: agent, room_id: room, before: history.before });
      if (number !== history.number) return;
      const all = [...events, ...history.events];
      const before = page.next_before ?? "";
      become({ events: all, before, hasMore: page.has_more && before !== "" && all.length < MAX_HISTORY, isLoading: false });
    } catch (error) {
      if (number === history.number) become({ isLoading: false, error: error.message });
    }
  };
  useEffect(() => {
    // Not for every letter that is typed.
    const timer = setTimeout(() => {
      become({ ...NO_HISTORY, number: history.number + 1 });
      more();
    }, history.number === 0 ? 0 : TYPING_MS);
    return () => clearTimeout(timer);
  }, [kind, agent, room]);
  return { ...history, more };
}

const row = ({ event, day }) => (day ? html`<h3 class="day"><span>${day}</span></h3>` : html`<${Row} event=${event} />`);

function Row({ event }) {
  return html`<p class="event">
    <${Time} at=${event.created_at} show=${clock} /> <span class="chip type" data-family=${event.type.split(".")[0]}>${event.type}</span> <span class="detail">${detailOf(event)}</span>
  </p>`;
}

function detailOf({ message, thread, dm, room, agent, approval, pairing, replay_gap }) {
  if (message) {
    const text = message.parts.map((part) => part.text ?? part.kind).join(" ");
    return html`<bdi>${message.from.name || message.from.id}</bdi> → <${TargetLink} target=${message.target} message=${message.id} /> <span class="faint">${shortened(text, 120)}</span>`;
  }
  if (approval) return html`<${AgentLink} id=${approval.agent_id} /> ${approval.state} <${TargetLink} target=${approval.target} message=${approval.message_id} />`;
  if (agent) {
    return html`<${AgentLink} id=${agent.fqid || agent.agent_id} /> ${agent.target && html`<${TargetLink} target=${agent.target} message=${agent.message_id} />`} <span class="faint">${[agent.reason, agent.error].filter(Boolean).join(" · ")}</span>`;
  }
  if (thread) return html`<${TargetLink} target=${{ kind: "thread", thread_id: thread.id }} /> in <${TargetLink} target=${{ kind: "room", room_id: thread.room_id }} />`;
  if (dm) return html`<${TargetLink} target=${{ kind: "dm", dm_id: dm.id }} />`;
  if (room) return html`<${TargetLink} target=${{ kind: "room", room_id: room.id }} /> <span class="faint">${(room.members ?? []).length} members</span>`;
  if (pairing) return html`${pairing.id} ${pairing.status}`;
  return html`<span class="problem">missing since ${replay_gap?.requested_event_id || "the beginning"}</span>`;
}

function save(events) {
  const address = URL.createObjectURL(new Blob([JSON.stringify(events, null, 2)], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: "events.json" });
  link.click();
  URL.revokeObjectURL(address);
}
