// Maps side by side. Python sends each map once, as numbers; colours, opacity, threshold, range, zoom and crosshair are
// settled here, and a step of any of them sends nothing to the server.

const shop = (window.vitrine ??= { blobs: new Map(), bus: new EventTarget() });
const parts = new WeakMap();

const DEFAULTS = {
  opacity: 0.9, threshold: 0, blend: "value", range: "own", clip: true, low: 0, high: 1, size: 210,
  sequential: "inferno", diverging: "RdBu_r", zoom: 1, x: 0.5, y: 0.5, difference: false,
};
const RANGES = {
  own: "Own", minmax: "Own, min to max", row: "Shared per row", method: "Shared per method", symmetric: "Symmetric", positive: "Positive only",
  negative: "Negative only", fixed: "Fixed",
};
const KEYS = [
  ["← → ↑ ↓", "move the crosshair (Shift: one value at a time)"], ["+ −", "zoom at the crosshair"], ["0", "whole image"],
  ["O", "hold for the image alone"], ["Enter", "open the map at large"], ["P", "presentation"], ["Esc", "close"],
];

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const number = (value) => {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return (size >= 1e-3 && size < 1e5 ? String(+value.toPrecision(3)) : value.toExponential(2)).replaceAll("-", "−");
};
const percent = (chance) => (chance < 0.001 ? "< 0.1 %" : `${(chance * 100).toFixed(1)} %`);

// ---- the look: what a link keeps -----------------------------------------------------------------------------------

function opened(text) {
  const view = { ...DEFAULTS };
  for (const pair of (text || "").split(",")) {
    const [name, value] = pair.split(":");
    if (!(name in DEFAULTS) || value === undefined) continue;
    const kind = typeof DEFAULTS[name];
    if (kind === "number" && Number.isFinite(+value) && value !== "") view[name] = +value;
    if (kind === "boolean") view[name] = value === "true";
    if (kind === "string" && /^\w+$/.test(value)) view[name] = value;
  }
  view.opacity = clamp(view.opacity, 0, 1);
  view.threshold = clamp(view.threshold, 0, 1);
  view.zoom = clamp(view.zoom, 1, 16);
  view.size = clamp(view.size, 120, 420);
  if (!(view.range in RANGES)) view.range = "own";
  return view;
}

shop.look = () =>
  Object.keys(DEFAULTS)
    .filter((name) => shop.view && shop.view[name] !== DEFAULTS[name])
    .map((name) => `${name}:${typeof DEFAULTS[name] === "number" ? +shop.view[name].toFixed(4) : shop.view[name]}`)
    .join(",");

// ---- numbers -------------------------------------------------------------------------------------------------------

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

// ---- one tile ------------------------------------------------------------------------------------------------------

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

// ---- the grid ------------------------------------------------------------------------------------------------------

class Grid {
  constructor(root) {
    this.tiles = [];
    this.point = null;
    this.bar = make("div", { className: "bar", role: "toolbar", ariaLabel: "How the maps look" });
    this.board = make("div", { className: "board" });
    this.says = make("span", { className: "says", role: "status" });
    this.drawer = make("dialog", { className: "drawer" });
    this.help = make("dialog", { className: "help" });
    this.box = make("div", { className: "grid" }, this.bar, this.board, this.says, this.drawer, this.help);
    root.append(this.box);
    this.arrived = (event) => this.arrive(event.detail);
    this.keys = (event) => this.hold(event);
    shop.bus.addEventListener("blob", this.arrived);
    document.addEventListener("keydown", this.keys);
    document.addEventListener("keyup", this.keys);
    this.drawer.addEventListener("click", (event) => event.target === this.drawer && this.drawer.close());
    this.help.addEventListener("click", () => this.help.close());
    this.help.append(
      make("h2", { textContent: "Keys" }),
      make("dl", {}, ...KEYS.flatMap(([key, what]) => [make("dt", { textContent: key }), make("dd", { textContent: what })])),
      make("button", { type: "button", className: "close", textContent: "Close" }),
    );
  }

  end() {
    shop.bus.removeEventListener("blob", this.arrived);
    document.removeEventListener("keydown", this.keys);
    document.removeEventListener("keyup", this.keys);
    if (this.url) URL.revokeObjectURL(this.url);
  }

