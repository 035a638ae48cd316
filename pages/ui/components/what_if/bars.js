// The most probable classes before and after the edits, as a table with paired bars.

import { make, percent } from "../shared.js";

/**
 * @typedef {object} Bar  a class, or an output of a regression, whose values come as text and have no bars
 * @property {string} name
 * @property {number | string} before
 * @property {number | string} after
 * @property {string} mark  " ✓" for the true class
 */

/**
 * The table of these classes.
 * @param {Bar[]} bars
 */
export function barTable(bars) {
  const heads = ["Class", "Before", "After"].map((text) => make("th", { scope: "col", textContent: text }));
  const title = make("caption", { textContent: "The most probable classes, before and after" });
  return make(
    "table",
    { className: "bars" },
    title,
    make("thead", {}, make("tr", {}, ...heads)),
    make("tbody", {}, ...bars.map(barRow)),
  );
}

/** @param {Bar} bar */
function barRow({ name, before, after, mark }) {
  const kinds = /** @type {["before" | "after", number | string][]} */ ([
    ["before", before],
    ["after", after],
  ]);
  const drawn = kinds.map(([kind, value]) => {
    const one = make("div", { className: `bar ${kind}` });
    one.style.width = typeof value === "number" ? `${value * 100}%` : "0";
    return one;
  });
  const pair = make("div", { className: "pair", ariaHidden: "true" }, ...drawn);
  const head = make("th", { scope: "row", title: name }, make("span", { textContent: `${name}${mark}` }), pair);
  const cells = kinds.map(([kind, value]) => make("td", { className: kind, textContent: percent(value) }));
  return make("tr", {}, head, ...cells);
}
