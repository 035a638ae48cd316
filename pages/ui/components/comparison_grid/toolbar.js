// The toolbar of the grid, with the view settings of all maps.

import { button, make, page } from "../shared.js";

/**
 * @typedef {import("./comparison_grid.js").ComparisonGrid} ComparisonGrid
 * @typedef {import("./view.js").View} View
 */

/**
 * The settings of a view that have values of one type.
 * @template Value
 * @typedef {{ [Name in keyof View]: View[Name] extends Value ? Name : never }[keyof View]} Names
 */

/** @param {number} share */
const inPercent = (share) => `${Math.round(share * 100)}%`;

export class Toolbar {
  /** @type {string | undefined} */
  plan;
  zoomed = make("span", { className: "read" });
  more = make("details", { className: "more" });
  node = make("div", { className: "bar", role: "toolbar", ariaLabel: "Display options" });

  /** @param {ComparisonGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.more.onkeydown = (event) => {
      if (event.key !== "Escape" || !this.more.open) return;
      event.stopPropagation();
      this.more.open = false;
      this.more.querySelector("summary")?.focus();
    };
  }

  /**
   * Closes the panel of further options after a click elsewhere.
   * @param {Event} event
   */
  clicked(event) {
    if (!event.composedPath().includes(this.more)) this.more.open = false;
  }

  /** Builds the controls, if they have changed. */
  show() {
    const { data, view } = this.grid;
    const { several, ranges } = this.grid;
    const plan = JSON.stringify([several, ranges, view.range === "fixed"]);
    if (plan === this.plan) return;
    this.plan = plan;
    const { more } = this;
    const panel = make(
      "div",
      { className: "panel" },
      this.choice("Opacity mode", "blend", { value: "By value", even: "Uniform" }),
      this.choice("Colours", "sequential", Object.fromEntries(data.sequential.map((name) => [name, name]))),
      this.choice(
        "Diverging colours",
        "diverging",
        Object.fromEntries(data.diverging.map((name) => [name, name.replace("_r", "")])),
      ),
      this.slider("Size", "size", [120, 420, 10], (value) => `${value} px`),
      this.check("Clip 0.1%", "clip", "Exclude the largest 0.1% of values from the colour range"),
      button("Reset display", () => this.reset(), { className: "keep" }),
    );
    if (view.range === "fixed") panel.prepend(this.entry("From", "low"), this.entry("to", "high"));
    more.replaceChildren(make("summary", { textContent: "More" }), panel);
    const controls = [
      this.slider("Opacity", "opacity", [0, 1, 0.01], inPercent),
      this.slider("Threshold", "threshold", [0, 1, 0.01], inPercent),
      this.choice("Range", "range", ranges),
    ];
    if (several) controls.push(this.check("Difference", "difference", "The first row minus the second"));
    this.node.replaceChildren(...controls, more, this.zoom());
  }

  /** Sets all display options to their defaults. */
  reset() {
    this.plan = undefined;
    this.grid.resetView();
    this.more.open = true;
    this.more.querySelector("summary")?.focus();
  }

  zoom() {
    /**
     * @param {string} text
     * @param {string} label
     * @param {(() => void) | null} act
     */
    const press = (text, label, act) => button(text, act, { ariaLabel: label, title: label });
    const original = press("Image", "Hold to show the image only (O)", null);
    original.onpointerdown = () => this.grid.hideMaps(true);
    original.onpointerup = () => this.grid.hideMaps(false);
    original.onpointerleave = original.onpointerup;
    return make(
      "div",
      { className: "zoom", role: "group", ariaLabel: "Zoom" },
      press("−", "Zoom out", () => this.grid.camera.zoom(1 / 1.5)),
      this.zoomed,
      press("+", "Zoom in", () => this.grid.camera.zoom(1.5)),
      press("Fit", "Fit the whole image", () => this.grid.camera.fit()),
      original,
      press("?", "Keys", () => page.events.dispatchEvent(new Event("shortcuts"))),
    );
  }

  /**
   * @param {keyof View} name
   * @param {number | string | boolean} value
   */
  set(name, value) {
    const { grid } = this;
    Object.assign(grid.view, { [name]: value });
    if (value === "fixed") this.more.open = true; // its ends are set there
    if (name === "range" || name === "difference") grid.show();
    else grid.refresh();
  }

  /**
   * @param {string} label
   * @param {Names<number>} name
   * @param {[min: number, max: number, step: number]} range
   * @param {(value: number) => string} say
   */
  slider(label, name, [min, max, step], say) {
    const value = this.grid.view[name];
    const read = make("span", { className: "read", textContent: say(value) });
    const input = make("input", { type: "range", min: `${min}`, max: `${max}`, step: `${step}`, ariaLabel: label });
    input.value = String(value);
    input.oninput = () => {
      read.textContent = say(input.valueAsNumber);
      this.set(name, input.valueAsNumber);
    };
    return make("label", {}, make("span", { className: "name" }, label, read), input);
  }

  /**
   * @param {string} label
   * @param {Names<string>} name
   * @param {Record<string, string>} options  value and text of each
   */
  choice(label, name, options) {
    const select = make("select", { ariaLabel: label });
    select.append(...Object.entries(options).map(([value, text]) => make("option", { value, textContent: text })));
    const value = this.grid.view[name];
    select.value = Object.hasOwn(options, value) ? value : Object.keys(options)[0];
    select.onchange = () => this.set(name, select.value);
    return make("label", {}, make("span", { className: "name" }, label), select);
  }

  /**
   * @param {string} label
   * @param {Names<number>} name
   */
  entry(label, name) {
    const value = String(this.grid.view[name]);
    const input = make("input", { type: "number", step: "any", value, ariaLabel: `Colour range ${label}` });
    input.oninput = () => {
      if (Number.isFinite(input.valueAsNumber)) this.set(name, input.valueAsNumber);
    };
    return make("label", { className: "entry" }, make("span", { className: "name" }, label), input);
  }

  /**
   * @param {string} label
   * @param {Names<boolean>} name
   * @param {string} title
   */
  check(label, name, title) {
    const input = make("input", { type: "checkbox", checked: this.grid.view[name] });
    input.onchange = () => this.set(name, input.checked);
    return make("label", { className: "check", title }, input, label);
  }
}