  show(data, send) {
    this.send = send;
    if (!shop.view || (data.view && data.view !== shop.opened)) {
      shop.view = opened(data.view);
      shop.opened = data.view;
    }
    this.view = shop.view;
    for (const kind of ["sequential", "diverging"]) {
      if (!data[kind].includes(this.view[kind])) this.view[kind] = data[kind][0];
    }
    this.data = data;
    this.tables ??= Object.fromEntries(
      Object.entries(data.tables).map(([name, text]) => [name, Uint8Array.from(atob(text), (c) => c.charCodeAt(0))]),
    );
    const plan = JSON.stringify([data.cells, data.rows, data.photo, this.differs()]);
    if (plan !== this.plan) this.build(plan);
    this.box.classList.toggle("compact", data.compact);
    this.toolbar();
    this.refresh();
  }

  differs() {
    return this.view.difference && this.data.rows.length > 1;
  }

  build(plan) {
    this.plan = plan;
    const { cells, rows, columns, photo } = this.data;
    this.tiles = [];
    this.photos = [];
    const nodes = [];
    const several = rows.length > 1;
    cells.forEach((ids, row) => {
      if (row === 0 || several) nodes.push(this.lead(rows[row]));
      ids.forEach((id, column) => id && nodes.push(this.add(id, row, column)));
    });
    if (this.differs()) {
      nodes.push(this.lead({ label: `${rows[0].label} − ${rows[1].label}`, heading: "Difference" }));
      columns.forEach((_, column) => nodes.push(this.add(null, rows.length, column)));
    }
    this.board.replaceChildren(...nodes);
    this.board.classList.toggle("table", several);
    this.board.style.setProperty("--columns", columns.length + 1);
    for (const tile of this.tiles) if (shop.blobs.has(tile.id)) tile.take(shop.blobs.get(tile.id));
    this.picture(photo);
  }

  lead({ label, chance, heading }) {
    const tile = new Tile(this, "", -1, -1);
    tile.node.classList.add("lead");
    tile.header = { title: heading ?? label, label };
    tile.title.textContent = tile.title.title = label;
    tile.target.textContent = heading ?? percent(chance);
    tile.stage.ariaLabel = `The image: ${this.data.picture}. Explained: ${label}`;
    tile.cover.hidden = true;
    tile.low.textContent = tile.low.title = heading ? "" : this.data.picture;
    this.photos.push(tile);
    return tile.node;
  }

  add(id, row, column) {
    const tile = new Tile(this, id, row, column);
    tile.header = { title: this.data.columns[column].title, label: this.data.rows[row]?.label ?? "difference", phase: "queued" };
    tile.caption();
    this.tiles.push(tile);
    return tile.node;
  }

  picture(id) {
    const packet = shop.blobs.get(id);
    if (!packet) return;
    if (this.url) URL.revokeObjectURL(this.url);
    this.url = URL.createObjectURL(new Blob([packet.payload], { type: "image/jpeg" }));
    for (const tile of [...this.photos, ...this.tiles]) tile.image.src = this.url;
  }

  arrive(id) {
    if (!this.data) return;
    if (id === this.data.photo) return this.picture(id);
    const tile = this.tiles.find((one) => one.id === id);
    if (!tile) return;
    tile.take(shop.blobs.get(id));
    this.refresh();
  }

  // All that changes with the look is drawn at once, at most once a frame.
  refresh() {
    this.frame ??= requestAnimationFrame(() => {
      this.frame = null;
      this.subtract();
      const { view } = this;
      this.box.style.setProperty("--tile", `${view.size}px`);
      this.move();
      for (const tile of this.tiles) tile.paint(this.tiles, view, this.tables);
      if (this.drawer.open) this.enlarge();
      this.cross();
    });
  }

  subtract() {
    const last = this.data.rows.length;
    for (const tile of this.tiles.filter((one) => one.row === last)) {
      const [one, two] = [0, 1].map((row) => this.tiles.find((t) => t.row === row && t.column === tile.column));
      if (!one?.map || !two?.map || (tile.of?.[0] === one.map && tile.of?.[1] === two.map)) continue;
      tile.of = [one.map, two.map];
      const map = difference(one.map, two.map);
      const label = `${one.header.label} − ${two.header.label}`;
      const note = map.reach === 0 ? "No difference: both maps are equal." : "";
      const alt = `${one.header.title}, difference ${label}: from ${number(map.min)} to ${number(map.max)}`;
      tile.take({ header: { title: one.header.title, label, phase: "done", note, alt }, map });
    }
  }

  // The tile says so at once; the work ends with the pass it is in.
  stop(ask) {
    for (const tile of this.tiles.filter((one) => one.header.ask === ask)) {
      tile.header = { ...tile.header, leaving: true };
      tile.caption();
      if (this.large?.source === tile) this.enlarge();
    }
    this.send("stop", ask);
  }

  // ---- zoom and crosshair, linked by a few CSS variables

