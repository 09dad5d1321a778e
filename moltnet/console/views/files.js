// The files, images, links and data of a conversation, newest first, each with its message.

import * as api from "../lib/api.js";
import { html, outwardLink, useEffect, useState } from "../lib/html.js";
import { path, withQuery } from "../lib/router.js";
import { useSlices } from "../lib/store.js";
import { Empty, Problem, Time } from "../parts/bits.js";
import { Icon } from "../parts/icons.js";
import { conversationOf, keyOf } from "../state/model.js";

export function Files({ where }) {
  useSlices("settings");
  const { items, hasMore, isLoading, error, more } = useFiles(where);
  return html`<aside class="aside" aria-label="Files">
    <header class="panel-head"><h2>files</h2>
      <a class="tool" href=${withQuery({ show: "" })} aria-label="Close the files"><${Icon} name="close" /></a></header>
    <ul class="cards">${items.map((artifact) => html`<li class="card file" key=${artifact.id}>
      <p><span class="kind">${artifact.kind}</span> ${outwardLink(artifact.url ?? "", artifact.filename || artifact.url || artifact.media_type || "without a name")}</p>
      <p class="faint">${artifact.media_type && html`<span>${artifact.media_type}</span>`} <${Time} at=${artifact.created_at} />
        <a href=${linkTo(artifact)}>its message</a></p>
    </li>`)}</ul>
    ${error && html`<${Problem} error=${error} retry=${more} />`}
    ${isLoading && html`<p class="empty" role="status">loading…</p>`}
    ${!isLoading && !error && items.length === 0 && html`<${Empty}>Nobody has shared a file, an image, a link or data here yet.<//>`}
    ${hasMore && !isLoading && html`<button type="button" onClick=${more}>older ones</button>`}
  </aside>`;
}

function linkTo({ target, message_id }) {
  const { kind, id } = conversationOf(target);
  return path(kind, id, { message: message_id, show: "files" });
}

/** Pages of artifacts, the newest first; `more` asks for the page before. */
function useFiles(where) {
  const [state, setState] = useState({ items: [], hasMore: true, isLoading: false, error: "" });
  const more = async () => {
    setState((before) => ({ ...before, isLoading: true, error: "" }));
    try {
      const { artifacts, page } = await api.getArtifacts(where, { before: state.items.at(-1)?.id });
      setState((before) => ({ items: [...before.items, ...artifacts.reverse()], hasMore: page.has_more, isLoading: false, error: "" }));
    } catch (error) {
      // A conversation that is not begun has none.
      const isNew = error.status === 404;
      setState((before) => ({ ...before, hasMore: false, isLoading: false, error: isNew ? "" : error.message }));
    }
  };
  useEffect(() => void more(), [keyOf(where)]);
  return { ...state, more };
}
