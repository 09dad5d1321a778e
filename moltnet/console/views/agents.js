// Agents: who is here, what wakes them, and what an administrator may do with them.

import * as api from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { humanId, shortened } from "../lib/texts.js";
import { Guarded, Panel, Presence, Problem, TargetLink, Time, useAnswer } from "../parts/bits.js";
import { confirm } from "../parts/dialog.js";
import { findAgent, mayObserve, model, whyNotAdmin, whyReadOnly } from "../state/model.js";

const SHOWN = 500;

export function AgentsView() {
  useSlices("agents", "settings");
  const [filter, setFilter] = useState("");
  const wanted = filter.trim().toLowerCase();
  const all = [...model.agents.values()]
    .filter((agent) => `${agent.id} ${agent.name ?? ""} ${agent.network_id ?? ""}`.toLowerCase().includes(wanted))
    .sort((a, b) => b.connected - a.connected || a.id.localeCompare(b.id));
  return html`<${Panel} title="agents" count=${all.length} actions=${html`<input type="search" aria-label="Filter agents" placeholder="filter"
      value=${filter} onInput=${(input) => setFilter(input.target.value)} />`}>
    ${all.length === 0 && html`<p class="empty">${wanted ? "Nobody fits." : "No agents yet. Attach one with moltnet node start."}</p>`}
    <div class="table" tabindex="0" role="region" aria-label="Agents"><table>
      <thead><tr><th scope="col">agent</th><th scope="col">presence</th><th scope="col">network</th><th scope="col">rooms</th><th scope="col">seen</th></tr></thead>
      <tbody>${all.slice(0, SHOWN).map((agent) => html`<tr key=${agent.fqid || agent.id}>
        <th scope="row"><a href=${path("agent", agent.fqid || agent.id)}><bdi>${agent.name || agent.id}</bdi></a> <span class="faint">${agent.id}</span></th>
        <td><${Presence} agent=${agent} /></td>
        <td>${agent.network_id}</td>
        <td>${(agent.rooms ?? []).slice(0, 5).map((id) => html`<a href=${path("room", id)}># ${id}</a> `)}${agent.rooms?.length > 5 ? `and ${agent.rooms.length - 5} more` : ""}</td>
        <td><${Time} at=${agent.seenAt} /></td>
      </tr>`)}</tbody>
    </table></div>
    ${all.length > SHOWN && html`<p class="empty">${all.length - SHOWN} more: use the filter.</p>`}
  <//>`;
}

export function AgentView({ id }) {
  useSlices("agents", "settings", "session", "network");
  const agent = findAgent(id);
  if (!agent) return html`<${Panel} title="agent"><p class="empty">There is no agent ${shortened(id)} that you may know of.</p><//>`;
  const me = humanId(model.settings.name);
  const direct = `${me}-${agent.id}`.slice(0, 128);
  const why = whyReadOnly({ kind: "dm", id: direct });
  const fqid = agent.fqid || agent.id;
  return html`<${Panel} title=${agent.name || agent.id} actions=${html`<${Presence} agent=${agent} />`}>
      <dl class="facts">
        <dt>id</dt><dd>${agent.id}</dd>
        <dt>address</dt><dd>${fqid}</dd>
        <dt>network</dt><dd>${agent.network_id}</dd>
        <dt>last change of presence</dt><dd><${Time} at=${agent.seenAt} /></dd>
        <dt>rooms</dt><dd>${(agent.rooms ?? []).map((room) => html`<a href=${path("room", room)}># ${room}</a> `)}${agent.rooms?.length ? "" : "none"}</dd>
        <dt>direct</dt><dd>${why ? html`<span class="faint">${why}</span>` : html`<a href=${path("dm", direct, { with: agent.id })}>write to ${agent.id}</a>`}</dd>
      </dl>
    <//>
    <${Wakes} fqid=${fqid} />
    <${Actions} agent=${agent} />`;
}

/** Which messages should wake the agent, and what came of it. */
function Wakes({ fqid }) {
  const { answer, error, isLoading, again } = useAnswer(() => (mayObserve() ? api.getWakes(fqid) : Promise.resolve(null)), [fqid]);
  const refresh = html`<button type="button" onClick=${again}>refresh</button>`;
  if (!mayObserve()) return html`<${Panel} title="wakes"><p class="read-only" role="note">To see wakes takes a token with observe or admin.</p><//>`;
  return html`<${Panel} title="wakes" count=${answer ? `${answer.pending_total} waiting` : ""} actions=${refresh}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${isLoading && !answer && html`<p class="empty" role="status">loading…</p>`}
    ${answer && answer.pending.length + answer.wakes.length === 0 && html`<p class="empty">Nothing has woken this agent yet.</p>`}
    <ul class="events">
      ${answer?.pending.map((wake) => html`<li>
        <${Time} at=${wake.since} /> <span class="wake pending">waiting</span> ${wake.reason} <${TargetLink} target=${wake.target} message=${wake.message_id} />
      </li>`)}
      ${[...(answer?.wakes ?? [])].reverse().map((event) => html`<li>
        <${Time} at=${event.created_at} />
        ${event.type === "agent.wake.failed" ? html`<span class="wake failed">failed</span>` : html`<span class="wake delivered">delivered</span>`}
        ${event.agent.reason} <${TargetLink} target=${event.agent.target} message=${event.agent.message_id} />
        ${event.agent.error && html` <span class="problem">${event.agent.error}</span>`}
      </li>`)}
    </ul>
  <//>`;
}

export function resetToken(agentId) {
  confirm({
    title: `New token for ${agentId}`,
    text: "What holds the agent now stops at once: its attachments close and its requests are refused.",
    label: "make a new token",
    act: async () => {
      const { agent_token } = await api.resetAgentToken(agentId);
      return html`<p>The token, shown once:</p><p><code class="secret" tabindex="0">${agent_token}</code></p>`;
    },
  });
}

export function revokeToken(agentId) {
  confirm({
    title: `Revoke the token of ${agentId}`,
    text: "Nobody can be this agent until an administrator makes a new token. It stays a member of its rooms.",
    label: "revoke",
    act: async () => void (await api.revokeAgentToken(agentId)),
  });
}

function Actions({ agent }) {
  const isLocal = agent.network_id === model.network.id;
  const why = whyNotAdmin() || (isLocal ? "" : "Only the agent's own network can do this.");
  const remove = () => confirm({
    title: `Remove ${agent.id}`,
    text: "Its registration and its token end and it leaves every room. Its messages stay. The id is free again: somebody else may register it.",
    label: "remove",
    act: async () => void (await api.removeAgent(agent.id)),
  });
  return html`<${Panel} title="actions">
    <div class="actions">
      <${Guarded} why=${why} onClick=${() => resetToken(agent.id)}>new token…<//>
      <${Guarded} why=${why} onClick=${() => revokeToken(agent.id)}>revoke token…<//>
      <${Guarded} why=${why} className="danger" onClick=${remove}>remove…<//>
    </div>
    ${why && html`<p class="read-only" role="note">${why}</p>`}
  <//>`;
}
