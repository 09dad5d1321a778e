// The inbox of wakes that wait for a person, and what was decided.

import * as api from "../lib/api.js";
import { html } from "../lib/html.js";
import { store, useSlices } from "../lib/store.js";
import { AgentLink, Empty, Guarded, Note, Panel, TargetLink, Time } from "../parts/bits.js";
import { confirm } from "../parts/dialog.js";
import { mayObserve, model, whyNotAdmin } from "../state/model.js";

const SHOWN_DECIDED = 100;

export function ApprovalsView() {
  useSlices("approvals", "settings", "agents");
  if (!mayObserve()) return html`<${Panel} title="approvals"><${Note} why="To see approvals takes a token with observe or admin." /><//>`;
  const all = [...model.approvals.values()].sort((a, b) => b.requested_at.localeCompare(a.requested_at));
  const waiting = all.filter(({ state }) => state === "pending");
  const decided = all.filter(({ state }) => state !== "pending").slice(0, SHOWN_DECIDED);
  return html`<${Panel} title="waiting" count=${waiting.length}>
      ${waiting.length === 0 && html`<${Empty}>Nothing waits for you. Agents whose node says <code>reply: manual</code> ask here.<//>`}
      <ul class="cards">${waiting.map((approval) => html`<${Waiting} key=${approval.id} approval=${approval} />`)}</ul>
    <//>
    <${Panel} title="decided" count=${decided.length}>
      ${decided.length === 0 && html`<${Empty}>Nothing was decided yet.<//>`}
      <ul class="log">${decided.map((approval) => html`<li key=${approval.id}>
        <${Time} at=${approval.decided_at || approval.expires_at} /> <span class="chip state ${approval.state}">${approval.state}</span>
        <${AgentLink} id=${approval.agent_id} /> <${TargetLink} target=${approval.target} message=${approval.message_id} />
        ${approval.decided_by && html` by ${approval.decided_by}`} ${approval.note && html`<q>${approval.note}</q>`}
      </li>`)}</ul>
    <//>`;
}

function decide(approval, decision) {
  confirm({
    title: `${decision === "approve" ? "Approve" : "Deny"}: wake ${approval.agent_id}`,
    text: decision === "approve" ? "The agent will read the message and answer." : "The agent will not be woken by this message.",
    label: decision,
    danger: decision === "deny",
    fields: [{ name: "note", label: "note (the agent sees it too)" }],
    act: async ({ note }) => {
      const decided = await api.decideApproval(approval.id, decision, note);
      model.approvals.set(decided.id, decided);
      store.changed("approvals");
    },
  });
}

function Waiting({ approval }) {
  const why = whyNotAdmin();
  return html`<li class="card">
    <p><${AgentLink} id=${approval.agent_id} /> would be woken by <${AgentLink} id=${approval.sender} /> in
      <${TargetLink} target=${approval.target} message=${approval.message_id} /></p>
    <dl class="facts">
      <dt>why</dt><dd>${approval.reason || "—"}</dd>
      <dt>asked</dt><dd><${Time} at=${approval.requested_at} /></dd>
      <dt>until</dt><dd><${Time} at=${approval.expires_at} /></dd>
    </dl>
    <div class="actions">
      <${Guarded} why=${why} className="primary" onClick=${() => decide(approval, "approve")}>approve…<//>
      <${Guarded} why=${why} className="danger" onClick=${() => decide(approval, "deny")}>deny…<//>
    </div>
    <${Note} why=${why} />
  </li>`;
}
