// An image that is edited: boxes, strokes and superpixels are filled, and what the network makes of it stands beside.
//
// Python applies the edits and sends the edited image; until it arrives, shapes are shown as they were drawn. Actions
// are numbered and sent again until Python has handled them, as one may be lost when the page runs twice at once.

import { between, drawn, within } from "../mask_drawing/shapes.js";
import { button, make, mounted, page } from "../shared.js";
import { barTable } from "./bars.js";
import { Draft } from "./draft.js";
import { Superpixels } from "./superpixels.js";

/**
 * @typedef {import("../mask_drawing/shapes.js").Point} Point
 * @typedef {import("./draft.js").Tool} Tool
 * @typedef {{ kind: string, text?: string, count?: number, at?: Point, fill?: string }} Action
 *
 * @typedef {object} Data
 * @property {string} photo  the name of the packet with the image as it is
 * @property {string} edited  the same for the image with its edits
 * @property {string} name  of the image
 * @property {number} width  in pixels, as are all coordinates
 * @property {number} height
 * @property {[number, number, number, number]} frame  left, top, width and height of what the model sees
 * @property {[value: string, title: string][]} fills
 * @property {string} mean  the mean colour of the image
 * @property {string} segments  the name of the packet with its superpixels, "" while none are asked for
 * @property {number} count  how many superpixels are asked for
 * @property {boolean} undo  whether there is anything to undo
 * @property {boolean} redo
 * @property {number} handled  the number of the last action that was handled
 * @property {string} said  what the edits do, as a sentence
 * @property {import("./bars.js").Bar[]} bars
 */

