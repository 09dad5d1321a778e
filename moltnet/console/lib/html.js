// How the console makes its page: templates that become nodes, never markup from text. Views take everything from here.

import { Component, h, render } from "../vendor/preact.js";
import htm from "../vendor/htm.js";

export { Component, render };
export { useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.js";

/** A template: `html\`<p class="x">${text}</p>\``. What is put in is text, an attribute or a node. */
export const html = htm.bind(h);

/** A link that leaves the console, or plain text if the address is not of the web. */
export function outwardLink(address, label = address) {
  if (!/^https?:\/\//i.test(address)) return html`<span>${label}</span>`;
  return html`<a href=${address} target="_blank" rel="noopener noreferrer">${label}</a>`;
}
