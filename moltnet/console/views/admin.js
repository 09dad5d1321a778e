// Administration: its parts, and the rooms that there are.

import * as api from "../lib/api.js";
import { html, useState } from "../lib/html.js";
import { navigate, path, route } from "../lib/router.js";
import { store, useSlices } from "../lib/store.js";
import { counted } from "../lib/texts.js";
import { Empty, Note, Panel, Problem } from "../parts/bits.js";
import { model, whyNotAdmin } from "../state/model.js";
import { ConfigurationPart } from "./admin-configuration.js";
import { namesOf, PolicyFields, RemovedRooms, Room } from "./admin-room.js";
import { TokensPart } from "./admin-tokens.js";

const SHOWN = 300;
const PARTS = { rooms: RoomsPart, tokens: TokensPart, configuration: ConfigurationPart };

export function AdminView() {
  useSlices("session", "route");
  const why = whyNotAdmin();
  const named = route.query.get("part") ?? "rooms";
  const part = named in PARTS ? named : "rooms";
  return html`
    <nav class="parts" aria-label="Administration">${Object.keys(PARTS).map((name) => html`<a
      href=${path("admin", "", name === "rooms" ? {} : { part: name })} aria-current=${name === part ? "page" : undefined}>${name}</a>`)}</nav>
    <${Note} why=${why} />
    <${PARTS[part]} why=${why} />`;
}

function RoomsPart({ why }) {
  useSlices("rooms", "agents", "route");
  const [filter, setFilter] = useState("");
  const wanted = filter.trim().toLowerCase();
  const chosen = route.query.get("room") ?? "";
  const selected = model.rooms.get(chosen);
  const rooms = [...model.rooms.values()]
    .filter(({ id, name }) => `${id} ${name ?? ""}`.toLowerCase().includes(wanted))
    .sort((a, b) => a.id.localeCompare(b.id));
  const field = html`<input type="search" aria-label="Filter rooms" placeholder="Filter" value=${filter} onInput=${(input) => setFilter(input.target.value)} />`;
  return html`
    ${selected && html`<${Room} key=${selected.id} room=${selected} why=${why} />`}
    <${Panel} title="rooms" count=${rooms.length} actions=${field}>
      ${rooms.length === 0 && html`<${Empty}>${wanted ? "Nothing fits." : "No rooms yet. The form below makes the first."}<//>`}
      ${rooms.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Rooms"><table class="stacked">
        <thead><tr><th scope="col">room</th><th scope="col">read by</th><th scope="col">written by</th><th scope="col">members</th></tr></thead>
        <tbody>${rooms.slice(0, SHOWN).map((room) => html`<tr key=${room.id} class=${room.id === chosen ? "is-here" : ""}>
          <th scope="row"><a href=${path("admin", "", { room: room.id })}><bdi>${room.name || room.id}</bdi></a> <small class="faint"><code>${room.id}</code></small></th>
          <td data-label="Read by"><span class="chip">${room.visibility}</span></td>
          <td data-label="Written by">${room.write_policy.replace("_", " ")}</td>
          <td data-label="Members">${counted((room.members ?? []).length, "member")}</td>
        </tr>`)}</tbody>
      </table></div>`}
      ${rooms.length > SHOWN && html`<${Empty}>${rooms.length - SHOWN} more: use the filter.<//>`}
    <//>
    <${NewRoom} why=${why} />
    <${RemovedRooms} why=${why} />`;
}

function NewRoom({ why }) {
  const [problem, setProblem] = useState("");
  const create = async (submit) => {
    submit.preventDefault();
    if (why) return;
    const form = submit.target;
    const fields = Object.fromEntries(new FormData(form));
    try {
      const room = await api.createRoom({ ...fields, members: namesOf(fields.members) });
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
    <${PolicyFields} why=${why} />
    <button class="primary" disabled=${why}>create</button>
    ${problem && html`<${Problem} error=${problem} />`}
  </form><//>`;
}
