// Sprite sheets: JPEG images of many small pictures each, decoded when first needed.

import { context } from "../shared.js";

/**
 * @typedef {object} SheetSpec
 * @property {number} cell  side of a picture
 * @property {number} columns  pictures in a row of a sheet
 * @property {number} per  pictures on a sheet
 * @property {string} type  MIME type
 * @property {[start: number, length: number][]} sheets  the range of each in the payload
 */

const DECODED = 128e6; // bytes of decoded sheets in the cache

export class Sheets {
  /** @type {Map<number, { bitmap: ImageBitmap | null }>} the least recently used first */
  decoded = new Map();

  /**
   * @param {SheetSpec} spec
   * @param {Bytes} payload
   * @param {() => void} ready  called when a sheet has been decoded
   */
  constructor(spec, payload, ready) {
    this.spec = spec;
    this.payload = payload;
    this.ready = ready;
  }

  /**
   * Draws a picture, or returns false while its sheet is not decoded yet.
   * @param {HTMLCanvasElement} canvas
   * @param {number} index
   */
  draw(canvas, index) {
    const { cell, columns, per } = this.spec;
    const bitmap = this.bitmap(Math.floor(index / per));
    if (!bitmap) return false;
    const x = ((index % per) % columns) * cell;
    const y = Math.floor((index % per) / columns) * cell;
    context(canvas).drawImage(bitmap, x, y, cell, cell, 0, 0, canvas.width, canvas.height);
    return true;
  }

  /** @param {number} sheet */
  bitmap(sheet) {
    const known = this.decoded.get(sheet);
    const entry = known ?? { bitmap: null };
    this.decoded.delete(sheet);
    this.decoded.set(sheet, entry);
    if (!known) {
      this.decode(sheet, entry);
      this.evict();
    }
    return entry.bitmap;
  }

  /**
   * @param {number} sheet
   * @param {{ bitmap: ImageBitmap | null }} entry
   */
  async decode(sheet, entry) {
    const [start, length] = this.spec.sheets[sheet];
    const content = new Blob([this.payload.subarray(start, start + length)], { type: this.spec.type });
    entry.bitmap = await createImageBitmap(content);
    this.ready();
  }

  evict() {
    const { cell, per } = this.spec;
    for (const [sheet, { bitmap }] of this.decoded) {
      if (this.decoded.size * cell ** 2 * per * 4 <= DECODED) break;
      bitmap?.close();
      this.decoded.delete(sheet);
    }
  }

  close() {
    for (const { bitmap } of this.decoded.values()) bitmap?.close();
    this.decoded.clear();
  }
}
