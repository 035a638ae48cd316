// One tile of the grid: a map as numbers, the colours of its values, its words, and how it is drawn.

function read({ header, payload }) {
  if (!header.width) return null;
  const levels = new Uint16Array(payload.buffer, payload.byteOffset, header.width * header.height);
  const values = new Float32Array(levels.length);
  for (let i = 0; i < levels.length; i++) values[i] = header.zero + header.step * levels[i];
  const { width, height, min, max, signed, offset } = header;
  return measured({ values, width, height, min, max, signed, floor: offset ? min : Math.min(min, 0) });
}

// The value that one in a thousand lies beyond, so that a single pixel does not dim a whole map.
function measured(map) {
  const sizes = map.values.map(map.signed ? Math.abs : (value) => value).sort();
  const place = Math.min(sizes.length - 1, Math.floor(sizes.length * 0.999));
  map.reach = Math.max(Math.abs(map.min), Math.abs(map.max));
  map.high = sizes[place] > (map.signed ? 0 : map.min) ? sizes[place] : map.signed ? map.reach : map.max;
  return map;
}

const difference = (one, two) => {
  const values = one.values.map((value, i) => value - two.values[i]);
  let [min, max] = [Infinity, -Infinity];
  for (const value of values) [min, max] = [Math.min(min, value), Math.max(max, value)];
  return measured({ values, width: one.width, height: one.height, min, max, signed: true });
};

// What the colours of a tile span: from `low` to `high`, and whether their middle means zero.
function span(tile, tiles, view) {
  const { map } = tile;
  const top = (m) => (view.clip ? m.high : m.signed ? m.reach : m.max);
  const group = {
    row: (t) => t.row === tile.row,
    method: (t) => t.column === tile.column && (tile.of || !t.of), // a difference leaves the range of others alone
  }[view.range];
  const maps = group ? tiles.filter((t) => t.map && group(t)).map((t) => t.map) : [map];
  const signed = maps.some((m) => m.signed);
  const reach = Math.max(...maps.map((m) => (view.clip ? Math.max(m.high, m.signed ? 0 : -m.min) : m.reach)));
  switch (view.range) {
    case "symmetric": return { low: -reach, high: reach, signed: true };
    case "positive": return { low: 0, high: Math.max(0, map.signed ? Math.min(map.max, top(map)) : top(map)), only: true };
    case "negative": return { low: 0, high: Math.min(0, map.signed ? Math.max(map.min, -top(map)) : map.min), only: true };
    case "fixed": return { low: view.low, high: view.high, signed: signed && view.low < 0 && view.high > 0 };
    default: {
      if (signed) return { low: -reach, high: reach, signed: true };
      const low = view.range === "minmax" ? map.min : Math.min(...maps.map((m) => m.floor));
      return { low, high: Math.max(...maps.map(top)), signed: false };
    }
  }
}

// 256 colours with their opacities, as one 32-bit number each.
function palette(table, signed, view, even = view.blend === "even") {
  const colours = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const share = i / 255;
    const strength = signed ? Math.abs(2 * share - 1) : share;
    const seen = strength >= view.threshold ? (even ? 1 : strength ** 0.6) * view.opacity : 0;
    colours[i] = (Math.round(seen * 255) << 24) | (table[3 * i + 2] << 16) | (table[3 * i + 1] << 8) | table[3 * i];
  }
  return colours;
}

class Tile {
  constructor(grid, id, row, column) {
    Object.assign(this, { grid, id, row, column, map: null, header: {} });
    this.canvas = make("canvas");
    this.image = make("img", { alt: "", draggable: false });
    this.value = make("span", { className: "value" });
    this.cover = make("span", { className: "cover" });
    this.halt = make("button", { type: "button", className: "halt", textContent: "×", hidden: true });
    this.halt.onclick = () => grid.stop(this.header.ask);
    this.stage = make(
      "button",
      { type: "button", className: "stage" },
      make("span", { className: "sheet" }, this.image, this.canvas),
      make("span", { className: "cross" }),
    );
    this.stage.ariaDescription = "Enter opens it, arrow keys read values, plus and minus zoom.";
    this.title = make("span", { className: "title" });
    this.target = make("span", { className: "target" });
    this.ramp = make("canvas", { className: "ramp", width: 256, height: 1 });
    this.low = make("span");
    this.zero = make("span");
    this.high = make("span");
    this.facts = make("span", { className: "facts" });
    this.node = make(
      "figure",
      { className: "tile" },
      make("figcaption", {}, this.title, this.target),
      make("div", { className: "frame" }, this.stage, this.value, this.cover, this.halt),
      this.ramp,
      make("span", { className: "ends" }, this.low, this.zero, this.high),
      this.facts,
    );
    grid.steer(this);
  }

