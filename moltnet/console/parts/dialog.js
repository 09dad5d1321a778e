// Dialogs: the browser's own, which keep the focus inside and give it back.

import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { store, useSlices } from "../lib/store.js";

export function Dialog({ title, onClose, children, className = "" }) {
  const dialog = useRef(null);
  // Before anything else happens: the next key is already for the dialog.
  useLayoutEffect(() => {
    dialog.current.showModal();
  }, []);
  return html`<dialog
    ref=${dialog} class=${className} aria-label=${title} onClose=${onClose}
    onClick=${(click) => click.target === dialog.current && dialog.current.close()}
  >
    <div class="dialog-body">${children}</div>
  </dialog>`;
}

// ---- "Are you sure" --------------------------------------------------------------------------------------------------

const asked = { question: null };

/**
 * Ask before something is done. `act` gets what was written into `fields` (`{ name, label, type }`), by name; it may fail: the
 * dialog then shows why. What it returns is shown at the end.
 */
export function confirm(question) {
  asked.question = question;
  store.changed("dialog");
}

function close() {
  asked.question = null;
  store.changed("dialog");
}

export function Confirmation() {
  useSlices("dialog");
  return asked.question && html`<${Question} key=${asked.question.title} ...${asked.question} />`;
}

function Question({ title, text, label, act, danger = true, fields = [] }) {
  const [state, setState] = useState({ isBusy: false, error: "", result: null });
  const go = async (submit) => {
    submit.preventDefault();
    const written = Object.fromEntries([...new FormData(submit.target)].map(([name, value]) => [name, value.trim()]));
    setState({ isBusy: true, error: "", result: null });
    try {
      const result = await act(written);
      if (result) setState({ isBusy: false, error: "", result });
      else close();
    } catch (error) {
      setState({ isBusy: false, error: error.message, result: null });
    }
  };
  return html`<${Dialog} title=${title} onClose=${close}>
    <form onSubmit=${go}>
      <h2>${title}</h2>
      <p>${text}</p>
      ${!state.result && fields.map((field) => html`<label>${field.label}
        <input name=${field.name} type=${field.type ?? "text"} min=${field.min} maxlength="1024" autocomplete="off" /></label>`)}
      ${state.error && html`<p class="problem" role="alert">Not done: ${state.error}</p>`}
      ${state.result && html`<div role="status">${state.result}</div>`}
      <div class="actions end">
        <button type="button" onClick=${close}>${state.result ? "close" : "cancel"}</button>
        ${!state.result && html`<button class=${danger ? "danger" : "primary"} disabled=${state.isBusy}>${label}</button>`}
      </div>
    </form>
  <//>`;
}
