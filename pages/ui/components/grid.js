// Maps side by side. Python sends each map once, as numbers; colours, opacity, threshold, range, zoom and crosshair are
// settled here, and a step of any of them sends nothing to the server. One module with tile.js, drawer.js and toolbar.js.

const parts = new WeakMap();

const KEYS = [
  ["← → ↑ ↓", "move the crosshair (Shift: one value at a time)"], ["+ −", "zoom at the crosshair"], ["0", "whole image"],
  ["O", "hold for the image alone"], ["Enter", "open the map at large"],
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

class Grid {
  constructor(root) {
    this.tiles = [];
    this.point = null;
    this.toolbar = new Toolbar(this);
    this.board = make("div", { className: "board" });
    this.says = make("span", { className: "says", role: "status" });
    this.drawer = new Drawer(this);
    this.box = make("div", { className: "grid" }, this.toolbar.node, this.board, this.says, this.drawer.node);
    root.append(this.box);
    this.arrived = (event) => this.arrive(event.detail);
    this.keys = (event) => this.hold(event);
    shop.bus.addEventListener("blob", this.arrived);
    document.addEventListener("keydown", this.keys);
    document.addEventListener("keyup", this.keys);
    this.told = ["On a map", KEYS];
    shop.keys.add(this.told);
  }

  end() {
    shop.bus.removeEventListener("blob", this.arrived);
    document.removeEventListener("keydown", this.keys);
    document.removeEventListener("keyup", this.keys);
    shop.keys.delete(this.told);
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
    this.toolbar.show();
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
      if (this.drawer.node.open) this.drawer.refresh();
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
      if (this.drawer.large?.source === tile) this.drawer.refresh();
    }
    this.send("stop", ask);
  }

  // Zoom and crosshair are linked by a few CSS variables.
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
    if (this.toolbar.zoomed) this.toolbar.zoomed.textContent = `${+view.zoom.toFixed(1)}×`;
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
    const { large } = this.drawer;
    if (large) large.value.textContent = large.source.value.textContent;
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
      if (!dragged && tile.row >= 0 && !tile.large) this.drawer.show(tile);
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
  }

  bare(on) {
    this.box.classList.toggle("bare", on);
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let part = parts.get(parentElement);
  if (!part) parts.set(parentElement, (part = new Grid(parentElement)));
  part.show(data, setTriggerValue);
  return () => parentElement.isConnected || part.end();
}
