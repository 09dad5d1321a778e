// The few icons of the console: strokes in the colour of the text beside them, silent to screen readers.

import { html } from "../lib/html.js";

const SHAPES = {
  conversations: "M4 5h16v11H9l-5 4z",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5 21 21",
  agents: "M7 9h10v9H7zM12 9V5M9.5 13h.01M14.5 13h.01M4 12v4M20 12v4",
  approvals: "M4 13l3-8h10l3 8v6H4zM4 13h5l1 2h4l1-2h5",
  pairings: "M10 14l4-4M8 12l-2.5 2.5a3.5 3.5 0 0 0 5 5L13 17M16 12l2.5-2.5a3.5 3.5 0 0 0-5-5L11 7",
  events: "M3 12h4l3-7 4 14 3-7h4",
  health: "M12 20s-8-4.6-8-10.4A4.6 4.6 0 0 1 12 7a4.6 4.6 0 0 1 8 2.6C20 15.4 12 20 12 20z",
  admin: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6M12 3v3M12 18v3M4.2 7.5l2.6 1.5M17.2 15l2.6 1.5M4.2 16.5l2.6-1.5M17.2 9l2.6-1.5",
  back: "M15 5l-7 7 7 7",
  files: "M14 3H6v18h12V7zM14 3v4h4M9 13h6M9 17h6",
  calendar: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4",
  members: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M3 20c0-4 2.5-6 6-6s6 2 6 6M16 4.5a3.5 3.5 0 0 1 0 6M18 14.5c2 .8 3 2.7 3 5.5",
  thread: "M4 5h16v9H10l-4 4v-4H4z",
  close: "M6 6l12 12M18 6L6 18",
  send: "M4 12l16-8-6 16-3-6z",
  down: "M12 5v14M6 13l6 6 6-6",
};

export function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${SHAPES[name]} /></svg>`;
}
