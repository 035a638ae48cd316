// What is drawn on an image but not part of its edits yet: a box, a stroke, or the place that the keys have moved to.

import { corners, drawn, inWords, shifted } from "../mask_drawing/shapes.js";
import { clamp } from "../shared.js";

/**
 * @typedef {import("../mask_drawing/shapes.js").Point} Point
 * @typedef {import("../mask_drawing/shapes.js").Box} Box
 * @typedef {import("../mask_drawing/shapes.js").Size} Size
 * @typedef {"box" | "brush" | "superpixel"} Tool
 * @typedef {{ colour: string, radius: number }} Look  of the fill until the edited image is here, and of the brush
 */

const STEP = 1 / 50; // of the image's longer side, for an arrow key
const MARK = 1 / 80; // radius of the place that points at a superpixel, as a part of the longer side
const APART = 0.5; // radii between two points of a stroke
const LONGEST = 60; // points of a stroke: they stand in the link

export class Draft {
  /** @type {Box | null} */
  box = null;
  /** @type {Point[]} */
  path = [];
  /** @type {Point | null} where the keys have moved the brush, or which superpixel they point at */
  cursor = null;
  painting = false; // whether the keys have put the brush down

  drop() {
    this.box = this.cursor = null;
    this.path = [];
    this.painting = false;
  }

  /**
   * Continues the stroke to a point that is far enough from the last one.
   * @param {Point} place
   * @param {number} radius
   */
  reach(place, radius) {
    const [x, y] = this.path[this.path.length - 1];
    const far = Math.hypot(place[0] - x, place[1] - y) >= Math.max(1, radius * APART);
    if (far && this.path.length < LONGEST) this.path.push(place);
  }

  /**
   * Moves the box, or changes its size, or moves the cursor; the first arrow shows it in the middle.
   * @param {Tool} tool
   * @param {Point} by
   * @param {Size} size
   * @param {boolean} resize
   */
  steer(tool, [x, y], size, resize) {
    const { width, height } = size;
    const step = Math.max(1, Math.round(Math.max(width, height) * STEP));
    if (tool === "box") {
      this.box = this.box ? shifted(this.box, [x * step, y * step], size, resize) : middle(size);
      return;
    }
    const [left, top] = this.cursor ?? [Math.round(width / 2) - x * step, Math.round(height / 2) - y * step];
    this.cursor = [clamp(left + x * step, 0, width - 1), clamp(top + y * step, 0, height - 1)];
  }

  /**
   * The shape as the edit of an image, without its fill: its text and its element; null for one that is only a line.
   * @param {Look} look
   * @returns {{ text: string, shape: SVGElement } | null}
   */
  finished({ colour, radius }) {
    const { box, path } = this;
    if (box && box.width >= 1 && box.height >= 1) {
      const numbers = [box.left, box.top, box.width, box.height].map(Math.round).join(",");
      return { text: `box=${numbers}`, shape: filled(box, colour) };
    }
    if (!path.length) return null;
    return { text: `stroke=${[radius, ...path.flat()].join(",")}`, shape: stroke(path, { colour, radius }) };
  }

  /**
   * Its elements, filled and as edges, and words about it.
   * @param {Tool} tool
   * @param {Look} look
   * @param {Size} size
   */
  drawn(tool, look, { width, height }) {
    const { box, cursor, path } = this;
    const fills = box ? [filled(box, look.colour)] : path.length ? [stroke(path, look)] : [];
    const edges = box ? edge("polygon", { points: inWords(corners(box)) }) : [];
    if (cursor) {
      const [cx, cy] = cursor.map(String);
      edges.push(
        ...edge("circle", { cx, cy, r: String(tool === "brush" ? look.radius : Math.max(width, height) * MARK) }),
      );
    }
    return { fills, edges, words: this.words(tool) };
  }

  /** @param {Tool} tool */
  words(tool) {
    if (this.box) {
      const { left, top, width, height } = this.box;
      const [x, y, across, down] = [left, top, width, height].map(Math.round);
      return `box at ${x}, ${y}, ${across} × ${down} pixels: Enter fills it`;
    }
    if (tool !== "brush" || !this.cursor) return "";
    return this.painting ? "painting: Space lifts the brush" : "Space paints, Enter makes a dot";
  }
}

/**
 * The box that the first arrow shows.
 * @param {Size} size
 * @returns {Box}
 */
function middle({ width, height }) {
  const [left, top] = [Math.round(width * 0.375), Math.round(height * 0.375)];
  return {
    left,
    top,
    width: Math.max(1, Math.round(width * 0.25)),
    height: Math.max(1, Math.round(height * 0.25)),
  };
}

/**
 * @param {Box} box
 * @param {string} colour
 */
const filled = (box, colour) => drawn("polygon", { points: inWords(corners(box)), fill: colour });

/**
 * @param {Point[]} path
 * @param {Look} look
 */
function stroke(path, { colour, radius }) {
  const points = inWords(path.length > 1 ? path : [path[0], path[0]]);
  return drawn("polyline", { points, fill: "none", stroke: colour, "stroke-width": String(2 * radius) });
}

/**
 * An edge, dark and bright, so that it is seen on any image.
 * @param {string} tag
 * @param {Record<string, string>} attributes
 */
const edge = (tag, attributes) => ["outer", "inner"].map((which) => drawn(tag, { class: which, ...attributes }));
