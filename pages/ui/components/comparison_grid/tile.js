// One tile of the grid: a map over the image, its title and facts, or its state while there is no map.

import { button, clamp, MARKS, make, number, percent } from "../shared.js";
import { paintMap, paintScale, spanOf, weakness } from "./colours.js";
import { Strip } from "./strip.js";

/**
 * @typedef {import("./colours.js").Span} Span
 * @typedef {import("./colours.js").Tables} Tables
 * @typedef {import("./comparison_grid.js").ComparisonGrid} ComparisonGrid
 * @typedef {import("./heat_map.js").HeatMap} HeatMap
 * @typedef {import("./view.js").View} View
 *
 * @typedef {object} TileFacts  the facts of a tile from Python; a finished map has all of them except errors and costs
 * @property {string} [title]
 * @property {string} [label]
 * @property {"waiting" | "queued" | "running" | "stopped" | "done" | "failed"} [phase]
 * @property {string} [ask]  the key of this map in events
 * @property {boolean} [leaving]  it will stop after the current pass
 * @property {string} [note]  why the map is not worth showing
 * @property {string} [error]
 * @property {string} [hint]
 * @property {string} [cost]
 * @property {number} [fraction]
 * @property {number | null} [settled]
 * @property {boolean} [finished]
 * @property {string} [alt]
 * @property {string} [layer]
 * @property {string} [time]
 * @property {number} [seconds]
 * @property {string} [doing]  what the method is doing, such as "steps 12 of 50"
 * @property {string} [left]  the time left
 * @property {string} [passes]  such as "1 forward + 1 backward"
 * @property {number} [seed]
 * @property {Record<string, string | number>} [settings]
 * @property {Record<string, string | number>} [remarks]
 * @property {string} [command]
 */

const DESCRIPTION = "Press Enter to open, arrow keys to read values, plus and minus to zoom.";

export class Tile {
  /** @type {TileFacts} */
  header = {};
  /** @type {HeatMap | null} */
  map = null;
  /** @type {[HeatMap, HeatMap] | undefined} */
  of;
  /** @type {Span} */
  span = { low: 0, high: 1 };

  canvas = make("canvas");
  image = make("img", { alt: "", draggable: false });
  stage = make(
    "button",
    {
      type: "button",
      className: "stage",
      ariaDescription: DESCRIPTION,
    },
    make("span", { className: "sheet" }, this.image, this.canvas),
    make("span", { className: "cross" }),
  );
  value = make("span", { className: "value" });
  cover = make("span", { className: "cover" });
  halt = button("×", () => this.grid.stop(this.header.ask), { className: "halt", hidden: true });
  title = make("span", { className: "title" });
  target = make("span", { className: "target" });
  ramp = make("canvas", { className: "ramp", width: 256, height: 1 });
  low = make("span");
  zero = make("span");
  high = make("span");
  facts = make("span", {
    className: "facts",
    title: "Passes that several maps share count for the first of them; the others reuse them.",
  });
  weak = make("span", { className: "weak" });
  strip = new Strip(this);
  node = make(
    "figure",
    { className: "tile" },
    make("figcaption", {}, this.title, this.target),
    make("div", { className: "frame" }, this.stage, this.value, this.cover, this.halt),
    this.ramp,
    make("span", { className: "ends" }, this.low, this.zero, this.high),
    this.weak,
    this.facts,
    this.strip.node,
  );

  /**
   * @param {ComparisonGrid} grid
   * @param {string | null} id  the name of its packet
   * @param {number} row
   * @param {number} column
   */
  constructor(grid, id, row, column) {
    this.grid = grid;
    this.id = id;
    this.row = row;
    this.column = column;
    grid.camera.steer(this);
  }

  /** The map to show, unless there is a note instead. */
  get shown() {
    return this.header.note ? null : this.map;
  }

  /**
   * @param {TileFacts} header
   * @param {HeatMap | null} map
   */
  take(header, map) {
    this.header = header;
    this.map = map;
    this.caption();
  }

