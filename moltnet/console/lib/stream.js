// One stream of the network's events, opened again by itself and resumed where it was.

const RETRY_FIRST_MS = 1_000;
const RETRY_MOST_MS = 15_000;

export const EVENT_TYPES = [
  "message.created",
  "thread.created",
  "dm.created",
  "room.created",
  "room.updated",
  "room.members.updated",
  "room.removed",
  "agent.connected",
  "agent.disconnected",
  "agent.wake.delivered",
  "agent.wake.failed",
  "agent.muted",
  "agent.unmuted",
  "agent.removed",
  "approval.requested",
  "approval.decided",
  "pairing.updated",
  "stream.replay_gap",
];

/**
 * The network's events, for as long as the page lives.
 *
 * The browser reconnects by itself after a lost connection and sends the last event's id; what it gives up on (an error
 * status) is tried again here, with the id in the query. `onOpen(resumed)` comes with every connection: unless
 * `resumed`, events may be missing since the one before. `onEvent(id, text)` gets the event as JSON.
 */
export class EventStream {
  constructor({ onState, onOpen, onEvent }) {
    Object.assign(this, { onState, onOpen, onEvent, lastId: "", retryMs: RETRY_FIRST_MS });
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
        this.onEvent(received.lastEventId, received.data);
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
