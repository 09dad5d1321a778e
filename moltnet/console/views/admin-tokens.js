// Tokens: those of the configuration file, and those that agents hold. Never their values.

import * as api from "../lib/api.js";
import { html } from "../lib/html.js";
import { path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { Empty, Guarded, Panel, Problem, Time, useAnswer } from "../parts/bits.js";
import { isAdmin } from "../state/model.js";
import { resetToken, revokeToken } from "./agent.js";

const SHOWN = 300;

export function TokensPart({ why }) {
  useSlices("settings");
  return html`<${FileTokens} why=${why} /><${AgentTokens} why=${why} />`;
}

function FileTokens({ why }) {
  const { answer, error, again } = useAnswer(() => (isAdmin() ? api.getTokens() : Promise.resolve([])), []);
  const tokens = answer ?? [];
  return html`<${Panel} title="tokens of the configuration file" count=${tokens.length} lead="They are changed in the file; reading it again takes them over.">
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer && !error && tokens.length === 0 && html`<${Empty}>${why || "The file has no tokens."}<//>`}
    ${tokens.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Tokens of the file"><table class="stacked">
      <thead><tr><th scope="col">token</th><th scope="col">may</th><th scope="col">as</th><th scope="col">network</th><th scope="col">until</th></tr></thead>
      <tbody>${tokens.slice(0, SHOWN).map(({ id, scopes, agents, network, expires_at, is_expired, is_rotating }) => html`<tr key=${id}>
        <th scope="row"><code>${id}</code> ${is_rotating && html`<span class="chip pending">two values</span>`}</th>
        <td data-label="May"><span class="chips">${(scopes ?? []).map((scope) => html`<span class="chip">${scope}</span>`)}</span></td>
        <td data-label="As">${(agents ?? []).join(", ") || html`<span class="faint">an operator</span>`}</td>
        <td data-label="Network">${network || html`<span class="faint">this one</span>`}</td>
        <td data-label="Until">${is_expired && html`<span class="chip expired">over</span> `}${expires_at ? html`<${Time} at=${expires_at} />` : html`<span class="faint">no end</span>`}</td>
      </tr>`)}</tbody>
    </table></div>`}
  <//>`;
}

function AgentTokens({ why }) {
  const { answer, error, again } = useAnswer(() => (isAdmin() ? api.getCredentials() : Promise.resolve([])), []);
  const tokens = answer ?? [];
  return html`<${Panel} title="tokens of agents" count=${tokens.length} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer?.length === 0 && html`<${Empty}>${why || "No agent is registered."}<//>`}
    ${tokens.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Tokens of agents"><table class="stacked">
      <thead><tr><th scope="col">agent</th><th scope="col">held by</th><th scope="col">since</th><th scope="col">actions</th></tr></thead>
      <tbody>${tokens.slice(0, SHOWN).map(({ agent_id, holder, fingerprint, token_id, updated_at }) => html`<tr key=${agent_id}>
        <th scope="row"><a href=${path("agent", agent_id)}>${agent_id}</a></th>
        <td data-label="Held by">${holder.replace("_", " ")} <code>${token_id || fingerprint}</code></td>
        <td data-label="Since"><${Time} at=${updated_at} /></td>
        <td data-label="Actions"><span class="actions">
          <${Guarded} why=${why} aria-label="New token for ${agent_id}" onClick=${() => resetToken(agent_id)}>new…<//>
          <${Guarded} why=${why} className="danger" aria-label="Revoke the token of ${agent_id}" onClick=${() => revokeToken(agent_id)}>revoke…<//>
        </span></td>
      </tr>`)}</tbody>
    </table></div>`}
    ${tokens.length > SHOWN && html`<${Empty}>${tokens.length - SHOWN} more: each is in the view of its agent.<//>`}
  <//>`;
}
