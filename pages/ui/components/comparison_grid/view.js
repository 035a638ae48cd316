// The view settings of maps, and their text in links.

import { clamp, page } from "../shared.js";

/** @typedef {typeof DEFAULTS} View */

const DEFAULTS = {
  opacity: 0.9,
  threshold: 0,
  blend: "value",
  range: "auto",
  clip: true,
  low: 0,
  high: 1,
  size: 210,
  sequential: "inferno",
  diverging: "RdBu_r",
  zoom: 1,
  x: 0.5,
  y: 0.5,
  difference: false,
};

/** @type {Record<string, string>} */
export const RANGES = {
  auto: "Automatic",
  own: "Own",
  minmax: "Own, min to max",
  row: "Shared per row",
  method: "Shared per method",
  symmetric: "Symmetric",
  positive: "Positive only",
  negative: "Negative only",
  fixed: "Fixed",
};

// Where every column is a layer of the same method.
/** @type {Record<string, string>} */
export const RANGES_OF_LAYERS = { ...RANGES, method: "Shared per layer" };

// Where every row is an image of its own; there, a range per row is the range of one map.
/** @type {Record<string, string>} */
export const RANGES_OF_IMAGES = Object.fromEntries(
  Object.entries({ ...RANGES, own: "Per image", method: "Shared by all" }).filter(([name]) => name !== "row"),
);

/**
 * The view settings in a link; missing or invalid ones are the defaults.
 * @param {string} text  "name:value,name:value"
 * @returns {View}
 */
export function readView(text) {
  /** @type {Record<string, number | string | boolean>} */
  const named = {};
  for (const pair of text.split(",")) {
    const [name, value] = pair.split(":");
    if (!Object.hasOwn(DEFAULTS, name) || value === undefined) continue;
    const kind = typeof DEFAULTS[/** @type {keyof View} */ (name)];
    if (kind === "number" && Number.isFinite(+value) && value !== "") named[name] = +value;
    if (kind === "boolean") named[name] = value === "true";
    if (kind === "string" && /^\w+$/.test(value)) named[name] = value;
  }
  const view = { ...DEFAULTS, ...named };
  view.opacity = clamp(view.opacity, 0, 1);
  view.threshold = clamp(view.threshold, 0, 1);
  view.zoom = clamp(view.zoom, 1, 16);
  view.size = clamp(view.size, 120, 420);
  if (!Object.hasOwn(RANGES, view.range)) view.range = "auto";
  return view;
}

/**
 * The view with its range decided: maps of several classes share one per method, all others have their own.
 * @param {View} view
 * @param {boolean} classes  whether several classes are compared, and nothing else
 */
export function decided(view, classes) {
  return view.range === "auto" ? { ...view, range: classes ? "method" : "own" } : view;
}

/** The text for links: every setting that differs from its default. */
export function viewText() {
  const { view } = page;
  if (!view) return "";
  return Object.entries(view)
    .filter(([name, value]) => value !== DEFAULTS[/** @type {keyof View} */ (name)])
    .map(([name, value]) => `${name}:${typeof value === "number" ? +value.toFixed(4) : value}`)
    .join(",");
}
