// Where the console starts: the store is filled, the URL is read, the page is drawn.

import { html, render } from "./lib/html.js";
import { route, startRouter } from "./lib/router.js";
import { store } from "./lib/store.js";
import { markRead, open } from "./state/conversations.js";
import { model, titleOf, unreadTotal } from "./state/model.js";
import { start } from "./state/session.js";
import { Shell } from "./views/shell.js";

// How often words like "4 min" are looked at again.
const TICK_MS = 30_000;

function showTheme() {
  Object.assign(document.documentElement.dataset, { theme: model.settings.theme, contrast: model.settings.contrast });
}

function showTitle() {
  const unread = unreadTotal();
  const where = ["room", "dm", "thread"].includes(route.view) ? titleOf({ kind: route.view, id: route.id }) : route.view;
  const name = model.network?.name || model.network?.id || "Moltnet";
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${route.view === "home" ? name : `${where} · ${name}`}`;
}

/** A mistake of this program is said, not only written where nobody looks. */
function showFault(problem) {
  model.fault = problem?.message || String(problem);
  store.changed("session");
}

addEventListener("error", ({ error, message }) => showFault(error ?? message));
addEventListener("unhandledrejection", ({ reason }) => showFault(reason));

store.watch(["settings"], showTheme);
store.watch(["unread", "route", "network", "rooms"], showTitle);
document.addEventListener("visibilitychange", () => !document.hidden && open.key && markRead(open.key));
setInterval(() => store.changed("activity"), TICK_MS);

showTheme();
startRouter();
render(html`<${Shell} />`, document.getElementById("app"));
start();
