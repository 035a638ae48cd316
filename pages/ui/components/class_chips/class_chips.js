// The classes with the highest probability. A click explains one; "+" or Ctrl-click adds it to the others.

import { make, mounted, page, percent } from "../shared.js";

/**
 * @typedef {object} Entry
 * @property {number} index
 * @property {string} label
 * @property {number | string} chance
 * @property {"" | "right" | "wrong" | "true"} mark  of the predicted and the true class, where the true one is known
 */

const MARKS = { right: ["✓", "right"], wrong: ["✗", "wrong"], true: ["✓", "true class"] };

/** @param {Entry["mark"]} mark */
function sign(mark) {
  if (!mark) return [];
  const [text, word] = MARKS[mark];
  const node = make("span", { className: "mark", title: word }, text, make("span", { className: "word" }, ` ${word}`));
  return [node];
}

/**
 * @param {Entry} entry
 * @param {number[]} chosen
 * @param {Component<unknown>["setTriggerValue"]} send
 */
function chip({ index, label, chance, mark }, chosen, send) {
  const on = chosen.includes(index);
  const bar = make("span", { className: "bar" });
  bar.style.setProperty("--share", typeof chance === "number" ? String(chance) : "0");
  const main = make(
    "button",
    { type: "button", className: "class", ariaPressed: String(on), title: `Explain ${label}` },
    make("span", { className: "label", textContent: label }),
    make("span", { className: "chance" }, percent(chance), " ", ...sign(mark)),
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

/** @typedef {{ classes: Entry[], chosen: number[] }} Data */

class ClassChips {
  /** @type {Component<Data>} */
  component;
  node = make("div", { className: "chips", role: "group", ariaLabel: "Most probable classes" });
  listeners = new AbortController();

  /** @param {ShadowRoot} root */
  constructor(root) {
    root.append(this.node);
    page.events.addEventListener("step", (event) => this.step(event), { signal: this.listeners.signal });
  }

  close() {
    this.listeners.abort();
    this.node.remove();
  }

  /** @param {Component<Data>} component */
  update(component) {
    this.component = component;
    const { data, parentElement, setTriggerValue } = component;
    const focused = parentElement.activeElement;
    const index = focused?.closest("[data-index]")?.getAttribute("data-index");
    this.node.replaceChildren(...data.classes.map((entry) => chip(entry, data.chosen, setTriggerValue)));
    const again = index && this.node.querySelector(`[data-index="${index}"] .${focused?.className}`);
    if (again instanceof HTMLElement) again.focus();
  }

  /**
   * Explains the class before or after the current one alone.
   * @param {Event} event
   */
  step(event) {
    const by = /** @type {CustomEvent} */ (event).detail.class ?? 0;
    const { classes, chosen } = this.component.data;
    if (!by) return;
    const at = classes.findIndex(({ index }) => index === chosen[0]);
    const { index } = classes[(at + by + classes.length) % classes.length];
    this.component.setTriggerValue("pick", { index, joins: false, chosen });
  }
}

export default mounted((root) => new ClassChips(root));
