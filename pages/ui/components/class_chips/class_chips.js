// The classes with the highest probability. A click explains one; "+" or Ctrl-click adds it to the others.

import { make, percent } from "../shared.js";

/**
 * @typedef {object} Entry
 * @property {number} index
 * @property {string} label
 * @property {number | string} chance
 */

/**
 * @param {Entry} entry
 * @param {number[]} chosen
 * @param {Component<unknown>["setTriggerValue"]} send
 */
function chip({ index, label, chance }, chosen, send) {
  const on = chosen.includes(index);
  const bar = make("span", { className: "bar" });
  bar.style.setProperty("--share", typeof chance === "number" ? String(chance) : "0");
  const main = make(
    "button",
    { type: "button", className: "class", ariaPressed: String(on), title: `Explain ${label}` },
    make("span", { className: "label", textContent: label }),
    make("span", { className: "chance", textContent: percent(chance) }),
    bar,
  );
  main.onclick = (event) => send("pick", { index, joins: event.ctrlKey || event.metaKey, chosen });
  const title = on ? `Remove ${label}` : `Add ${label} to the comparison`;
  const join = make("button", {
    type: "button",
    className: "join",
    textContent: on ? "−" : "+",
    ariaLabel: title,
    title,
    disabled: on && chosen.length === 1,
  });
  join.onclick = () => send("pick", { index, joins: true, chosen });
  const box = make("div", { className: on ? "chip on" : "chip" }, main, join);
  box.dataset.index = String(index);
  return box;
}

/** @param {Component<{ classes: Entry[], chosen: number[] }>} component */
export default function ({ data, parentElement, setTriggerValue }) {
  let root = parentElement.querySelector(".chips");
  if (!root) {
    root = make("div", { className: "chips", role: "group", ariaLabel: "Most probable classes" });
    parentElement.append(root);
  }
  const focused = parentElement.activeElement;
  const index = focused?.closest("[data-index]")?.getAttribute("data-index");
  root.replaceChildren(...data.classes.map((entry) => chip(entry, data.chosen, setTriggerValue)));
  const again = index && root.querySelector(`[data-index="${index}"] .${focused?.className}`);
  if (again instanceof HTMLElement) again.focus();
}
