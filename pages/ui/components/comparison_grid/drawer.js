// The drawer of the grid: one map enlarged, with its facts and exports.

import { button, copyText, make, number } from "../shared.js";
import { paintMap, spanOf } from "./colours.js";
import { Tile } from "./tile.js";

/**
 * @typedef {import("./comparison_grid.js").ComparisonGrid} ComparisonGrid
 * @typedef {import("./tile.js").TileFacts} TileFacts
 */

export class Drawer {
  /** @type {{ tile: Tile, source: Tile } | null} the tile of the drawer, and the tile of the grid that it shows */
  open = null;
  node = make("dialog", { className: "drawer" });
  about = make("div", { className: "about" });

  /** @param {ComparisonGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.node.onclick = (event) => {
      if (event.target === this.node) this.node.close();
    };
  }

  /** @param {Tile} source */
  show(source) {
    const tile = new Tile(this.grid, null, source.row, source.column);
    tile.image.src = this.grid.urls.get(this.grid.row(source.row).photo) ?? "";
    this.open = { tile, source };
    const swipe = make("input", { type: "range", min: "0", max: "100", ariaLabel: "Overlay opacity" });
    swipe.value = "100";
    swipe.oninput = () => tile.canvas.style.setProperty("clip-path", `inset(0 ${100 - swipe.valueAsNumber}% 0 0)`);
    const close = button("Close", () => this.node.close(), { className: "close" });
    this.node.onclose = () => {
      this.open = null;
      source.stage.focus();
    };
    this.node.ariaLabel = `${source.header.title} for ${source.header.label}`;
    this.about.replaceChildren(...this.facts(source));
    const label = make("label", { className: "swipe" }, "Image", swipe, "Map");
    const left = make("div", { className: "left" }, tile.node, label);
    this.node.replaceChildren(make("div", { className: "inside" }, left, this.about, close));
    this.node.showModal();
    this.refresh();
  }

  /** Updates the drawer from the tile of the grid. */
  refresh() {
    if (!this.open) return;
    const { tile, source } = this.open;
    if (tile.header.phase && tile.header.phase !== source.header.phase) {
      this.about.replaceChildren(...this.facts(source));
    }
    tile.take(source.header, source.map);
    const map = source.shown;
    tile.node.classList.toggle("mapped", Boolean(map));
    if (!map) return;
    const { tiles, look: view, tables } = this.grid;
    tile.span = spanOf(source, map, tiles, view);
    paintMap(tile.canvas, map, tile.span, view, tables);
    tile.paintScale(map, view, tables);
  }

  /** @param {Tile} source */
  facts({ header, map, column, row }) {
    const method = this.grid.data.columns[column];
    /** @type {[string, string | number | undefined][]} */
    const named = [...Object.entries(header.settings ?? {}), ...Object.entries(header.remarks ?? {})];
    /** @type {[string, string | number | undefined][]} */
    const facts = [
      ["Image", this.grid.data.gallery ? this.grid.row(row).picture : ""],
      ["Target", header.label],
      ["Layer", header.layer],
      ["Values", map ? `${number(map.min)} to ${number(map.max)}` : ""],
      ["Time", header.time],
      ["Passes", header.passes],
      ["Seed", header.seed],
      ...named.map(([name, value]) => /** @type {[string, typeof value]} */ ([name.replaceAll("_", " "), value])),
    ];
    const known = facts.filter(([, value]) => value !== undefined && value !== "");
    const terms = known.flatMap(([name, value]) => [
      make("dt", { textContent: name }),
      make("dd", { textContent: String(value) }),
    ]);
    return [
      make("h2", { textContent: method.heading }),
      make("p", { textContent: method.summary }),
      make("p", { className: "formula", textContent: method.formula }),
      make("p", { textContent: method.caution }),
      make("dl", {}, ...terms),
      make("p", { className: "source", textContent: method.paper }),
      ...(header.phase === "done" && header.ask ? this.exports(header) : []),
    ];
  }

  /**
   * The exports of one map: its picture as shown here, its values, the command that computes it.
   * @param {TileFacts} header
   */
  exports({ ask, command = "" }) {
    const status = make("span", { className: "said", role: "status" });
    /**
     * @param {string} text
     * @param {string} title
     * @param {() => void} act
     */
    const press = (text, title, act) => button(text, act, { className: "keep", title });
    /** @param {string} kind */
    const send = (kind) => this.grid.send("export", { ask, kind, view: this.grid.view });
    const copy = async () => {
      status.textContent = await copyText(command, "Command copied");
    };
    return [
      make("h3", { textContent: "Export this map" }),
      make(
        "div",
        { className: "keeps" },
        press("Picture (PNG)", "The map over the image, as displayed", () => send("png")),
        press("Raw values (NPY)", "The raw values as float32, for numpy.load", () => send("npy")),
        press("Copy command", "The command line that reproduces this map", copy),
        status,
      ),
      make("code", { textContent: command, tabIndex: 0 }),
    ];
  }
}
