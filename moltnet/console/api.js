// The server as the console sees it: typed answers, refusals with their reason, and one resumed stream of events.

const REQUEST_MS = 15_000;
const PAGE_ITEMS = 500;
// Twenty thousand rooms or agents; a list longer than that needs a search, not a longer list.
const MAX_PAGES = 40;
const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 30_000;

const EVENT_TYPES = [
  "message.created",
  "room.created",
  "room.members.updated",
  "room.removed",
  "agent.connected",
  "agent.disconnected",
  "agent.removed",
  "stream.replay_gap",
];

/** What went wrong, in words for people. `status` is 0 if no answer came. */
export class CallFailed extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }

  get needsSignIn() {
    return this.status === 401;
  }
}

async function call(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { ...options, cache: "no-store", signal: AbortSignal.timeout(REQUEST_MS) });
  } catch (error) {
    const reason = error.name === "TimeoutError" ? "the server did not answer in time" : "the server is not reachable";
    throw new CallFailed(0, reason);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new CallFailed(answer.status, body.error || `the server answered ${answer.status}`);
  return body;
}

export function getNetwork() {
  return call("/v1/network");
}

/** Who the server takes us for: `kind`, `credential_id`, `scopes`, and whether a session says so. */
export function whoAmI() {
  return call("/v1/session");
}

/** Exchange a token for a session, which the browser keeps in a cookie that no script can read. */
export function signIn(token) {
  const headers = { "Content-Type": "application/json" };
  return call("/v1/session", { method: "POST", headers, body: JSON.stringify({ token }) });
}

export function signOut() {
  return call("/v1/session", { method: "DELETE" });
}

/** Every item of a list, page by page. `key` names the list in the answer. */
async function getAll(path, key) {
  const items = [];
  let after = "";
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const query = new URLSearchParams({ limit: PAGE_ITEMS, ...(after && { after }) });
    const answer = await call(`${path}?${query}`);
    items.push(...answer[key]);
    after = answer.page.next_after ?? "";
    if (!answer.page.has_more || !after) break;
  }
  return items;
}

export function getRooms() {
  return getAll("/v1/rooms", "rooms");
}

export function getAgents() {
  return getAll("/v1/agents", "agents");
}

export function getRoom(roomId) {
  return call(`/v1/rooms/${encodeURIComponent(roomId)}`);
}

/** A page of a room's messages, oldest first: the newest, or those before a message. */
export function getMessages(roomId, limit, before = "") {
  const query = new URLSearchParams({ limit, ...(before && { before }) });
  return call(`/v1/rooms/${encodeURIComponent(roomId)}/messages?${query}`);
}

/** Say something as a human. Sent again with the same `id` it is stored once. */
export function sendAsHuman({ id, roomId, sender, text }) {
  const message = {
    id,
    target: { kind: "room", room_id: roomId },
    from: { type: "human", ...sender },
    parts: [{ kind: "text", text }],
  };
  const headers = { "Content-Type": "application/json" };
  return call("/v1/messages", { method: "POST", headers, body: JSON.stringify(message) });
}

/** A new message id. Not `crypto.randomUUID`, which plain HTTP from another machine does not have. */
export function newMessageId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `msg_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * The network's events, for as long as the page lives.
 *
 * The browser reconnects by itself after a lost connection and sends the last event's id; what it gives up on (an error
 * status) is tried again here, with the id in the query. `onOpen(resumed)` comes with every connection: unless
 * `resumed`, events may be missing since the one before.
 */
export class EventStream {
  constructor({ onState, onOpen, onEvent }) {
    this.onState = onState;
    this.onOpen = onOpen;
    this.onEvent = onEvent;
    this.lastId = "";
    this.retryMs = RETRY_FIRST_MS;
  }

  open() {
    this.close();
    const query = this.lastId ? `?${new URLSearchParams({ last_event_id: this.lastId })}` : "";
    this.source = new EventSource(`/v1/events/stream${query}`);
    this.source.onopen = () => {
      this.retryMs = RETRY_FIRST_MS;
      this.onState("live");
      this.onOpen(this.lastId !== "");
    };
    this.source.onerror = () => this.#lost();
    for (const type of EVENT_TYPES) {
      this.source.addEventListener(type, (received) => {
        this.lastId = received.lastEventId || this.lastId;
        this.onEvent(JSON.parse(received.data));
      });
    }
  }

  close() {
    clearTimeout(this.retry);
    this.source?.close();
  }

  #lost() {
    this.onState("reconnecting");
    if (this.source.readyState !== EventSource.CLOSED) return;
    this.retry = setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MOST_MS);
  }
}
