// The selection of pictures in a gallery.

/** @typedef {string | number} Id */

export class Selection {
  /** @type {Id[]} all that can be selected, in the order of the gallery */
  ids = [];
  /** @type {Set<Id>} */
  selected = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer;
  anchor = 0; // start of a range

  /**
   * @param {() => void} changed  called after every change
   * @param {(ids: Id[]) => void} report  called after a pause without changes
   */
  constructor(changed, report) {
    this.changed = changed;
    this.report = () => report(this.ids.filter((id) => this.selected.has(id)));
  }

  close() {
    clearTimeout(this.timer);
  }

  get size() {
    return this.selected.size;
  }

  /** @param {number} index */
  has(index) {
    return this.selected.has(this.ids[index]);
  }

  /**
   * Selects these before there are pictures.
   * @param {Id[]} ids
   */
  begin(ids) {
    this.selected = new Set(ids);
  }

  /**
   * Replaces the pictures; those no longer present are deselected.
   * @param {Id[]} ids
   */
  offer(ids) {
    this.ids = ids;
    const there = new Set(ids);
    const lost = [...this.selected].filter((id) => !there.has(id));
    for (const id of lost) this.selected.delete(id);
    if (lost.length) this.report();
    this.changed();
  }

  all() {
    this.set(this.ids, true);
  }

  clear() {
    this.set([...this.selected], false);
  }

  /** @param {number} index */
  toggle(index) {
    this.set([this.ids[index]], !this.has(index));
  }

  /**
   * Selects everything from one picture to another.
   * @param {number} one
   * @param {number} other
   */
  range(one, other) {
    this.set(this.ids.slice(Math.min(one, other), Math.max(one, other) + 1), true);
  }

  /**
   * @param {Id[]} ids
   * @param {boolean} on
   */
  set(ids, on) {
    for (const id of ids) {
      if (on) this.selected.add(id);
      else this.selected.delete(id);
    }
    this.changed();
    clearTimeout(this.timer);
    this.timer = setTimeout(this.report, 200);
  }
}