/** @type {Record<string, Point>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const COUNTS = [25, 50, 100, 200];
const BRUSHES = { thin: 1 / 60, medium: 1 / 25, thick: 1 / 12 }; // radius, as a part of the longer side
const KEYS = {
  box: "arrows move a box, Shift + arrows change its size, Enter fills it, Escape drops it",
  brush: "arrows move the brush, Space puts it down and lifts it, Enter makes a dot",
  superpixel: "arrows move from place to place, Enter fills the superpixel there or takes it out again",
};
const COMMON = "B, P and S choose a tool, O shows the original, Ctrl + Z and Ctrl + Y undo and redo.";

class WhatIf {
  /** @type {Data} */
  data;
  /** @type {Component<Data>["setTriggerValue"]} */
  send;
  /** @type {Tool} */
  tool = "box";
  draft = new Draft();
  /** @type {Point | null} where the pointer was pressed */
  press = null;
  /** @type {Node[]} shapes that are sent, until the edited image is here */
  pending = [];
  /** @type {(Action & { number: number })[]} what is not handled yet */
  queue = [];
  last = 0; // number of the last action
  listeners = new AbortController();
  original = make("img", { alt: "", className: "original", hidden: true });
  picture = make("img", { alt: "" });
  superpixels = new Superpixels();
  fills = drawn("g", { class: "fills" });
  edges = drawn("g", { class: "edges" });
  frame = drawn("rect", { class: "frame" });
  layer = drawn("svg", { preserveAspectRatio: "none", "aria-hidden": "true" }, this.fills, this.edges, this.frame);
  stage = make(
    "div",
    { className: "stage", tabIndex: 0, role: "application" },
    this.picture,
    this.superpixels.canvas,
    this.original,
    this.layer,
  );
  /** @type {Record<Tool, HTMLButtonElement>} */
  tools = {
    box: button("Box", () => this.choose("box"), { title: "Drag a box (B)" }),
    brush: button("Brush", () => this.choose("brush"), { title: "Paint (P)" }),
    superpixel: button("Superpixel", () => this.choose("superpixel"), { title: "Click a superpixel (S)" }),
  };
  fill = make("select", { ariaLabel: "Fill", title: "What stands in the shape" });
  brush = make("select", { ariaLabel: "Brush size" });
  count = make("select", { ariaLabel: "Number of superpixels", onchange: () => this.counted() });
  undo = button("Undo", () => this.act({ kind: "undo" }), { title: "Undo (Ctrl + Z)" });
  redo = button("Redo", () => this.act({ kind: "redo" }), { title: "Redo (Ctrl + Y)" });
  clear = button("Clear", () => this.act({ kind: "clear" }), { title: "Take all edits away" });
  show = button("Original", () => this.turn(), { title: "Show the original (O)", ariaPressed: "false" });
  status = make("div", { className: "status", role: "status" });
  keys = make("p", { className: "keys" });
  right = make("div", { className: "right" });
  ofBrush = make("label", {}, "Size", this.brush);
  ofSuperpixels = make("label", {}, "Number", this.count);
  node = make(
    "div",
    { className: "whatif" },
    make(
      "div",
      { className: "left" },
      make(
        "div",
        { className: "bar-of-tools" },
        make("div", { className: "tools", role: "group", ariaLabel: "Tool" }, ...Object.values(this.tools)),
        make("label", {}, "Fill", this.fill),
        this.ofBrush,
        this.ofSuperpixels,
        this.undo,
        this.redo,
        this.clear,
        this.show,
      ),
      this.stage,
      this.status,
      this.keys,
    ),
    this.right,
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
    this.stage.onpointerleave = () => this.superpixels.point(-1);
    // Before the page sees the key: the keys of verdicts and of the maps are for what is outside the image.
    window.addEventListener("keydown", (event) => this.key(event), { signal, capture: true });
    offered(
      this.brush,
      Object.keys(BRUSHES).map((name) => [name, name]),
    );
    this.brush.value = "medium";
    this.choose("box");
  }

  close() {
    this.listeners.abort();
    for (const image of [this.picture, this.original]) URL.revokeObjectURL(image.src);
    this.node.remove();
  }

  /** @param {Component<Data>} component */
  update({ data, setTriggerValue }) {
    const other = data.photo !== this.data?.photo;
    this.data = data;
    this.send = setTriggerValue;
    this.last = Math.max(this.last, data.handled);
    this.queue = this.queue.filter(({ number }) => number > data.handled);
    if (other) this.begin();
    this.offer();
    this.right.replaceChildren(barTable(data.bars));
    this.paint();
    this.redraw();
  }

  /** Begins with another image. */
  begin() {
    const { width, height, frame } = this.data;
    this.draft.drop();
    this.press = null;
    this.pending = [];
    this.stage.style.setProperty("--aspect", String(width / height));
    this.layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [left, top, across, down] = frame;
    for (const [key, value] of Object.entries({ x: left, y: top, width: across, height: down })) {
      this.frame.setAttribute(key, String(value));
    }
    const all = left <= 0.5 && top <= 0.5 && left + across >= width - 0.5 && top + down >= height - 0.5;
    this.frame.setAttribute("visibility", all ? "hidden" : "visible");
  }

  /** Fills the lists of choices, which keep what is chosen. */
  offer() {
    const { fills, count, undo, redo } = this.data;
    offered(this.fill, fills);
    const counts = [...new Set([...COUNTS, count])].sort((one, two) => one - two);
    offered(
      this.count,
      counts.map((one) => [String(one), `about ${one}`]),
    );
    this.count.value = String(count);
    const focused = this.root.activeElement;
    this.undo.disabled = !undo;
    this.redo.disabled = !redo;
    this.clear.disabled = !undo;
    if (focused?.matches(":disabled")) this.stage.focus(); // else no key would reach the image any more
  }

  /** Shows the images and superpixels whose packets have arrived. */
  paint() {
    const { data } = this;
    if (!data) return;
    for (const [image, name] of /** @type {[HTMLImageElement, string][]} */ ([
      [this.original, data.photo],
      [this.picture, data.edited],
    ])) {
      const packet = page.packets.get(name);
      if (!packet || image.dataset.shown === name) continue;
      URL.revokeObjectURL(image.src);
      image.dataset.shown = name;
      image.onload = () => this.redraw();
      image.src = URL.createObjectURL(new Blob([packet.payload], { type: "image/jpeg" }));
    }
    this.superpixels.show(this.tool === "superpixel" ? data.segments : "");
  }

  /** Draws what is not in the image yet, and says what there is. */
  redraw() {
    if (!this.queue.length && this.picture.dataset.shown === this.data.edited) this.pending = [];
    const { fills, edges, words } = this.draft.drawn(this.tool, this.look, this.data);
    this.fills.replaceChildren(...this.pending, ...fills);
    this.edges.replaceChildren(...edges);
    this.status.textContent = [words, this.data.said].filter(Boolean).join(" · ");
    const { name, width, height } = this.data;
    this.stage.ariaLabel = `${name}, ${width} by ${height} pixels, to edit. Keys: ${KEYS[this.tool]}. ${COMMON}`;
  }

  /** @returns {import("./draft.js").Look} */
  get look() {
    const { width, height, mean } = this.data;
    const part = BRUSHES[/** @type {keyof typeof BRUSHES} */ (this.brush.value)];
    const radius = Math.max(1, Math.round(Math.max(width, height) * part));
    return { colour: this.fill.value === "zero" ? "#000" : mean, radius };
  }

  /** @param {Tool} tool */
  choose(tool) {
    this.tool = tool;
    for (const [name, one] of Object.entries(this.tools)) one.ariaPressed = String(name === tool);
    this.ofBrush.hidden = tool !== "brush";
    this.ofSuperpixels.hidden = tool !== "superpixel";
    this.keys.textContent = `Keys on the image: ${KEYS[tool]}. ${COMMON}`;
    if (!this.data) return;
    if (tool === "superpixel" && !this.data.segments) this.act({ kind: "count", count: this.data.count });
    this.drop();
    this.paint();
  }

  counted() {
    this.act({ kind: "count", count: +this.count.value });
  }

  /** Shows the original, or the edited image again. */
  turn() {
    this.original.hidden = !this.original.hidden;
    this.show.ariaPressed = String(!this.original.hidden);
    this.layer.style.visibility = this.original.hidden ? "" : "hidden";
  }

  /**
   * Asks Python for something.
   * @param {Action} action
   */
  act(action) {
    this.last += 1;
    this.queue.push({ ...action, number: this.last });
    if (!this.original.hidden) this.turn();
    this.send("act", this.queue);
  }

  /**
   * Where an event is, in whole pixels of the image.
   * @param {MouseEvent} event
   * @returns {Point}
   */
  place(event) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const { data } = this;
    const x = Math.round(((event.clientX - left) / width) * data.width);
    const y = Math.round(((event.clientY - top) / height) * data.height);
    return within([x, y], data);
  }

  /** @param {PointerEvent} event */
  pressed(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.stage.focus();
    this.stage.setPointerCapture(event.pointerId);
    this.draft.drop();
    this.press = this.place(event);
    if (this.tool === "brush") this.draft.path = [this.press];
    this.redraw();
  }

  /** @param {PointerEvent} event */
  moved(event) {
    const place = this.place(event);
    if (this.tool === "superpixel") this.superpixels.point(this.segment(place));
    if (!this.press) return;
    if (this.tool === "box") this.draft.box = between(this.press, place);
    if (this.tool === "brush") this.draft.reach(place, this.look.radius);
    this.redraw();
  }

  /** @param {PointerEvent} event */
  released(event) {
    if (!this.press) return;
    this.press = null;
    if (this.tool === "superpixel") this.pick(this.place(event));
    else this.add();
  }

  /** @param {Point} place */
  segment([x, y]) {
    return this.superpixels.at(x / this.data.width, y / this.data.height);
  }

  /** @param {Point} place */
  pick(place) {
    if (this.segment(place) < 0) return;
    const [x, y] = place.map(Math.floor);
    this.act({ kind: "segment", at: [x, y], count: this.data.count, fill: this.fill.value });
  }

  /** Sends the box or stroke, unless it is only a line. */
  add() {
    const done = this.draft.finished(this.look);
    this.draft.drop();
    if (done) {
      this.pending.push(done.shape);
      this.act({ kind: "add", text: `${done.text}:${this.fill.value}` });
    }
    this.redraw();
  }

  /** Drops what is not sent yet. */
  drop() {
    this.draft.drop();
    this.press = null;
    this.superpixels.point(-1);
    this.redraw();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.composedPath()[0] !== this.stage) return;
    if (this.pressedKey(event)) {
      event.preventDefault();
      event.stopPropagation();
    }
  }

  /**
   * Does what a key on the image says, and returns whether it says anything.
   * @param {KeyboardEvent} event
   */
  pressedKey(event) {
    const key = event.key.toLowerCase();
    const arrow = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey) {
      const again = key === "y" || (key === "z" && event.shiftKey);
      if (key !== "z" && key !== "y") return false;
      if (again ? this.data.redo : this.data.undo) this.act({ kind: again ? "redo" : "undo" });
      return true;
    }
    const { box, cursor } = this.draft;
    if (arrow) this.steer(arrow, event.shiftKey);
    else if (event.key === "Enter" && this.tool === "superpixel" && cursor) this.pick(cursor);
    else if (event.key === "Enter" && this.tool === "brush" && cursor) this.dot(cursor);
    else if (event.key === "Enter" && box) this.add();
    else if (event.key === " " && this.tool === "brush" && cursor) this.paints(cursor);
    else if (event.key === "Escape" && (box || cursor)) this.drop();
    else if (key === "o") this.turn();
    else if (key === "b") this.choose("box");
    else if (key === "p") this.choose("brush");
    else if (key === "s") this.choose("superpixel");
    else return false;
    return true;
  }

  /**
   * Puts the brush down, or lifts it, which sends the stroke.
   * @param {Point} place
   */
  paints(place) {
    const { draft } = this;
    if (draft.painting) this.sent();
    else Object.assign(draft, { painting: true, path: [place] });
    this.redraw();
  }

  /** @param {Point} place */
  dot(place) {
    if (!this.draft.painting) this.draft.path = [place];
    this.sent();
  }

  /** Sends the stroke and leaves the brush where it is. */
  sent() {
    const { cursor } = this.draft;
    this.add();
    this.draft.cursor = cursor;
    this.redraw();
  }

  /**
   * @param {Point} by
   * @param {boolean} resize
   */
  steer(by, resize) {
    const { draft } = this;
    draft.steer(this.tool, by, this.data, resize);
    if (this.tool === "superpixel" && draft.cursor) this.superpixels.point(this.segment(draft.cursor));
    if (draft.painting && draft.cursor) draft.reach(draft.cursor, this.look.radius);
    this.redraw();
  }
}

/**
 * Gives a list these choices, if it has others; what is chosen stays if it is among them.
 * @param {HTMLSelectElement} list
 * @param {[value: string, title: string][]} choices
 */
function offered(list, choices) {
  const text = JSON.stringify(choices);
  if (list.dataset.offered === text) return;
  const { value } = list;
  list.dataset.offered = text;
  list.replaceChildren(...choices.map(([one, title]) => new Option(title, one)));
  list.value = choices.some(([one]) => one === value) ? value : choices[0][0];
}

export default mounted((root) => new WhatIf(root));
