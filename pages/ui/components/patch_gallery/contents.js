// What Python sends a gallery, and its pictures by number.

import { Sheets } from "./sheets.js";

/**
 * @typedef {import("./sheets.js").SheetSpec} SheetSpec
 * @typedef {[x: number, y: number, width: number, height: number]} Box  fractions of the whole image
 * @typedef {[x: number, y: number, width: number, height: number, order: number, kept: boolean]} Window
 *
 * @typedef {object} Head  one entry of every list per picture, unless it says otherwise
 * @property {string} token  names all of the contents
 * @property {string} label
 * @property {[one: string, many: string]} noun
 * @property {boolean} many  whether several can be selected
 * @property {boolean} panel  whether one is shown large
 * @property {number} tile  their size at first
 * @property {number} height  the most that the gallery takes
 * @property {(string | number)[]} ids
 * @property {string[]} titles
 * @property {string[]} notes
 * @property {number} lines  of text below a picture
 * @property {[action: string, texts: string[]][]} actions
 * @property {[name: string, values: string[]][]} facts
 * @property {[title: string, count: number][]} groups
 * @property {SheetSpec} sheets
 * @property {SheetSpec | null} contexts  the whole images
 * @property {number[]} [images]  which of them each picture was cut from
 * @property {Box[]} [boxes]  and where
 * @property {Window[][]} [windows]  for each whole image: the windows that were tried, and those kept
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
   * Whether the same pictures stand in the same order.
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
