// Signing in. The token is in the page only while it is typed.

import { html, useEffect, useRef, useState } from "../lib/html.js";
import { signIn } from "../state/session.js";

const FAILED = "sign_in";
const NOT_GOOD = "That token is not good on this network.";
const WHY = {
  failed: NOT_GOOD,
  by_hand: "A link on another site can't sign you in. Enter the token here.",
  origin: "This address is none of the network's allowed_origins: nobody can sign in here.",
};

/** Why a link with a token led here without signing in, told once; null if none did. */
export function takeLinkProblem() {
  const url = new URL(location.href);
  const why = WHY[url.searchParams.get(FAILED)] ?? null;
  if (why) {
    url.searchParams.delete(FAILED);
    history.replaceState(null, "", url.pathname + url.search);
  }
  return why;
}

export function SignIn({ why, onClose }) {
  const [note, setNote] = useState(why);
  const [isBusy, setBusy] = useState(false);
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setNote("");
    try {
      await signIn(field.current.value.trim());
      field.current.value = "";
    } catch (error) {
      setNote(error.needsSignIn ? NOT_GOOD : `Not signed in: ${error.message}.`);
      setBusy(false);
      field.current?.select();
    }
  };
  // A password will be a second field here, for networks that have people with passwords.
  return html`<form class="panel sign-in" aria-label="Sign in" onSubmit=${submit}>
    <h2>sign in</h2>
    <p>A token of this network. It is sent once; this browser then keeps a session that ends by itself, or when you sign out.</p>
    <label>token <input ref=${field} type="password" autocomplete="current-password" required maxlength="4096" /></label>
    <p class="problem" role="alert">${note}</p>
    <div class="actions">
      ${onClose && html`<button type="button" onClick=${onClose}>not now</button>`}
      <button class="primary" disabled=${isBusy}>sign in</button>
    </div>
  </form>`;
}
