// Maps side by side. Python sends each map once, as numbers; colours, opacity, threshold, range, zoom and crosshair are
// computed here, and changing them sends nothing to the server.

import { decoded, make, mounted, number, page, percent, typing } from "../shared.js";
import { Camera } from "./camera.js";
import { Drawer } from "./drawer.js";
import { difference, readMap } from "./heat_map.js";
import { Presentation } from "./presentation.js";
import { TableHeads } from "./table_heads.js";
import { Tile } from "./tile.js";
import { Toolbar } from "./toolbar.js";
import { decided, RANGES, RANGES_OF_IMAGES, RANGES_OF_LAYERS, readView, viewText } from "./view.js";

/**
 * @typedef {object} Data
 * @property {Row[]} rows
 * @property {{ name: string, title: string, heading: string, summary: string, formula: string, caution: string, paper: string }[]} columns
 * @property {(string | null)[][]} cells  the names of the packets with the maps
 * @property {Record<string, string>} tables  256 RGB triples for each colour scale, in base64
 * @property {string[]} sequential
 * @property {string[]} diverging
 * @property {string} view  the view settings in the address of the page
 * @property {boolean} compact
 * @property {string} gallery  the numbers of the images, if every row is one of its own with its maps as tiles, or ""
 *
 * @typedef {object} Row
 * @property {string} photo  the name of the packet with the model's view of the image
 * @property {number} aspect  width over height of that view
 * @property {string} picture  the name of the image
 * @property {string} target
 * @property {string} label
 * @property {number | string} chance
 * @property {"" | Mark} [mark]  of the explained class, in a gallery, where the true one is known
 * @property {string} [true]  the label of the true class, if that is known and another
 */

