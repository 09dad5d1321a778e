// Where people write: drafts, the menu of mentions, and the reason if nothing can be written.

import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../lib/html.js";
import { route } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { Icon } from "../parts/icons.js";
import { draftOf, keepDraft, send } from "../state/conversations.js";
import { keyOf, mentionable, model, whyReadOnly } from "../state/model.js";
import { targetOf } from "../state/targets.js";

const MENU_ITEMS = 6;
const MAX_ROWS = 10;

/** The beginning of a mention before the cursor, without its "@"; null if there is none. */
function mentionBefore(text, at) {
  return /(?:^|[\s([{])@([A-Za-z0-9._:-]{0,64})$/.exec(text.slice(0, at))?.[1] ?? null;
}

function spelling(agent) {
  return agent.network_id && agent.network_id !== model.network.id ? `${agent.network_id}:${agent.id}` : agent.id;
}

export function Composer({ where }) {
  useSlices("session", "network", "rooms", "dms", "agents", "settings", "threads");
  const key = keyOf(where);
  const [text, setText] = useState(() => draftOf(key));
  const [menu, setMenu] = useState({ query: null, chosen: 0 });
  const box = useRef(null);
  const cursor = useRef(null);
  const isNew = where.kind === "thread" && !model.threads.has(where.id) && !route.query.has("room");
  const why = whyReadOnly(where) || (isNew ? "Read only: there is no such thread here." : "");

  useEffect(() => keepDraft(key, text), [key, text]);
  useLayoutEffect(() => {
    if (cursor.current === null || !box.current) return;
    box.current.setSelectionRange(cursor.current, cursor.current);
    cursor.current = null;
  }, [text]);

  const found = useMemo(() => {
    if (menu.query === null) return [];
    const query = menu.query.toLowerCase();
    const fits = (agent) => `${spelling(agent)} ${agent.name ?? ""}`.toLowerCase().includes(query);
    return mentionable(where).filter(fits).slice(0, MENU_ITEMS);
  }, [menu.query, key, model.agents.size]);

  if (why) return html`<p class="composer closed read-only" role="note">${why}</p>`;

  const look = (area) => {
    const query = area.selectionStart === area.selectionEnd ? mentionBefore(area.value, area.selectionStart) : null;
    setMenu((before) => (before.query === query ? before : { query, chosen: 0 }));
  };
  const choose = (agent) => {
    const end = box.current.selectionStart;
    const begin = end - menu.query.length;
    const inserted = `${spelling(agent)} `;
    cursor.current = begin + inserted.length;
    setText(text.slice(0, begin) + inserted + text.slice(end));
    setMenu({ query: null, chosen: 0 });
    box.current.focus();
  };
  const submit = () => {
    const said = text.trim();
    if (!said) return;
    send(where, targetOf(where), said);
    setText("");
  };
  const pressed = (press) => {
    if (press.isComposing) return;
    if (found.length > 0) {
      const move = { ArrowDown: 1, ArrowUp: -1 }[press.key];
      if (move) setMenu({ ...menu, chosen: (menu.chosen + move + found.length) % found.length });
      else if (press.key === "Enter" || press.key === "Tab") choose(found[menu.chosen]);
      else if (press.key === "Escape") setMenu({ query: null, chosen: 0 });
      else return;
      press.preventDefault();
      press.stopPropagation();
    } else if (press.key === "Enter" && !press.shiftKey && !press.ctrlKey && !press.metaKey) {
      press.preventDefault();
      submit();
    }
  };
  const isOpen = found.length > 0;
  return html`<form class="composer" onSubmit=${(event) => { event.preventDefault(); submit(); }}>
    ${isOpen && html`<ul class="mentions" role="listbox" id="mentions" aria-label="Agents to mention">
      ${found.map((agent, index) => html`<li role="option" id="mention-${index}" key=${agent.fqid || agent.id}
        aria-selected=${index === menu.chosen ? "true" : "false"}
        onMouseDown=${(down) => { down.preventDefault(); choose(agent); }}>
        <span>@${spelling(agent)}</span> <bdi class="faint">${agent.name}</bdi> <span class="faint">${agent.connected ? "online" : "offline"}</span>
      </li>`)}
    </ul>`}
    <textarea id="composer-text" ref=${box} value=${text} rows=${Math.min(MAX_ROWS, text.split("\n").length)}
      role="combobox" aria-label="Message as ${model.settings.name}" aria-expanded=${isOpen ? "true" : "false"} aria-controls="mentions"
      aria-autocomplete="list" aria-activedescendant=${isOpen ? `mention-${menu.chosen}` : undefined}
      placeholder="Message as ${model.settings.name}"
      onInput=${(input) => { setText(input.target.value); look(input.target); }}
      onClick=${(click) => look(click.target)} onBlur=${() => setMenu({ query: null, chosen: 0 })} onKeyDown=${pressed}></textarea>
    <button class="primary" disabled=${!text.trim()}><${Icon} name="send" /><span>send</span></button>
  </form>`;
}
