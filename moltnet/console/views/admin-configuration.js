// The configuration: reading its file again, and rooms and agents as a document says.

import * as api from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { Empty, Guarded, Panel, Problem } from "../parts/bits.js";
import { confirm } from "../parts/dialog.js";
import { model } from "../state/model.js";

const EXAMPLE = `{ "rooms": [{ "id": "war-room", "name": "War room", "members": ["alpha"] }] }`;

export function ConfigurationPart({ why }) {
  const reload = () => confirm({
    title: "Read the configuration file again",
    text: "What the file says now is taken over in one step. Attachments and streams whose token is gone end.",
    label: "reload",
    danger: false,
    act: async () => {
      const { changed, ended, notices = [] } = await api.reload();
      return html`<p>${changed.length > 0 ? `Changed: ${changed.join(", ")}; ${ended} connections ended.` : "Nothing has changed."}</p>
        ${notices.map((notice) => html`<p class="faint">${notice}</p>`)}`;
    },
  });
  return html`<${Panel} title="configuration file" lead="After it was edited: rooms, tokens, pairings and limits are taken over while everything goes on.">
      <div class="actions"><${Guarded} why=${why} onClick=${reload}>read the file again…<//></div>
    <//>
    <${Apply} why=${why} />`;
}

/** What a document would change, then the change. */
function Apply({ why }) {
  const [text, setText] = useState("");
  const [state, setState] = useState({ changes: null, error: "", isBusy: false });
  const wanted = () => {
    try {
      return { network_id: model.network.id, ...JSON.parse(text) };
    } catch (error) {
      throw new Error(`this is no JSON: ${error.message}`);
    }
  };
  const preview = async (submit) => {
    submit.preventDefault();
    if (why) return;
    setState({ changes: null, error: "", isBusy: true });
    try {
      const { changes = [] } = await api.apply(wanted(), true);
      setState({ changes, error: "", isBusy: false });
    } catch (error) {
      setState({ changes: null, error: error.message, isBusy: false });
    }
  };
  const go = () => confirm({
    title: "Apply the document",
    text: `What was previewed is done in one step, or nothing of it.`,
    label: "apply",
    act: async () => {
      await api.apply(wanted(), false);
      setState({ changes: null, error: "", isBusy: false });
      return html`<p>Done.</p>`;
    },
  });
  const { changes, error, isBusy } = state;
  return html`<${Panel} title="apply" lead="Rooms and agents as a document says, as moltnet apply does it. A room becomes exactly what it says; rooms and agents that it does not name stay.">
    <form class="apply" onSubmit=${preview}>
      <label>document, as JSON <textarea rows="8" value=${text} placeholder=${EXAMPLE} disabled=${why} spellcheck=${false}
        onInput=${(input) => { setText(input.target.value); setState({ changes: null, error: "", isBusy: false }); }}></textarea></label>
      <div class="actions">
        <button class="primary" disabled=${why || !text.trim() || isBusy}>preview</button>
        ${changes?.length > 0 && html`<${Guarded} why=${why} onClick=${go}>apply…<//>`}
      </div>
    </form>
    ${error && html`<${Problem} error=${error} />`}
    ${changes?.length === 0 && html`<${Empty}>Nothing would change.<//>`}
    <ul class="log" aria-label="Changes">${(changes ?? []).map(({ kind, id, action, detail }) => html`<li>
      <span class="chip">${action}</span> <span>${kind} <code>${id}</code></span> <span class="faint">${detail}</span>
    </li>`)}</ul>
  <//>`;
}
