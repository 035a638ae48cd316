// The toolbar of the grid: how all maps look, what of that a link keeps, and what sets it.

const DEFAULTS = {
  opacity: 0.9, threshold: 0, blend: "value", range: "own", clip: true, low: 0, high: 1, size: 210,
  sequential: "inferno", diverging: "RdBu_r", zoom: 1, x: 0.5, y: 0.5, difference: false,
};
const RANGES = {
  own: "Own", minmax: "Own, min to max", row: "Shared per row", method: "Shared per method", symmetric: "Symmetric", positive: "Positive only",
  negative: "Negative only", fixed: "Fixed",
};

function opened(text) {
  const view = { ...DEFAULTS };
  for (const pair of (text || "").split(",")) {
    const [name, value] = pair.split(":");
    if (!(name in DEFAULTS) || value === undefined) continue;
    const kind = typeof DEFAULTS[name];
    if (kind === "number" && Number.isFinite(+value) && value !== "") view[name] = +value;
    if (kind === "boolean") view[name] = value === "true";
    if (kind === "string" && /^\w+$/.test(value)) view[name] = value;
  }
  view.opacity = clamp(view.opacity, 0, 1);
  view.threshold = clamp(view.threshold, 0, 1);
  view.zoom = clamp(view.zoom, 1, 16);
  view.size = clamp(view.size, 120, 420);
  if (!(view.range in RANGES)) view.range = "own";
  return view;
}

shop.look = () =>
  Object.keys(DEFAULTS)
    .filter((name) => shop.view && shop.view[name] !== DEFAULTS[name])
    .map((name) => `${name}:${typeof DEFAULTS[name] === "number" ? +shop.view[name].toFixed(4) : shop.view[name]}`)
    .join(",");

class Toolbar {
  constructor(grid) {
    this.grid = grid;
    this.node = make("div", { className: "bar", role: "toolbar", ariaLabel: "How the maps look" });
  }

  show() {
    const { data, view } = this.grid;
    const plan = JSON.stringify([data.rows.length > 1, view.range === "fixed"]);
    if (plan === this.plan) return;
    this.plan = plan;
    const parts = [
      this.slider("Opacity", "opacity", 0, 1, 0.01, (value) => `${Math.round(value * 100)} %`),
      this.slider("Threshold", "threshold", 0, 1, 0.01, (value) => `${Math.round(value * 100)} %`),
      this.choice("Blend", "blend", { value: "By value", even: "Even" }),
      this.choice("Range", "range", RANGES),
    ];
    if (view.range === "fixed") parts.push(this.entry("From", "low"), this.entry("to", "high"));
    parts.push(
      this.check("Clip 0.1 %", "clip", "Leave the one value in a thousand that is largest out of the colour range"),
      this.choice("Colours", "sequential", Object.fromEntries(data.sequential.map((name) => [name, name]))),
      this.choice("Signed", "diverging", Object.fromEntries(data.diverging.map((name) => [name, name.replace("_r", "")]))),
      this.slider("Size", "size", 120, 420, 10, (value) => `${value} px`),
    );
    if (data.rows.length > 1) parts.push(this.check("Difference", "difference", "The first row minus the second"));
    this.zoomed = make("span", { className: "read" });
    const press = (text, label, act) => make("button", { type: "button", textContent: text, ariaLabel: label, title: label, onclick: act });
    const original = press("Image", "Hold for the image alone (O)", null);
    original.onpointerdown = () => this.grid.bare(true);
    original.onpointerup = original.onpointerleave = () => this.grid.bare(false);
    const zoom = make(
      "div",
      { className: "zoom", role: "group", ariaLabel: "Zoom" },
      press("−", "Zoom out", () => this.grid.zoom(1 / 1.5)),
      this.zoomed,
      press("+", "Zoom in", () => this.grid.zoom(1.5)),
      press("Fit", "Fit the whole image", () => this.grid.whole()),
      original,
      press("?", "Keys", () => shop.bus.dispatchEvent(new Event("keys"))),
    );
    this.node.replaceChildren(...parts, zoom);
  }

  set(name, value) {
    const { grid } = this;
    grid.view[name] = value;
    if (name === "range" || name === "difference") grid.show(grid.data, grid.send);
    else grid.refresh();
  }

  slider(label, name, min, max, step, say) {
    const read = make("span", { className: "read", textContent: say(this.grid.view[name]) });
    const input = make("input", { type: "range", min, max, step, ariaLabel: label });
    input.value = this.grid.view[name];
    input.oninput = () => {
      read.textContent = say(+input.value);
      this.set(name, +input.value);
    };
    return make("label", {}, make("span", { className: "name" }, label, read), input);
  }

  choice(label, name, options) {
    const select = make("select", { ariaLabel: label });
    select.append(...Object.entries(options).map(([value, text]) => make("option", { value, textContent: text })));
    select.value = this.grid.view[name];
    select.onchange = () => {
      this.set(name, select.value);
    };
    return make("label", {}, make("span", { className: "name" }, label), select);
  }

  entry(label, name) {
    const input = make("input", { type: "number", step: "any", value: this.grid.view[name], ariaLabel: `Colour range ${label}` });
    input.oninput = () => Number.isFinite(input.valueAsNumber) && this.set(name, input.valueAsNumber);
    return make("label", { className: "entry" }, make("span", { className: "name" }, label), input);
  }

  check(label, name, title) {
    const input = make("input", { type: "checkbox", checked: this.grid.view[name] });
    input.onchange = () => this.set(name, input.checked);
    return make("label", { className: "check", title }, input, label);
  }
}
