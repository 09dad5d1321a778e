// The server as the console sees it: typed answers, and refusals with their reason.

const REQUEST_MS = 15_000;
const PAGE_ITEMS = 500;
// Twenty thousand rooms or agents; a list longer than that needs a search, not a longer list.
const MAX_PAGES = 40;

/** What went wrong, in words for people. `status` is 0 if no answer came. */
class CallFailed extends Error {
  constructor(status, message, code = "") {
    super(message);
    Object.assign(this, { status, code });
  }

  get needsSignIn() {
    return this.status === 401;
  }
}

async function exchange(path, options) {
  try {
    return await fetch(path, { ...options, signal: AbortSignal.timeout(REQUEST_MS) });
  } catch (error) {
    throw new CallFailed(0, error.name === "TimeoutError" ? "the server did not answer in time" : "the server is not reachable");
  }
}

async function call(path, options = {}) {
  const answer = await exchange(path, { cache: "no-store", ...options });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new CallFailed(answer.status, wordsOf(answer.status, body), body.code);
}

function wordsOf(status, { code, error }) {
  // A tab that was opened before the server went back to an older version.
  if (code === "unknown_route" || code === "method_not_allowed") return "this server can't do that: it is older than this page";
  return error || `the server answered ${status}`;
}

function change(method, path, body) {
  const headers = { "Content-Type": "application/json" };
  return call(path, { method, ...(body && { headers, body: JSON.stringify(body) }) });
}

const part = encodeURIComponent;

/** The lists that were longer than what is read of them, by path. */
export const cutLists = new Set();

/** Every item of a list, page by page. `key` names the list in the answer. */
async function getAll(path, key, words = {}) {
  const items = [];
  let after = "";
  cutLists.delete(path);
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const answer = await call(`${path}?${queryOf({ limit: PAGE_ITEMS, ...words, after })}`);
    items.push(...answer[key]);
    after = answer.page.next_after ?? "";
    if (!answer.page.has_more || !after) return items;
  }
  cutLists.add(path);
  return items;
}

/** A query of those words that have a value. */
function queryOf(words) {
  return new URLSearchParams(Object.entries(words).filter(([, value]) => value !== undefined && value !== ""));
}

// ---- Who is here -----------------------------------------------------------------------------------------------------

/** Who the server takes us for: `kind`, `credential_id`, `scopes`, `expires_at`, and whether a session says so. */
export const whoAmI = () => call("/v1/session");
/** Exchange a token for a session, which the browser keeps in a cookie that no script can read. */
export const signIn = (token) => change("POST", "/v1/session", { token });
export const signOut = () => change("DELETE", "/v1/session");
export const getNetwork = () => call("/v1/network");

// ---- Conversations ---------------------------------------------------------------------------------------------------

export const getRooms = () => getAll("/v1/rooms", "rooms");
export const getRoom = (roomId) => call(`/v1/rooms/${part(roomId)}`);
export const getDirects = () => getAll("/v1/dms", "dms");
export const getThreads = (roomId) => getAll(`/v1/rooms/${part(roomId)}/threads`, "threads");
export const getThread = (threadId) => call(`/v1/threads/${part(threadId)}`);

const COLLECTIONS = { room: "rooms", dm: "dms", thread: "threads" };

/**
 * A page of messages, oldest first: the newest ones, those `before` or `after` a message, those `around` one, or those from
 * a time on (`at`).
 */
export function getMessages({ kind, id }, { limit, before, after, around, at }) {
  return call(`/v1/${COLLECTIONS[kind]}/${part(id)}/messages?${queryOf({ limit, before, after, around, at })}`);
}

/** Files, images, links and data of a conversation, the newest page or the one `before` an artifact. */
export function getArtifacts({ kind, id }, { before = "" } = {}) {
  return call(`/v1/artifacts?${queryOf({ [`${kind}_id`]: id, limit: 50, before })}`);
}

