// An image on which a mask is drawn: rectangles and outlines that add up, by mouse, touch or keyboard.

import { button, make, mounted, page } from "../shared.js";
import { between, corners, distance, drawn, inPairs, inWords, shifted, within } from "./shapes.js";

/**
 * @typedef {import("./shapes.js").Point} Point
 * @typedef {import("./shapes.js").Box} Box
 *
 * @typedef {object} Data
 * @property {string} photo  the name of the packet with the image
 * @property {string} opening  other at each opening of the dialog
 * @property {string} name  of the image
 * @property {number} width  in pixels, as are all coordinates
 * @property {number} height
 * @property {[number, number, number, number]} frame  left, top, width and height of what the model sees
 * @property {number[][]} outlines  those drawn before: x, y, x, y …
 */

/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const STEP = 1 / 50; // of the image's longer side, for an arrow key
const CLICK = 4; // pixels of the screen within which a press is a click
const CLOSE = 12; // pixels of the screen from the first corner at which a click closes an outline
const HELP = "Drag a rectangle, or draw an outline around the object, or click its corners. Shapes add up.";
const KEYS =
  "Keys on the image: arrows move a rectangle, Shift + arrows change its size, Enter adds it, Escape drops it, " +
  "Backspace takes the last shape away.";

class MaskDrawing {
  /** @type {Data} */
  data;
  /** @type {Component<Data>["setTriggerValue"]} */
  send;
  /** @type {Point[][]} */
  outlines = [];
  /** @type {Box | null} the rectangle that is not added yet */
  box = null;
  /** @type {Point[]} the corners of the outline that is not closed yet */
  path = [];
  /** @type {{ from: Point, at: Point, moved: boolean } | null} the press that is not released yet, on the screen */
  press = null;
  /** @type {"box" | "path"} */
  tool = "box";
  listeners = new AbortController();
  picture = make("img", { alt: "" });
  shapes = drawn("g", { class: "shapes" });
  edges = drawn("g", { class: "edges" });
  frame = drawn("rect", { class: "frame" });
  layer = drawn("svg", { preserveAspectRatio: "none", "aria-hidden": "true" }, this.shapes, this.edges, this.frame);
  stage = make("div", { className: "stage", tabIndex: 0, role: "application" }, this.picture, this.layer);
  status = make("div", { className: "status", role: "status" });
  /** @type {Record<"box" | "path", HTMLButtonElement>} */
  tools = {
    box: button("Rectangle", () => this.choose("box"), { title: "Drag a rectangle" }),
    path: button("Outline", () => this.choose("path"), { title: "Draw around the object, or click its corners" }),
  };
  undo = button("Undo", () => this.take(), { title: "Take the last shape away (Backspace)" });
  clear = button("Clear", () => this.empty());
  done = button("Use this mask", () => this.finish(), { className: "done" });
  node = make(
    "div",
    { className: "drawing" },
    make(
      "div",
      { className: "bar" },
      make("div", { className: "tools", role: "group", ariaLabel: "Shape" }, this.tools.box, this.tools.path),
      this.undo,
      this.clear,
      this.done,
    ),
    this.stage,
    this.status,
    make("p", { className: "keys", textContent: `${HELP} ${KEYS}` }),
  );

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.root = root;
    root.append(this.node);
    const { signal } = this.listeners;
    page.events.addEventListener("packet", () => this.paint(), { signal });
    this.stage.onpointerdown = (event) => this.pressed(event);
    this.stage.onpointermove = (event) => this.moved(event);
    this.stage.onpointerup = (event) => this.released(event);
    this.stage.onpointercancel = () => this.drop();
    // Before the page sees the key, as Escape also closes the dialog and what is open behind it.
    window.addEventListener("keydown", (event) => this.key(event), { signal, capture: true });
    this.choose("box");
  }

  close() {
    this.listeners.abort();
    URL.revokeObjectURL(this.picture.src);
    this.node.remove();
  }

  /** @param {Component<Data>} component */
  update({ data, setTriggerValue }) {
    const other = data.opening !== this.data?.opening;
    this.data = data;
    this.send = setTriggerValue;
    if (other) this.begin();
    this.paint();
  }

  /** Begins with an image and what was drawn on it before, also by an instance that a run of the page replaced. */
  begin() {
    const { width, height, frame, name, opening, outlines } = this.data;
    if (page.drawing?.opening !== opening) page.drawing = { opening, outlines: outlines.map(inPairs) };
    this.outlines = page.drawing.outlines;
    this.drop();
    this.stage.style.setProperty("--aspect", String(width / height));
    this.stage.ariaLabel = `${name}, ${width} by ${height} pixels: the drawing of its mask. ${KEYS}`;
    this.layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [left, top, across, down] = frame;
    for (const [key, value] of Object.entries({ x: left, y: top, width: across, height: down })) {
      this.frame.setAttribute(key, String(value));
    }
    const all = left <= 0.5 && top <= 0.5 && left + across >= width - 0.5 && top + down >= height - 0.5;
    this.frame.setAttribute("visibility", all ? "hidden" : "visible");
    this.show();
  }

  /** Shows the image once its packet has arrived. */
  paint() {
    const packet = this.data && page.packets.get(this.data.photo);
    if (!packet || this.picture.dataset.shown === this.data.photo) return;
    URL.revokeObjectURL(this.picture.src);
    this.picture.dataset.shown = this.data.photo;
    this.picture.src = URL.createObjectURL(new Blob([packet.payload], { type: "image/jpeg" }));
  }

  /** Draws all shapes, and says how many there are. */
  show() {
    const draft = this.box ? corners(this.box) : this.path;
    const filled = [...this.outlines, ...(this.box ? [draft] : [])];
    this.shapes.replaceChildren(...filled.map((one) => drawn("polygon", { points: inWords(one) })));
    const edges = this.outlines.flatMap((one) => this.edge("polygon", one, ""));
    const open = draft.length ? this.edge(this.box ? "polygon" : "polyline", draft, "draft ") : [];
    this.edges.replaceChildren(...edges, ...open);
    const focused = this.root.activeElement;
    this.undo.disabled = !this.outlines.length && !draft.length;
    this.clear.disabled = this.undo.disabled;
    this.done.disabled = !this.outlines.length && !this.box;
    if (focused?.matches(":disabled")) this.stage.focus(); // else no key would reach the dialog any more
    const { length } = this.outlines;
    const count = length ? `${length} shape${length === 1 ? "" : "s"}` : "Nothing is drawn yet";
    this.status.textContent = [count, this.draft()].filter(Boolean).join(" · ");
  }

  /**
   * The edge of a shape, dark and bright, so that it is seen on any image.
   * @param {string} tag
   * @param {Point[]} points
   * @param {string} kind
   */
  edge(tag, points, kind) {
    return ["outer", "inner"].map((which) => drawn(tag, { class: kind + which, points: inWords(points) }));
  }

  /** What is not added yet, in words. */
  draft() {
    if (this.box) {
      const { left, top, width, height } = this.box;
      const [x, y, across, down] = [left, top, width, height].map(Math.round);
      return `rectangle at ${x}, ${y}, ${across} × ${down} pixels: Enter adds it`;
    }
    const { length } = this.path;
    return length && !this.press ? `outline with ${length} corner${length === 1 ? "" : "s"}: Enter closes it` : "";
  }

  /** @param {"box" | "path"} tool */
  choose(tool) {
    this.tool = tool;
    for (const [name, one] of Object.entries(this.tools)) one.ariaPressed = String(name === tool);
    if (this.data) this.drop();
  }

  /**
   * Where an event is, in pixels of the image.
   * @param {MouseEvent} event
   * @returns {Point}
   */
  place(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const { data } = this;
    return within(
      [((event.clientX - left) / width) * data.width, ((event.clientY - top) / height) * data.height],
      data,
    );
  }

  /** @param {PointerEvent} event */
  pressed(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.stage.focus();
    this.stage.setPointerCapture(event.pointerId);
    this.box = null;
    this.press = { from: this.place(event), at: [event.clientX, event.clientY], moved: false };
    if (this.tool === "path" && !this.closes(this.press.from)) this.path.push(this.press.from);
    this.show();
  }

  /** @param {PointerEvent} event */
  moved(event) {
    const { press } = this;
    if (!press) return;
    press.moved ||= distance(press.at, [event.clientX, event.clientY]) > CLICK;
    if (!press.moved) return;
    if (this.tool === "box") this.box = between(press.from, this.place(event));
    else this.path.push(this.place(event));
    this.show();
  }

  /** @param {PointerEvent} event */
  released(event) {
    const { press } = this;
    this.press = null;
    if (!press) return;
    if (this.tool === "box") this.add();
    else if (press.moved || this.closes(this.place(event))) this.add();
    this.show();
  }

  /**
   * Whether a click at a point closes the outline: near its first corner.
   * @param {Point} point
   */
  closes(point) {
    const scale = this.stage.getBoundingClientRect().width / this.data.width;
    return this.path.length > 2 && distance(point, this.path[0]) * scale < CLOSE;
  }

  /** Adds the rectangle or outline to the mask, unless it is only a line. */
  add() {
    const { box, path } = this;
    this.box = null;
    this.path = [];
    if (box && box.width > 0 && box.height > 0) this.outlines.push(corners(box));
    if (!box && path.length > 2) this.outlines.push(path);
    this.show();
  }

  /** Drops what is not added yet. */
  drop() {
    this.box = null;
    this.path = [];
    this.press = null;
    this.show();
  }

  /** Takes the last shape away: what is not added yet first. */
  take() {
    if (!this.box && !this.path.length) this.outlines.pop();
    this.drop();
  }

  empty() {
    this.outlines.length = 0;
    this.drop();
  }

  finish() {
    if (this.box) this.add();
    this.send(
      "done",
      this.outlines.map((one) => one.flat()),
    );
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.composedPath()[0] !== this.stage) return;
    const arrow = ARROWS[event.key];
    const undone = event.key === "Backspace" || (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey));
    const open = Boolean(this.box) || this.path.length > 0;
    if (arrow) this.steer(arrow, event.shiftKey);
    else if (event.key === "Enter" && open) this.add();
    else if (event.key === "Escape" && open) this.drop();
    else if (undone) this.take();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Moves the rectangle or changes its size; the first arrow shows one in the middle.
   * @param {Point} by
   * @param {boolean} resize
   */
  steer([x, y], resize) {
    const { width, height } = this.data;
    const step = Math.max(1, Math.round(Math.max(width, height) * STEP));
    if (this.tool !== "box") this.choose("box");
    this.box = this.box
      ? shifted(this.box, [x * step, y * step], this.data, resize)
      : {
          left: Math.round(width * 0.375),
          top: Math.round(height * 0.375),
          width: Math.max(1, Math.round(width * 0.25)),
          height: Math.max(1, Math.round(height * 0.25)),
        };
    this.show();
  }
}

export default mounted((root) => new MaskDrawing(root));
