// What people and agents write, as nodes: paragraphs, code, lists, quotes, emphasis, links and mentions.
//
// Safe by construction: a text can become these elements and no others, their attributes come from here, and an address
// leads out only if it is of the web. Every pattern looks at a bounded stretch of text.

import { html, outwardLink } from "./html.js";

const FENCE = /^\s{0,3}(```+|~~~+)\s*([A-Za-z0-9_+.#-]{0,30})/;
const HEADING = /^(#{1,4})\s+(\S.*)$/;
const ITEM = /^\s{0,6}([-*+]|\d{1,4}[.)])\s+(.*)$/;
const QUOTE = /^\s{0,3}>\s?(.*)$/;
const INLINE = new RegExp(
  [
    "(?<code>`[^`\\n]{1,2000}`)",
    "(?<strong>\\*\\*(?=\\S)[^*\\n]{1,1000}\\*\\*)",
    "(?<em>(?<![\\w*])\\*(?=[^\\s*])[^*\\n]{1,1000}\\*(?![\\w*])|(?<!\\w)_(?=[^\\s_])[^_\\n]{1,1000}_(?!\\w))",
    "(?<strike>~~(?=\\S)[^~\\n]{1,1000}~~)",
    "(?<link>\\[[^\\[\\]\\n]{1,500}\\]\\(https?:\\/\\/[^\\s()<>]{1,2000}\\))",
    "(?<url>https?:\\/\\/[^\\s<>\"'`]{1,2000})",
    "(?<mention><@molt:\\/\\/[^\\s>]{1,300}>|(?<![\\w@])@[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,200}[A-Za-z0-9_])?)",
  ].join("|"),
  "g",
);
const DEEPEST = 4;

/** The nodes of a text. `isMention(spelling)` tells what the server took for a mention. */
export function markdown(text, isMention) {
  const lines = text.split("\n");
  const blocks = [];
  let at = 0;
  const taken = (pattern) => {
    const found = [];
    for (; at < lines.length && pattern.test(lines[at]); at += 1) found.push(pattern.exec(lines[at]));
    return found;
  };
  while (at < lines.length) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (fence) {
      const end = lines.findIndex((later, index) => index > at && later.trim() === fence[1]);
      const code = lines.slice(at + 1, end < 0 ? lines.length : end).join("\n");
      blocks.push(html`<pre class="code" tabindex="0" data-language=${fence[2]}><code>${code}</code></pre>`);
      at = end < 0 ? lines.length : end + 1;
    } else if (HEADING.test(line)) {
      blocks.push(html`<p class="heading">${inline(HEADING.exec(line)[2], isMention)}</p>`);
      at += 1;
    } else if (QUOTE.test(line)) {
      blocks.push(html`<blockquote>${withBreaks(taken(QUOTE).map((found) => found[1]), isMention)}</blockquote>`);
    } else if (ITEM.test(line)) {
      const items = taken(ITEM);
      const rows = items.map((found) => html`<li>${inline(found[2], isMention)}</li>`);
      const start = Number.parseInt(items[0][1], 10);
      blocks.push(Number.isNaN(start) ? html`<ul>${rows}</ul>` : html`<ol start=${start}>${rows}</ol>`);
    } else if (line.trim() === "") {
      at += 1;
    } else {
      const from = at;
      do at += 1;
      while (at < lines.length && lines[at].trim() && ![FENCE, HEADING, ITEM, QUOTE].some((begins) => begins.test(lines[at])));
      blocks.push(html`<p>${withBreaks(lines.slice(from, at), isMention)}</p>`);
    }
  }
  return blocks;
}

function withBreaks(lines, isMention) {
  return lines.flatMap((line, index) => [index > 0 && html`<br />`, ...inline(line, isMention)]);
}

function inline(text, isMention, depth = 0) {
  if (depth >= DEEPEST) return [text];
  const nodes = [];
  let done = 0;
  for (const { 0: found, index, groups } of text.matchAll(INLINE)) {
    const node = nodeOf(found, groups, isMention, depth);
    if (node === null) continue;
    nodes.push(text.slice(done, index), node);
    done = index + found.length;
  }
  return [...nodes, text.slice(done)];
}

function nodeOf(found, groups, isMention, depth) {
  const within = (marks) => inline(found.slice(marks, -marks), isMention, depth + 1);
  if (groups.code) return html`<code>${found.slice(1, -1)}</code>`;
  if (groups.strong) return html`<strong>${within(2)}</strong>`;
  if (groups.em) return html`<em>${within(1)}</em>`;
  if (groups.strike) return html`<s>${within(2)}</s>`;
  if (groups.link) {
    const [, label, address] = /^\[(.*)\]\((.*)\)$/.exec(found);
    // The place is told beside the words: they may claim another.
    return html`${outwardLink(address, label)}<span class="faint"> (${hostOf(address)})</span>`;
  }
  if (groups.url) {
    const address = found.replace(/[.,;:!?)\]]+$/, "");
    return html`${outwardLink(address)}${found.slice(address.length)}`;
  }
  return isMention(found) ? html`<span class="mention">${found}</span>` : null;
}

function hostOf(address) {
  return /^https?:\/\/(?:[^/@]*@)?([^/?#]*)/i.exec(address)[1];
}

/** How a mentioned actor may be spelt in a text. */
export function spellingsOf(fqid) {
  const [, network, agent] = /^molt:\/\/([^/]+)\/agents\/(.+)$/.exec(fqid) ?? [];
  return agent ? [`@${agent}`, `@${network}:${agent}`, `<@${fqid}>`] : [];
}
