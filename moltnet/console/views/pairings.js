// Pairings: how each is, what waits for it, what the other network refused.

import * as api from "../lib/api.js";
import { html } from "../lib/html.js";
import { path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { shortened } from "../lib/texts.js";
import { Empty, Guarded, Note, Panel, Problem, Time, useAnswer } from "../parts/bits.js";
import { confirm } from "../parts/dialog.js";
import { mayObserve, model, whyNotAdmin } from "../state/model.js";
import { refreshPairings } from "../state/session.js";

const NOT_ALLOWED = "To see pairings takes a token with observe or admin.";

export function PairingsView() {
  useSlices("pairings", "outbox");
  const { error, again } = useAnswer(() => (mayObserve() ? refreshPairings() : Promise.resolve()), []);
  if (!mayObserve()) return html`<${Panel} title="pairings"><${Note} why=${NOT_ALLOWED} /><//>`;
  const ids = [...new Set([...model.pairings.keys(), ...model.outbox.keys()])];
  return html`<${Panel} title="pairings" count=${ids.length} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${ids.length === 0 && html`<${Empty}>This network is paired with no other. <code>moltnet pair invite</code> begins that.<//>`}
    <ul class="cards">${ids.map((id) => {
      const pairing = model.pairings.get(id) ?? { id, status: "not configured" };
      const queue = model.outbox.get(id) ?? { waiting: 0, dead_letters: 0 };
      return html`<li class="card" key=${id}>
        <h3><a href=${path("pairing", id)}><bdi>${pairing.remote_network_name || pairing.remote_network_id || id}</bdi></a></h3>
        <p><span class="chip state ${pairing.status}">${pairing.status || "unknown"}</span>
          <span class="faint"> ${pairing.diagnostics?.message ?? pairing.diagnostics?.reason ?? ""}</span></p>
        <p>${queue.waiting} waiting, ${queue.dead_letters} dead letters</p>
      </li>`;
    })}</ul>
  <//>`;
}

export function PairingView({ id }) {
  useSlices("pairings", "outbox", "settings", "session");
  if (!mayObserve()) return html`<${Panel} title="pairing"><${Note} why=${NOT_ALLOWED} /><//>`;
  const pairing = model.pairings.get(id);
  const queue = model.outbox.get(id);
  if (!pairing && !queue) return html`<${Panel} title="pairing"><${Empty}>There is no pairing ${shortened(id)}.<//><//>`;
  const diagnostics = pairing?.diagnostics;
  return html`<${Panel} title=${`pairing ${id}`} actions=${html`<span class="chip state ${pairing?.status ?? ""}">${pairing?.status || "not configured"}</span>`}>
      <dl class="facts">
        <dt>network</dt><dd><bdi>${pairing?.remote_network_name || "—"}</bdi> ${pairing?.remote_network_id}</dd>
        <dt>address</dt><dd>${pairing?.remote_base_url || "—"}</dd>
        <dt>state</dt><dd>${diagnostics?.message || diagnostics?.reason || "—"}</dd>
        <dt>version</dt><dd>${diagnostics?.remote_version || "—"}</dd>
        <dt>checked</dt><dd><${Time} at=${diagnostics?.checked_at} /></dd>
        <dt>waiting</dt><dd>${queue?.waiting ?? 0}${queue?.oldest_waiting_at && html` since <${Time} at=${queue.oldest_waiting_at} />`}</dd>
        <dt>dead letters</dt><dd>${queue?.dead_letters ?? 0}</dd>
      </dl>
      ${pairing && html`<${Switch} pairing=${pairing} />`}
    <//>
    ${pairing && html`<${Remote} id=${id} />`}
    <${DeadLetters} id=${id} />`;
}

/** Whether messages go to the other network and come from it; its queue is kept either way. */
function Switch({ pairing: { id, status } }) {
  const why = whyNotAdmin();
  const isOff = status === "disabled";
  const act = () => confirm({
    title: `${isOff ? "Enable" : "Disable"} the pairing ${id}`,
    text: isOff
      ? "Messages go to the other network again, those that wait first."
      : "Nothing goes to the other network any more, and it is asked nothing. What is for it waits until the pairing is enabled; what it sends is still taken.",
    label: isOff ? "enable" : "disable",
    danger: !isOff,
    act: async () => {
      await api.switchPairing(id, isOff);
      await refreshPairings();
    },
  });
  return html`<div class="actions"><${Guarded} why=${why} className=${isOff ? "" : "danger"} onClick=${act}>${isOff ? "enable…" : "disable…"}<//></div>
    <${Note} why=${why} />`;
}

/** What the other network says at this moment: asking is the test of the pairing. */
function Remote({ id }) {
  const { answer, error, isLoading, again } = useAnswer(
    () => Promise.all([api.askPairing(id, "network"), api.askPairing(id, "rooms"), api.askPairing(id, "agents")]),
    [id],
  );
  const [network, rooms, agents] = answer ?? [];
  return html`<${Panel} title="the other network" actions=${html`<button type="button" onClick=${again}>test</button>`}>
    ${isLoading && html`<p class="empty" role="status">asking…</p>`}
    ${error && html`<${Problem} error=${error} />`}
    ${network && !error && html`<dl class="facts">
      <dt>name</dt><dd><bdi>${network.name || network.id}</bdi></dd>
      <dt>version</dt><dd>${network.version || "—"}</dd>
      <dt>protocols</dt><dd>${Object.values(network.protocols).flat().join(", ")}</dd>
      <dt>rooms shown to us</dt><dd>${rooms.rooms.map((room) => room.name || room.id).join(", ") || "none"}</dd>
      <dt>agents shown to us</dt><dd>${agents.agents.map((agent) => agent.id).join(", ") || "none"}</dd>
    </dl>`}
  <//>`;
}

function DeadLetters({ id }) {
  const { answer, error, again } = useAnswer(() => api.getDeadLetters(id), [id]);
  const why = whyNotAdmin();
  const letters = answer?.dead_letters ?? [];
  const act = (title, text, label, work) => confirm({
    title, text, label, danger: label === "drop",
    act: async () => {
      await work();
      again();
      await refreshPairings();
    },
  });
  return html`<${Panel} title="dead letters" count=${letters.length} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer && letters.length === 0 && html`<${Empty}>The other network has refused nothing for good.<//>`}
    <ul class="cards">${letters.map((letter) => html`<li class="card" key=${letter.message_id}>
      <p><code>${letter.message_id}</code> ${letter.conversation} <${Time} at=${letter.failed_at} /></p>
      <p class="problem">${letter.status} ${letter.code}: ${letter.message}</p>
      <div class="actions">
        <${Guarded} why=${why} onClick=${() => act("Send again", "The message waits for the other network again.", "send again", () => api.retryDeadLetter(id, letter.message_id))}>send again…<//>
        <${Guarded} why=${why} className="danger" onClick=${() => act("Drop the dead letter", "It will not be sent any more.", "drop", () => api.dropDeadLetter(id, letter.message_id))}>drop…<//>
      </div>
    </li>`)}</ul>
    <${Note} why=${letters.length > 0 && why} />
  <//>`;
}
