// Notifications of the desktop: only if they were asked for, only of what concerns this reader, only while nobody looks.

import { shortened } from "../lib/texts.js";
import { navigate } from "../lib/router.js";
import { model, setSetting } from "./model.js";

/** Why there can be none; empty if there can. */
export function whyNoNotifications() {
  if (!("Notification" in window) || !window.isSecureContext) return "This browser gives them to pages by https or of this machine only.";
  return Notification.permission === "denied" ? "This browser was told to show none of this page." : "";
}

/** Switch them on or off; the browser asks its user the first time. */
export async function setNotifications(wanted) {
  const isAllowed = wanted && !whyNoNotifications() && (await Notification.requestPermission()) === "granted";
  setSetting("notify", isAllowed);
}

/** Show one, if nobody looks at this page. Several tabs that show the same one show it once. */
export function notify(title, text, { id, to }) {
  if (!model.settings.notify || !document.hidden || whyNoNotifications()) return;
  const shown = new Notification(shortened(title, 100), { body: shortened(text, 200), tag: id });
  shown.onclick = () => {
    window.focus();
    navigate(to);
    shown.close();
  };
}
