// The heads of the columns when several classes are compared, and the hint that there are more columns than fit.

import { button, duration, make } from "../shared.js";

/**
 * @typedef {import("./tile.js").Tile} Tile
 * @typedef {{ title: string }} Column
 */

export class TableHeads {
  range = make("span", { className: "cost" });
  corner = make("div", { className: "head corner" }, this.range);
  /** @type {HTMLElement[]} one for each method */
  heads = [];
  more = button("", () => this.scroll(), { className: "further", hidden: true });

  /** @param {HTMLElement} scroller  the part of the page that scrolls sideways */
  constructor(scroller) {
    this.scroller = scroller;
    scroller.onscroll = () => this.hint();
    this.observer = new ResizeObserver(() => this.hint());
    this.observer.observe(scroller);
  }

  close() {
    this.observer.disconnect();
  }

  /**
   * The cells of the first row; none for a single class.
   * @param {Column[]} columns
   */
  build(columns) {
    this.heads = columns.map(({ title }) =>
      make(
        "div",
        { className: "head", title },
        make("span", { className: "method", textContent: title }),
        make("span"),
      ),
    );
    return columns.length ? [this.corner, ...this.heads] : [];
  }

  /**
   * Shows the time of each method for all classes, and the common range of colours.
   * @param {Tile[]} tiles
   * @param {string} range  its name
   */
  update(tiles, range) {
    this.range.textContent = `Range: ${range.toLowerCase()}`;
    this.heads.forEach((head, column) => {
      const known = tiles.flatMap((tile) => (tile.column === column ? (tile.header.seconds ?? []) : []));
      const cost = head.lastElementChild;
      if (!cost) return;
      cost.className = "cost";
      cost.textContent = known.length ? duration(known.reduce((sum, one) => sum + one)) : "";
    });
    this.hint();
  }

  /** Shows how many columns are out of sight on the right. */
  hint() {
    const edge = this.scroller.getBoundingClientRect().right;
    const hidden = this.heads.filter((head) => head.getBoundingClientRect().right > edge + 1).length;
    this.more.hidden = !hidden;
    this.more.textContent = `${hidden} more ${hidden === 1 ? "column" : "columns"} →`;
  }

  scroll() {
    this.scroller.scrollBy({ left: this.scroller.clientWidth / 2 });
  }
}
