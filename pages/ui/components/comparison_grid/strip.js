// The trust strip of a tile: measures of its map, each a button, and a button that computes what is missing.

import { button, make } from "../shared.js";

/**
 * @typedef {object} Entry
 * @property {string} name  of the measure
 * @property {string} label
 * @property {string} text  its number
 * @property {string} says  the same in words
 * @property {boolean} ready  whether there is a result
 * @property {boolean} marked  whether the measure favours the method
 *
 * @typedef {object} Measures
 * @property {Entry[]} entries
 * @property {string} compute  the button's text, or "" if nothing is missing or all of it is being computed
 */

export class Strip {
  /** @type {Map<string, HTMLButtonElement>} by the name of the measure */
  buttons = new Map();
  compute = button("", () => this.ask(""), { className: "compute" });
  node = make("div", { className: "strip", role: "group", hidden: true }, this.compute);

  /** @param {import("./tile.js").Tile} tile */
  constructor(tile) {
    this.tile = tile;
  }

  /**
   * Shows these measures; a button that has the focus keeps it.
   * @param {Measures | undefined} measures
   */
  show(measures) {
    this.node.hidden = !measures;
    if (!measures) return;
    const { title, label } = this.tile.header;
    this.node.ariaLabel = `Measures of ${title} for ${label}`;
    for (const entry of measures.entries) this.write(entry);
    for (const [name, one] of this.buttons) {
      if (measures.entries.some((entry) => entry.name === name)) continue;
      one.remove();
      this.buttons.delete(name);
    }
    const { compute } = measures;
    this.compute.hidden = !compute;
    if (this.compute.textContent !== compute) this.compute.textContent = compute;
    this.compute.ariaLabel = `${compute}: measures of ${title} for ${label}`;
  }

  /** @param {Entry} entry */
  write({ name, label, text, says, ready, marked }) {
    let one = this.buttons.get(name);
    if (!one) {
      one = button("", () => this.ask(name), {});
      one.append(make("span", { className: "short", textContent: label }), " ", make("span", { className: "figure" }));
      this.buttons.set(name, one);
      this.compute.before(one);
    }
    const figure = /** @type {HTMLElement} */ (one.lastElementChild);
    figure.textContent = marked ? `${text}†` : text;
    one.title = says;
    one.ariaLabel = `${label} ${figure.textContent}: ${says}`; // a name contains what is seen
    one.disabled = !ready;
  }

  /**
   * Opens a measure, or computes all that are missing.
   * @param {string} measure
   */
  ask(measure) {
    const { grid, header } = this.tile;
    grid.send("strip", { ask: header.ask, measure });
    const pressed = this.buttons.get(measure);
    grid.dialog?.disconnect();
    grid.dialog = pressed && focusAfterDialog(pressed);
  }
}

/**
 * Gives a button the focus again once the dialog that it opens is closed: Streamlit does not look inside components.
 * @param {HTMLButtonElement} pressed
 */
function focusAfterDialog(pressed) {
  let opened = false;
  const observer = new MutationObserver(() => {
    const open = Boolean(document.querySelector('[role="dialog"]'));
    if (opened && !open) {
      observer.disconnect();
      pressed.focus();
    }
    opened ||= open;
  });
  observer.observe(document.body, { childList: true, subtree: true });
  return observer;
}
