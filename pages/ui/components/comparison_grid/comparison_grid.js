// Maps side by side. Python sends each map once, as numbers; colours, opacity, threshold, range, zoom and crosshair are
// worked out here, and a change of any of them sends nothing to the server.

import { clamp, decoded, make, mounted, number, page, percent, typing } from "../shared.js";
import { Drawer } from "./drawer.js";
import { difference, readMap } from "./heat_map.js";
import { Tile } from "./tile.js";
import { Toolbar } from "./toolbar.js";
import { readView, viewText } from "./view.js";

/**
 * @typedef {object} Data
 * @property {string} photo  the name of the packet with the image, as the model sees it
 * @property {string} picture  the name of the image
 * @property {{ target: number, label: string, chance: number }[]} rows
 * @property {{ title: string, summary: string, formula: string, caution: string, paper: string }[]} columns
 * @property {(string | null)[][]} cells  the names of the packets with the maps
 * @property {Record<string, string>} tables  256 RGB triples for each colour scale, in base64
 * @property {string[]} sequential
 * @property {string[]} diverging
 * @property {string} view  the look that the page was opened with
 * @property {boolean} compact
 *
 * @typedef {{ u: number, v: number }} Point  fractions of the image's width and height
 */

/** @type {Shortcuts} */
const SHORTCUTS = [
  "On a map",
  [
    ["← → ↑ ↓", "move the crosshair (Shift: one value at a time)"],
    ["+ −", "zoom at the crosshair"],
    ["0", "whole image"],
    ["O", "hold for the image alone"],
    ["Enter", "open the map at large"],
  ],
];
/** @type {Record<string, [x: number, y: number] | undefined>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const EDGE = 0.999999; // the last place that is still inside the image

export class ComparisonGrid {
  /** @type {Data} */
  data;
  /** @type {Component<Data>["setTriggerValue"]} */
  send;
  /** @type {import("./view.js").View} */
  view;
  /** @type {import("./colours.js").Tables} */
  tables;
  /** @type {Tile[]} */
  tiles = [];
  /** @type {Tile[]} the image alone, at the head of each row */
  leads = [];
  /** @type {Point | null} where the crosshair is */
  point = null;
  /** @type {string | undefined} */
  plan;
  /** @type {string | undefined} */
  url;
  /** @type {number | null} */
  frame = null;
  listeners = new AbortController();
  /** @type {Shortcuts} one for each grid: a new one is shown before the old one goes */
  shortcuts = [...SHORTCUTS];
  toolbar = new Toolbar(this);
  drawer = new Drawer(this);
  board = make("div", { className: "board" });
  status = make("span", { className: "says", role: "status" });
  box = make("div", { className: "grid" }, this.toolbar.node, this.board, this.status, this.drawer.node);

  /** @param {ShadowRoot} root */
  constructor(root) {
    root.append(this.box);
    const { signal } = this.listeners;
    page.events.addEventListener("packet", (event) => this.arrived(event), { signal });
    document.addEventListener("keydown", (event) => this.hold(event), { signal });
    document.addEventListener("keyup", (event) => this.hold(event), { signal });
    page.shortcuts.add(this.shortcuts);
    page.viewText = viewText;
  }

  close() {
    this.listeners.abort();
    page.shortcuts.delete(this.shortcuts);
    if (this.url) URL.revokeObjectURL(this.url);
    this.box.remove();
  }

  /** @param {Component<Data>} component */
  update({ data, setTriggerValue }) {
    this.data = data;
    this.send = setTriggerValue;
    if (!page.view || (data.view && data.view !== page.viewOfLink)) {
      page.view = readView(data.view);
      page.viewOfLink = data.view;
    }
    this.view = page.view;
    if (!data.sequential.includes(this.view.sequential)) this.view.sequential = data.sequential[0];
    if (!data.diverging.includes(this.view.diverging)) this.view.diverging = data.diverging[0];
    this.tables ??= Object.fromEntries(Object.entries(data.tables).map(([name, text]) => [name, decoded(text)]));
    this.show();
  }

  show() {
    const { cells, rows, photo, compact } = this.data;
    const plan = JSON.stringify([cells, rows, photo, this.differs]);
    if (plan !== this.plan) this.build(plan);
    this.box.classList.toggle("compact", compact);
    this.toolbar.show();
    this.refresh();
  }

  /** Whether the first two rows are subtracted. */
  get differs() {
    return this.view.difference && this.data.rows.length > 1;
  }

  /** @param {string} plan */
  build(plan) {
    this.plan = plan;
    const { cells, rows, columns, photo } = this.data;
    this.tiles = [];
    this.leads = [];
    /** @type {Tile[]} */
    const tiles = [];
    const several = rows.length > 1;
    cells.forEach((ids, row) => {
      if (row === 0 || several) tiles.push(this.addLead(rows[row].label, percent(rows[row].chance), this.data.picture));
      ids.forEach((id, column) => {
        if (id) tiles.push(this.add(id, row, column));
      });
    });
    if (this.differs) {
      tiles.push(this.addLead(`${rows[0].label} − ${rows[1].label}`, "Difference"));
      columns.forEach((_, column) => {
        tiles.push(this.add(null, rows.length, column));
      });
    }
    this.board.replaceChildren(...tiles.map((tile) => tile.node));
    this.board.classList.toggle("table", several);
    this.board.style.setProperty("--columns", String(columns.length + 1));
    for (const tile of this.tiles) this.read(tile);
    this.picture(photo);
  }

  /**
   * The image alone, at the head of a row.
   * @param {string} label
   * @param {string} below
   * @param {string} [name]  of the image
   */
  addLead(label, below, name = "") {
    const tile = new Tile(this, null, -1, -1);
    tile.node.classList.add("lead");
    tile.header = { title: name ? label : below, label };
    tile.title.textContent = label;
    tile.title.title = label;
    tile.target.textContent = below;
    tile.stage.ariaLabel = `The image: ${this.data.picture}. Explained: ${label}`;
    tile.cover.hidden = true;
    tile.low.textContent = name;
    tile.low.title = name;
    this.leads.push(tile);
    return tile;
  }

  /**
   * @param {string | null} id
   * @param {number} row
   * @param {number} column
   */
  add(id, row, column) {
    const tile = new Tile(this, id, row, column);
    const label = this.data.rows[row]?.label ?? "difference";
    tile.take({ title: this.data.columns[column].title, label, phase: "queued" }, null);
    this.tiles.push(tile);
    return tile;
  }

  /** @param {Event} event */
  arrived(event) {
    if (!this.data || !(event instanceof CustomEvent)) return;
    if (event.detail === this.data.photo) this.picture(event.detail);
    const tile = this.tiles.find((one) => one.id === event.detail);
    if (!tile) return;
    this.read(tile);
    this.refresh();
  }

  /** @param {Tile} tile */
  read(tile) {
    const packet = tile.id && page.packets.get(tile.id);
    if (packet) tile.take(packet.header, readMap(packet));
  }

  /** @param {string} id */
  picture(id) {
    const packet = page.packets.get(id);
    if (!packet) return;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([packet.payload], { type: "image/jpeg" }));
    for (const tile of [...this.leads, ...this.tiles]) tile.image.src = this.url;
  }

  /** Paints everything that depends on the look, at most once a frame. */
  refresh() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.subtract();
      this.box.style.setProperty("--tile", `${this.view.size}px`);
      this.moveView();
      for (const tile of this.tiles) tile.paint(this.tiles, this.view, this.tables);
      this.drawer.refresh();
      this.drawCrosshair();
    });
  }

  /** Subtracts the maps of the first two rows, where those of a column have changed. */
  subtract() {
    const last = this.data.rows.length;
    for (const tile of this.tiles.filter((one) => one.row === last)) {
      const column = this.tiles.filter((one) => one.column === tile.column);
      const one = column.find((other) => other.row === 0);
      const two = column.find((other) => other.row === 1);
      if (!one?.map || !two?.map || (tile.of?.[0] === one.map && tile.of[1] === two.map)) continue;
      tile.of = [one.map, two.map];
      const map = difference(one.map, two.map);
      const { title } = one.header;
      const label = `${one.header.label} − ${two.header.label}`;
      const note = map.reach === 0 ? "No difference: both maps are equal." : "";
      const alt = `${title}, difference ${label}: from ${number(map.min)} to ${number(map.max)}`;
      tile.take({ title, label, phase: "done", note, alt }, map);
    }
  }

  /**
   * Asks for a map to be stopped. Its tile says so at once; the work ends with the current pass.
   * @param {string | undefined} ask
   */
  stop(ask) {
    for (const tile of this.tiles.filter((one) => one.header.ask === ask)) {
      tile.header = { ...tile.header, leaving: true };
      tile.caption();
      if (this.drawer.open?.source === tile) this.drawer.refresh();
    }
    this.send("stop", ask);
  }

  /** Moves the images and maps of all tiles by a few CSS variables. */
  moveView() {
    const { view } = this;
    const half = 0.5 / view.zoom;
    view.x = clamp(view.x, half, 1 - half);
    view.y = clamp(view.y, half, 1 - half);
    const { style } = this.box;
    style.setProperty("--zoom", String(view.zoom));
    style.setProperty("--left", `${-(view.x - half) * view.zoom * 100}%`);
    style.setProperty("--top", `${-(view.y - half) * view.zoom * 100}%`);
    this.box.classList.toggle("near", view.zoom >= 4);
    this.toolbar.zoomed.textContent = `${+view.zoom.toFixed(1)}×`;
  }

  /**
   * @param {number} factor
   * @param {Point | null} [about]  the point that stays where it is
   */
  zoom(factor, about = this.point) {
    const { view } = this;
    const before = view.zoom;
    view.zoom = clamp(before * factor, 1, 16);
    if (about) {
      view.x = about.u + (view.x - about.u) * (before / view.zoom);
      view.y = about.v + (view.y - about.v) * (before / view.zoom);
    }
    this.moveView();
    this.drawCrosshair();
  }

  fit() {
    Object.assign(this.view, { zoom: 1, x: 0.5, y: 0.5 });
    this.moveView();
    this.drawCrosshair();
  }

  /** Draws the crosshair at the same point of all tiles, and writes the values there. */
  drawCrosshair() {
    const { point, view, box } = this;
    box.classList.toggle("pointed", Boolean(point));
    if (!point) return;
    box.style.setProperty("--u", `${((point.u - view.x) * view.zoom + 0.5) * 100}%`);
    box.style.setProperty("--v", `${((point.v - view.y) * view.zoom + 0.5) * 100}%`);
    for (const tile of this.tiles) {
      const value = tile.at(point.u, point.v);
      tile.value.textContent = value === null ? "" : number(value);
    }
    const size = this.tiles.find((tile) => tile.map)?.map;
    const place = size ? `x ${Math.floor(point.u * size.width)}, y ${Math.floor(point.v * size.height)}` : "";
    for (const tile of this.leads) tile.value.textContent = place;
    const { open } = this.drawer;
    if (open) open.tile.value.textContent = open.source.value.textContent;
  }

  /**
   * The point of the image under the pointer.
   * @param {MouseEvent} event
   * @param {HTMLElement} stage
   * @returns {Point}
   */
  pointAt(event, stage) {
    const { left, top, width, height } = stage.getBoundingClientRect();
    const { view } = this;
    return {
      u: clamp(view.x + ((event.clientX - left) / width - 0.5) / view.zoom, 0, EDGE),
      v: clamp(view.y + ((event.clientY - top) / height - 0.5) / view.zoom, 0, EDGE),
    };
  }

  /**
   * Lets a tile be pointed at, dragged, zoomed and opened.
   * @param {Tile} tile
   */
  steer(tile) {
    const { stage } = tile;
    /** @type {{ x: number, y: number, view: Point, moved: boolean } | null} */
    let drag = null;
    stage.onpointerdown = (event) => {
      drag = { x: event.clientX, y: event.clientY, view: { u: this.view.x, v: this.view.y }, moved: false };
    };
    stage.onpointermove = (event) => {
      this.point = this.pointAt(event, stage);
      if (drag && event.buttons && this.view.zoom > 1) {
        const { width, height } = stage.getBoundingClientRect();
        const dx = event.clientX - drag.x;
        const dy = event.clientY - drag.y;
        drag.moved ||= Math.hypot(dx, dy) > 4;
        this.view.x = drag.view.u - dx / width / this.view.zoom;
        this.view.y = drag.view.v - dy / height / this.view.zoom;
        this.moveView();
      }
      this.drawCrosshair();
    };
    stage.onpointerleave = () => {
      this.point = null;
      this.drawCrosshair();
    };
    /** @param {WheelEvent} event */
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), this.pointAt(event, stage));
    };
    stage.addEventListener("wheel", wheel, { passive: false });
    stage.onclick = () => {
      const dragged = drag?.moved;
      drag = null;
      if (!dragged && this.tiles.includes(tile)) this.drawer.show(tile);
    };
    stage.onkeydown = (event) => this.press(event, tile);
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Tile} tile
   */
  press(event, tile) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) this.movePoint(arrow, event.shiftKey, tile);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  /**
   * Moves the crosshair, the view following, and says the value there.
   * @param {[x: number, y: number]} arrow
   * @param {boolean} fine  by one value of the map
   * @param {Tile} tile
   */
  movePoint([x, y], fine, tile) {
    const { view } = this;
    const step = fine && tile.map ? 1 / tile.map.width : 1 / 24 / view.zoom;
    const { u, v } = this.point ?? { u: view.x, v: view.y };
    this.point = { u: clamp(u + x * step, 0, EDGE), v: clamp(v + y * step, 0, EDGE) };
    const half = 0.5 / view.zoom;
    view.x = clamp(view.x, this.point.u - half, this.point.u + half);
    view.y = clamp(view.y, this.point.v - half, this.point.v + half);
    this.moveView();
    this.drawCrosshair();
    this.status.textContent = `${tile.header.title} ${tile.value.textContent}`;
  }

  /**
   * Hides the maps for as long as the key O is pressed.
   * @param {KeyboardEvent} event
   */
  hold(event) {
    if (typing(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "o") this.hideMaps(event.type === "keydown");
  }

  /** @param {boolean} on */
  hideMaps(on) {
    this.box.classList.toggle("bare", on);
  }
}

export default mounted((root) => new ComparisonGrid(root));
