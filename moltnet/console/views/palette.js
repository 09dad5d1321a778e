// What the keyboard can do: the palette, the shortcuts, and the list of them.

import { html, useLayoutEffect, useMemo, useState } from "../lib/html.js";
import { navigate, path } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { Dialog } from "../parts/dialog.js";
import { model, titleOf } from "../state/model.js";
import { conversationsInOrder, step } from "./navigation.js";

const MOST = 12;
const VIEWS = ["search", "agents", "approvals", "pairings", "events", "health", "admin"];
const SHORTCUTS = [
  ["Ctrl K", "find a conversation, an agent or a view"],
  ["/", "filter the conversations"],
  ["s", "search in what was said"],
  ["c", "write a message"],
  ["j, k", "next and previous conversation"],
  ["Enter, Shift Enter", "send; begin a new line"],
  ["Esc", "close what is open"],
  ["?", "this list"],
];

function isTyping(target) {
  return target.closest?.("input, textarea, select, dialog[open]") !== null;
}

/** The dialogs that keys open. */
export function Overlays() {
  const [shown, setShown] = useState("");
  useLayoutEffect(() => {
    const pressed = (press) => {
      if ((press.ctrlKey || press.metaKey) && press.key.toLowerCase() === "k") {
        press.preventDefault();
        if (!document.querySelector("dialog[open]")) setShown("palette");
        return;
      }
      if (press.ctrlKey || press.metaKey || press.altKey || isTyping(press.target)) return;
      const acts = {
        "?": () => setShown("help"),
        "/": () => document.getElementById("filter")?.focus(),
        s: () => navigate(path("search")),
        c: () => document.getElementById("composer-text")?.focus(),
        j: () => step(1),
        k: () => step(-1),
      };
      if (!acts[press.key]) return;
      press.preventDefault();
      acts[press.key]();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  const close = () => setShown("");
  if (shown === "palette") return html`<${Palette} onClose=${close} />`;
  return shown === "help" && html`<${Help} onClose=${close} />`;
}

function everything() {
  const signs = { room: "#", dm: "✉" };
  const conversations = conversationsInOrder().map((where) => ({
    label: `${signs[where.kind]} ${titleOf(where)}`, note: where.id, to: path(where.kind, where.id),
  }));
  const agents = [...model.agents.values()].map((agent) => ({
    label: `@ ${agent.name || agent.id}`, note: agent.fqid || agent.id, to: path("agent", agent.fqid || agent.id),
  }));
  return [...conversations, ...VIEWS.map((view) => ({ label: view, note: "view", to: path(view) })), ...agents];
}

function Palette({ onClose }) {
  useSlices("rooms", "agents", "dms");
  const [query, setQuery] = useState("");
  const [chosen, setChosen] = useState(0);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = useMemo(
    () => everything().filter(({ label, note }) => words.every((word) => `${label} ${note}`.toLowerCase().includes(word))).slice(0, MOST),
    [query],
  );
  const go = (item) => {
    onClose();
    if (item) navigate(item.to);
  };
  const pressed = (press) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[press.key];
    if (move && found.length > 0) setChosen((chosen + move + found.length) % found.length);
    else if (press.key === "Enter") go(found[chosen]);
    else return;
    press.preventDefault();
  };
  return html`<${Dialog} title="Find" className="palette" onClose=${onClose}>
    <input role="combobox" aria-label="Find" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list" autofocus
      aria-activedescendant=${found.length > 0 ? `palette-${chosen}` : undefined} placeholder="A conversation, an agent, a view" value=${query}
      onInput=${(input) => { setQuery(input.target.value); setChosen(0); }} onKeyDown=${pressed} />
    <ul id="palette-list" role="listbox" aria-label="Found">${found.map((item, index) => html`<li role="option" id="palette-${index}" key=${item.to}
      aria-selected=${index === chosen ? "true" : "false"} onClick=${() => go(item)}><bdi>${item.label}</bdi> <span class="faint">${item.note}</span></li>`)}</ul>
    ${found.length === 0 && html`<p class="empty" role="status">Nothing fits.</p>`}
  <//>`;
}

function Help({ onClose }) {
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <h2>keys</h2>
    <dl class="facts">${SHORTCUTS.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl>
    <form method="dialog" class="actions"><button autofocus>close</button></form>
  <//>`;
}
