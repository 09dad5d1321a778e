// One message: who, when, what; its thread; who was woken by it.

import * as api from "../lib/api.js";
import { Component, html, outwardLink, useState } from "../lib/html.js";
import { markdown, spellingsOf } from "../lib/markdown.js";
import { path } from "../lib/router.js";
import { counted, fullTime, shortClock } from "../lib/texts.js";
import { Actor, AgentLink, Avatar } from "../parts/bits.js";
import { Icon } from "../parts/icons.js";
import { discard, isForMe, retry } from "../state/conversations.js";
import { woken } from "../state/events.js";
import { whileHolding } from "../state/holding.js";
import { findAgent, mayObserve, sender } from "../state/model.js";

/** Drawn again only if something of it is new. */
export class MessageRow extends Component {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((name) => name !== "where" && next[name] !== this.props[name]);
  }

  render({ message, goesOn, utc, where, wakes, thread, isWanted }) {
    const classes = ["message", goesOn && "goes-on", isWanted && "wanted", isForMe(message) && "for-me"].filter(Boolean).join(" ");
    const time = html`<a class="at" href=${path(where.kind, where.id, { message: message.id })} title=${fullTime(message.created_at, utc)}>
      <time datetime=${message.created_at}>${shortClock(message.created_at, utc)}</time></a>`;
    return html`<article class=${classes} aria-label="Message of ${message.from.name || message.from.id}">
      <div class="gutter">${goesOn ? time : html`<${Avatar} actor=${message.from} />`}</div>
      <div class="said">
        ${!goesOn && html`<header><${Actor} actor=${message.from} /> ${time}</header>`}
        <div class="body">${message.parts.map((part) => partOf(part, message))}</div>
        <footer>
          ${thread && html`<a class="replies" href=${path("thread", thread.id)}><${Icon} name="thread" />${counted(thread.message_count, "reply", "replies")}</a>`}
          <${Deliveries} message=${message} wakes=${wakes} />
        </footer>
      </div>
      ${!thread && where.kind === "room" && html`<a class="quiet tool" href=${newThread(where.id, message.id)} title="Begin a thread"><${Icon} name="thread" /><span class="visually-hidden">thread</span></a>`}
    </article>`;
  }
}

function newThread(room, parent) {
  return path("thread", `thread-${parent}`.slice(0, 128), { room, parent });
}

function partOf(part, message) {
  if (part.kind === "text" && !part.url) {
    const spellings = new Set([`@${sender().id}`, ...(message.mentions ?? []).flatMap(spellingsOf)]);
    return html`<div class="text">${markdown(part.text ?? "", (found) => spellings.has(found))}</div>`;
  }
  if (part.kind === "data") {
    return html`<details><summary>data</summary><pre tabindex="0">${JSON.stringify(part.data ?? null, null, 2)}</pre></details>`;
  }
  const named = part.filename || part.text || part.url || part.media_type || "nothing";
  return html`<div class="part">
    ${part.kind !== "url" && html`<span class="kind">${part.kind}</span>`} ${outwardLink(part.url ?? "", named)}
    ${part.media_type && html` <span class="faint">${part.media_type}</span>`}
  </div>`;
}

const WORDS = { delivered: "woken", failed: "failed", unknown: "not known", pending: "waiting" };

/** Whom a message should wake, and what came of it, as far as this reader may know. */
function Deliveries({ message, wakes = new Map() }) {
  const [problem, setProblem] = useState("");
  if (!mayObserve()) return null;
  const expected = (message.mentions ?? []).filter((fqid) => findAgent(fqid));
  const agents = [...new Set([...expected, ...wakes.keys()])];
  if (agents.length === 0) return null;
  const failed = [...wakes.values()].filter(({ state }) => state === "failed").length;
  const delivered = [...wakes.values()].filter(({ state }) => state === "delivered").length;
  const summary = failed > 0 ? `${delivered} woken, ${failed} failed` : `${delivered} of ${agents.length} woken`;
  const learn = () => Promise.all(expected.map((fqid) => learnWakes(fqid))).then(() => setProblem(""), (error) => setProblem(error.message));
  return html`<details class="deliveries ${failed > 0 ? "failed" : ""}" onToggle=${(toggle) => toggle.target.open && wakes.size < agents.length && learn()}>
    <summary>${summary}</summary>
    <ul>${agents.map((fqid) => {
      const { state, reason = "", error = "" } = wakes.get(fqid) ?? { state: "unknown" };
      return html`<li><${AgentLink} id=${fqid} /> <span class=${`wake ${state}`}>${WORDS[state]}</span> <span class="faint">${[reason, error].filter(Boolean).join(" · ")}</span></li>`;
    })}</ul>
    ${problem && html`<p class="problem">${problem}</p>`}
  </details>`;
}

/** What the server still knows of an agent's wakes, for messages that are older than this page. */
async function learnWakes(fqid) {
  await whileHolding(async () => {
    const { agent_id, wakes, pending } = await api.getWakes(fqid);
    for (const { message_id, reason, since } of pending) {
      woken({ agent: { fqid, agent_id, message_id, reason }, created_at: since }, "pending");
    }
    for (const event of wakes) woken(event, event.type === "agent.wake.failed" ? "failed" : "delivered");
  });
}

/** What is not stored yet, or could not be. */
export function PendingRow({ conversation, attempt, state }) {
  const { message, error } = attempt;
  return html`<article class="message pending ${state}" aria-label="Message being sent">
    <div class="gutter"><${Avatar} actor=${message.from} /></div>
    <div class="said">
      <header><${Actor} actor=${message.from} /> <span class="faint">${state === "failed" ? "not sent" : "sending…"}</span></header>
      <div class="body"><div class="text">${message.parts[0].text}</div></div>
      ${state === "failed" && html`<footer role="alert">
        <span class="problem">Not sent: ${error}</span>
        <button type="button" onClick=${() => retry(conversation, message.id)}>try again</button>
        <button type="button" onClick=${() => discard(conversation, message.id)}>discard</button>
      </footer>`}
    </div>
  </article>`;
}
