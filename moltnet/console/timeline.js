// The messages of one conversation: rows, days, and a scroll position that stays where the reader is.

import { element, outwardLink } from "./elements.js";

// What a browser scrolls without effort. Whoever reads further back lets go of the newest rows, and the other way round.
export const MAX_ROWS = 1_000;
const FOLLOW_PX = 32;
const OLDER_PX = 120;
const COLOURS = 6;
const MENTION = /<@molt:\/\/[^\s>]+>|@[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9_])?/g;

/** A window of messages, oldest first. `onOlder` is called when the reader comes near the oldest one. */
export class Timeline {
  constructor(list, { onOlder, onFollow }) {
    this.list = list;
    this.onFollow = onFollow;
    this.clear();
    list.addEventListener("scroll", () => {
      const follows = this.#atEnd();
      if (follows !== this.following) {
        this.following = follows;
        this.onFollow(follows);
      }
      if (list.scrollTop < OLDER_PX) onOlder();
    });
    // A keyboard that slides in on a phone, or a composer that grows, must not hide the newest message.
    new ResizeObserver(() => this.following && this.scrollToEnd()).observe(list);
  }

  clear() {
    this.list.replaceChildren();
    this.ids = new Set();
    this.following = true;
  }

  get oldestId() {
    return this.#rows()[0]?.dataset.id ?? "";
  }

  get size() {
    return this.ids.size;
  }

  /** Add messages below the others; what is there already is left out. Returns how many are new. */
  append(messages) {
    const fresh = this.#fresh(messages);
    for (const message of fresh) {
      const day = dayOf(message);
      if (this.list.lastElementChild?.dataset.day !== day) this.list.append(dayRow(day, message));
      this.list.append(messageRow(message, day));
    }
    if (this.following) {
      this.#dropRows((rows) => rows.slice(0, rows.length - MAX_ROWS));
      this.scrollToEnd();
    }
    return fresh.length;
  }

  /** Add older messages above the others; what the reader looks at stays in its place. Returns how many rows had to go. */
  prepend(messages) {
    const { list } = this;
    const fromEnd = list.scrollHeight - list.scrollTop;
    const above = [];
    let day = "";
    for (const message of this.#fresh(messages)) {
      if (dayOf(message) !== day) above.push(dayRow((day = dayOf(message)), message));
      above.push(messageRow(message, day));
    }
    const first = list.firstElementChild;
    if (above.length > 0 && first?.classList.contains("day") && first.dataset.day === day) first.remove();
    list.prepend(...above);
    list.scrollTop = list.scrollHeight - fromEnd;
    return this.#dropRows((rows) => rows.slice(MAX_ROWS));
  }

  scrollToEnd() {
    this.list.scrollTop = this.list.scrollHeight;
  }

  #atEnd() {
    const { scrollHeight, scrollTop, clientHeight } = this.list;
    return scrollHeight - scrollTop - clientHeight < FOLLOW_PX;
  }

  #rows() {
    return this.list.getElementsByClassName("message");
  }

  #fresh(messages) {
    const fresh = messages.filter((message) => !this.ids.has(message.id));
    for (const message of fresh) this.ids.add(message.id);
    return fresh;
  }

  #dropRows(choose) {
    const rows = [...this.#rows()];
    const dropped = rows.length > MAX_ROWS ? choose(rows) : [];
    for (const row of dropped) {
      this.ids.delete(row.dataset.id);
      row.remove();
    }
    for (const day of [...this.list.getElementsByClassName("day")]) {
      if (dropped.length > 0 && (day.nextElementSibling ?? day).classList.contains("day")) day.remove();
    }
    return dropped.length;
  }
}

function dayOf(message) {
  return new Date(message.created_at).toLocaleDateString("sv"); // 2031-12-24, in the reader's time zone
}

function dayRow(day, message) {
  const words = { weekday: "long", year: "numeric", month: "long", day: "numeric" };
  return element("li", { className: "day", dataset: { day } }, new Date(message.created_at).toLocaleDateString([], words));
}

function messageRow(message, day) {
  const { from: sender } = message;
  const at = new Date(message.created_at);
  const time = element("time", { dateTime: message.created_at, title: at.toLocaleString() }, at.toLocaleTimeString("sv"));
  const name = sender.name || sender.id;
  const who = element("span", { className: `sender c${colourOf(sender)}`, title: sender.fqid || sender.id });
  // The tag tells people from agents, whatever their names say.
  who.append(element("bdi", {}, name), element("small", {}, sender.type === "human" ? "human" : sender.id));
  const body = element("div", { className: "body" }, ...message.parts.map((part) => partOf(part, message)));
  const mine = { id: message.id, day };
  return element("li", { className: "message", dataset: mine }, time, who, body);
}

/** The same sender gets the same colour in every browser. */
function colourOf(sender) {
  let sum = 0;
  for (const character of sender.fqid || sender.id) sum = (31 * sum + character.codePointAt(0)) % 65_521;
  return sum % COLOURS;
}

function partOf(part, message) {
  switch (part.kind) {
    case "text":
      return element("div", { className: "text" }, ...withMentions(part.text ?? "", message.mentions ?? []));
    case "data": {
      const shown = element("pre", {}, JSON.stringify(part.data ?? null, null, 2));
      return element("details", {}, element("summary", {}, "data"), shown);
    }
    default: {
      const named = part.filename || part.text || part.url || part.media_type || "nothing";
      const label = part.kind === "url" ? named : `${part.kind}: ${named}`;
      return element("div", { className: "part" }, outwardLink(part.url ?? "", label));
    }
  }
}

/** The text as nodes, with what the server took for a mention marked. */
function withMentions(text, mentions) {
  const spellings = new Set(mentions.flatMap(spellingsOf));
  const nodes = [];
  let done = 0;
  for (const { 0: found, index } of text.matchAll(MENTION)) {
    if (!spellings.has(found)) continue;
    nodes.push(text.slice(done, index), element("span", { className: "mention" }, found));
    done = index + found.length;
  }
  return [...nodes, text.slice(done)];
}

function spellingsOf(fqid) {
  const [, network, agent] = /^molt:\/\/([^/]+)\/agents\/(.+)$/.exec(fqid) ?? [];
  return agent ? [`@${agent}`, `@${network}:${agent}`, `<@${fqid}>`] : [];
}
