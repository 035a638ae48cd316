// The colours of maps: range of values and painting.

import { context } from "../shared.js";

/**
 * @typedef {import("./heat_map.js").HeatMap} HeatMap
 * @typedef {import("./view.js").View} View
 * @typedef {Record<string, Uint8Array>} Tables  256 RGB triples for each colour scale
 *
 * @typedef {object} Span  the values of the first and the last colour
 * @property {number} low
 * @property {number} high
 * @property {boolean} [signed]  zero is in the middle, and the scale diverges
 * @property {boolean} [only]  values below the first colour are not painted
 *
 * @typedef {object} Shown  the properties of a tile that its colours depend on
 * @property {number} row
 * @property {number} column
 * @property {HeatMap | null} map
 * @property {[HeatMap, HeatMap]} [of]  the two maps whose difference this is
 */

/**
 * The maps that share a colour range with a tile.
 * @param {Shown} tile
 * @param {HeatMap} map
 * @param {Shown[]} tiles
 * @param {View} view
 */
function sharing(tile, map, tiles, view) {
  if (view.range !== "row" && view.range !== "method") return [map];
  const together = tiles.filter((other) => {
    if (view.range === "row") return other.row === tile.row;
    return other.column === tile.column && (tile.of || !other.of); // a difference does not affect the range of others
  });
  return together.flatMap((other) => other.map ?? []);
}

/**
 * The range of values of a tile's colours.
 * @param {Shown} tile
 * @param {HeatMap} map
 * @param {Shown[]} tiles
 * @param {View} view
 * @returns {Span}
 */
export function spanOf(tile, map, tiles, view) {
  /** @param {HeatMap} one */
  const top = (one) => {
    if (view.clip) return one.high;
    return one.signed ? one.reach : one.max;
  };
  const maps = sharing(tile, map, tiles, view);
  const signed = maps.some((one) => one.signed);
  const reach = Math.max(...maps.map((one) => (view.clip ? Math.max(one.high, one.signed ? 0 : -one.min) : one.reach)));
  switch (view.range) {
    case "symmetric":
      return { low: -reach, high: reach, signed: true };
    case "positive":
      return { low: 0, high: Math.max(0, map.signed ? Math.min(map.max, top(map)) : top(map)), only: true };
    case "negative":
      return { low: 0, high: Math.min(0, map.signed ? Math.max(map.min, -top(map)) : map.min), only: true };
    case "fixed":
      return { low: view.low, high: view.high, signed: signed && view.low < 0 && view.high > 0 };
    default: {
      if (signed) return { low: -reach, high: reach, signed: true };
      const low = view.range === "minmax" ? map.min : Math.min(...maps.map((one) => one.floor));
      return { low, high: Math.max(...maps.map(top)), signed: false };
    }
  }
}

const WEAK = 0.1; // of the range of another class

/** @param {HeatMap} map */
const extent = (map) => map.high - (map.signed ? 0 : map.floor);

/**
 * Says that a map is very weak beside those of the same method for other classes; "" for any other map.
 * @param {Shown} tile
 * @param {Shown[]} tiles
 */
export function weakness(tile, tiles) {
  if (!tile.map || tile.of) return "";
  const others = tiles.filter((other) => other !== tile && other.column === tile.column && other.map && !other.of);
  const most = Math.max(0, ...others.map((other) => (other.map ? extent(other.map) : 0)));
  const share = most ? extent(tile.map) / most : 1;
  if (share >= WEAK) return "";
  const percentage = share < 0.01 ? "< 1%" : `${Math.round(share * 100)}%`;
  return `Very weak: ${percentage} of the ${others.length > 1 ? "strongest" : "other"} class's range`;
}

/**
 * 256 colours with their opacities, as one 32-bit number each.
 * @param {Uint8Array} table
 * @param {boolean} signed
 * @param {View} view
 * @param {boolean} [even]  whether all values above the threshold are equally opaque
 */
function palette(table, signed, view, even = view.blend === "even") {
  const colours = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const share = i / 255;
    const strength = signed ? Math.abs(2 * share - 1) : share;
    const opacity = strength >= view.threshold ? (even ? 1 : strength ** 0.6) * view.opacity : 0;
    const [red, green, blue] = table.subarray(3 * i);
    colours[i] = (Math.round(opacity * 255) << 24) | (blue << 16) | (green << 8) | red;
  }
  return colours;
}

/**
 * Paints a map, one pixel for each of its values.
 * @param {HTMLCanvasElement} canvas
 * @param {HeatMap} map
 * @param {Span} span
 * @param {View} view
 * @param {Tables} tables
 */
export function paintMap(canvas, map, { low, high, signed, only }, view, tables) {
  const { values, width, height } = map;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  if (high !== low) {
    const colours = palette(tables[signed ? view.diverging : view.sequential], Boolean(signed), view);
    const scale = 255 / (high - low);
    for (let i = 0; i < pixels.length; i++) {
      const level = Math.round((values[i] - low) * scale);
      if (only && level <= 0) continue;
      pixels[i] = colours[Math.min(255, Math.max(0, level))];
    }
  }
  context(canvas).putImageData(picture, 0, 0);
}

/**
 * Paints the colour scale of a tile, at full opacity.
 * @param {HTMLCanvasElement} canvas  256 pixels wide
 * @param {Span} span
 * @param {View} view
 * @param {Tables} tables
 */
export function paintScale(canvas, { signed }, view, tables) {
  const bar = new ImageData(256, 1);
  const table = tables[signed ? view.diverging : view.sequential];
  new Uint32Array(bar.data.buffer).set(palette(table, Boolean(signed), { ...view, opacity: 1 }, true));
  context(canvas).putImageData(bar, 0, 0);
}
