// Search in what was said: by text, sender, room and time. The words are in the address, so a search can be sent to others.

import * as api from "../lib/api.js";
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { navigate, path, route } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { shortened } from "../lib/texts.js";
import { Actor, Avatar, Empty, Panel, Problem, TargetLink, Time } from "../parts/bits.js";
import { conversationOf, model, titleOf } from "../state/model.js";

const FIELDS = ["text", "from", "room", "dm", "thread", "since", "until"];
const SHOWN_CHARACTERS = 400;
const CONTEXT_CHARACTERS = 120;
const SUGGESTED = 300;
// Enough to fill a screen; then it is asked on by hand, and so it is after this many requests that found less.
const ENOUGH = 20;
const MOST_REQUESTS = 50;

export function SearchView() {
  useSlices("route", "rooms", "dms", "settings");
  const words = Object.fromEntries(FIELDS.map((name) => [name, wordOf(name)]));
  const isAsked = Boolean(words.text || words.from || words.since || words.until);
  const { found, state, more, stop } = useSearch(words, isAsked);
  return html`<${Panel} title="search" count=${isAsked && found.length > 0 ? found.length : ""}>
    <${Form} words=${words} key=${route.query.toString()} />
    ${!isAsked && html`<${Empty}>Every word that you may read, in rooms, threads and direct conversations.<//>`}
    <ul class="found">${found.map((message) => html`<${Found} key=${message.id} message=${message} text=${words.text} />`)}</ul>
    ${state.error && html`<${Problem} error=${state.error} retry=${more} />`}
    ${isAsked && state.isOver && !state.error && found.length === 0 && html`<${Empty}>Nothing fits.<//>`}
    <p class="faint" role="status">${progress(state, found.length)}</p>
    ${state.isLoading && html`<button type="button" onClick=${stop}>stop</button>`}
    ${isAsked && !state.isOver && !state.isLoading && !state.error && html`<button type="button" onClick=${more}>look further back</button>`}
  <//>`;
}

/** A word of the address; a day that is none is left out. */
function wordOf(name) {
  const word = route.query.get(name) ?? "";
  return ["since", "until"].includes(name) && !/^\d{4}-\d\d-\d\d$/.test(word) ? "" : word;
}

function progress({ isLoading, isOver, searchedTo }, count) {
  if (isOver) return count > 0 ? "That is all." : "";
  if (!searchedTo) return isLoading ? "looking…" : "";
  return html`${isLoading ? "looking… so far" : "Looked"} back to <${Time} at=${searchedTo} />.`;
}

function Form({ words }) {
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    const written = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]));
    const query = Object.entries({ dm: words.dm, thread: words.thread, ...written }).filter(([, value]) => value);
    navigate(path("search", "", Object.fromEntries(query)));
  };
  const within = words.dm ? { kind: "dm", id: words.dm } : words.thread ? { kind: "thread", id: words.thread } : null;
  return html`<form class="fields search" role="search" onSubmit=${submit}>
    <label class="wide">text <input type="search" name="text" ref=${field} value=${words.text} maxlength="256" autocomplete="off" /></label>
    ${within
      ? html`<p>in ${titleOf(within)} <a href=${path("search", "", { text: words.text })}>everywhere</a></p>`
      : html`<label>room <input name="room" list="rooms-known" value=${words.room} autocomplete="off" /></label>
        <datalist id="rooms-known">${[...model.rooms.values()].slice(0, SUGGESTED).map((room) => html`<option value=${room.id}>${room.name}</option>`)}</datalist>`}
    <label>from <input name="from" list="agents-known" value=${words.from} autocomplete="off" /></label>
    <datalist id="agents-known">${[...model.agents.values()].slice(0, SUGGESTED).map((agent) => html`<option value=${agent.id}>${agent.name}</option>`)}</datalist>
    <label>since <input type="date" name="since" value=${words.since} /></label>
    <label>until <input type="date" name="until" value=${words.until} /></label>
    <button class="primary">search</button>
  </form>`;
}

