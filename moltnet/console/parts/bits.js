// Small pieces that several views have in common.

import { html, useEffect, useState } from "../lib/html.js";
import { path } from "../lib/router.js";
import { colourOf, fullTime, sentence } from "../lib/texts.js";
import { agentName, conversationOf, findAgent, model, titleOf } from "../state/model.js";

export function Time({ at, show = fullTime }) {
  if (!at) return "—";
  return html`<time datetime=${at} title=${fullTime(at, model.settings.utc)}>${show(at, model.settings.utc)}</time>`;
}

/** Presence, in words too: colour alone tells nothing to many. */
export function Presence({ agent }) {
  const words = agent.connected ? "online" : "offline";
  return html`<span class="presence ${words}"><span class="dot" aria-hidden="true"></span>${words}</span>`;
}

/** A letter in the actor's colour. Its name stands beside it: this is for the eye only. */
export function Avatar({ actor }) {
  const letter = [...(actor.name || actor.id || "?").trim()][0] ?? "?";
  return html`<span class="avatar c${colourOf(actor)} ${actor.type === "human" ? "human" : ""}" data-letter=${letter.toUpperCase()} aria-hidden="true"></span>`;
}

export function Actor({ actor }) {
  const kind = actor.type === "human" ? "human" : actor.id;
  // The tag tells people from agents, whatever their names say.
  return html`<span class="actor c${colourOf(actor)}" title=${actor.fqid || actor.id}>
    <bdi>${actor.name || actor.id}</bdi> <small>${kind}</small>
  </span>`;
}

export function AgentLink({ id }) {
  const agent = findAgent(id);
  return agent ? html`<a href=${path("agent", agent.fqid || agent.id)}>${agentName(agent.fqid || agent.id)}</a>` : html`<span>${agentName(id)}</span>`;
}

export function TargetLink({ target, message = "" }) {
  if (!target) return "—";
  const where = conversationOf(target);
  const sign = { room: "#", dm: "✉", thread: "↳" }[where.kind] ?? "";
  return html`<a href=${path(where.kind, where.id, message ? { message } : {})}>${sign} ${titleOf(where)}</a>`;
}

/** A control that is shown to all and explains itself to whoever may not use it. */
export function Guarded({ why, children, onClick, className = "", ...rest }) {
  return html`<button
    type="button" class=${className} aria-disabled=${why ? "true" : undefined} title=${why || undefined}
    onClick=${(click) => (why ? click.preventDefault() : onClick(click))} ...${rest}
  >${children}${why && html`<span class="visually-hidden"> (${why})</span>`}</button>`;
}

export function Panel({ title, count = "", children, actions = null, lead = "" }) {
  return html`<section class="panel" aria-label=${title}>
    <header class="panel-head">
      <h2>${title}${count !== "" && html` <span class="count">${count}</span>`}</h2>
      ${actions}
    </header>
    ${lead && html`<p class="lead">${lead}</p>`}
    ${children}
  </section>`;
}

/** What is said instead of a list that has nothing in it: what it would hold, and what to do about it. */
export function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}

/** Why a reader can't use what is shown; nothing if he can. */
export function Note({ why }) {
  return why && html`<p class="read-only" role="note">${why}</p>`;
}

export function Problem({ error, retry }) {
  return html`<p class="problem" role="alert">
    <span>${sentence(error)}</span> ${retry && html`<button type="button" onClick=${retry}>try again</button>`}
  </p>`;
}

/** What `ask` answers: `{ answer, error, isLoading, again }`; asked anew when one of `reasons` changes. */
export function useAnswer(ask, reasons) {
  const [state, setState] = useState({ answer: null, error: "", isLoading: true });
  const [count, setCount] = useState(0);
  useEffect(() => {
    let isCurrent = true;
    const tell = (change) => isCurrent && setState((before) => ({ ...before, isLoading: false, ...change }));
    setState((before) => ({ ...before, isLoading: true }));
    ask().then((answer) => tell({ answer, error: "" }), (error) => tell({ error: error.message }));
    return () => {
      isCurrent = false;
    };
  }, [...reasons, count]);
  return { ...state, again: () => setCount((before) => before + 1) };
}
