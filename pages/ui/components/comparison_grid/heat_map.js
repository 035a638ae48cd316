// A map as numbers: read from the bytes that Python sends, and subtracted from another.

/**
 * @typedef {object} HeatMap
 * @property {Float32Array} values  row by row
 * @property {number} width
 * @property {number} height
 * @property {number} min
 * @property {number} max
 * @property {boolean} signed  zero is the middle of the colour map
 * @property {number} floor  start of its own colour range
 * @property {number} reach  the largest magnitude
 * @property {number} high  the 99.9th percentile, so that a single outlier does not dim a whole map
 *
 * @typedef {object} Encoded  the header's fields for a map whose payload is 16-bit levels
 * @property {number} [width]
 * @property {number} height
 * @property {number} zero  the value of level 0
 * @property {number} step  the difference between two levels
 * @property {number} min
 * @property {number} max
 * @property {boolean} signed
 * @property {boolean} offset  values are defined up to a constant
 */

/**
 * The map of a packet, or null if it has none.
 * @param {Packet<Encoded>} packet
 */
export function readMap({ header, payload }) {
  const { width, height, zero, step, min, max, signed, offset } = header;
  if (!width) return null;
  const levels = new Uint16Array(payload.buffer, payload.byteOffset, width * height);
  const values = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; i++) values[i] = zero + step * levels[i];
  return measured({ values, width, height, min, max, signed, floor: offset ? min : Math.min(min, 0) });
}

/**
 * @param {Omit<HeatMap, "reach" | "high">} map
 * @returns {HeatMap}
 */
function measured(map) {
  const sizes = map.values.map(map.signed ? Math.abs : (value) => value).sort();
  const rank = Math.min(sizes.length - 1, Math.floor(sizes.length * 0.999));
  const reach = Math.max(Math.abs(map.min), Math.abs(map.max));
  const most = map.signed ? reach : map.max;
  return { ...map, reach, high: sizes[rank] > (map.signed ? 0 : map.min) ? sizes[rank] : most };
}

/**
 * One map minus another.
 * @param {HeatMap} one
 * @param {HeatMap} other
 */
export function difference(one, other) {
  const values = one.values.map((value, i) => value - other.values[i]);
  let min = Infinity;
  let max = -Infinity;
  for (const value of values) {
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  return measured({ values, width: one.width, height: one.height, min, max, signed: true, floor: min });
}
