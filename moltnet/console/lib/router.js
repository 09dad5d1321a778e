// The URL is the selection: which view is open, of what. Back, forward, reload and links to others work.

import { store } from "./store.js";

const HOME = "/console/";
const VIEWS = ["room", "dm", "thread", "search", "agents", "agent", "approvals", "pairings", "pairing", "events", "health", "admin"];

export const route = { view: "home", id: "", query: new URLSearchParams() };

/** The address of a view, and of one thing in it: `path("room", "general", { message: "msg_1" })`. */
export function path(view, id = "", query = {}) {
  const tail = new URLSearchParams(query).toString();
  return `${HOME}${view === "home" ? "" : view}${id ? `/${encodeURIComponent(id)}` : ""}${tail ? `?${tail}` : ""}`;
}

function readUrl() {
  const [view = "", ...rest] = location.pathname.slice(HOME.length).replace(/\/$/, "").split("/");
  let id = "";
  try {
    id = decodeURIComponent(rest.join("/"));
  } catch {
    id = rest.join("/");
  }
  Object.assign(route, { view: VIEWS.includes(view) ? view : "home", id, query: new URLSearchParams(location.search) });
  store.changed("route");
}

/** Go there. `replace` puts it in the place of where we are, for what is no step to go back to. */
export function navigate(to, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  readUrl();
}

/** The same place with other words in its query; an empty value leaves the word out. */
export function withQuery(changes) {
  const words = Object.entries({ ...Object.fromEntries(route.query), ...changes });
  return path(route.view, route.id, Object.fromEntries(words.filter(([, value]) => value)));
}

/** Follow links of ours without leaving the page. */
export function startRouter() {
  document.addEventListener("click", (click) => {
    const link = click.target.closest?.(`a[href^='${HOME}']`);
    if (!link || click.button !== 0 || click.metaKey || click.ctrlKey || click.shiftKey || click.altKey) return;
    click.preventDefault();
    navigate(link.getAttribute("href"));
  });
  addEventListener("popstate", readUrl);
  readUrl();
}
