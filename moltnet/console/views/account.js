// Who is signed in, for how long, what that allows, and how things are shown.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { useSlices } from "../lib/store.js";
import { fullTime } from "../lib/texts.js";
import { Avatar } from "../parts/bits.js";
import { model, sender, setSetting } from "../state/model.js";
import { setNotifications, whyNoNotifications } from "../state/notifications.js";
import { signOut } from "../state/session.js";

const COLOURS = { system: "as the system", dark: "dark", light: "light" };
const CONTRASTS = { system: "as the system", more: "high" };

export function Account({ ask }) {
  useSlices("settings", "session");
  const { who } = model;
  const [problem, setProblem] = useState("");
  const menu = useRef(null);
  useClosing(menu);
  const name = who.kind === "unchecked" ? "no sign-in" : who.credential_id || who.agents?.join(", ") || "not signed in";
  const leave = () => signOut().catch((error) => setProblem(`Not signed out: ${error.message}.`));
  return html`<div class="account">
    ${who.kind === "anonymous" && html`<button type="button" class="primary" onClick=${ask}>sign in</button>`}
    <details class="menu" ref=${menu}>
      <summary aria-label="You: ${name}"><${Avatar} actor=${sender()} /> <span>${name}</span></summary>
      <div class="menu-body">
        <dl class="facts">
          <dt>may</dt><dd>${who.kind === "unchecked" ? "everything: this network asks for no tokens" : who.scopes?.join(", ") || "read what is public"}</dd>
          ${who.agents?.length > 0 && html`<dt>as</dt><dd>${who.agents.join(", ")}</dd>`}
          ${who.expires_at && html`<dt>until</dt><dd><time datetime=${who.expires_at}>${fullTime(who.expires_at, model.settings.utc)}</time></dd>`}
        </dl>
        <${Settings} />
        ${who.signed_in && html`<button type="button" onClick=${leave}>sign out</button>`}
        ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      </div>
    </details>
  </div>`;
}

function Settings() {
  const { settings } = model;
  const why = whyNoNotifications();
  const [isAsked, setAsked] = useState(false);
  const notify = async (change) => {
    const box = change.target;
    await setNotifications(box.checked);
    box.checked = model.settings.notify;
    setAsked(true);
  };
  const choice = (name, label, words) => html`<label>${label} <select value=${settings[name]} onChange=${(change) => setSetting(name, change.target.value)}>
    ${Object.entries(words).map(([value, word]) => html`<option value=${value}>${word}</option>`)}
  </select></label>`;
  return html`<label>your name here <input value=${settings.name} maxlength="64" autocomplete="off"
      onChange=${(change) => setSetting("name", change.target.value.trim() || "you")} /></label>
    ${choice("theme", "colours", COLOURS)}
    ${choice("contrast", "contrast", CONTRASTS)}
    <label class="check"><input type="checkbox" checked=${settings.utc} onChange=${(change) => setSetting("utc", change.target.checked)} /> times in UTC</label>
    <label class="check"><input type="checkbox" checked=${settings.notify} disabled=${why} onChange=${notify} /> notify me of what is for me</label>
    ${(why || (isAsked && !settings.notify)) && html`<p class="read-only" role="note">${why || "This browser shows no notifications."}</p>`}`;
}

/** A menu closes when something else is chosen, or by Escape. */
function useClosing(menu) {
  useEffect(() => {
    const outside = ({ target }) => !menu.current?.contains(target) && menu.current?.removeAttribute("open");
    const escape = (press) => {
      if (press.key !== "Escape" || !menu.current?.open) return;
      menu.current.removeAttribute("open");
      menu.current.querySelector("summary").focus();
    };
    addEventListener("pointerdown", outside);
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("keydown", escape);
    };
  }, []);
}
