// The layers of a network in a row that scrolls, in groups of equal maps. A click, or Enter, shows the units of one.

import { make, mounted } from "../shared.js";

/**
 * @typedef {object} Layer
 * @property {string} name
 * @property {string} kind  of module
 * @property {number} units
 * @property {string} note  what is known of it, as one word
 *
 * @typedef {{ size: string, layers: Layer[] }} Group  size of the maps, as text
 * @typedef {{ groups: Group[], chosen: string }} Data
 */

const LETTERS = 44; // of a name; its end tells more than its beginning

/**
 * The end of a name, which may break into lines after its dots.
 * @param {string} name
 */
const shortened = (name) => (name.length > LETTERS ? `…${name.slice(-LETTERS)}` : name).replaceAll(".", ".\u200b");

/**
 * @param {Layer} layer
 * @param {string} size
 * @param {boolean} on
 */
function block({ name, kind, units, note }, size, on) {
  const count = `${units.toLocaleString("en")} ${units === 1 ? "unit" : "units"}`;
  const node = make(
    "button",
    {
      type: "button",
      className: on ? "layer on" : "layer",
      title: `${name}: ${kind}, maps of ${size}, ${count}${note && `, ${note}`}`,
      tabIndex: on ? 0 : -1,
    },
    make("span", { className: "name", textContent: shortened(name) }),
    make("span", { className: "units" }, count, ...(note ? [make("span", { className: "note" }, note)] : [])),
  );
  node.setAttribute("role", "option");
  node.ariaSelected = String(on);
  node.dataset.layer = name;
  return node;
}

class LayerStrip {
  /** @type {Component<Data>} */
  component;
  drawn = "";
  node = make("div", { className: "strip", ariaLabel: "Layers of the network", role: "listbox" });

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.node.ariaOrientation = "horizontal";
    this.node.onkeydown = (event) => this.press(event);
    this.node.onclick = (event) => {
      const { target } = event;
      const layer = target instanceof Element && target.closest("[data-layer]")?.getAttribute("data-layer");
      if (layer) this.component.setTriggerValue("pick", { layer });
    };
    root.append(this.node);
  }

  close() {
    this.node.remove();
  }

  /** @param {Component<Data>} component */
  update(component) {
    this.component = component;
    const text = JSON.stringify(component.data);
    if (text === this.drawn) return;
    this.drawn = text;
    const { groups, chosen } = component.data;
    const focused = this.blocks().indexOf(/** @type {HTMLElement} */ (component.parentElement.activeElement)) >= 0;
    const parts = groups.map(({ size, layers }) => {
      const blocks = layers.map((layer) => block(layer, size, layer.name === chosen));
      const heading = make("div", { className: "size", ariaHidden: "true" }, make("span", {}, `maps of ${size}`));
      const row = make("div", { className: "row", role: "presentation" }, ...blocks);
      return make("div", { className: "group", role: "group", ariaLabel: `Maps of ${size}` }, heading, row);
    });
    this.node.replaceChildren(...parts);
    const on = this.blocks().find((node) => node.dataset.layer === chosen);
    if (!on) return;
    this.node.scrollLeft = on.offsetLeft - (this.node.clientWidth - on.offsetWidth) / 2;
    if (focused) on.focus({ preventScroll: true });
  }

  blocks() {
    return /** @type {HTMLElement[]} */ ([...this.node.querySelectorAll(".layer")]);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const blocks = this.blocks();
    const { activeElement } = this.component.parentElement;
    const at = blocks.indexOf(/** @type {HTMLElement} */ (activeElement));
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: blocks.length - 1 };
    const to = moves[event.key];
    if (to === undefined || at < 0) return;
    event.preventDefault();
    event.stopPropagation();
    blocks[Math.min(Math.max(to, 0), blocks.length - 1)].focus();
  }
}

export default mounted((root) => new LayerStrip(root));
