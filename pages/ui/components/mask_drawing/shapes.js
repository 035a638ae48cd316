// Shapes on an image: rectangles and outlines in its pixels, and their elements in SVG.

import { clamp } from "../shared.js";

/**
 * @typedef {[x: number, y: number]} Point
 * @typedef {{ left: number, top: number, width: number, height: number }} Box
 * @typedef {{ width: number, height: number }} Size
 */

const SVG = "http://www.w3.org/2000/svg";

/**
 * An element of SVG with these attributes.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {...Node} children
 */
export function drawn(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

/**
 * Points from their coordinates in turn: x, y, x, y …
 * @param {number[]} flat
 */
export const inPairs = (flat) =>
  Array.from({ length: flat.length / 2 }, (_, at) => /** @type {Point} */ ([flat[2 * at], flat[2 * at + 1]]));

/** @param {Point[]} points */
export const inWords = (points) => points.map((point) => point.join(",")).join(" ");

/**
 * The corners of a box, in turn.
 * @param {Box} box
 * @returns {Point[]}
 */
export function corners({ left, top, width, height }) {
  return [
    [left, top],
    [left + width, top],
    [left + width, top + height],
    [left, top + height],
  ];
}

/**
 * The box between two points.
 * @param {Point} one
 * @param {Point} other
 * @returns {Box}
 */
export function between([x, y], [otherX, otherY]) {
  return {
    left: Math.min(x, otherX),
    top: Math.min(y, otherY),
    width: Math.abs(x - otherX),
    height: Math.abs(y - otherY),
  };
}

/**
 * A point within an image, to a tenth of a pixel.
 * @param {Point} point
 * @param {Size} size
 * @returns {Point}
 */
export function within([x, y], { width, height }) {
  return [Math.round(clamp(x, 0, width) * 10) / 10, Math.round(clamp(y, 0, height) * 10) / 10];
}

/**
 * A box moved, or made larger at its right and lower side, as far as the image reaches.
 * @param {Box} box
 * @param {Point} by
 * @param {Size} size
 * @param {boolean} resize
 * @returns {Box}
 */
export function shifted({ left, top, width, height }, [x, y], size, resize) {
  if (resize) {
    const least = 1;
    return {
      left,
      top,
      width: clamp(width + x, least, size.width - left),
      height: clamp(height + y, least, size.height - top),
    };
  }
  return { left: clamp(left + x, 0, size.width - width), top: clamp(top + y, 0, size.height - height), width, height };
}

/**
 * The distance of two points.
 * @param {Point} one
 * @param {Point} other
 */
export const distance = ([x, y], [otherX, otherY]) => Math.hypot(x - otherX, y - otherY);
