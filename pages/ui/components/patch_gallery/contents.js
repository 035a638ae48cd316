// The contents of a gallery from Python, and its pictures by index.

import { Sheets } from "./sheets.js";

/**
 * @typedef {import("./sheets.js").SheetSpec} SheetSpec
 * @typedef {[x: number, y: number, width: number, height: number]} Box  fractions of the whole image
 * @typedef {[x: number, y: number, width: number, height: number, order: number, kept: boolean]} Window
 *
 * @typedef {object} Head  one entry of every list per picture, unless stated otherwise
 * @property {string} token  identifies the contents
 * @property {string} label
 * @property {[one: string, many: string]} noun
 * @property {boolean} many  whether several can be selected
 * @property {(string | number)[]} selected  at first
 * @property {boolean} opens  whether a click opens a picture
 * @property {boolean} panel  whether one is shown enlarged
 * @property {number} tile  their initial size
 * @property {number | null} height  the maximum height of the gallery
 * @property {(string | number)[]} ids
 * @property {string[]} titles
 * @property {string[]} notes
 * @property {number} lines  of text below a picture
 * @property {[action: string, texts: string[]][]} actions
 * @property {[name: string, values: string[]][]} facts
 * @property {[title: string, count: number][]} groups
 * @property {SheetSpec} sheets
 * @property {SheetSpec | null} contexts  the whole images
 * @property {number[]} [images]  the index of the whole image of each picture
 * @property {Box[]} [boxes]  and its position there
 * @property {Window[][]} [windows]  for each whole image: its candidate windows, and which were selected
 */

export class Contents {
  /**
   * @param {Packet<Head>} packet
   * @param {() => void} ready  called when more pictures have been decoded
   */
  constructor({ header, payload }, ready) {
    this.head = header;
    this.sheets = new Sheets(header.sheets, payload, ready);
    this.contexts = header.contexts && new Sheets(header.contexts, payload, ready);
  }

  get count() {
    return this.head.ids.length;
  }

  /**
   * Whether both have the same pictures in the same order.
   * @param {Contents | undefined} other
   */
  same(other) {
    return other?.count === this.count && this.head.ids.every((id, index) => id === other.head.ids[index]);
  }

  close() {
    this.sheets.close();
    this.contexts?.close();
  }
}
