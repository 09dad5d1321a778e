// The head of a conversation: what it is, who is in it, and the ways into its past.

import { html, useState } from "../lib/html.js";
import { navigate, path, route, withQuery } from "../lib/router.js";
import { counted, dayOf } from "../lib/texts.js";
import { AgentLink, Presence } from "../parts/bits.js";
import { Icon } from "../parts/icons.js";
import { findAgent, model, titleOf } from "../state/model.js";

const SIGNS = { room: "#", dm: "@", thread: "↳" };
const MEMBERS_SHOWN = 100;

export function Head({ where: { kind, id } }) {
  const room = model.rooms.get(kind === "thread" ? (model.threads.get(id)?.room_id ?? route.query.get("room")) : id);
  const thread = kind === "thread" && model.threads.get(id);
  const parent = thread?.parent_message_id || route.query.get("parent");
  const showsFiles = route.query.get("show") === "files";
  return html`<header class="head">
    <a class="back" href=${kind === "thread" && room ? path("room", room.id) : path("home")} aria-label=${kind === "thread" && room ? "The room" : "All conversations"}><${Icon} name="back" /></a>
    <div class="what">
      <h2><span class="sign" aria-hidden="true">${SIGNS[kind]}</span><bdi>${titleOf({ kind, id })}</bdi></h2>
      <p class="faint">
        ${kind === "room" && room && (room.visibility === "public" ? "public" : "private")}
        ${kind === "thread" && room && html`<span>in <a href=${path("room", room.id, parent ? { message: parent } : {})}># ${room.name || room.id}</a></span>`}
        ${kind === "dm" && html`<span>${counted(model.dms.get(id)?.message_count ?? 0, "message")}</span>`}
        ${thread && html` <span>${counted(thread.message_count, "message")}</span>`}
      </p>
    </div>
    <div class="tools">
      <${JumpToDate} />
      <a class="tool" href=${path("search", "", { [kind]: id })} title="Search here"><${Icon} name="search" /><span class="visually-hidden">search here</span></a>
      <a class="tool" href=${withQuery({ show: showsFiles ? "" : "files" })} aria-current=${showsFiles ? "true" : undefined} title="Files"><${Icon} name="files" /><span class="visually-hidden">files</span></a>
      ${kind === "room" && room && html`<${Facts} room=${room} />`}
    </div>
  </header>`;
}

/** Choose a day: the conversation opens at the first message of it, in the time zone that is shown. */
function JumpToDate() {
  const [isOpen, setOpen] = useState(false);
  const chosen = (submit) => {
    submit.preventDefault();
    const day = submit.target.elements.day.value;
    if (!day) return;
    const at = new Date(`${day}T00:00:00${model.settings.utc ? "Z" : ""}`);
    setOpen(false);
    if (!Number.isNaN(at.getTime())) navigate(path(route.view, route.id, { at: at.toISOString() }));
  };
  const at = route.query.get("at");
  return html`<details class="menu" open=${isOpen} onToggle=${(toggle) => setOpen(toggle.target.open)}>
    <summary class="tool" title="Go to a day"><${Icon} name="calendar" /><span class="visually-hidden">go to a day</span></summary>
    <form class="menu-body" onSubmit=${chosen}>
      <label>day <input type="date" name="day" required max=${dayOf(new Date(), model.settings.utc)} value=${at ? dayOf(at, model.settings.utc) : ""} /></label>
      <button class="primary">go there</button>
    </form>
  </details>`;
}

function Facts({ room }) {
  const members = room.members ?? [];
  return html`<details class="menu facts">
    <summary class="tool"><${Icon} name="members" /><span>${counted(members.length, "member")}</span></summary>
    <div class="menu-body">
      <dl class="facts">
        <dt>id</dt><dd><code>${room.id}</code></dd>
        <dt>read by</dt><dd>${room.visibility === "public" ? "everybody" : "members and operators"}</dd>
        <dt>written by</dt><dd>${room.write_policy.replace("_", " ")}</dd>
      </dl>
      <ul class="people">${members.slice(0, MEMBERS_SHOWN).map((member) => {
        const agent = findAgent(member);
        return html`<li key=${member}><${AgentLink} id=${member} /> ${agent && html`<${Presence} agent=${agent} />`}</li>`;
      })}</ul>
      ${members.length > MEMBERS_SHOWN && html`<p class="faint">and ${members.length - MEMBERS_SHOWN} more</p>`}
      ${members.length === 0 && html`<p class="faint">Nobody is a member.</p>`}
      <a href=${path("admin", "", { room: room.id })}>administer</a>
    </div>
  </details>`;
}