/** @type {Shortcuts} */
const SHORTCUTS = [
  "On a map",
  [
    ["← → ↑ ↓", "move the crosshair (Shift: one value at a time)"],
    ["+ −", "zoom at the crosshair"],
    ["0", "whole image"],
    ["O", "hold to show the image only"],
    ["Enter", "enlarge the map"],
  ],
];

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
  /** @type {Tile[]} the image without a map, first in each row */
  leads = [];
  /** @type {string | undefined} */
  plan;
  /** @type {Map<string, string>} the addresses of photos by the name of their packet */
  urls = new Map();
  /** @type {number | null} */
  frame = null;
  /** @type {MutationObserver | undefined} of a dialog that a strip opened */
  dialog;
  listeners = new AbortController();
  /** @type {Shortcuts} one per grid: a new grid is added before the old one is removed */
  shortcuts = [...SHORTCUTS];
  camera = new Camera(this);
  toolbar = new Toolbar(this);
  drawer = new Drawer(this);
  board = make("div", { className: "board" });
  scroller = make("div", { className: "scroller" }, this.board);
  heads = new TableHeads(this.scroller);
  presentation = new Presentation(this);
  status = make("span", { className: "says", role: "status" });
  box = make(
    "div",
    { className: "grid" },
    this.toolbar.node,
    this.heads.more,
    this.scroller,
    this.status,
    this.presentation.node,
    this.drawer.node,
  );

  /** @param {ShadowRoot} root */
  constructor(root) {
    root.append(this.box);
    const { signal } = this.listeners;
    page.events.addEventListener("packet", (event) => this.arrived(event), { signal });
    document.addEventListener("keydown", (event) => this.hold(event), { signal });
    document.addEventListener("pointerdown", (event) => this.toolbar.clicked(event), { signal });
    document.addEventListener("keyup", (event) => this.hold(event), { signal });
    this.presentation.listen(signal);
    page.shortcuts.add(this.shortcuts);
    page.viewText = viewText;
  }

  close() {
    this.listeners.abort();
    this.dialog?.disconnect();
    page.shortcuts.delete(this.shortcuts);
    this.heads.close();
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
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

  resetView() {
    const { sequential, diverging } = this.data;
    Object.assign(this.view, readView(""), { sequential: sequential[0], diverging: diverging[0] });
    this.show();
  }

  show() {
    const { cells, rows, compact, gallery } = this.data;
    const plan = JSON.stringify([cells, rows, gallery, this.differs]);
    if (plan !== this.plan) this.build(plan);
    this.box.classList.toggle("compact", compact);
    this.box.classList.toggle("gallery", Boolean(gallery));
    this.box.style.setProperty("--aspect", String(this.aspect));
    this.toolbar.show();
    this.refresh();
  }

  /** Width over height of the images, as the network sees them. */
  get aspect() {
    return this.data.rows[0]?.aspect ?? 1;
  }

  /** Whether several classes, groups or other targets of one image are compared. */
  get several() {
    return this.data.rows.length > 1 && !this.data.gallery;
  }

  /** Whether the values of the maps of a method are comparable: a difference, a group or a unit has other ones. */
  get comparable() {
    return this.several && this.data.rows.every(({ target }) => /^\d+$/.test(target));
  }

  /** The names of the ranges: a column is a method, or a layer at which it is read. */
  get ranges() {
    const { columns, gallery } = this.data;
    if (gallery) return RANGES_OF_IMAGES;
    return new Set(columns.map(({ name }) => name)).size < columns.length ? RANGES_OF_LAYERS : RANGES;
  }

  /** The view with which maps are painted. */
  get look() {
    return decided(this.view, this.comparable);
  }

  /** Whether the first two rows are subtracted. */
  get differs() {
    return this.view.difference && this.several;
  }

  /** @param {string} plan */
  build(plan) {
    this.plan = plan;
    const { cells, rows, columns, gallery } = this.data;
    this.box.classList.toggle("judged", Boolean(gallery) && rows.some((row) => row.true));
    this.tiles = [];
    this.leads = [];
    const { several } = this;
    const heads = this.heads.build(several ? columns : []);
    /** @type {Tile[]} */
    const tiles = [];
    cells.forEach((ids, row) => {
      if (several || (row === 0 && !gallery)) tiles.push(this.addLead(row, rows[row].label, percent(rows[row].chance)));
      ids.forEach((id, column) => {
        if (id) tiles.push(this.add(id, row, column));
      });
    });
    if (this.differs) {
      tiles.push(this.addLead(rows.length, `${rows[0].label} − ${rows[1].label}`, "Difference"));
      columns.forEach((_, column) => {
        tiles.push(this.add(null, rows.length, column));
      });
    }
    this.board.replaceChildren(...heads, ...tiles.map((tile) => tile.node));
    this.board.classList.toggle("table", several);
    this.board.style.setProperty("--columns", String(several || gallery ? this.across : columns.length + 1));
    for (const tile of this.tiles) this.read(tile);
    for (const photo of new Set(rows.map((row) => row.photo))) this.picture(photo);
  }

  /** The number of tiles that may stand side by side. */
  get across() {
    return this.data.gallery ? Math.max(3, this.data.rows.length) : this.data.columns.length;
  }

  /**
   * The facts of a row; a difference is about the image of the first.
   * @param {number} row
   */
  row(row) {
    return this.data.rows[row] ?? this.data.rows[0];
  }

  /**
   * The image without a map, first in a row; only the row of a difference does not name it again.
   * @param {number} row
   * @param {string} label
   * @param {string} below
   */
  addLead(row, label, below) {
    const tile = new Tile(this, null, row, -1);
    const { picture } = this.row(row);
    const name = row < this.data.rows.length ? picture : "";
    tile.node.classList.add("lead");
    tile.header = { title: name ? label : below, label };
    tile.title.textContent = label;
    tile.title.title = label;
    tile.target.textContent = below;
    tile.stage.ariaLabel = `The image: ${picture}. Explained: ${label}`;
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
    if (event.detail === "strips") this.refresh();
    if (this.data.rows.some((row) => row.photo === event.detail)) this.picture(event.detail);
    const tiles = this.tiles.filter((one) => one.id === event.detail);
    for (const tile of tiles) this.read(tile);
    if (tiles.length) this.refresh();
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
    const earlier = this.urls.get(id);
    if (earlier) URL.revokeObjectURL(earlier);
    const url = URL.createObjectURL(new Blob([packet.payload], { type: "image/jpeg" }));
    this.urls.set(id, url);
    for (const tile of [...this.leads, ...this.tiles]) if (this.row(tile.row).photo === id) tile.image.src = url;
  }

  /** Paints everything that depends on the view settings, at most once per frame. */
  refresh() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.subtract();
      this.box.style.setProperty("--tile", `${this.view.size}px`);
      this.camera.apply();
      for (const tile of this.tiles) tile.paint(this.tiles, this.look, this.tables);
      this.showStrips();
      this.heads.update(this.tiles, this.ranges[this.look.range]);
      this.presentation.show();
      this.drawer.refresh();
      this.camera.drawCrosshair();
    });
  }

  /** Shows the measures of each map that has any. */
  showStrips() {
    const strips = page.packets.get("strips")?.header.strips ?? {};
    for (const tile of this.tiles) tile.strip.show(strips[tile.header.ask ?? ""]);
  }

  /** Subtracts the maps of the first two rows in columns that have changed. */
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
   * Requests to stop a map. Its tile shows this at once; the work ends after the current pass.
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

  /**
   * Hides the maps while the key O is pressed.
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
