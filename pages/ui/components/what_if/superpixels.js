// The superpixels of an image: their borders on a canvas, and which of them is where.

import { context, page } from "../shared.js";

/** @typedef {{ width: number, height: number }} Labelled  the header of the packet with the superpixel of each pixel */

const BORDER = [255, 255, 255, 200];
const EDGE = [17, 17, 17, 200]; // beside the border, so that it is seen on any image
const POINTED = [255, 212, 0, 110];

export class Superpixels {
  canvas = document.createElement("canvas");
  pointed = -1; // the superpixel under the pointer or cursor
  /** @type {Uint16Array} */
  labels = new Uint16Array();
  shown = "";

  constructor() {
    this.canvas.className = "superpixels";
    this.canvas.hidden = true;
    this.canvas.setAttribute("aria-hidden", "true");
  }

  /**
   * Shows the superpixels in a packet, once it has arrived; none for "".
   * @param {string} name
   */
  show(name) {
    const packet = /** @type {Packet<Labelled> | undefined} */ (page.packets.get(name));
    this.canvas.hidden = !packet;
    if (!packet || this.shown === name) return;
    const { payload, header } = packet;
    this.shown = name;
    this.pointed = -1;
    this.labels = new Uint16Array(payload.buffer, payload.byteOffset, payload.byteLength / 2);
    this.canvas.width = header.width;
    this.canvas.height = header.height;
    this.paint();
  }

  /**
   * The superpixel at a place, given as parts of the width and height; -1 while there are none.
   * @param {number} x
   * @param {number} y
   */
  at(x, y) {
    const { width, height } = this.canvas;
    if (!this.shown || this.canvas.hidden) return -1;
    const [column, row] = [Math.min(width - 1, Math.floor(x * width)), Math.min(height - 1, Math.floor(y * height))];
    return this.labels[row * width + column];
  }

  /**
   * Marks a superpixel; -1 marks none.
   * @param {number} one
   */
  point(one) {
    if (one === this.pointed) return;
    this.pointed = one;
    this.paint();
  }

  paint() {
    const { width, height } = this.canvas;
    if (!width || !height) return;
    const { labels, pointed } = this;
    const image = new ImageData(width, height);
    for (let row = 0; row < height; row += 1) {
      for (let column = 0; column < width; column += 1) {
        const at = row * width + column;
        const own = labels[at];
        const right = column + 1 < width && labels[at + 1] !== own;
        const below = row + 1 < height && labels[at + width] !== own;
        const left = column > 0 && labels[at - 1] !== own;
        const above = row > 0 && labels[at - width] !== own;
        const colour = right || below ? BORDER : left || above ? EDGE : own === pointed ? POINTED : null;
        if (colour) image.data.set(colour, 4 * at);
      }
    }
    context(this.canvas).putImageData(image, 0, 0);
  }
}
