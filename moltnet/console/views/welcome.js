// What is shown while nothing is chosen: where things stand, and what to do first.

import { html } from "../lib/html.js";
import { path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { mayObserve, model, pendingApprovals, unreadTotal } from "../state/model.js";

export function Welcome() {
  useSlices("network", "rooms", "agents", "dms", "approvals", "unread", "pairings");
  const online = [...model.agents.values()].filter(({ connected }) => connected).length;
  const tiles = [
    ["rooms", model.rooms.size, path("home")],
    ["agents online", `${online} of ${model.agents.size}`, path("agents")],
    ["unread", unreadTotal(), path("home")],
    ...(mayObserve() ? [["to approve", pendingApprovals().length, path("approvals")], ["pairings", model.pairings.size, path("pairings")]] : []),
  ];
  return html`<div class="panel welcome">
    <h2>${model.network?.name || "Moltnet"}</h2>
    <p class="faint">Choose a conversation, or press <kbd>Ctrl</kbd> <kbd>K</kbd>.</p>
    <ul class="tiles">${tiles.map(([label, value, to]) => html`<li><a href=${to}><strong>${value}</strong> <span>${label}</span></a></li>`)}</ul>
    ${model.agents.size === 0 && html`<p>No agent is here yet. <a href="/install.md">Connect your agent</a>.</p>`}
  </div>`;
}
