// Where the console starts: the store is filled, the URL is read, the page is drawn.

import { html, render } from "./lib/html.js";
import { route, startRouter } from "./lib/router.js";
import { store } from "./lib/store.js";
import { markRead, open } from "./state/conversations.js";
import { model, titleOf, unreadTotal } from "./state/model.js";
import { start } from "./state/session.js";
import { Shell } from "./views/shell.js";

function showTheme() {
  document.documentElement.dataset.theme = model.settings.theme;
}

function showTitle() {
  const unread = unreadTotal();
  const selected = ["room", "dm", "thread"].includes(route.view) ? titleOf({ kind: route.view, id: route.id }) : route.view;
  const words = [selected === "home" ? "" : selected, model.network?.name || "Moltnet Console"].filter(Boolean);
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${words.join(" · ")}`;
}

store.watch(["settings"], showTheme);
store.watch(["unread", "route", "network", "rooms"], showTitle);
document.addEventListener("visibilitychange", () => document.hidden || markRead(open.key));

showTheme();
startRouter();
render(html`<${Shell} />`, document.getElementById("app"));
start();
