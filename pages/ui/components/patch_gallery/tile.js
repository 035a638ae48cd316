// One picture of a gallery with its caption. Tiles that scroll out of view are reused for other pictures.

import { make } from "../shared.js";

/** @typedef {import("./contents.js").Contents} Contents */

export class Tile {
  index = -1;
  drawn = false;
  canvas = make("canvas");
  check = make("span", { className: "check" });
  caption = make("div", { className: "caption" });
  note = make("div", { className: "caption note" });
  unseen = make("span", { className: "unseen" }); // the text of the panel, for screen readers
  node = make(
    "div",
    { className: "tile", role: "option" },
    this.canvas,
    this.check,
    this.caption,
    this.note,
    this.unseen,
  );

  /**
   * Shows another picture in this tile.
   * @param {Contents} contents
   * @param {number} index
   */
  fill({ head, count }, index) {
    this.index = index;
    this.drawn = false;
    this.canvas.width = head.sheets.cell;
    this.canvas.height = head.sheets.cell;
    this.caption.textContent = head.titles[index];
    this.note.textContent = head.notes[index] ?? "";
    this.note.title = this.note.textContent;
    this.note.hidden = head.lines < 2;
    this.node.title = head.titles[index];
    this.unseen.textContent = head.facts.map(([name, values]) => `, ${name} ${values[index]}`).join("");
    this.node.ariaPosInSet = String(index + 1);
    this.node.ariaSetSize = String(count);
  }

  /**
   * @param {Contents} contents
   * @param {{ x: number, y: number }} place
   * @param {boolean} redraw  whether its sheet may have been decoded since
   */
  draw({ sheets }, { x, y }, redraw) {
    this.node.style.transform = `translate(${x}px, ${y}px)`;
    if (redraw && !this.drawn) this.drawn = sheets.draw(this.canvas, this.index);
  }
}
