// The events as they come: filtered, held still, saved.

import { html, useMemo, useState } from "../lib/html.js";
import { EVENT_TYPES } from "../lib/stream.js";
import { useSlices } from "../lib/store.js";
import { clock, shortened } from "../lib/texts.js";
import { AgentLink, Panel, TargetLink, Time } from "../parts/bits.js";
import { VirtualList } from "../parts/virtual-list.js";
import { MAX_EVENTS, model } from "../state/model.js";

export function EventsView() {
  useSlices("events", "settings");
  const [kind, setKind] = useState("");
  const [words, setWords] = useState("");
  const [paused, setPaused] = useState(null);
  const events = paused ?? model.events;
  const wanted = words.trim().toLowerCase();
  const shown = useMemo(() => {
    const fits = (event) => (!kind || event.type === kind) && (!wanted || JSON.stringify(event).toLowerCase().includes(wanted));
    return events.slice(-MAX_EVENTS).filter(fits).map((event) => ({ key: event.id || event.created_at, event }));
  }, [events, events.length, events.at(-1)?.id, kind, wanted]);
  const missed = paused ? model.events.length - paused.length : 0;
  const controls = html`<div class="actions">
    <select aria-label="Type of event" onChange=${(change) => setKind(change.target.value)}>
      <option value="">all types</option>${EVENT_TYPES.map((type) => html`<option value=${type}>${type}</option>`)}
    </select>
    <input type="search" aria-label="Filter events" placeholder="agent, room, text" value=${words} onInput=${(input) => setWords(input.target.value)} />
    <button type="button" aria-pressed=${paused ? "true" : "false"} onClick=${() => setPaused(paused ? null : [...model.events])}>
      ${paused ? `go on${missed > 0 ? ` (${missed} new)` : ""}` : "pause"}
    </button>
    <button type="button" onClick=${() => save(shown.map(({ event }) => event))}>save as JSON</button>
  </div>`;
  return html`<div class="fill"><${Panel} title="events" count=${shown.length} actions=${controls}>
    ${shown.length === 0 && html`<p class="empty">${model.events.length === 0 ? "Nothing has happened since this page was opened." : "No event fits."}</p>`}
    <div class="reading"><${VirtualList} items=${shown} row=${Row} label="Events" /></div>
  <//></div>`;
}

function Row({ event }) {
  return html`<p class="event">
    <${Time} at=${event.created_at} show=${clock} /> <span class="type">${event.type}</span> ${detailOf(event)}
  </p>`;
}

function detailOf({ message, thread, dm, room, agent, approval, pairing, replay_gap }) {
  if (message) {
    const text = message.parts.map((part) => part.text ?? part.kind).join(" ");
    return html`<bdi>${message.from.name || message.from.id}</bdi> → <${TargetLink} target=${message.target} message=${message.id} /> <span class="faint">${shortened(text, 120)}</span>`;
  }
  if (approval) return html`<${AgentLink} id=${approval.agent_id} /> ${approval.state} <${TargetLink} target=${approval.target} message=${approval.message_id} />`;
  if (agent) {
    return html`<${AgentLink} id=${agent.fqid || agent.agent_id} /> ${agent.target && html`<${TargetLink} target=${agent.target} message=${agent.message_id} />`}
      <span class="faint">${[agent.reason, agent.error].filter(Boolean).join(" · ")}</span>`;
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
