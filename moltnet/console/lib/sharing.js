// One stream of events for all tabs of a browser. A browser has six connections to a server over plain HTTP/1.1, and a tab
// that holds one for itself takes it from the others.
//
// One tab holds the stream and passes on what comes; the others ask now and then whether it is still there, and one of
// them goes on with the last event it knows. A worker could hold it more simply, but its address is a sink that
// `trusted-types 'none'` closes; a lock of the browser would need a secure page.

import { EventStream } from "./stream.js";

const CHANNEL = "moltnet.stream";
const SESSIONS = "moltnet.session";
const ASK_EVERY_MS = 10_000;
const ANSWER_MS = 4_000;
// Who asks no more is gone. A tab in the background asks once a minute.
const FORGOTTEN_MS = 300_000;
// Tabs that hear of an end at the same time do not all begin at the same time.
const TAKE_OVER_MOST_MS = 150;
const REMEMBERED_IDS = 512;

/**
 * The same as `EventStream`, shared. `onState`, `onOpen(resumed)` and `onEvent(event)` come in every tab; `onSession` comes
 * when another tab has signed in or out.
 */
export class SharedStream {
  constructor({ onState, onOpen, onEvent, onSession }) {
    Object.assign(this, { onState, onOpen, onEvent, onSession, name: "", role: "none", state: "connecting", lastId: "", askedAt: -Infinity });
    this.seen = new Set();
    this.sessions = openChannel(SESSIONS, () => this.onSession());
    this.source = new EventStream({
      onState: (state) => this.#ownState(state),
      onOpen: (resumed) => this.#ownOpen(resumed),
      onEvent: (id, text) => this.#ownEvent(id, text),
    });
  }

  /** Begin, as whom the server takes us for: only tabs of the same reader share a stream. */
  open(reader) {
    this.close();
    this.reader = reader;
    this.#listen();
    this.#hold();
    this.#say("who");
  }

  close() {
    if (this.role === "holding") this.#say("gone");
    this.#stopTimers();
    this.source.close();
    this.channel?.close();
    Object.assign(this, { role: "none", channel: null });
  }

  /** Tell the other tabs that this browser is somebody else now. */
  sayNewSession() {
    this.sessions?.postMessage("new");
  }

  #listen() {
    this.channel = openChannel(CHANNEL, (told) => told.reader === this.reader && this.#heard(told));
  }

  #say(kind, rest = {}) {
    this.channel?.postMessage({ kind, reader: this.reader, name: this.name, ...rest });
  }

  #heard(told) {
    if (this.role === "holding") {
      // Of two that hold a stream the one with the older name goes on.
      this.askedAt = performance.now();
      if (told.kind === "who") this.#sayHere();
      else if (told.kind === "here" && told.name < this.name) this.#follow(told);
      return;
    }
    if (this.role !== "following") return;
    if (told.kind === "here") this.#stillThere(told);
    else if (told.kind === "gone") this.#takeOverSoon();
    else if (told.kind === "state") this.#tellState(told.state);
    else if (told.kind === "open") this.onOpen(told.resumed);
    else if (told.kind === "event") this.#passedOn(told);
  }

  #sayHere() {
    this.#say("here", { state: this.state, lastId: this.lastId });
  }

  // ---- The tab that holds the stream -----------------------------------------------------------------------------------

  #hold() {
    this.#stopTimers();
    this.role = "holding";
    // A name sorts by the time at which its tab began to hold.
    const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
    this.name = `${Date.now().toString(36).padStart(9, "0")}.${random}`;
    this.source.lastId = this.lastId;
    this.source.open();
  }

  #ownState(state) {
    this.#say("state", { state });
    this.#tellState(state);
  }

  #ownOpen(resumed) {
    this.#say("open", { resumed });
    this.onOpen(resumed);
  }

  #ownEvent(id, text) {
    if (performance.now() - this.askedAt < FORGOTTEN_MS) this.#say("event", { id, text, previous: this.lastId });
    this.#take(id, text);
  }

  // ---- The others ------------------------------------------------------------------------------------------------------

  #follow({ state, lastId }) {
    this.source.close();
    this.#stopTimers();
    const isBehind = lastId !== this.lastId || this.state !== "live";
    Object.assign(this, { role: "following", lastId });
    this.asking = setInterval(() => this.#ask(), ASK_EVERY_MS);
    this.#tellState(state);
    if (isBehind && state === "live") this.onOpen(false);
  }

  #passedOn({ id, text, previous }) {
    const isMissing = previous !== this.lastId && !this.seen.has(id);
    this.#take(id, text);
    if (isMissing) this.onOpen(false);
  }

  #ask() {
    this.#say("who");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#takeOver(), ANSWER_MS);
  }

  #stillThere({ state }) {
    clearTimeout(this.waiting);
    clearTimeout(this.takingOver);
    if (state !== this.state) this.#tellState(state);
  }

  #takeOverSoon() {
    clearTimeout(this.takingOver);
    this.takingOver = setTimeout(() => this.#takeOver(), Math.random() * TAKE_OVER_MOST_MS);
  }

  #takeOver() {
    this.#hold();
    // The others are there still.
    this.askedAt = performance.now();
    this.#sayHere();
  }

  // ---- All -------------------------------------------------------------------------------------------------------------

  #take(id, text) {
    if (id) this.lastId = id;
    if (id && this.seen.has(id)) return;
    this.seen.add(id);
    if (this.seen.size > REMEMBERED_IDS) this.seen.delete(this.seen.values().next().value);
    this.onEvent(JSON.parse(text));
  }

  #tellState(state) {
    this.state = state;
    this.onState(state);
  }

  #stopTimers() {
    clearInterval(this.asking);
    clearTimeout(this.waiting);
    clearTimeout(this.takingOver);
  }
}

/** A channel to the other tabs, or nothing of a browser that has none: its tabs then hold a stream each. */
function openChannel(name, hear) {
  if (!("BroadcastChannel" in window)) return null;
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => hear(data);
  return channel;
}