  move() {
    const { view } = this;
    const half = 0.5 / view.zoom;
    view.x = clamp(view.x, half, 1 - half);
    view.y = clamp(view.y, half, 1 - half);
    const style = this.box.style;
    style.setProperty("--zoom", view.zoom);
    style.setProperty("--left", `${-(view.x - half) * view.zoom * 100}%`);
    style.setProperty("--top", `${-(view.y - half) * view.zoom * 100}%`);
    this.box.classList.toggle("near", view.zoom >= 4);
    if (this.zoomed) this.zoomed.textContent = `${+view.zoom.toFixed(1)}×`;
  }

  zoom(factor, about = this.point) {
    const { view } = this;
    const before = view.zoom;
    view.zoom = clamp(before * factor, 1, 16);
    if (about) {
      view.x = about.u + (view.x - about.u) * (before / view.zoom);
      view.y = about.v + (view.y - about.v) * (before / view.zoom);
    }
    this.move();
    this.cross();
  }

  whole() {
    Object.assign(this.view, { zoom: 1, x: 0.5, y: 0.5 });
    this.move();
    this.cross();
  }

  over(event, stage) {
    const { left, top, width, height } = stage.getBoundingClientRect();
    const { view } = this;
    return {
      u: clamp(view.x + ((event.clientX - left) / width - 0.5) / view.zoom, 0, 0.999999),
      v: clamp(view.y + ((event.clientY - top) / height - 0.5) / view.zoom, 0, 0.999999),
    };
  }

  cross() {
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
    for (const tile of this.photos) tile.value.textContent = place;
    if (this.large) this.large.value.textContent = this.large.source.value.textContent;
  }

