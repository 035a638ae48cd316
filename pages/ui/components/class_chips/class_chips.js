// The classes with the highest probability. A click explains one; "+" or Ctrl-click adds it to the others.

import { MARKS, make, mounted, page, percent } from "../shared.js";

/**
 * @typedef {object} Entry
 * @property {string} target
 * @property {string} label
 * @property {number | string} chance
 * @property {"" | Mark} mark  of the predicted and the true class, where the true one is known
 */

/** @param {Entry["mark"]} mark */
function sign(mark) {
  if (!mark) return [];
  const [text, word] = MARKS[mark];
  const node = make("span", { className: "mark", title: word }, text, make("span", { className: "word" }, ` ${word}`));
  return [node];
}

/**
 * @param {Entry} entry
 * @param {string[]} chosen
 * @param {Component<unknown>["setTriggerValue"]} send
 */
function chip({ target, label, chance, mark }, chosen, send) {
  const on = chosen.includes(target);
  const bar = make("span", { className: "bar" });
  bar.style.setProperty("--share", typeof chance === "number" ? String(chance) : "0");
  const main = make(
    "button",
    { type: "button", className: "class", ariaPressed: String(on), title: `Explain ${label}` },
    make("span", { className: "label", textContent: label }),
    make(
      "span",
      { className: typeof chance === "number" ? "chance" : "chance text" },
      percent(chance),
      " ",
      ...sign(mark),
    ),
    bar,
  );
  main.onclick = (event) => send("pick", { target, joins: event.ctrlKey || event.metaKey, chosen });
  const title = on ? `Remove ${label}` : `Add ${label} to the comparison`;
  const join = make("button", {
    type: "button",
    className: "join",
    textContent: on ? "−" : "+",
    ariaLabel: title,
    title,
    disabled: on && chosen.length === 1,
  });
  join.onclick = () => send("pick", { target, joins: true, chosen });
  const box = make("div", { className: on ? "chip on" : "chip" }, main, join);
  box.dataset.target = target;
  return box;
}

/** @typedef {{ classes: Entry[], chosen: string[] }} Data */

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
    const target = focused?.closest("[data-target]")?.getAttribute("data-target");
    this.node.replaceChildren(...data.classes.map((entry) => chip(entry, data.chosen, setTriggerValue)));
    const again = target && this.node.querySelector(`[data-target="${target}"] .${focused?.className}`);
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
    const at = classes.findIndex(({ target }) => target === chosen[0]);
    const { target } = classes[(at + by + classes.length) % classes.length];
    this.component.setTriggerValue("pick", { target, joins: false, chosen });
  }
}

export default mounted((root) => new ClassChips(root));
