// A list of any length of which only what is in sight is in the page. Rows have the height of what they hold.
//
// It follows its end while the reader is there; otherwise the row that the reader looks at keeps its place, whatever is added
// above or below it or turns out taller than was thought.

import { Component, html } from "../lib/html.js";

const GUESSED_ROW_PX = 44;
const BEYOND_PX = 600;
const EDGE_PX = 200;
const END_PX = 32;
// Measuring changes what is in sight, which is measured again; it settles at once or a row changes by itself.
const MOST_PASSES = 6;
const MOST_FORGOTTEN = 2_000;

/**
 * Properties: `items` (each with a unique `key`; one that `moves` when others come before it holds nobody's place), `row(item)`, `label`, `target` (the key of a row to show), `atNewest`
 * (its end is the real end), `onEdge("older" | "newer")`, `onFollow(bool)`, `handle` (a ref that gets this list).
 */
export class VirtualList extends Component {
  heights = new Map();
  following = true;
  anchor = null;
  shown = "";
  lastTop = 0;
  passes = 0;
  seen = { width: 0, height: 0, sum: 0 };

  componentDidMount() {
    if (this.props.handle) this.props.handle.current = this;
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.scroller);
    this.observer.observe(this.list);
    this.#showTarget();
    this.settle();
  }

  componentWillUnmount() {
    this.observer.disconnect();
  }

  componentDidUpdate() {
    this.#forget();
    this.#showTarget();
    this.settle();
  }

  /** The heights of rows that are no more: a reader of a long list sees many. */
  #forget() {
    const { items } = this.props;
    if (this.heights.size < 2 * items.length + MOST_FORGOTTEN) return;
    const keys = new Set(items.map(({ key }) => key));
    for (const key of this.heights.keys()) if (!keys.has(key)) this.heights.delete(key);
  }

  /** Bring the row that is asked for into sight: once, as soon as it is among the items. */
  #showTarget() {
    const { target, items } = this.props;
    if (target === this.shown) return;
    if (target && !items.some((item) => item.key === target)) return;
    this.shown = target;
    if (!target) return;
    this.anchor = { key: target, offset: -Math.round(this.scroller.clientHeight / 3) };
    this.#follow(false);
    this.setState({});
  }

  scrollToEnd() {
    this.#follow(true);
    this.settle();
  }

  #follow(following) {
    if (this.following === following) return;
    this.following = following;
    this.props.onFollow?.(following);
  }

  #layOut() {
    const { items } = this.props;
    const tops = new Float64Array(items.length + 1);
    for (let i = 0; i < items.length; i += 1) tops[i + 1] = tops[i] + (this.heights.get(items[i].key) ?? GUESSED_ROW_PX);
    return tops;
  }

  /** Put what is drawn where it belongs, measure what is new, and draw again if something in sight is missing. */
  settle() {
    if (!this.scroller) return;
    // Written before anything is read: a browser lays a page out each time that it is asked after it was changed. What is
    // new is mostly at the end, and then its height changes nothing of this.
    let tops = this.#layOut();
    this.#pad(tops);
    if (this.#measure((key) => !this.heights.has(key))) this.#pad((tops = this.#layOut()));
    this.#place(tops);
    if (this.#isOutside(tops) && this.passes < MOST_PASSES) {
      this.passes += 1;
      this.setState({});
      return;
    }
    this.passes = 0;
    this.#edges();
  }

  /** Something is not as high or as wide as it was; mostly that is what has just been put in its place. */
  #resized() {
    const { clientWidth, clientHeight } = this.scroller;
    const isKnown = clientWidth === this.seen.width && clientHeight === this.seen.height;
    if (isKnown && Math.abs(this.list.getBoundingClientRect().height - this.seen.sum) < 1) return;
    this.#measure(() => true);
    this.seen.width = clientWidth;
    this.seen.height = clientHeight;
    this.settle();
  }

  /** The heights of drawn rows; returns whether one is not what was thought. */
  #measure(isWanted) {
    let isChanged = false;
    for (const row of this.list.children) {
      const { key } = row.dataset;
      if (!isWanted(key)) continue;
      const { height } = row.getBoundingClientRect();
      if (Math.abs((this.heights.get(key) ?? GUESSED_ROW_PX) - height) >= 0.5) isChanged = true;
      this.heights.set(key, height);
    }
    return isChanged;
  }

  /** The room of the rows that are not drawn. */
  #pad(tops) {
    const above = `${tops[this.first]}px`;
    const below = `${tops.at(-1) - tops[this.last]}px`;
    if (this.list.style.paddingTop !== above) this.list.style.paddingTop = above;
    if (this.list.style.paddingBottom !== below) this.list.style.paddingBottom = below;
    this.seen.sum = tops.at(-1);
  }

  #place(tops) {
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else if (this.anchor) {
      const index = this.props.items.findIndex((item) => item.key === this.anchor.key);
      const top = index < 0 ? this.scroller.scrollTop : tops[index] + this.anchor.offset;
      if (Math.abs(this.scroller.scrollTop - top) > 1) this.scroller.scrollTop = top;
    }
    this.lastTop = this.scroller.scrollTop;
  }

  #isOutside(tops) {
    const { scrollTop, clientHeight } = this.scroller;
    const missesAbove = this.first > 0 && tops[this.first] > scrollTop;
    return missesAbove || (this.last < this.props.items.length && tops[this.last] < scrollTop + clientHeight);
  }

  #edges() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (this.props.items.length === 0) return;
    if (scrollTop < EDGE_PX) this.props.onEdge?.("older");
    if (scrollHeight - scrollTop - clientHeight < EDGE_PX) this.props.onEdge?.("newer");
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    // Growing below the reader is no scrolling: only who goes up stops following.
    if (isAtEnd && (this.props.atNewest ?? true)) this.#follow(true);
    else if (scrollTop < this.lastTop - 1) this.#follow(false);
    this.lastTop = scrollTop;
    if (!this.following) {
      const tops = this.#layOut();
      const { items } = this.props;
      let index = indexAt(tops, scrollTop);
      while (items[index]?.moves) index += 1;
      const item = items[index];
      this.anchor = item && { key: item.key, offset: scrollTop - tops[index] };
    }
    this.setState({});
  }

  render({ items, row, label }) {
    const tops = this.#layOut();
    const view = this.scroller?.clientHeight ?? 800;
    let top = this.scroller?.scrollTop ?? Number.MAX_SAFE_INTEGER;
    if (this.following) top = Math.max(0, tops.at(-1) - view);
    else if (this.anchor) {
      const index = items.findIndex((item) => item.key === this.anchor.key);
      if (index >= 0) top = tops[index] + this.anchor.offset;
    }
    this.first = items.length === 0 ? 0 : indexAt(tops, top - BEYOND_PX);
    this.last = items.length === 0 ? 0 : Math.min(items.length, indexAt(tops, top + view + BEYOND_PX) + 1);
    const rows = items.slice(this.first, this.last).map(
      (item, at) => html`<li key=${item.key} data-key=${item.key} aria-setsize=${items.length} aria-posinset=${this.first + at + 1}>
        ${row(item)}
      </li>`,
    );
    return html`<div
      class="scroller" tabindex="0" role="region" aria-label=${label}
      ref=${(element) => { this.scroller = element; }} onScroll=${() => this.#scrolled()}
    >
      <ol class="rows" ref=${(element) => { this.list = element; }}>${rows}</ol>
    </div>`;
  }
}

/** The row that a height is in. */
function indexAt(tops, height) {
  let low = 0;
  let high = tops.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (tops[middle] <= height) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}
