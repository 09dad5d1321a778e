// The one store of state: named slices, changed in place, and views that are drawn again once per frame.
//
// A view names the slices that it reads. Maps of thousands of rooms are not copied for every event: a change counts up its
// slice, and whoever reads that slice is drawn again.

import { useLayoutEffect, useState } from "./html.js";

// A page in the background gets no frames, but its title shows what is unread.
const HIDDEN_FRAME_MS = 250;

export class Store {
  #watchers = new Set();
  #changed = new Set();
  #scheduled = false;

  /** Say that these slices are not what they were. */
  changed(...slices) {
    for (const slice of slices) this.#changed.add(slice);
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (document.hidden) setTimeout(() => this.#flush(), HIDDEN_FRAME_MS);
    else requestAnimationFrame(() => this.#flush());
  }

  /** Call `look` after each frame in which one of the slices has changed. Returns how to stop that. */
  watch(slices, look) {
    const watcher = { slices, look };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #flush() {
    const changed = this.#changed;
    this.#changed = new Set();
    this.#scheduled = false;
    for (const { slices, look } of [...this.#watchers]) if (slices.some((slice) => changed.has(slice))) look();
  }
}

export const store = new Store();

/** Draw this view again whenever one of the slices changes. */
export function useSlices(...slices) {
  const [, redraw] = useState(0);
  // In place before the next frame, so that no change is missed between the first drawing and this.
  useLayoutEffect(() => store.watch(slices, () => redraw((count) => count + 1)), [slices.join(" ")]);
}

/** The same for what may change many times a second and need not be shown at once: at most every `calmMs`. */
export function useCalmSlices(calmMs, ...slices) {
  const [, redraw] = useState(0);
  useLayoutEffect(() => {
    let timer = 0;
    const look = () => {
      timer ||= setTimeout(() => {
        timer = 0;
        redraw((count) => count + 1);
      }, calmMs);
    };
    const stop = store.watch(slices, look);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [slices.join(" ")]);
}
