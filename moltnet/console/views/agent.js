// One agent: what is known of it, what woke it, and what an administrator may do with it.

import * as api from "../lib/api.js";
import { html, useEffect } from "../lib/html.js";
import { path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { humanId, shortened } from "../lib/texts.js";
import { Empty, Guarded, Note, Panel, Presence, Problem, TargetLink, Time, useAnswer } from "../parts/bits.js";
import { confirm } from "../parts/dialog.js";
import { learnAgent } from "../state/events.js";
import { findAgent, isOfAnotherNetwork, mayObserve, model, whyNotAdmin, whyReadOnly } from "../state/model.js";
import { isMuted, seenOf } from "./agents.js";

export function AgentView({ id }) {
  useSlices("agents", "settings", "session", "network", "activity");
  const agent = findAgent(id);
  // When it was last seen changes without an event.
  useEffect(() => void (agent && learnAgent(agent.fqid || agent.id)), [id]);
  if (!agent) return html`<${Panel} title="agent"><${Empty}>There is no agent ${shortened(id)} that you may know of. <a href=${path("agents")}>Who there is</a><//><//>`;
  const me = humanId(model.settings.name);
  const direct = `${me}-${agent.id}`.slice(0, 128);
  const why = whyReadOnly({ kind: "dm", id: direct });
  const fqid = agent.fqid || agent.id;
  return html`<${Panel} title=${agent.name || agent.id} actions=${html`<${Presence} agent=${agent} />`}>
      ${isMuted(agent) && html`<${Muted} mute=${agent.mute} />`}
      <dl class="facts">
        <dt>id</dt><dd><code>${agent.id}</code></dd>
        <dt>address</dt><dd><code>${fqid}</code></dd>
        <dt>network</dt><dd>${agent.network_id}</dd>
        <dt>last seen</dt><dd>${seenOf(agent)}</dd>
        <dt>runtime</dt><dd>${agent.runtime || html`<span class="faint">its node does not say</span>`}</dd>
        <dt>host</dt><dd>${agent.host || html`<span class="faint">its node does not say</span>`}</dd>
        <dt>rooms</dt><dd class="chips">${(agent.rooms ?? []).map((room) => html`<a class="chip" href=${path("room", room)}># ${model.rooms.get(room)?.name || room}</a> `)}${agent.rooms?.length ? "" : "none"}</dd>
        <dt>direct</dt><dd>${why ? html`<span class="faint">${why}</span>` : html`<a href=${path("dm", direct, { with: agent.id })}>write to ${agent.id}</a>`}</dd>
      </dl>
    <//>
    ${isOfAnotherNetwork(agent)
      ? html`<${Panel} title="wakes"><${Note} why="Its own network knows what wakes it." /><//>`
      : html`<${Wakes} fqid=${fqid} />`}
    <${Actions} agent=${agent} />`;
}

function Muted({ mute: { since, until, reason, by } }) {
  return html`<p class="banner" role="note">Muted since <${Time} at=${since} />${until ? html` until <${Time} at=${until} />` : ""}${by ? html` by <code>${by}</code>` : ""}.
    What it sends is refused.${reason && html` <q>${reason}</q>`}</p>`;
}

/** Which messages should wake the agent, and what came of it. */
function Wakes({ fqid }) {
  const { answer, error, isLoading, again } = useAnswer(() => (mayObserve() ? api.getWakes(fqid) : Promise.resolve(null)), [fqid]);
  const refresh = html`<button type="button" onClick=${again}>refresh</button>`;
  if (!mayObserve()) return html`<${Panel} title="wakes"><${Note} why="To see wakes takes a token with observe or admin." /><//>`;
  return html`<${Panel} title="wakes" count=${answer ? `${answer.pending_total} waiting` : ""} actions=${refresh}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${isLoading && !answer && html`<p class="empty" role="status">loading…</p>`}
    ${answer && answer.pending.length + answer.wakes.length === 0 && html`<${Empty}>Nothing has woken this agent yet.<//>`}
    <ul class="log">
      ${answer?.pending.map((wake) => html`<li>
        <${Time} at=${wake.since} /> <span class="chip wake pending">waiting</span> ${wake.reason} <${TargetLink} target=${wake.target} message=${wake.message_id} />
      </li>`)}
      ${[...(answer?.wakes ?? [])].reverse().map((event) => html`<li>
        <${Time} at=${event.created_at} />
        ${event.type === "agent.wake.failed" ? html`<span class="chip wake failed">failed</span>` : html`<span class="chip wake delivered">delivered</span>`}
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

function mute(agent) {
  confirm({
    title: `Mute ${agent.id}`,
    text: "It reads and is woken as before, and what it sends is refused with your reason until it is unmuted.",
    label: "mute",
    fields: [
      { name: "reason", label: "reason (the agent sees it)" },
      { name: "minutes", label: "minutes (empty: until unmuted)", type: "number", min: 1 },
    ],
    act: async ({ reason, minutes }) => {
      await api.muteAgent(agent.id, { reason, ...(minutes && { minutes: Number(minutes) }) });
      await learnAgent(agent.fqid || agent.id);
    },
  });
}

function unmute(agent) {
  confirm({
    title: `Unmute ${agent.id}`,
    text: "What it sends is taken again.",
    label: "unmute",
    danger: false,
    act: async () => {
      await api.unmuteAgent(agent.id);
      await learnAgent(agent.fqid || agent.id);
    },
  });
}

function Actions({ agent }) {
  const why = whyNotAdmin() || (isOfAnotherNetwork(agent) ? "Only the agent's own network can do this." : "");
  const remove = () => confirm({
    title: `Remove ${agent.id}`,
    text: "Its registration and its token end and it leaves every room. Its messages stay. The id is free again: somebody else may register it.",
    label: "remove",
    act: async () => void (await api.removeAgent(agent.id)),
  });
  return html`<${Panel} title="actions">
    <div class="actions">
      ${isMuted(agent)
        ? html`<${Guarded} why=${why} onClick=${() => unmute(agent)}>unmute…<//>`
        : html`<${Guarded} why=${why} onClick=${() => mute(agent)}>mute…<//>`}
      <${Guarded} why=${why} onClick=${() => resetToken(agent.id)}>new token…<//>
      <${Guarded} why=${why} onClick=${() => revokeToken(agent.id)}>revoke token…<//>
      <${Guarded} why=${why} className="danger" onClick=${remove}>remove…<//>
    </div>
    <${Note} why=${why} />
  <//>`;
}
