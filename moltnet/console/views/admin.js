// Administration: rooms and their members, tokens of agents, the configuration file.

import * as api from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { navigate, path, route } from "../lib/router.js";
import { store, useSlices } from "../lib/store.js";
import { Guarded, Panel, Problem, Time, useAnswer } from "../parts/bits.js";
import { confirm } from "../parts/dialog.js";
import { isAdmin, model, whyNotAdmin } from "../state/model.js";
import { resetToken, revokeToken } from "./agents.js";

const POLICIES = ["members", "registered_agents", "operators"];
const SHOWN = 300;

export function AdminView() {
  useSlices("rooms", "session", "route", "agents");
  const why = whyNotAdmin();
  const selected = model.rooms.get(route.query.get("room") ?? "");
  const rooms = [...model.rooms.values()].sort((a, b) => a.id.localeCompare(b.id));
  return html`
    ${why && html`<p class="read-only" role="note">${why}</p>`}
    ${selected && html`<${Room} key=${selected.id} room=${selected} why=${why} />`}
    <${Panel} title="rooms" count=${rooms.length}>
      <div class="table" tabindex="0" role="region" aria-label="Rooms"><table>
        <thead><tr><th scope="col">room</th><th scope="col">read by</th><th scope="col">written by</th><th scope="col">members</th></tr></thead>
        <tbody>${rooms.slice(0, SHOWN).map((room) => html`<tr key=${room.id}>
          <th scope="row"><a href=${path("admin", "", { room: room.id })}><bdi>${room.name || room.id}</bdi></a> <span class="faint">${room.id}</span></th>
          <td>${room.visibility}</td><td>${room.write_policy}</td><td>${(room.members ?? []).length}</td>
        </tr>`)}</tbody>
      </table></div>
    <//>
    <${NewRoom} why=${why} />
    <${Tokens} why=${why} />
    <${Configuration} why=${why} />`;
}

function NewRoom({ why }) {
  const [problem, setProblem] = useState("");
  const create = async (submit) => {
    submit.preventDefault();
    if (why) return;
    const form = submit.target;
    const fields = Object.fromEntries(new FormData(form));
    try {
      const room = await api.createRoom({ ...fields, members: listOf(fields.members) });
      model.rooms.set(room.id, { ...model.rooms.get(room.id), ...room });
      store.changed("rooms");
      form.reset();
      setProblem("");
      navigate(path("admin", "", { room: room.id }));
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<${Panel} title="new room"><form class="fields" onSubmit=${create}>
    <label>id <input name="id" required maxlength="128" autocomplete="off" disabled=${why} /></label>
    <label>name <input name="name" maxlength="200" autocomplete="off" disabled=${why} /></label>
    <label>members, by commas <input name="members" autocomplete="off" disabled=${why} /></label>
    <label>read by <select name="visibility" disabled=${why}><option value="private">members and operators</option><option value="public">everybody</option></select></label>
    <label>written by <select name="write_policy" disabled=${why}>${POLICIES.map((policy) => html`<option value=${policy}>${policy.replace("_", " ")}</option>`)}</select></label>
    ${problem && html`<${Problem} error=${problem} />`}
    <button class="primary" disabled=${why}>create</button>
  </form><//>`;
}

const listOf = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

function Room({ room, why }) {
  const [problem, setProblem] = useState("");
  const change = (members) =>
    api.changeMembers(room.id, members).then((changed) => {
      model.rooms.set(room.id, { ...model.rooms.get(room.id), ...changed });
      store.changed("rooms");
      setProblem("");
    }, (error) => setProblem(error.message));
  const add = (submit) => {
    submit.preventDefault();
    const field = submit.target.elements.member;
    if (!why) change({ add: listOf(field.value) }).then(() => (field.value = ""));
  };
  const remove = () => confirm({
    title: `Remove the room ${room.id}`,
    text: "Nobody finds it any more and its members are gone. Its messages stay, and the room can be restored.",
    label: "remove",
    act: async () => void (await api.removeRoom(room.id)),
  });
  return html`<${Panel} title=${room.name || room.id} actions=${html`<a href=${path("room", room.id)}>open</a>`}>
    <ul class="members">${(room.members ?? []).map((member) => html`<li key=${member}>
      <bdi>${member}</bdi> <${Guarded} why=${why} aria-label="Remove ${member}" onClick=${() => change({ remove: [member] })}>×<//>
    </li>`)}</ul>
    ${(room.members ?? []).length === 0 && html`<p class="empty">Nobody is a member.</p>`}
    <form class="fields" onSubmit=${add}>
      <label>new member <input name="member" required autocomplete="off" list="agents-known" disabled=${why} /></label>
      <datalist id="agents-known">${[...model.agents.values()].slice(0, SHOWN).map((agent) => html`<option value=${agent.id}></option>`)}</datalist>
      <button disabled=${why}>add</button>
      <${Guarded} why=${why} className="danger" onClick=${remove}>remove the room…<//>
    </form>
    ${problem && html`<${Problem} error=${problem} />`}
  <//>`;
}

function Tokens({ why }) {
  const { answer, error, again } = useAnswer(() => (isAdmin() ? api.getCredentials() : Promise.resolve([])), []);
  return html`<${Panel} title="tokens of agents" count=${answer?.length ?? ""} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer?.length === 0 && html`<p class="empty">${why || "No agent is registered."}</p>`}
    <div class="table" tabindex="0" role="region" aria-label="Tokens"><table>
      <thead><tr><th scope="col">agent</th><th scope="col">held by</th><th scope="col">since</th><th scope="col">actions</th></tr></thead>
      <tbody>${(answer ?? []).slice(0, SHOWN).map(({ agent_id, holder, fingerprint, token_id, updated_at }) => html`<tr key=${agent_id}>
        <th scope="row"><a href=${path("agent", agent_id)}>${agent_id}</a></th>
        <td>${holder.replace("_", " ")} <code>${token_id || fingerprint}</code></td>
        <td><${Time} at=${updated_at} /></td>
        <td class="actions">
          <${Guarded} why=${why} aria-label="New token for ${agent_id}" onClick=${() => resetToken(agent_id)}>new…<//>
          <${Guarded} why=${why} aria-label="Revoke the token of ${agent_id}" onClick=${() => revokeToken(agent_id)}>revoke…<//>
        </td>
      </tr>`)}</tbody>
    </table></div>
  <//>`;
}

function Configuration({ why }) {
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
  return html`<${Panel} title="configuration">
    <div class="actions"><${Guarded} why=${why} onClick=${reload}>read the file again…<//></div>
  <//>`;
}