  steer(tile) {
    const { stage } = tile;
    let start = null;
    stage.addEventListener("pointerdown", (event) => {
      start = { x: event.clientX, y: event.clientY, at: { ...this.view }, moved: false };
    });
    stage.addEventListener("pointermove", (event) => {
      this.point = this.over(event, stage);
      if (start && event.buttons && this.view.zoom > 1) {
        const { width, height } = stage.getBoundingClientRect();
        const [dx, dy] = [event.clientX - start.x, event.clientY - start.y];
        start.moved ||= Math.hypot(dx, dy) > 4;
        this.view.x = start.at.x - dx / width / this.view.zoom;
        this.view.y = start.at.y - dy / height / this.view.zoom;
        this.move();
      }
      this.cross();
    });
    stage.addEventListener("pointerleave", () => {
      this.point = null;
      this.cross();
    });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), this.over(event, stage));
    }, { passive: false });
    stage.addEventListener("click", () => {
      const dragged = start?.moved;
      start = null;
      if (!dragged && tile.row >= 0 && !tile.large) this.open(tile);
    });
    stage.addEventListener("keydown", (event) => this.press(event, tile));
  }

  press(event, tile) {
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (arrow) {
      const size = event.shiftKey && tile.map ? 1 / tile.map.width : 1 / 24 / this.view.zoom;
      const { u, v } = this.point ?? { u: this.view.x, v: this.view.y };
      this.point = { u: clamp(u + arrow[0] * size, 0, 0.999999), v: clamp(v + arrow[1] * size, 0, 0.999999) };
      const half = 0.5 / this.view.zoom;
      this.view.x = clamp(this.view.x, this.point.u - half, this.point.u + half);
      this.view.y = clamp(this.view.y, this.point.v - half, this.point.v + half);
      this.move();
      this.cross();
      this.says.textContent = `${tile.header.title} ${tile.value.textContent}`;
    } else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.whole();
    else return;
    event.preventDefault();
  }

  hold(event) {
    const typing = event.composedPath()[0].closest?.("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key.toLowerCase() === "o") this.bare(event.type === "keydown");
    if (event.key === "?" && event.type === "keydown" && !this.data?.compact) this.help.open || this.help.showModal();
  }

  bare(on) {
    this.box.classList.toggle("bare", on);
  }

  // ---- one map at large

  open(tile) {
    const large = new Tile(this, "", tile.row, tile.column);
    large.large = true;
    large.source = tile;
    large.image.src = this.url ?? "";
    this.large = large;
    const swipe = make("input", { type: "range", min: 0, max: 100, value: 100, ariaLabel: "How much of the map is laid over" });
    swipe.oninput = () => large.canvas.style.setProperty("clip-path", `inset(0 ${100 - swipe.value}% 0 0)`);
    const close = make("button", { type: "button", className: "close", textContent: "Close" });
    close.onclick = () => this.drawer.close();
    this.drawer.onclose = () => {
      this.large = null;
      tile.stage.focus();
    };
    this.drawer.ariaLabel = `${tile.header.title} for ${tile.header.label}`;
    this.told = this.about(tile);
    const left = make("div", { className: "left" }, large.node, make("label", { className: "swipe" }, "Image", swipe, "Map"));
    this.drawer.replaceChildren(make("div", { className: "inside" }, left, this.told, close));
    this.drawer.showModal();
    this.enlarge();
  }

  enlarge() {
    const { large } = this;
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
    large.span = span(source, this.tiles, this.view);
    draw(large.canvas, large.map, large.span, this.view, this.tables);
    large.scale(this.view, this.tables);
  }

  about(tile) {
    const { header } = tile;
    const column = this.data.columns[tile.column];
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
    const file = (text, kind, title) => press(text, title, () => this.send("export", { ask, kind, view: this.view }));
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

  // ---- the toolbar

  toolbar() {
    const signed = true;
    const plan = JSON.stringify([this.data.rows.length > 1, this.view.range === "fixed", signed]);
    if (plan === this.barPlan) return;
    this.barPlan = plan;
    const { data, view } = this;
    const parts = [
      this.slider("Opacity", "opacity", 0, 1, 0.01, (value) => `${Math.round(value * 100)} %`),
      this.slider("Threshold", "threshold", 0, 1, 0.01, (value) => `${Math.round(value * 100)} %`),
      this.choice("Blend", "blend", { value: "By value", even: "Even" }),
      this.choice("Range", "range", RANGES),
    ];
    if (view.range === "fixed") parts.push(this.entry("From", "low"), this.entry("to", "high"));
    parts.push(
      this.check("Clip 0.1 %", "clip", "Leave the one value in a thousand that is largest out of the colour range"),
      this.choice("Colours", "sequential", Object.fromEntries(data.sequential.map((name) => [name, name]))),
      this.choice("Signed", "diverging", Object.fromEntries(data.diverging.map((name) => [name, name.replace("_r", "")]))),
      this.slider("Size", "size", 120, 420, 10, (value) => `${value} px`),
    );
    if (data.rows.length > 1) parts.push(this.check("Difference", "difference", "The first row minus the second"));
    this.zoomed = make("span", { className: "read" });
    const press = (text, label, act) => make("button", { type: "button", textContent: text, ariaLabel: label, title: label, onclick: act });
    const original = press("Image", "Hold for the image alone (O)", null);
    original.onpointerdown = () => this.bare(true);
    original.onpointerup = original.onpointerleave = () => this.bare(false);
    const zoom = make(
      "div",
      { className: "zoom", role: "group", ariaLabel: "Zoom" },
      press("−", "Zoom out", () => this.zoom(1 / 1.5)),
      this.zoomed,
      press("+", "Zoom in", () => this.zoom(1.5)),
      press("Fit", "Fit the whole image", () => this.whole()),
      original,
      press("?", "Keys", () => this.help.showModal()),
    );
    this.bar.replaceChildren(...parts, zoom);
  }

  set(name, value) {
    this.view[name] = value;
    if (name === "range" || name === "difference") this.show(this.data, this.send);
    else this.refresh();
  }

  slider(label, name, min, max, step, say) {
    const read = make("span", { className: "read", textContent: say(this.view[name]) });
    const input = make("input", { type: "range", min, max, step, ariaLabel: label });
    input.value = this.view[name];
    input.oninput = () => {
      read.textContent = say(+input.value);
      this.set(name, +input.value);
    };
    return make("label", {}, make("span", { className: "name" }, label, read), input);
  }

  choice(label, name, options) {
    const select = make("select", { ariaLabel: label });
    select.append(...Object.entries(options).map(([value, text]) => make("option", { value, textContent: text })));
    select.value = this.view[name];
    select.onchange = () => {
      this.set(name, select.value);
    };
    return make("label", {}, make("span", { className: "name" }, label), select);
  }

  entry(label, name) {
    const input = make("input", { type: "number", step: "any", value: this.view[name], ariaLabel: `Colour range ${label}` });
    input.oninput = () => Number.isFinite(input.valueAsNumber) && this.set(name, input.valueAsNumber);
    return make("label", { className: "entry" }, make("span", { className: "name" }, label), input);
  }

  check(label, name, title) {
    const input = make("input", { type: "checkbox", checked: this.view[name] });
    input.onchange = () => this.set(name, input.checked);
    return make("label", { className: "check", title }, input, label);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let part = parts.get(parentElement);
  if (!part) parts.set(parentElement, (part = new Grid(parentElement)));
  part.show(data, setTriggerValue);
  return () => part.end();
}
