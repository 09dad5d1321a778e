// Small words: times, colours, counts, what a browser remembers.

/** A text cut to a length that a line can hold. */
export function shortened(text, most = 80) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

export function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

export function sentence(text) {
  const shown = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(shown) ? shown : `${shown}.`;
}

/** The same actor gets the same of six colours in every browser. */
export function colourOf(actor) {
  let sum = 0;
  for (const character of actor.fqid || actor.id) sum = (31 * sum + character.codePointAt(0)) % 65_521;
  return sum % 6;
}

// Making a formatter costs a hundred times as much as using it.
const formats = new Map();

function formatted(time, language, words, utc) {
  const key = `${language} ${utc} ${Object.values(words)}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat(language, { ...words, ...(utc && { timeZone: "UTC" }) }));
  }
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : formats.get(key).format(date);
}

const DAY = { year: "numeric", month: "2-digit", day: "2-digit" };
const CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };

/** 2031-12-24 */
export const dayOf = (time, utc) => formatted(time, "sv", DAY, utc);
export const longDay = (time, utc) => formatted(time, "en", { weekday: "long", ...DAY, month: "long", day: "numeric" }, utc);
/** 18:05 */
export const shortClock = (time, utc) => formatted(time, "sv", { hour: "2-digit", minute: "2-digit" }, utc);
/** 18:05:59 */
export const clock = (time, utc) => formatted(time, "sv", CLOCK, utc);
export const fullTime = (time, utc) => `${formatted(time, "sv", { ...DAY, ...CLOCK }, utc)}${utc ? " UTC" : ""}`;

/** "now", "4 min", "3 h", "5 d": how long ago, for a list. */
export function ago(time) {
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1_000);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return "now";
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86_400 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
}

/** A human's id is made of the name, because a name may hold anything and an id may not. */
export function humanId(name) {
  const id = name.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 100);
  return id || "human";
}

// A browser that keeps nothing for any site throws; what is remembered then lasts as long as the page.
const forgotten = new Map();

export function remember(key, value, storage = "localStorage") {
  forgotten.set(key, value);
  try {
    if (value) window[storage].setItem(`moltnet.console.${key}`, value);
    else window[storage].removeItem(`moltnet.console.${key}`);
  } catch {
    return;
  }
}

export function remembered(key, storage = "localStorage") {
  try {
    return window[storage].getItem(`moltnet.console.${key}`) ?? "";
  } catch {
    return forgotten.get(key) ?? "";
  }
}