  take(packet) {
    this.header = packet.header;
    this.map = packet.map ?? read(packet);
    this.blank = Boolean(this.header.note);
    this.caption();
  }

  caption() {
    const { header } = this;
    this.title.textContent = header.title ?? "";
    this.target.textContent = header.label ?? "";
    this.target.title = header.label ?? "";
    this.node.dataset.phase = header.phase ?? "";
    const note = this.covering();
    this.cover.replaceChildren(...note);
    this.cover.hidden = !note.length;
    this.halt.hidden = header.leaving || !["running", "queued"].includes(header.phase);
    this.halt.title = this.halt.ariaLabel =
      header.phase === "queued" ? `Take ${header.title} for ${header.label} out of the queue` : `Stop ${header.title} for ${header.label}`;
    this.stage.ariaLabel = header.alt ?? `${header.title} for ${header.label}: ${note.map((one) => one.textContent).join(", ")}`;
    const passes = header.passes === undefined ? "" : `${header.passes.toLocaleString("en")} passes`;
    const facts = [header.layer, header.time, passes, header.phase === "done" && header.finished === false ? "unfinished" : ""];
    this.facts.textContent = facts.filter(Boolean).join(" · ");
  }

  covering() {
    const { phase, note, error, hint, cost, fraction, settled, leaving } = this.header;
    const strong = (text) => make("strong", { textContent: text });
    if (error) return [strong(error), make("span", { textContent: hint ?? "" })];
    if (note) return [strong(note)];
    if (phase === "running") {
      const part = leaving ? "Stopping" : fraction ? `${Math.round(fraction * 100)} %` : "Computing";
      return [strong(settled === undefined || settled === null ? part : `${part} · settled ${settled.toFixed(2).replace("-", "−")}`)];
    }
    if (phase === "queued") return [make("span", { textContent: leaving ? "Leaving the queue" : "In the queue" })];
    if (phase === "stopped") return [strong("Stopped"), make("span", { textContent: "before there was a map" })];
    if (phase === "waiting") return [strong("Not run yet"), make("span", { textContent: cost ?? "" })];
    return [];
  }

  paint(tiles, view, tables) {
    const shown = this.map && !this.blank;
    this.node.classList.toggle("mapped", Boolean(shown));
    if (!shown) return void (this.canvas.width = 0);
    this.span = span(this, tiles, view);
    draw(this.canvas, this.map, this.span, view, tables);
    this.scale(view, tables);
  }

  scale(view, tables) {
    const { low, high, signed } = this.span;
    const bar = new ImageData(256, 1);
    const table = tables[signed ? view.diverging : view.sequential];
    new Uint32Array(bar.data.buffer).set(palette(table, signed, { ...view, opacity: 1 }, true));
    this.ramp.getContext("2d").putImageData(bar, 0, 0);
    const beyond = (end) => (low <= high ? (end > 0 ? this.map.max > high : this.map.min < low) : this.map.min < high);
    this.low.textContent = (beyond(-1) && low < high ? "≤ " : "") + number(low);
    this.zero.textContent = signed ? number((low + high) / 2) : "";
    this.high.textContent = (beyond(1) ? (low > high ? "≤ " : "≥ ") : "") + number(high);
  }

  at(u, v) {
    if (!this.map || this.blank) return null;
    const { values, width, height } = this.map;
    return values[clamp(Math.floor(v * height), 0, height - 1) * width + clamp(Math.floor(u * width), 0, width - 1)];
  }
}

function draw(canvas, map, { low, high, signed, only }, view, tables) {
  const { values, width, height } = map;
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  if (high !== low) {
    const colours = palette(tables[signed ? view.diverging : view.sequential], signed, view);
    const scale = 255 / (high - low);
    for (let i = 0; i < pixels.length; i++) {
      const place = Math.round((values[i] - low) * scale);
      if (only && place <= 0) continue;
      pixels[i] = colours[place < 0 ? 0 : place > 255 ? 255 : place];
    }
  }
  canvas.getContext("2d").putImageData(picture, 0, 0);
}
