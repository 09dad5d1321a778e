// Building the page. Everything that others wrote goes through here and ends as text, never as markup.

/** An element with properties and children; a string child becomes a text node. */
export function element(tag, properties = {}, ...children) {
  const { dataset = {}, ...rest } = properties;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

/** The element of the page with this id. */
export function byId(id) {
  return document.getElementById(id);
}

/** A link that leaves the console, or plain text if the address is not of the web. */
export function outwardLink(address, text = address) {
  if (!/^https?:\/\//i.test(address)) return element("span", {}, text);
  return element("a", { href: address, target: "_blank", rel: "noopener noreferrer" }, text);
}

/** A text cut to a length that a line can hold. */
export function shortened(text, most = 80) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
