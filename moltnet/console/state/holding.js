// Events that come while something is fetched: they wait, and are applied in order to what was fetched.

// Beyond this, fetching everything again is cheaper than applying what waited.
const MAX_HELD_EVENTS = 5_000;

const held = { depth: 0, events: [], overflowed: false };

/** What is done with an event, and how everything is fetched anew; set by those who know. */
export const holding = { apply: () => {}, refresh: async () => {} };

/** Run `work` with events waiting, then apply them: what was fetched is then not older than they are. */
export async function whileHolding(work) {
  held.depth += 1;
  try {
    return await work();
  } finally {
    held.depth -= 1;
    if (held.depth === 0) release();
  }
}

function release() {
  const { events, overflowed } = held;
  Object.assign(held, { events: [], overflowed: false });
  if (overflowed) holding.refresh();
  else events.forEach((event) => holding.apply(event));
}

export function pass(event) {
  if (held.depth === 0) holding.apply(event);
  else if (held.events.length < MAX_HELD_EVENTS) held.events.push(event);
  else held.overflowed = true;
}
