// A gallery of thousands of small pictures: only visible rows are in the DOM, and only selections are sent to Python.

import { adoptColorScheme, button, clamp, make, mounted, page, unpack } from "../shared.js";
import { Contents } from "./contents.js";
import { facts, wholeImage } from "./detail.js";
import { arrange, GAP, rowsBetween, steps } from "./rows.js";
import { Selection } from "./selection.js";
import { Tile } from "./tile.js";

/** @typedef {import("./rows.js").Arrangement} Arrangement */

/** @type {Shortcuts} */
const SHORTCUTS = [
  "In a gallery",
  [
    ["← → ↑ ↓ Home End", "move"],
    ["Space", "select (Shift: range)"],
    ["Ctrl A", "select all"],
    ["Enter", "open"],
    ["Esc", "clear the selection"],
  ],
];

class PatchGallery {
  /** @type {Component<Bytes>} */
  component;
  /** @type {Contents} */
  contents;
  /** @type {Arrangement} */
  arrangement = { rows: [], columns: 1, pitch: { x: 0, y: 0 }, height: 0 };
  /** @type {Map<number, Tile>} the visible tiles by the index of their picture */
  tiles = new Map();
  /** @type {Tile[]} */
  spare = [];
  selection = new Selection(
    () => this.tell(),
    (ids) => this.component.setStateValue("selected", ids),
  );
  /** @type {number | null} */
  frameRequest = null;
  active = 0; // the picture to which keys apply
  shown = -1; // the picture in the panel
  waits = false; // the panel waits for a sheet
  redraw = false;
  /** @type {Shortcuts} one per gallery: a new gallery is added before the old one is removed */
  shortcuts = [...SHORTCUTS];

