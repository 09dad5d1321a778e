// Where a screen reader listens.

import { html } from "../lib/html.js";
import { useSlices } from "../lib/store.js";
import { said } from "../state/announcements.js";

export function Announcer() {
  useSlices("announcer");
  return html`<p class="visually-hidden" role="status" aria-live="polite">${said.text}</p>`;
}
