// The drawer of the grid: one map at large, beside what is known about it and what of it can be kept.

class Drawer {
  constructor(grid) {
    this.grid = grid;
    this.large = null;
    this.node = make("dialog", { className: "drawer" });
    this.node.addEventListener("click", (event) => event.target === this.node && this.node.close());
  }

  show(tile) {
    const large = new Tile(this.grid, "", tile.row, tile.column);
    large.large = true;
    large.source = tile;
    large.image.src = this.grid.url ?? "";
    this.large = large;
    const swipe = make("input", { type: "range", min: 0, max: 100, value: 100, ariaLabel: "How much of the map is laid over" });
    swipe.oninput = () => large.canvas.style.setProperty("clip-path", `inset(0 ${100 - swipe.value}% 0 0)`);
    const close = make("button", { type: "button", className: "close", textContent: "Close" });
    close.onclick = () => this.node.close();
    this.node.onclose = () => {
      this.large = null;
      tile.stage.focus();
    };
    this.node.ariaLabel = `${tile.header.title} for ${tile.header.label}`;
    this.told = this.about(tile);
    const left = make("div", { className: "left" }, large.node, make("label", { className: "swipe" }, "Image", swipe, "Map"));
    this.node.replaceChildren(make("div", { className: "inside" }, left, this.told, close));
    this.node.showModal();
    this.refresh();
  }

  // What the tile shows by now.
  refresh() {
    const { grid, large } = this;
    const { source } = large;
    if (large.header.phase && large.header.phase !== source.header.phase) {
      const told = this.about(source);
      this.told.replaceWith(told);
      this.told = told;
    }
    large.header = source.header;
    large.map = source.map;
    large.blank = source.blank;
    large.caption();
    const shown = source.map && !source.blank;
    large.node.classList.toggle("mapped", Boolean(shown));
    if (!shown) return;
    large.span = span(source, grid.tiles, grid.view);
    draw(large.canvas, large.map, large.span, grid.view, grid.tables);
    large.scale(grid.view, grid.tables);
  }

  about(tile) {
    const { header } = tile;
    const column = this.grid.data.columns[tile.column];
    const facts = [
      ["Explains", header.label], ["Layer", header.layer], ["Values", tile.map ? `${number(tile.map.min)} to ${number(tile.map.max)}` : ""],
      ["Time", header.time], ["Forward passes", header.forwards], ["Backward passes", header.backwards], ["Seed", header.seed],
      ...Object.entries(header.settings ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value]),
      ...Object.entries(header.remarks ?? {}).map(([name, value]) => [name.replaceAll("_", " "), value]),
    ].filter(([, value]) => value !== undefined && value !== "");
    return make(
      "div",
      { className: "about" },
      make("h2", { textContent: column.title }),
      make("p", { textContent: column.summary }),
      make("p", { className: "formula", textContent: column.formula }),
      make("p", { textContent: column.caution }),
      make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", { textContent: name }), make("dd", { textContent: value })])),
      make("p", { className: "source", textContent: column.paper }),
      ...(header.phase === "done" && header.ask ? this.keeping(header) : []),
    );
  }

  // What of one map can be kept: its picture as it looks here, its values, the command that makes it again.
  keeping({ ask, command }) {
    const said = make("span", { className: "said", role: "status" });
    const press = (text, title, onclick) => make("button", { type: "button", className: "keep", textContent: text, title, onclick });
    const file = (text, kind, title) => press(text, title, () => this.grid.send("export", { ask, kind, view: this.grid.view }));
    const copy = press("Copy the command", "The command line that makes this map again", async () => {
      try {
        await navigator.clipboard.writeText(command);
        said.textContent = "Command copied";
      } catch {
        said.textContent = "The browser did not allow copying";
      }
    });
    return [
      make("h3", { textContent: "Export this map" }),
      make(
        "div",
        { className: "keeps" },
        file("Picture (PNG)", "png", "The map over the image, in the colours it has here"),
        file("Raw values (NPY)", "npy", "The values as 32-bit numbers, for numpy.load"),
        copy,
        said,
      ),
      make("code", { textContent: command, tabIndex: 0 }),
    ];
  }
}
