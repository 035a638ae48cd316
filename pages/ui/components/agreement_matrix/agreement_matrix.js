// The agreement of maps: a coloured table for each class, rank correlation above the diagonal and overlap below it.
// Python sends the numbers; the CSV file is made here.
//
// Not a styled st.dataframe: that has neither tooltips for single cells nor rotated column headings (without which a
// dozen methods do not fit the page), and draws on a canvas, of which screen readers see only the visible cells.

import { button, decoded, make, saveFile } from "../shared.js";

/**
 * @typedef {object} Agreement  of the maps of one class; null for a constant map, which has no order
 * @property {{ label: string }} target
 * @property {string[]} methods
 * @property {(number | null)[][]} spearman
 * @property {(number | null)[][]} overlap
 *
 * @typedef {object} Data
 * @property {Agreement[]} classes
 * @property {string} colours  256 RGB triples in base64, for -1 to 1
 * @property {number} share  of the pixels that count as strongest
 * @property {number} chance  overlap of two random sets of that size
 */

/** @type {WeakMap<ShadowRoot, string>} */
const drawn = new WeakMap();

/** @param {number | null} value */
const digits = (value) => (value === null ? "–" : (Math.round(value * 100) / 100 || 0).toFixed(2).replace("-", "−"));

/**
 * Sets a cell's background to the colour of its value, and its text to black or white for contrast.
 * @param {HTMLElement} cell
 * @param {number} value
 * @param {Uint8Array} colours
 */
function tint(cell, value, colours) {
  const at = 3 * Math.round(((value + 1) / 2) * 255);
  const channels = [...colours.slice(at, at + 3)];
  const [r, g, b] = channels.map((channel) => ((channel / 255 + 0.055) / 1.055) ** 2.4);
  cell.style.background = `rgb(${channels.join(" ")})`;
  cell.style.color = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
}

/**
 * @param {Agreement} agreement
 * @param {Uint8Array} colours
 */
function table({ target, methods, spearman, overlap }, colours) {
  /**
   * @param {number} i
   * @param {number} j
   */
  const cell = (i, j) => {
    if (i === j) return make("td", { className: "self" });
    const value = (i < j ? spearman : overlap)[i][j];
    const measure = i < j ? "rank correlation" : "overlap";
    const text = value === null ? "one of the maps has no order" : digits(value);
    const node = make("td", {
      textContent: digits(value),
      title: `${methods[i]} and ${methods[j]}, ${measure}: ${text}`,
    });
    if (value !== null) tint(node, value, colours);
    return node;
  };
  const across = methods.map((name) => make("th", { scope: "col" }, make("span", { textContent: name })));
  const rows = methods.map((name, i) =>
    make("tr", {}, make("th", { scope: "row", textContent: name }), ...methods.map((_, j) => cell(i, j))),
  );
  return make(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `Agreement for ${target.label}` },
    make(
      "table",
      {},
      make("caption", { textContent: target.label }),
      make("thead", {}, make("tr", {}, make("td"), ...across)),
      make("tbody", {}, ...rows),
    ),
  );
}

/** @param {Agreement[]} classes */
function csv(classes) {
  /** @param {string} text */
  const quoted = (text) => `"${text.replaceAll('"', '""')}"`;
  const lines = [["class", "method", "other", "spearman", "overlap"]];
  for (const { target, methods, spearman, overlap } of classes) {
    for (let i = 0; i < methods.length; i++) {
      for (let j = i + 1; j < methods.length; j++) {
        const values = [spearman[i][j], overlap[i][j]].map((value) => String(value ?? ""));
        lines.push([quoted(target.label), quoted(methods[i]), quoted(methods[j]), ...values]);
      }
    }
  }
  return lines.map((line) => `${line.join(",")}\r\n`).join("");
}

/**
 * @param {Data} data
 * @param {Uint8Array} colours
 */
function legend({ share, chance }, colours) {
  const stops = Array.from({ length: 9 }, (_, i) => {
    const at = 3 * Math.round((i / 8) * 255);
    return `rgb(${colours.slice(at, at + 3).join(" ")})`;
  });
  const ramp = make("span", { className: "ramp" });
  ramp.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const strong = Math.round(share * 100);
  return make(
    "div",
    { className: "legend" },
    make("p", {
      textContent:
        "Above the diagonal: Spearman rank correlation over all pixels; 1 means the same order, 0 no agreement. " +
        `Below: overlap of the strongest ${strong}% of the pixels (intersection over union); ${chance.toFixed(2)} is expected by chance. ` +
        "Random and Edge detector do not depend on the model: a map that agrees with them as much as with the other methods says little about it. " +
        "A dash marks a constant map.",
    }),
    make("span", { className: "scale", ariaHidden: "true" }, "−1", ramp, "1"),
  );
}

/** @param {Component<Data>} component */
export default function ({ data, parentElement }) {
  const text = JSON.stringify(data);
  if (drawn.get(parentElement) === text) return;
  drawn.set(parentElement, text);
  const colours = decoded(data.colours);
  const save = () => saveFile(new Blob([csv(data.classes)], { type: "text/csv" }), "agreement.csv");
  const tables = make("div", { className: "tables" }, ...data.classes.map((one) => table(one, colours)));
  const aside = make("div", { className: "aside" }, legend(data, colours), button("Agreement as CSV", save));
  parentElement.querySelector(".matrix")?.remove();
  parentElement.append(make("div", { className: "matrix" }, tables, aside));
}
