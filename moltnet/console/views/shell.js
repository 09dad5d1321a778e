// The frame of the console: what is always there, and the one view that the URL names.

import { Component, html, useEffect, useRef, useState } from "../lib/html.js";
import { path, route } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { sentence } from "../lib/texts.js";
import { Announcer } from "../parts/announcer.js";
import { Problem } from "../parts/bits.js";
import { Confirmation } from "../parts/dialog.js";
import { Icon } from "../parts/icons.js";
import { model, pendingApprovals, unreadTotal } from "../state/model.js";
import { start } from "../state/session.js";
import { Account } from "./account.js";
import { AdminView } from "./admin.js";
import { AgentView } from "./agent.js";
import { AgentsView } from "./agents.js";
import { ApprovalsView } from "./approvals.js";
import { ConversationView } from "./conversation.js";
import { EventsView } from "./events.js";
import { HealthView } from "./health.js";
import { Navigation } from "./navigation.js";
import { PairingsView, PairingView } from "./pairings.js";
import { Overlays } from "./palette.js";
import { SearchView } from "./search.js";
import { SignIn, takeLinkProblem } from "./signin.js";
import { Welcome } from "./welcome.js";

const VIEWS = {
  room: () => html`<${ConversationView} key=${`room:${route.id}`} where=${{ kind: "room", id: route.id }} />`,
  dm: () => html`<${ConversationView} key=${`dm:${route.id}`} where=${{ kind: "dm", id: route.id }} />`,
  thread: () => html`<${ConversationView} key=${`thread:${route.id}`} where=${{ kind: "thread", id: route.id }} />`,
  search: () => html`<${SearchView} />`,
  agents: () => html`<${AgentsView} />`,
  agent: () => html`<${AgentView} key=${route.id} id=${route.id} />`,
  approvals: () => html`<${ApprovalsView} />`,
  pairings: () => html`<${PairingsView} />`,
  pairing: () => html`<${PairingView} key=${route.id} id=${route.id} />`,
  events: () => html`<${EventsView} />`,
  health: () => html`<${HealthView} />`,
  admin: () => html`<${AdminView} />`,
  home: () => html`<${Welcome} />`,
};
const CONVERSATIONS = ["home", "room", "dm", "thread"];
const RAIL = ["search", "agents", "approvals", "pairings", "events", "health", "admin"];
const PARENTS = { agent: "agents", pairing: "pairings" };

/** A view that can't be drawn says so; the others still can. */
class Fenced extends Component {
  componentDidCatch(fault) {
    console.error(fault);
    this.setState({ fault });
  }

  render({ children }, { fault }) {
    if (!fault) return children;
    return html`<${Problem} error=${`this view can't be shown: ${fault.message}`} retry=${() => this.setState({ fault: null })} />`;
  }
}

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
    ${model.fault && html`<div class="notice fault" role="alert">
      <p>Something went wrong in this page: ${sentence(model.fault)} What it shows may be old.</p>
      <button type="button" onClick=${() => location.reload()}>load it again</button>
    </div>`}
    ${(mustSignIn || isAsking !== null) && html`<${SignIn} why=${isAsking ?? ""} onClose=${close} />`}
    <div class="frame" data-view=${route.view} data-phase=${model.phase}>
      ${model.phase === "ready" && html`<${Rail} /><${Navigation} />`}
      <main id="main" ref=${main} tabindex="-1">
        ${model.phase === "ready" && html`<${Fenced} key=${`${route.view} ${route.id}`}>${VIEWS[route.view]()}<//>`}
        ${model.phase === "starting" && html`<${Skeleton} />`}
      </main>
    </div>
    ${model.phase === "ready" && html`<${Overlays} />`}
    <${Confirmation} />
    <${Announcer} />`;
}

function Skeleton() {
  return html`<div class="skeleton">
    <p role="status">connecting…</p>
    ${[60, 85, 40, 70].map((width) => html`<p class="bar w${width}" aria-hidden="true"></p>`)}
  </div>`;
}

/** The views: beside the conversations, or below everything on a phone. */
function Rail() {
  useSlices("route", "approvals", "unread");
  const waiting = pendingApprovals().length;
  const unread = unreadTotal();
  const here = PARENTS[route.view] ?? route.view;
  const isTalking = CONVERSATIONS.includes(route.view);
  return html`<nav class="tabs" aria-label="Views">
    <a class=${isTalking ? "is-here" : ""} href=${path("home")} aria-current=${isTalking ? "true" : undefined}>
      <${Icon} name="conversations" /><span>chats</span>
      ${unread > 0 && html` <span class="badge" aria-label="${unread} unread">${unread > 99 ? "99+" : unread}</span>`}
    </a>
    ${RAIL.map((view) => html`<a class=${here === view ? "is-here" : ""} href=${path(view)} aria-current=${here === view ? "page" : undefined}>
      <${Icon} name=${view} /><span>${view}</span>
      ${view === "approvals" && waiting > 0 && html` <span class="badge" aria-label="${waiting} waiting">${waiting}</span>`}
    </a>`)}
  </nav>`;
}

function TopBar({ ask }) {
  useSlices("session", "network", "stream", "settings");
  const { network } = model;
  return html`<header class="top">
    <a class="brand" href=${path("home")} aria-label="Moltnet: conversations">
      <img src="/console/favicon.svg" alt="" width="24" height="24" />
    </a>
    <h1 title=${network?.id}>${network?.name || network?.id || "Moltnet"}</h1>
    <span class="stream" role="status" data-state=${model.stream.state}>${model.stream.state}</span>
    <${Warnings} warnings=${network?.warnings ?? []} />
    <${Account} ask=${ask} />
  </header>`;
}

const WARNINGS_SHOWN = 2;

function Warnings({ warnings }) {
  const more = warnings.length - WARNINGS_SHOWN;
  return html`<div class="warnings">
    ${warnings.slice(0, WARNINGS_SHOWN).map(({ severity, code, message, action }) => html`<a
      class="warning ${severity === "error" ? "error" : ""}" href=${path("health")} title=${action}>${message || code}</a>`)}
    ${more > 0 && html`<a class="warning" href=${path("health")}>${more} more</a>`}
  </div>`;
}
