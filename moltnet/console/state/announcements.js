// What is said to who can't see the page: calmly, a sentence at a time.

import { store } from "../lib/store.js";

const CALM_MS = 1_500;

export const said = { text: "", waiting: [], timer: 0 };

/** Say something soon. Of many things in a short time only their number is said. */
export function announce(text) {
  said.waiting.push(text);
  if (said.timer) return;
  said.timer = setTimeout(() => {
    said.text = said.waiting.length > 3 ? `${said.waiting.length} new messages` : said.waiting.join(". ");
    Object.assign(said, { waiting: [], timer: 0 });
    store.changed("announcer");
  }, CALM_MS);
}
