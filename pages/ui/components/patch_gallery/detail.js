// The panel next to a gallery: one picture within its whole image, with facts and actions.

import { button, context, make } from "../shared.js";

/**
 * @typedef {import("./contents.js").Box} Box
 * @typedef {import("./contents.js").Contents} Contents
 * @typedef {import("./contents.js").Window} Window
 */

const SIDE = 512;

/**
 * A picture enlarged, and whether everything could be drawn already.
 * @param {Contents} contents
 * @param {number} index
 */
export function wholeImage({ head, sheets, contexts }, index) {
  const canvas = make("canvas", { width: SIDE, height: SIDE, role: "img" });
  const title = head.titles[index];
  canvas.ariaLabel = contexts ? `Full image of ${title} with its windows` : title;
  if (!contexts || !head.images || !head.boxes) return { canvas, complete: sheets.draw(canvas, index) };
  const image = head.images[index];
  const box = inPixels(head.boxes[index]);
  const patch = make("canvas", { width: head.sheets.cell, height: head.sheets.cell });
  const complete = contexts.draw(canvas, image) && sheets.draw(patch, index);
  if (complete) {
    const pen = context(canvas);
    pen.drawImage(patch, ...box);
    drawWindows(pen, head.windows?.[image] ?? [], box);
  }
  return { canvas, complete };
}

/**
 * @param {Box | Window} box
 * @returns {Box}
 */
function inPixels([x, y, width, height]) {
  return [x * SIDE, y * SIDE, width * SIDE, height * SIDE];
}

/**
 * Candidate windows are dotted, selected ones have their number, that of the picture is highlighted.
 * @param {CanvasRenderingContext2D} pen
 * @param {Window[]} windows
 * @param {Box} own
 */
function drawWindows(pen, windows, own) {
  /**
   * @param {Box} box
   * @param {string} colour
   * @param {number} line
   * @param {number[]} dash
   */
  const outline = (box, colour, line, dash = []) => {
    pen.setLineDash(dash);
    pen.strokeStyle = "rgb(0 0 0 / 70%)";
    pen.lineWidth = line + 2;
    pen.strokeRect(...box);
    pen.strokeStyle = colour;
    pen.lineWidth = line;
    pen.strokeRect(...box);
  };
  for (const window of windows.filter(([, , , , , kept]) => !kept)) outline(inPixels(window), "#ddd", 1, [3, 5]);
  pen.font = "600 22px sans-serif";
  for (const window of windows.filter(([, , , , , kept]) => kept)) {
    const box = inPixels(window);
    const [left, top] = box;
    outline(box, "#fff", 2);
    pen.fillStyle = "rgb(0 0 0 / 75%)";
    pen.fillRect(left, top, 26, 28);
    pen.fillStyle = "#fff";
    pen.fillText(String(window[4]), left + 7, top + 22);
  }
  outline(own, "#F0E442", 5);
}

/**
 * The facts of a picture, its actions as buttons, and the keys.
 * @param {Contents} contents
 * @param {number} index
 * @param {(action: string) => void} open
 */
export function facts({ head }, index, open) {
  const terms = head.facts.flatMap(([name, values]) => [
    make("dt", { textContent: name }),
    make("dd", { textContent: values[index] }),
  ]);
  const actions = head.actions.map(([action, texts]) =>
    button(texts[index], () => open(action), { className: "plain" }),
  );
  const keys = ["Arrows move"];
  if (head.many) keys.push("Space selects, Shift+click a range");
  if (head.actions.length) keys.push("Enter opens");
  return make(
    "div",
    {},
    make("p", { className: "name", textContent: head.titles[index] }),
    make("dl", {}, ...terms),
    make("div", { className: "actions" }, ...actions),
    make("p", { className: "keys", textContent: `${keys.join(". ")}.` }),
  );
}
