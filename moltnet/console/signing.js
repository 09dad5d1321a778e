// Signing in and out. The token is in the page only while it is typed.

import * as api from "./api.js";
import { byId } from "./elements.js";

const FAILED = "sign_in";
const NOT_GOOD = "That token is not good on this network.";
const WHY = {
  failed: NOT_GOOD,
  by_hand: "A link on another site can't sign you in. Enter the token here.",
  origin: "This address is none of the network's allowed_origins: nobody can sign in here.",
};

/** Shows who is signed in, and asks for a token. `onChange` comes after every sign-in and sign-out. */
export class Signing {
  constructor({ onChange }) {
    this.onChange = onChange;
    byId("sign-in").addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.#signIn();
    });
    byId("sign-in-open").addEventListener("click", () => this.ask());
    byId("sign-out").addEventListener("click", () => this.#signOut());
  }

  /** Look who we are. */
  async refresh() {
    const who = await api.whoAmI();
    byId("sign-in").hidden = true;
    byId("who").textContent = who.signed_in ? who.credential_id || who.agents.join(", ") : "";
    byId("who").title = who.signed_in ? `may: ${who.scopes.join(", ")}` : "";
    byId("sign-out").hidden = !who.signed_in;
    byId("sign-in-open").hidden = who.kind !== "anonymous";
    return who;
  }

  /** Ask for a token. */
  ask() {
    byId("sign-in").hidden = false;
    byId("sign-in-open").hidden = true;
    byId("sign-in-note").textContent = this.#whyLinkFailed();
    byId("sign-in-token").focus();
  }

  /** Why a link with a token led here without signing in; told once. */
  #whyLinkFailed() {
    const url = new URL(location.href);
    const why = WHY[url.searchParams.get(FAILED)] ?? "";
    if (why) {
      url.searchParams.delete(FAILED);
      history.replaceState(null, "", url.pathname + url.search);
    }
    return why;
  }

  async #signIn() {
    const field = byId("sign-in-token");
    const note = byId("sign-in-note");
    note.textContent = "";
    try {
      await api.signIn(field.value.trim());
    } catch (error) {
      note.textContent = error.needsSignIn ? NOT_GOOD : `Not signed in: ${error.message}.`;
      field.select();
      return;
    }
    field.value = "";
    this.onChange();
  }

  async #signOut() {
    try {
      await api.signOut();
    } catch (error) {
      byId("who").textContent = `not signed out: ${error.message}`;
      return;
    }
    this.onChange();
  }
}