  /** Updates everything except the map itself. */
  caption() {
    const { header } = this;
    const [title, target] = this.grid.data?.gallery ? this.named() : [header.title ?? "", header.label ?? ""];
    this.title.replaceChildren(make("bdi", { textContent: title }));
    this.title.title = title;
    this.target.textContent = target;
    this.target.title = target;
    this.node.dataset.phase = header.phase ?? "";
    const message = this.message();
    this.cover.replaceChildren(...message);
    this.cover.hidden = !message.length;
    const image = this.grid.data?.gallery ? ` in ${title}` : "";
    const what = `${header.title} for ${header.label}${image}`;
    this.halt.hidden = header.leaving || !(header.phase === "running" || header.phase === "queued");
    this.halt.title = header.phase === "queued" ? `Remove ${what} from the queue` : `Stop ${what}`;
    this.halt.ariaLabel = this.halt.title;
    this.stage.ariaLabel = header.alt
      ? [image && title, header.alt].filter(Boolean).join(": ")
      : `${what}: ${message.map((one) => one.textContent).join(", ")}`;
    const unfinished = header.phase === "done" && header.finished === false ? "unfinished" : "";
    this.node.classList.toggle("unfinished", Boolean(unfinished));
    this.facts.textContent = [header.layer, header.time, header.passes, unfinished].filter(Boolean).join(" · ");
  }

  /** In a gallery the image, and its class with the probability and its true class; the method is the same for all. */
  named() {
    const { picture, label, chance, mark, true: other } = this.grid.row(this.row);
    const judged = mark ? ` ${MARKS[mark].join(" ")}` : "";
    const explained = `${[label, percent(chance)].filter(Boolean).join(" · ")}${judged}`;
    return [picture, other ? `${explained}\nTrue class: ${other}` : explained];
  }

  /** The overlay of the tile: an error, a note, or the progress. */
  message() {
    const { phase, note, error, hint, cost, leaving, doing, left } = this.header;
    /** @param {string} textContent */
    const strong = (textContent) => make("strong", { textContent });
    /** @param {string} [textContent] */
    const plain = (textContent = "") => make("span", { textContent });
    if (error) return [strong(error), plain(hint)];
    if (note) return [strong(note)];
    switch (phase) {
      case "running":
        return [strong(this.progress()), ...(leaving ? [] : [doing, left].filter(Boolean).map(plain))];
      case "queued":
        return [plain(leaving ? "Removing" : "Queued")];
      case "stopped":
        return [strong("Stopped"), plain("No result yet")];
      case "waiting":
        return [strong("Not computed yet"), plain(cost)];
      default:
        return [];
    }
  }

  progress() {
    const { fraction, settled, leaving } = this.header;
    const done = fraction ? `${Math.round(fraction * 100)}%` : "Computing";
    const state = leaving ? "Stopping" : done;
    const known = settled !== undefined && settled !== null;
    return known ? `${state} · convergence ${settled.toFixed(2).replace("-", "−")}` : state;
  }

  /**
   * @param {Tile[]} tiles  all of the grid, which may share a colour range
   * @param {View} view
   * @param {Tables} tables
   */
  paint(tiles, view, tables) {
    const map = this.shown;
    this.node.classList.toggle("mapped", Boolean(map));
    this.weak.textContent = map && this.grid.comparable ? weakness(this, tiles) : "";
    this.stage.ariaDescription = [this.weak.textContent, DESCRIPTION].filter(Boolean).join(". ");
    if (!map) {
      this.canvas.width = 0;
      return;
    }
    this.span = spanOf(this, map, tiles, view);
    paintMap(this.canvas, map, this.span, view, tables);
    this.paintScale(map, view, tables);
  }

  /**
   * @param {HeatMap} map
   * @param {View} view
   * @param {Tables} tables
   */
  paintScale(map, view, tables) {
    const { low, high, signed } = this.span;
    paintScale(this.ramp, this.span, view, tables);
    // From high to low if only negative values are painted, so that no value lies beyond the first colour.
    const below = low < high && map.min < low;
    const above = low <= high ? map.max > high : map.min < high;
    this.low.textContent = (below ? "≤ " : "") + number(low);
    this.zero.textContent = signed ? number((low + high) / 2) : "";
    this.high.textContent = (above ? (low > high ? "≤ " : "≥ ") : "") + number(high);
  }

  /**
   * The value at a position in the image, given as fractions of its width and height.
   * @param {number} u
   * @param {number} v
   */
  at(u, v) {
    const map = this.shown;
    if (!map) return null;
    const x = clamp(Math.floor(u * map.width), 0, map.width - 1);
    const y = clamp(Math.floor(v * map.height), 0, map.height - 1);
    return map.values[y * map.width + x];
  }
}