/** What a day begins with, in the time zone that is shown; `days` later. */
function startOf(day, days = 0) {
  if (!day) return "";
  const at = new Date(`${day}T00:00:00${model.settings.utc ? "Z" : ""}`);
  if (Number.isNaN(at.getTime())) return "";
  at.setDate(at.getDate() + days);
  return at.toISOString();
}

/**
 * What a search finds. The server looks at a bounded number of messages for each request and says how far it came: it is
 * asked again until there is something to show, or somebody stops it.
 */
function useSearch(words, isAsked) {
  const nothing = { isLoading: false, isOver: false, error: "", searchedTo: "", before: "" };
  const [{ found, state }, setResult] = useState({ found: [], state: nothing });
  const asked = useRef(0);
  const ask = async (known, { before, searchedTo }) => {
    const number = (asked.current += 1);
    const { text, from, room, dm, thread, since, until } = words;
    const wanted = { text, from, room_id: room, dm_id: dm, thread_id: thread, since: startOf(since), until: startOf(until, 1) };
    let all = known;
    let at = { ...nothing, before, searchedTo };
    try {
      for (let requests = 0; requests < MOST_REQUESTS && !at.isOver && all.length < known.length + ENOUGH; requests += 1) {
        setResult({ found: all, state: { ...at, isLoading: true } });
        const { messages, page, searched_to = at.searchedTo } = await api.search({ ...wanted, before: at.before });
        if (number !== asked.current) return;
        all = [...all, ...messages];
        at = { ...at, isOver: !page.has_more, searchedTo: searched_to, before: page.next_before ?? "" };
      }
    } catch (error) {
      if (number !== asked.current) return;
      at = { ...at, error: error.message };
    }
    setResult({ found: all, state: at });
  };
  const stop = () => {
    asked.current += 1;
    setResult((now) => ({ found: now.found, state: { ...now.state, isLoading: false } }));
  };
  useEffect(() => {
    if (isAsked) ask([], nothing);
    else setResult({ found: [], state: nothing });
    return () => {
      asked.current += 1;
    };
  }, FIELDS.map((name) => words[name]));
  return { found, state, stop, more: () => ask(found, state) };
}

function Found({ message, text }) {
  const { kind, id } = conversationOf(message.target);
  const said = message.parts.map((part) => [part.text, part.filename, part.url].filter(Boolean).join(" ")).join("\n");
  return html`<li class="card found-message">
    <${Avatar} actor=${message.from} />
    <div>
      <p class="faint"><${Actor} actor=${message.from} /> <${TargetLink} target=${message.target} /> <${Time} at=${message.created_at} /></p>
      <a class="excerpt" href=${path(kind, id, { message: message.id })}>${marked(said, text)}</a>
    </div>
  </li>`;
}

/** The words that are looked for, as the server reads them: each by itself, or several within quotes. */
function wordsOf(text) {
  return [...text.toLowerCase().matchAll(/"([^"]*)"?|(\S+)/g)].map(([, quoted, word]) => quoted ?? word).filter(Boolean);
}

/** An excerpt around the first of the words, with each place where one of them stands marked. */
function marked(said, text) {
  const lower = said.toLowerCase();
  // A few letters change their length with their case; their places would not be those in the text.
  const words = lower.length === said.length ? wordsOf(text) : [];
  const first = Math.min(...words.map((word) => lower.indexOf(word)).filter((at) => at >= 0), said.length);
  const begin = first === said.length || first < CONTEXT_CHARACTERS ? 0 : first - CONTEXT_CHARACTERS;
  const end = begin + SHOWN_CHARACTERS;
  const nodes = [begin > 0 && "…"];
  let done = begin;
  while (done < Math.min(end, said.length)) {
    const next = words.map((word) => ({ word, at: lower.indexOf(word, done) })).filter(({ at }) => at >= 0 && at < end).sort((a, b) => a.at - b.at)[0];
    if (!next) break;
    nodes.push(said.slice(done, next.at), html`<mark>${said.slice(next.at, next.at + next.word.length)}</mark>`);
    done = next.at + next.word.length;
  }
  return [...nodes, said.slice(done, Math.max(done, end)), end < said.length && "…"];
}