/** Messages that hold a text, newest page first: `text`, `room_id`, `from`, `since`, `until`, `before`. */
export const search = (words) => call(`/v1/search?${queryOf({ limit: 50, ...words })}`);
/** Events that were, oldest first in a page: `before`, `type`, `agent_id`, `room_id`. */
export const getEvents = (words) => call(`/v1/events?${queryOf({ limit: 200, ...words })}`);

/** Sent again with the same `id` a message is stored once. */
export const sendMessage = (message) => change("POST", "/v1/messages", message);

// ---- Agents and what waits for them ----------------------------------------------------------------------------------

export const getAgents = () => getAll("/v1/agents", "agents");
export const getWakes = (agentId) => call(`/v1/agents/${part(agentId)}/wakes?limit=100`);
export const getApprovals = (state = "") => call(`/v1/approvals?${queryOf({ limit: PAGE_ITEMS, state })}`);
export const decideApproval = (id, decision, note) => change("POST", `/v1/approvals/${part(id)}/${decision}`, { note });
export const removeAgent = (agentId) => change("DELETE", `/v1/agents/${part(agentId)}`);
export const resetAgentToken = (agentId) => change("POST", `/v1/agents/${part(agentId)}/token`);
export const revokeAgentToken = (agentId) => change("DELETE", `/v1/agents/${part(agentId)}/token`);
export const muteAgent = (agentId, words) => change("POST", `/v1/agents/${part(agentId)}/mute`, words);
export const unmuteAgent = (agentId) => change("DELETE", `/v1/agents/${part(agentId)}/mute`);
export const getAgent = (agentId) => call(`/v1/agents/${part(agentId)}`);
export const getCredentials = () => getAll("/v1/credentials", "credentials");

// ---- Rooms, pairings, the server -------------------------------------------------------------------------------------

export const createRoom = (room) => change("POST", "/v1/rooms", room);
export const removeRoom = (roomId) => change("DELETE", `/v1/rooms/${part(roomId)}`);
export const changeMembers = (roomId, members) => change("PATCH", `/v1/rooms/${part(roomId)}/members`, members);
export const changeRoom = (roomId, words) => change("PATCH", `/v1/rooms/${part(roomId)}`, words);
export const getRemovedRooms = () => getAll("/v1/rooms", "rooms", { removed: "true" });
export const restoreRoom = (roomId, members) => change("POST", `/v1/rooms/${part(roomId)}/restore`, { members });
/** What the configuration file says of tokens: never their values. */
export const getTokens = () => getAll("/v1/tokens", "tokens");
/** Make rooms and agents as `wanted` says, or tell what that would change. */
export const apply = (wanted, preview) => change("POST", `/v1/apply${preview ? "?preview=true" : ""}`, wanted);
export const reload = () => change("POST", "/v1/admin/reload");
export const getPairings = () => getAll("/v1/pairings", "pairings");
export const askPairing = (pairingId, what) => call(`/v1/pairings/${part(pairingId)}/${what}`);
export const switchPairing = (pairingId, isEnabled) => change("POST", `/v1/pairings/${part(pairingId)}/${isEnabled ? "enable" : "disable"}`);
export const getOutbox = () => call("/v1/outbox");
export const getDeadLetters = (pairingId) => call(`/v1/pairings/${part(pairingId)}/dead-letters?limit=100`);
export const retryDeadLetter = (pairingId, messageId) =>
  change("POST", `/v1/pairings/${part(pairingId)}/dead-letters/${part(messageId)}/retry`);
export const dropDeadLetter = (pairingId, messageId) =>
  change("DELETE", `/v1/pairings/${part(pairingId)}/dead-letters/${part(messageId)}`);

/** The server's counts, as the text that Prometheus reads. */
export async function getMetrics() {
  const answer = await exchange("/metrics", { cache: "no-store", headers: { Accept: "text/plain" } });
  if (!answer.ok) throw new CallFailed(answer.status, `the server answered ${answer.status}`);
  return answer.text();
}

/** A new id. Not `crypto.randomUUID`, which plain HTTP from another machine does not have. */
export function newId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `${prefix}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}
