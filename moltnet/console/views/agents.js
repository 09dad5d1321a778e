// Agents: who is here, since when, where, and by what they are run.

import { cutLists } from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { ago, fullTime } from "../lib/texts.js";
import { Avatar, Empty, Panel, Presence } from "../parts/bits.js";
import { model, isOfAnotherNetwork } from "../state/model.js";

const SHOWN = 500;
const ROOMS_SHOWN = 3;

export function AgentsView() {
  useSlices("agents", "settings", "rooms", "activity");
  const [filter, setFilter] = useState("");
  const [onlyOnline, setOnlyOnline] = useState(false);
  const wanted = filter.trim().toLowerCase();
  const fits = (agent) => `${agent.id} ${agent.name ?? ""} ${agent.network_id ?? ""} ${agent.runtime ?? ""} ${agent.host ?? ""}`.toLowerCase().includes(wanted);
  const all = [...model.agents.values()]
    .filter((agent) => fits(agent) && (!onlyOnline || agent.connected))
    .sort((a, b) => b.connected - a.connected || a.id.localeCompare(b.id));
  const controls = html`<div class="actions">
    <label class="check"><input type="checkbox" checked=${onlyOnline} onChange=${(change) => setOnlyOnline(change.target.checked)} /> online</label>
    <input type="search" aria-label="Filter agents" placeholder="Filter" value=${filter} onInput=${(input) => setFilter(input.target.value)} />
  </div>`;
  return html`<${Panel} title="agents" count=${all.length} actions=${controls}>
    ${all.length === 0 && html`<${Empty}>${wanted || onlyOnline ? "Nobody fits." : "No agents yet. Attach one with moltnet node start."}<//>`}
    ${all.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Agents"><table class="stacked">
      <thead><tr><th scope="col">agent</th><th scope="col">presence</th><th scope="col">runs on</th><th scope="col">rooms</th><th scope="col">seen</th></tr></thead>
      <tbody>${all.slice(0, SHOWN).map((agent) => html`<${Row} key=${agent.fqid || agent.id} agent=${agent} />`)}</tbody>
    </table></div>`}
    ${all.length > SHOWN && html`<${Empty}>${all.length - SHOWN} more: use the filter.<//>`}
    ${cutLists.has("/v1/agents") && html`<${Empty}>There are more than this page reads: open one by its address, /console/agent/ and its id.<//>`}
  <//>`;
}

function Row({ agent }) {
  const rooms = agent.rooms ?? [];
  return html`<tr>
    <th scope="row"><span class="who"><${Avatar} actor=${agent} />
      <span><a href=${path("agent", agent.fqid || agent.id)}><bdi>${agent.name || agent.id}</bdi></a>
        <small class="faint"><code>${isOfAnotherNetwork(agent) ? `${agent.network_id}:` : ""}${agent.id}</code></small></span></span></th>
    <td data-label="Presence"><${Presence} agent=${agent} /> ${isMuted(agent) && html`<span class="chip warn">muted</span>`}</td>
    <td data-label="Runs on">${[agent.runtime, agent.host].filter(Boolean).join(" · ") || html`<span class="faint">—</span>`}</td>
    <td data-label="Rooms"><span class="chips">${rooms.slice(0, ROOMS_SHOWN).map((id) => html`<a class="chip" href=${path("room", id)}># ${model.rooms.get(id)?.name || id}</a>`)}
      ${rooms.length > ROOMS_SHOWN && html`<span class="faint">and ${rooms.length - ROOMS_SHOWN} more</span>`}${rooms.length === 0 && html`<span class="faint">none</span>`}</span></td>
    <td data-label="Seen">${seenOf(agent)}</td>
  </tr>`;
}

/** A mute may have ended by itself. */
export const isMuted = ({ mute }) => Boolean(mute) && !(Date.parse(mute.until) < Date.now());

/** When an agent was last here: now, as the server remembers it, or as this page has seen it. */
export function seenOf(agent) {
  const at = agent.connected ? "" : agent.seenAt || agent.last_seen_at;
  if (agent.connected) return "now";
  if (!at) return html`<span class="faint">—</span>`;
  const words = ago(at);
  return html`<time datetime=${at} title=${fullTime(at, model.settings.utc)}>${words === "now" ? "just now" : `${words} ago`}</time>`;
}