  count = make("span", { className: "count" });
  status = make("span", { className: "picked", role: "status" });
  all = button("Select all", () => this.selection.all(), { className: "plain" });
  none = button("Clear selection", () => this.selection.clear(), { className: "plain" });
  size = make("input", { type: "range", min: "40", max: "224", step: "8" });
  space = make("div", { className: "space", role: "presentation" });
  scroller = make("div", { className: "scroller", role: "listbox" }, this.space);
  panel = make("div", { className: "panel" });
  body = make("div", { className: "body" }, this.scroller, this.panel);
  frame = make(
    "div",
    { className: "gallery" },
    make(
      "div",
      { className: "bar" },
      this.count,
      this.status,
      this.all,
      this.none,
      make("label", {}, "Size", this.size),
    ),
    this.body,
  );
  watch = new ResizeObserver(() => this.layout());

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.size.oninput = () => this.layout();
    this.scroller.onscroll = () => this.later();
    this.scroller.onkeydown = (event) => this.press(event);
    root.append(this.frame);
    this.watch.observe(this.frame);
    page.shortcuts.add(this.shortcuts);
  }

  close() {
    page.shortcuts.delete(this.shortcuts);
    this.watch.disconnect();
    this.selection.close();
    this.contents?.close();
    this.frame.remove();
  }

  /** @param {Component<Bytes>} component */
  update(component) {
    this.component = component;
    adoptColorScheme(this.frame);
    const packet = unpack(component.data);
    const before = this.contents;
    if (before?.head.token === packet.header.token) return;
    before?.close();
    this.contents = new Contents(packet, () => this.arrived());
    const { head } = this.contents;
    if (!before) this.size.value = String(head.tile);
    this.scroller.ariaLabel = head.label;
    this.scroller.ariaMultiSelectable = String(head.many);
    this.all.hidden = !head.many;
    this.none.hidden = !head.many;
    for (const index of [...this.tiles.keys()]) this.release(index);
    if (!this.contents.same(before)) {
      this.active = 0;
      this.selection.anchor = 0;
      this.shown = this.contents.count ? 0 : -1;
      this.scroller.scrollTop = 0;
    }
    if (!before) this.selection.begin(head.selected);
    this.selection.offer(head.ids);
    this.layout();
    this.show(this.shown);
  }

  /** Computes the position of every picture. */
  layout() {
    if (!this.contents) return;
    const { head } = this.contents;
    const side = this.size.valueAsNumber;
    const short = side < 64;
    this.frame.style.setProperty("--tile", `${side}px`);
    this.frame.classList.toggle("short", short);
    this.body.classList.toggle("narrow", !head.panel || this.frame.clientWidth < 640);
    this.arrangement = arrange(head.groups, side, short ? 0 : head.lines, this.scroller.clientWidth);
    const { height } = this.arrangement;
    this.space.style.height = `${height}px`;
    this.scroller.style.height = `${Math.min(height + 2, head.height ?? Number.POSITIVE_INFINITY)}px`;
    this.paint(true);
  }

  /**
   * Paints in the next frame.
   * @param {boolean} [redraw]
   */
  later(redraw = false) {
    this.redraw ||= redraw;
    this.frameRequest ??= requestAnimationFrame(() => {
      this.frameRequest = null;
      this.paint(this.redraw);
      this.redraw = false;
    });
  }

  /** Draws the pictures that were waiting for a sheet, after it has been decoded. */
  arrived() {
    this.later(true);
    if (this.waits) this.show(this.shown);
  }

  /**
   * Places the visible tiles, and stores the time this took, for the tests.
   * @param {boolean} redraw
   */
  paint(redraw) {
    const start = performance.now();
    this.place(redraw);
    this.frame.dataset.paint = (performance.now() - start).toFixed(1);
  }

  /** @param {boolean} redraw */
  place(redraw) {
    const { rows, pitch } = this.arrangement;
    const top = this.scroller.scrollTop;
    const inView = rowsBetween(rows, top, top + this.scroller.clientHeight);
    /** @type {Map<number, { x: number, y: number }>} */
    const wanted = new Map();
    for (const { first, last, y } of inView) {
      for (let index = first; index < last; index++) wanted.set(index, { x: GAP + (index - first) * pitch.x, y });
    }
    const focused = this.tiles.get(this.active)?.node.matches(":focus") && this.active;
    for (const index of [...this.tiles.keys()]) {
      if (!wanted.has(index) && index !== focused) this.release(index);
    }
    for (const [index, place] of wanted) {
      const known = this.tiles.get(index);
      (known ?? this.tile(index)).draw(this.contents, place, redraw || !known);
    }
    for (const tile of this.spare) tile.node.remove();
    this.headings(inView.filter((row) => row.title));
    const [first] = wanted.keys();
    if (!this.tiles.has(this.active) && first !== undefined) this.activate(first);
  }

  /** @param {Arrangement["rows"]} rows */
  headings(rows) {
    for (const node of this.space.querySelectorAll(".heading")) node.remove();
    for (const { title, count, y } of rows) {
      const small = make("small", { textContent: count.toLocaleString("en") });
      const node = make("div", { className: "heading" }, title, small);
      node.style.transform = `translateY(${y}px)`;
      this.space.append(node);
    }
  }

  /**
   * Adds a tile for a picture to the gallery.
   * @param {number} index
   */
  tile(index) {
    const tile = this.spare.pop() ?? this.newTile();
    tile.fill(this.contents, index);
    this.mark(tile);
    this.tiles.set(index, tile);
    if (!tile.node.isConnected) this.space.append(tile.node);
    return tile;
  }

  newTile() {
    const tile = new Tile();
    const { node } = tile;
    node.onclick = (event) => this.click(event, tile.index, event.target === tile.check);
    node.ondblclick = () => this.open(tile.index);
    node.onmouseenter = () => this.show(tile.index);
    node.onfocus = () => {
      this.active = tile.index;
      this.show(tile.index);
    };
    return tile;
  }

  /** @param {number} index */
  release(index) {
    const tile = this.tiles.get(index);
    if (tile) this.spare.push(tile);
    this.tiles.delete(index);
  }

  /** @param {Tile} tile */
  mark({ node, index }) {
    const { many, panel } = this.contents.head;
    const selected = many ? this.selection.has(index) : index === this.active;
    node.classList.toggle("many", many);
    node.classList.toggle("active", panel && index === this.shown);
    node.ariaSelected = String(selected);
    node.tabIndex = index === this.active ? 0 : -1;
  }

  marks() {
    for (const tile of this.tiles.values()) this.mark(tile);
  }

  /** @param {number} index */
  activate(index) {
    this.active = index;
    this.marks();
  }

  /**
   * Shows a picture in the panel.
   * @param {number} index
   */
  show(index) {
    this.shown = index;
    this.marks();
    this.panel.replaceChildren();
    if (!this.contents.head.panel || index < 0) return;
    const { canvas, complete } = wholeImage(this.contents, index);
    this.waits = !complete;
    this.panel.append(
      canvas,
      facts(this.contents, index, (action) => this.open(index, action)),
    );
  }

  /**
   * @param {MouseEvent} event
   * @param {number} index
   * @param {boolean} check  whether its check box was clicked
   */
  click(event, index, check) {
    const { head } = this.contents;
    this.activate(index);
    this.tiles.get(index)?.node.focus({ preventScroll: true });
    if (head.many && event.shiftKey) {
      this.selection.range(this.selection.anchor, index);
      return;
    }
    this.selection.anchor = index;
    if (head.many && (check || event.ctrlKey || event.metaKey)) this.selection.toggle(index);
    else if (head.opens) this.open(index);
    else this.show(index);
  }

  /**
   * @param {number} index
   * @param {string} [action]  the first one by default
   */
  open(index, action = this.contents.head.actions[0]?.[0]) {
    if (action) this.component.setTriggerValue("opened", { id: this.contents.head.ids[index], action });
  }

  /** Shows the selection and the number of pictures. */
  tell() {
    const { noun } = this.contents.head;
    const { count } = this.contents;
    const { size } = this.selection;
    this.count.textContent = `${count.toLocaleString("en")} ${count === 1 ? noun[0] : noun[1]}`;
    this.status.textContent = size ? `${size.toLocaleString("en")} selected` : "";
    this.none.disabled = !size;
    this.marks();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    const { head, count } = this.contents;
    const step = steps(this.arrangement, this.scroller.clientHeight, count)[event.key];
    if (step !== undefined) {
      const before = this.active;
      this.move(clamp(before + step, 0, count - 1));
      if (event.shiftKey && head.many) this.selection.range(before, this.active);
    } else if (event.key === " " && head.many) this.selection.toggle(this.active);
    else if (event.key === "Enter") this.open(this.active);
    else if (event.key === "Escape") this.selection.clear();
    else if (event.key === "a" && (event.ctrlKey || event.metaKey) && head.many) this.selection.all();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Focuses a picture, scrolling to its row.
   * @param {number} index
   */
  move(index) {
    const row = this.arrangement.rows.find(({ first, last }) => first <= index && index < last);
    if (!row) return;
    const { scrollTop, clientHeight } = this.scroller;
    if (row.y < scrollTop) this.scroller.scrollTop = row.y - GAP;
    else if (row.y + row.height > scrollTop + clientHeight) this.scroller.scrollTop = row.y + row.height - clientHeight;
    this.active = index;
    this.selection.anchor = index;
    this.paint(false);
    this.marks();
    this.tiles.get(index)?.node.focus({ preventScroll: true });
  }
}

export default mounted((root) => new PatchGallery(root));
