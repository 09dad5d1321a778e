// One room for an administrator: its name, who may read and write it, its members, its end; and those that have ended.

import * as api from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { navigate, path } from "../lib/router.js";
import { store } from "../lib/store.js";
import { Empty, Guarded, Panel, Problem, Time, useAnswer } from "../parts/bits.js";
import { Icon } from "../parts/icons.js";
import { confirm } from "../parts/dialog.js";
import { isAdmin, model } from "../state/model.js";

const READERS = { private: "members and operators", public: "everybody" };
const WRITERS = { members: "members", registered_agents: "registered agents", operators: "operators" };
const SUGGESTED = 300;

export function PolicyFields({ why, room = {} }) {
  const choice = (name, label, words) => html`<label>${label} <select name=${name} disabled=${why}>
    ${Object.entries(words).map(([value, word]) => html`<option value=${value} selected=${room[name] === value}>${word}</option>`)}
  </select></label>`;
  return html`${choice("visibility", "read by", READERS)}${choice("write_policy", "written by", WRITERS)}`;
}

export const namesOf = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);

function keep(room) {
  model.rooms.set(room.id, { ...model.rooms.get(room.id), ...room });
  store.changed("rooms");
}

export function Room({ room, why }) {
  const [problem, setProblem] = useState("");
  const attempt = (work) => work.then((changed) => { keep(changed); setProblem(""); }, (error) => setProblem(error.message));
  const save = (submit) => {
    submit.preventDefault();
    if (!why) attempt(api.changeRoom(room.id, Object.fromEntries(new FormData(submit.target))));
  };
  const add = (submit) => {
    submit.preventDefault();
    const field = submit.target.elements.member;
    if (!why) attempt(api.changeMembers(room.id, { add: namesOf(field.value) })).then(() => (field.value = ""));
  };
  const remove = () => confirm({
    title: `Remove the room ${room.id}`,
    text: "Nobody finds it any more and its members are gone. Its messages stay, and the room can be restored.",
    label: "remove",
    act: async () => void (await api.removeRoom(room.id)),
  });
  const members = room.members ?? [];
  return html`<${Panel} title=${room.name || room.id} actions=${html`<a href=${path("room", room.id)}>open</a>`}>
    <form class="fields" onSubmit=${save} key=${`${room.name} ${room.visibility} ${room.write_policy}`}>
      <label>room's name <input name="name" maxlength="200" autocomplete="off" value=${room.name ?? ""} disabled=${why} /></label>
      <${PolicyFields} why=${why} room=${room} />
      <button disabled=${why}>save</button>
    </form>
    <h3>members <span class="count">${members.length}</span></h3>
    <ul class="members">${members.map((member) => html`<li key=${member} class="chip">
      <bdi>${member}</bdi> <${Guarded} why=${why} className="bare" aria-label="Remove ${member}" onClick=${() => attempt(api.changeMembers(room.id, { remove: [member] }))}><${Icon} name="close" /><//>
    </li>`)}</ul>
    ${members.length === 0 && html`<${Empty}>Nobody is a member.<//>`}
    <form class="fields" onSubmit=${add}>
      <label>new member <input name="member" required autocomplete="off" list="agents-known" disabled=${why} /></label>
      <datalist id="agents-known">${[...model.agents.values()].slice(0, SUGGESTED).map((agent) => html`<option value=${agent.id}></option>`)}</datalist>
      <button disabled=${why}>add</button>
      <${Guarded} why=${why} className="danger apart" onClick=${remove}>remove the room…<//>
    </form>
    ${problem && html`<${Problem} error=${problem} />`}
  <//>`;
}

/** Rooms that were removed: their messages are still there. */
export function RemovedRooms({ why }) {
  const { answer, error, again } = useAnswer(() => (isAdmin() ? api.getRemovedRooms() : Promise.resolve([])), [model.rooms.size]);
  const restore = (room) => confirm({
    title: `Restore the room ${room.id}`,
    text: "It is found again, with its messages, its name and its policies. Who is not named here is no member any more.",
    fields: [{ name: "members", label: "members, by commas" }],
    label: "restore",
    danger: false,
    act: async ({ members }) => {
      keep(await api.restoreRoom(room.id, namesOf(members)));
      again();
      navigate(path("admin", "", { room: room.id }));
    },
  });
  const rooms = answer ?? [];
  return html`<${Panel} title="removed rooms" count=${rooms.length}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${!error && rooms.length === 0 && html`<${Empty}>${why || "None. A room that is removed is kept here."}<//>`}
    <ul class="cards">${rooms.map((room) => html`<li class="card row" key=${room.id}>
      <span><bdi>${room.name || room.id}</bdi> <small class="faint"><code>${room.id}</code> removed <${Time} at=${room.removed_at} /></small></span>
      <${Guarded} why=${why} aria-label="Restore ${room.id}" onClick=${() => restore(room)}>restore…<//>
    </li>`)}</ul>
  <//>`;
}
