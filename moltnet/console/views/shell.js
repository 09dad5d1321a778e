// The frame of the console: what is always there, and the one view that the URL names.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { path, route } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { fullTime, sentence } from "../lib/texts.js";
import { Announcer } from "../parts/announcer.js";
import { Confirmation } from "../parts/dialog.js";
import { model, pendingApprovals, setSetting, unreadTotal } from "../state/model.js";
import { signOut, start } from "../state/session.js";
import { AdminView } from "./admin.js";
import { AgentsView, AgentView } from "./agents.js";
import { ApprovalsView } from "./approvals.js";
import { ConversationView } from "./conversation.js";
import { EventsView } from "./events.js";
import { HealthView } from "./health.js";
import { Navigation } from "./navigation.js";
import { PairingsView, PairingView } from "./pairings.js";
import { Overlays } from "./palette.js";
import { SignIn, takeLinkProblem } from "./signin.js";

const VIEWS = {
  room: () => html`<${ConversationView} key=${`room:${route.id}`} where=${{ kind: "room", id: route.id }} />`,
  dm: () => html`<${ConversationView} key=${`dm:${route.id}`} where=${{ kind: "dm", id: route.id }} />`,
  thread: () => html`<${ConversationView} key=${`thread:${route.id}`} where=${{ kind: "thread", id: route.id }} />`,
  agents: () => html`<${AgentsView} />`,
  agent: () => html`<${AgentView} key=${route.id} id=${route.id} />`,
  approvals: () => html`<${ApprovalsView} />`,
  pairings: () => html`<${PairingsView} />`,
  pairing: () => html`<${PairingView} key=${route.id} id=${route.id} />`,
  events: () => html`<${EventsView} />`,
  health: () => html`<${HealthView} />`,
  admin: () => html`<${AdminView} />`,
  home: () => html`<div class="panel welcome"><h2>${model.network?.name || "Moltnet"}</h2>
    <p>Choose a conversation, or press <kbd>Ctrl</kbd> <kbd>K</kbd>.</p></div>`,
};

export function Shell() {
  useSlices("session", "route");
  const [isAsking, setAsking] = useState(() => takeLinkProblem());
  const main = useRef(null);
  const isFirst = useRef(true);
  useEffect(() => {
    // A reader of the screen, and the keyboard, begin at what was chosen; but not before anything was.
    if (isFirst.current) isFirst.current = false;
    else if (!main.current?.contains(document.activeElement)) main.current?.focus({ preventScroll: true });
  }, [route.view, route.id]);

  const mustSignIn = model.phase === "signed-out";
  const close = mustSignIn ? null : () => setAsking(null);
  return html`
    <a class="skip" href="#main" onClick=${(click) => { click.preventDefault(); main.current?.focus(); }}>Skip to the content</a>
    <${TopBar} ask=${() => setAsking("")} />
    ${model.problem && html`<div class="notice" role="alert">
      <p>${sentence(model.problem)} Trying again by itself.</p><button type="button" onClick=${start}>try again</button>
    </div>`}
    ${(mustSignIn || isAsking !== null) && html`<${SignIn} why=${isAsking ?? ""} onClose=${close} />`}
    <div class="frame" data-view=${route.view} data-phase=${model.phase}>
      ${model.phase === "ready" && html`<${Navigation} />`}
      <main id="main" ref=${main} tabindex="-1">
        ${model.phase === "ready" && VIEWS[route.view]()}
        ${model.phase === "starting" && html`<p class="empty" role="status">connecting…</p>`}
      </main>
    </div>
    ${model.phase === "ready" && html`<${Overlays} />`}
    <${Confirmation} />
    <${Announcer} />`;
}

const TABS = [
  ["agents", "agents"],
  ["approvals", "approvals"],
  ["pairings", "pairings"],
  ["events", "events"],
  ["health", "health"],
  ["admin", "admin"],
];

function TopBar({ ask }) {
  useSlices("session", "network", "stream", "settings", "route", "approvals", "unread");
  const { network } = model;
  const waiting = pendingApprovals().length;
  const unread = unreadTotal();
  return html`<header class="top">
    <a class="brand" href=${path("home")} aria-label="Moltnet: conversations">
      <img src="/console/favicon.svg" alt="" width="22" height="22" />
      ${unread > 0 && html`<span class="badge" aria-label="${unread} unread">${unread}</span>`}
    </a>
    <h1>${network?.name || network?.id || "Moltnet"}</h1>
    ${model.phase === "ready" && html`<nav class="tabs" aria-label="Views">
      ${TABS.map(([view, label]) => html`<a href=${path(view)} aria-current=${route.view === view ? "page" : undefined}>
        ${label}${view === "approvals" && waiting > 0 && html` <span class="badge" aria-label="${waiting} waiting">${waiting}</span>`}
      </a>`)}
    </nav>`}
    <${Warnings} warnings=${network?.warnings ?? []} />
    <span class="stream" role="status" data-state=${model.stream.state}>${model.stream.state}</span>
    <${Account} ask=${ask} />
  </header>`;
}

function Warnings({ warnings }) {
  return warnings.map(
    ({ severity, code, message, action }) =>
      html`<a class="warning ${severity === "error" ? "error" : ""}" href=${path("health")} title=${action}>${message || code}</a>`,
  );
}

/** Who is signed in, for how long, what that allows, and how things are shown. */
function Account({ ask }) {
  const { who, settings } = model;
  const [problem, setProblem] = useState("");
  const name = who.kind === "unchecked" ? "no sign-in" : who.credential_id || who.agents?.join(", ") || "not signed in";
  const leave = () => signOut().catch((error) => setProblem(`Not signed out: ${error.message}.`));
  return html`<div class="account">
    ${who.kind === "anonymous" && html`<button type="button" onClick=${ask}>sign in</button>`}
    <details class="menu">
      <summary aria-label="You: ${name}">${name}</summary>
      <div class="menu-body">
        <dl>
          <dt>may</dt><dd>${who.kind === "unchecked" ? "everything: this network asks for no tokens" : who.scopes?.join(", ") || "read what is public"}</dd>
          ${who.agents?.length > 0 && html`<dt>as</dt><dd>${who.agents.join(", ")}</dd>`}
          ${who.expires_at && html`<dt>until</dt><dd><time datetime=${who.expires_at}>${fullTime(who.expires_at, settings.utc)}</time></dd>`}
        </dl>
        <label>your name here <input value=${settings.name} maxlength="64" autocomplete="off"
          onChange=${(change) => setSetting("name", change.target.value.trim() || "you")} /></label>
        <label>colours <select value=${settings.theme} onChange=${(change) => setSetting("theme", change.target.value)}>
          <option value="system">as the system</option><option value="dark">dark</option><option value="light">light</option>
        </select></label>
        <label class="check"><input type="checkbox" checked=${settings.utc} onChange=${(change) => setSetting("utc", change.target.checked)} /> times in UTC</label>
        ${who.signed_in && html`<button type="button" onClick=${leave}>sign out</button>`}
        ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      </div>
    </details>
  </div>`;
}
