// A gallery of thousands of small pictures: only the rows in view exist, everything but picking stays in the browser.

const mounted = new WeakMap();
const KEYS = [
  ["← → ↑ ↓ Home End", "move"], ["Space", "select (Shift: all on the way)"], ["Ctrl A", "select all"], ["Enter", "open"],
  ["Esc", "clear the selection"],
];
const GAP = 6, CAPTION = 19, HEADING = 34, DECODED = 128e6;

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

function unpack(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = view.getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { head, payload: bytes.subarray(4 + length) };
}

/** Browsers draw sliders and boxes for light or dark ground; tell them which one the theme has. */
function scheme(frame) {
  const [red, green, blue] = getComputedStyle(frame).color.match(/[\d.]+/g).map(Number);
  frame.style.colorScheme = red + green + blue > 384 ? "dark" : "light";
}

/** Sheets of equal cells, decoded when first needed; the least recently used ones are dropped. */
class Sheets {
  constructor(spec, payload, ready) {
    Object.assign(this, { spec, payload, ready, decoded: new Map() });
  }
  draw(canvas, index) {
    const { cell, columns, per } = this.spec;
    const sheet = Math.floor(index / per), within = index % per;
    const bitmap = this.bitmap(sheet);
    if (!bitmap) return false;
    const x = (within % columns) * cell, y = Math.floor(within / columns) * cell;
    canvas.getContext("2d").drawImage(bitmap, x, y, cell, cell, 0, 0, canvas.width, canvas.height);
    return true;
  }
  bitmap(sheet) {
    const found = this.decoded.get(sheet);
    this.decoded.delete(sheet);
    if (found) {
      this.decoded.set(sheet, found);
      return found.bitmap;
    }
    const entry = { bitmap: null };
    this.decoded.set(sheet, entry);
    const [start, length] = this.spec.sheets[sheet];
    const blob = new Blob([this.payload.subarray(start, start + length)], { type: this.spec.type });
    createImageBitmap(blob).then((bitmap) => { entry.bitmap = bitmap; this.ready(); });
    for (const [key, old] of this.decoded) {
      if (this.decoded.size * this.spec.cell ** 2 * this.spec.per * 4 <= DECODED) break;
      old.bitmap?.close();
      this.decoded.delete(key);
    }
    return null;
  }
  close() {
    for (const entry of this.decoded.values()) entry.bitmap?.close();
    this.decoded.clear();
  }
}

class Gallery {
  constructor(root) {
    this.tiles = new Map();
    this.spare = [];
    this.picked = new Set();
    this.build(root);
    this.watch = new ResizeObserver(() => this.layout());
    this.watch.observe(this.frame);
    this.told = ["In a gallery", KEYS];
    shop.keys.add(this.told);
  }

  build(root) {
    this.frame = make("div", "gallery");
    const bar = make("div", "bar");
    this.count = make("span", "count");
    this.status = make("span", "picked");
    this.status.setAttribute("role", "status");
    this.all = make("button", "plain", "Select all");
    this.none = make("button", "plain", "Clear selection");
    this.all.onclick = () => this.pick(this.head.ids, true);
    this.none.onclick = () => this.pick([...this.picked], false);
    const label = make("label", "", "Size");
    this.size = make("input");
    Object.assign(this.size, { type: "range", min: 40, max: 224, step: 8 });
    this.size.oninput = () => { this.layout(); };
    label.append(this.size);
    bar.append(this.count, this.status, this.all, this.none, label);

    this.body = make("div", "body");
    this.scroller = make("div", "scroller");
    this.space = make("div", "space");
    this.space.setAttribute("role", "presentation");
    this.scroller.setAttribute("role", "listbox");
    this.scroller.append(this.space);
    this.scroller.onscroll = () => this.later();
    this.scroller.onkeydown = (event) => this.key(event);
    this.panel = make("div", "panel");
    this.body.append(this.scroller, this.panel);
    this.frame.append(bar, this.body);
    root.append(this.frame);
  }

  update({ data, setStateValue, setTriggerValue }) {
    Object.assign(this, { setStateValue, setTriggerValue });
    scheme(this.frame);
    const { head, payload } = unpack(data);
    if (this.head?.token === head.token) return;
    this.sheets?.close();
    this.contexts?.close();
    const shown = new Set(head.ids);
    const kept = [...this.picked].filter((id) => shown.has(id));
    const lost = kept.length !== this.picked.size;
    this.picked = new Set(kept);
    if (!this.head) this.size.value = head.tile;
    const same = this.head?.ids.length === head.ids.length && head.ids.every((id, i) => id === this.head.ids[i]);
    this.head = head;
    this.sheets = new Sheets(head.sheets, payload, () => this.arrived());
    this.contexts = head.contexts && new Sheets(head.contexts, payload, () => this.arrived());
    this.scroller.setAttribute("aria-label", head.label);
    this.scroller.setAttribute("aria-multiselectable", String(head.many));
    this.all.hidden = this.none.hidden = !head.many;
    for (const index of [...this.tiles.keys()]) this.release(index);
    if (!same) {
      this.active = this.anchor = 0;
      this.shown = head.ids.length ? 0 : -1;
      this.scroller.scrollTop = 0;
    }
    this.layout();
    this.show(this.shown);
    if (lost) this.report();
    this.tell();
  }

  /** Where every row stands: a heading, or the items from `first` to before `last`. */
  layout() {
    if (!this.head) return;
    const tile = Number(this.size.value);
    this.frame.style.setProperty("--tile", `${tile}px`);
    const short = tile < 64;
    this.frame.classList.toggle("short", short);
    this.body.classList.toggle("narrow", !this.head.panel || this.frame.clientWidth < 640);
    const lines = short ? 0 : this.head.lines;
    const pitch = { x: tile + 6 + GAP, y: tile + 6 + GAP + lines * CAPTION };
    const columns = Math.max(1, Math.floor((this.scroller.clientWidth - GAP) / pitch.x));
    this.columns = columns;
    pitch.x = (this.scroller.clientWidth - GAP) / columns;
    this.rows = [];
    let y = GAP, first = 0;
    for (const [title, count] of this.head.groups) {
      if (title) {
        this.rows.push({ y, height: HEADING, title, count });
        y += HEADING;
      }
      for (let start = first; start < first + count; start += columns) {
        this.rows.push({ y, height: pitch.y, first: start, last: Math.min(start + columns, first + count) });
        y += pitch.y;
      }
      first += count;
    }
    this.pitch = pitch;
    this.space.style.height = `${y}px`;
    this.scroller.style.height = `${Math.min(y + 2, this.head.height)}px`;
    this.paint(true);
  }

  later(redraw = false) {
    this.redraw ||= redraw;
    this.frameRequest ??= requestAnimationFrame(() => { this.frameRequest = null; this.paint(this.redraw); this.redraw = false; });
  }

  /** A sheet has been decoded: fill what waited for it. */
  arrived() {
    this.later(true);
    if (this.waits) this.show(this.shown);
  }

  rowAt(y) {
    let low = 0, high = this.rows.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.rows[middle].y <= y) low = middle; else high = middle - 1;
    }
    return low;
  }

  paint(redraw) {
    const start = performance.now();
    this.arrange(redraw);
    this.frame.dataset.paint = (performance.now() - start).toFixed(1);
  }

  arrange(redraw) {
    if (!this.rows?.length) {
      for (const index of [...this.tiles.keys()]) this.release(index);
      for (const tile of this.spare) tile.remove();
      return;
    }
    const top = this.scroller.scrollTop, bottom = top + this.scroller.clientHeight;
    const rows = this.rows.slice(Math.max(0, this.rowAt(top) - 1), this.rowAt(bottom) + 2);
    const wanted = new Map();
    for (const row of rows) {
      for (let index = row.first; index < row.last; index++) {
        wanted.set(index, { x: GAP + (index - row.first) * this.pitch.x, y: row.y });
      }
    }
    const focused = this.tiles.get(this.active)?.matches(":focus");
    for (const index of [...this.tiles.keys()]) {
      if (!wanted.has(index) && !(focused && index === this.active)) this.release(index);
    }
    for (const [index, place] of wanted) this.place(index, place, redraw);
    for (const tile of this.spare) tile.remove();
    this.headings(rows.filter((row) => row.title));
    if (!this.tiles.has(this.active)) this.tab(wanted.keys().next().value);
  }

  headings(rows) {
    this.space.querySelectorAll(".heading").forEach((node) => node.remove());
    for (const row of rows) {
      const node = make("div", "heading", row.title);
      node.append(make("small", "", row.count.toLocaleString("en")));
      node.style.transform = `translateY(${row.y}px)`;
      this.space.append(node);
    }
  }

  place(index, { x, y }, redraw) {
    let tile = this.tiles.get(index);
    if (!tile) {
      tile = this.spare.pop() ?? this.tile();
      this.fill(tile, index);
      this.tiles.set(index, tile);
      if (!tile.isConnected) this.space.append(tile);
      redraw = true;
    }
    tile.style.transform = `translate(${x}px, ${y}px)`;
    if (redraw && !tile.drawn) tile.drawn = this.sheets.draw(tile.firstChild, index);
  }

  tile() {
    const tile = make("div", "tile");
    tile.setAttribute("role", "option");
    tile.append(make("canvas"), make("span", "check"), make("div", "caption"), make("div", "caption note"), make("span", "unseen"));
    tile.onclick = (event) => this.click(event, tile.index, event.target.classList.contains("check"));
    tile.ondblclick = () => this.open(tile.index);
    tile.onmouseenter = () => this.show(tile.index);
    tile.onfocus = () => { this.active = tile.index; this.show(tile.index); this.marks(); };
    return tile;
  }

  fill(tile, index) {
    const { head } = this;
    const [canvas, , title, note, rest] = tile.children;
    tile.index = index;
    tile.drawn = false;
    canvas.width = canvas.height = head.sheets.cell;
    title.textContent = head.titles[index];
    note.textContent = head.notes[index] ?? "";
    note.hidden = head.lines < 2;
    tile.title = head.titles[index];
    rest.textContent = this.alt(index);
    tile.setAttribute("aria-posinset", index + 1);
    tile.setAttribute("aria-setsize", head.ids.length);
    this.mark(tile);
  }

  /** What the panel would say, for ears. */
  alt(index) {
    return this.head.facts.map(([name, values]) => `, ${name} ${values[index]}`).join("");
  }

  release(index) {
    this.spare.push(this.tiles.get(index));
    this.tiles.delete(index);
  }

  mark(tile) {
    const many = this.head.many;
    const selected = many ? this.picked.has(this.head.ids[tile.index]) : tile.index === this.active;
    tile.classList.toggle("many", many);
    tile.classList.toggle("active", this.head.panel && tile.index === this.shown);
    tile.setAttribute("aria-selected", String(selected));
    tile.tabIndex = tile.index === this.active ? 0 : -1;
  }

  marks() {
    for (const tile of this.tiles.values()) this.mark(tile);
  }

  tab(index) {
    if (index === undefined) return;
    this.active = index;
    this.marks();
  }

  /** The whole picture of an item with its windows, and its facts. */
  show(index) {
    this.shown = index;
    this.marks();
    this.panel.replaceChildren();
    if (!this.head.panel || index < 0 || index === undefined) return;
    const { head } = this;
    const text = make("div");
    this.panel.append(this.whole(index), text);
    text.append(make("p", "name", head.titles[index]));
    const list = make("dl");
    for (const [name, values] of head.facts) list.append(make("dt", "", name), make("dd", "", values[index]));
    text.append(list);
    const buttons = make("div", "actions");
    for (const [action, texts] of head.actions) {
      const button = make("button", "plain", texts[index]);
      button.onclick = () => this.open(index, action);
      buttons.append(button);
    }
    text.append(buttons);
    const keys = ["Arrows move", head.many && "Space selects, Shift+click a range", head.actions.length && "Enter opens"];
    text.append(make("p", "keys", `${keys.filter(Boolean).join(". ")}.`));
  }

  whole(index) {
    const canvas = make("canvas");
    const { head } = this;
    canvas.width = canvas.height = 512;
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", this.contexts ? `Whole image of ${head.titles[index]} with its windows` : head.titles[index]);
    if (!this.contexts) {
      this.waits = !this.sheets.draw(canvas, index);
      return canvas;
    }
    const image = head.images[index];
    const patch = make("canvas");
    patch.width = patch.height = head.sheets.cell;
    const [x, y, width, height] = head.boxes[index].map((part) => part * 512);
    this.waits = !this.contexts.draw(canvas, image) || !this.sheets.draw(patch, index);
    if (this.waits) return canvas;
    canvas.getContext("2d").drawImage(patch, x, y, width, height);
    this.windows(canvas.getContext("2d"), head.windows?.[image] ?? [], [x, y, width, height]);
    return canvas;
  }

  windows(pen, windows, [x, y, width, height]) {
    const frame = (box, colour, line, dash) => {
      pen.setLineDash(dash);
      for (const [style, extra] of [["rgb(0 0 0 / 70%)", 2], [colour, 0]]) {
        pen.strokeStyle = style;
        pen.lineWidth = line + extra;
        pen.strokeRect(...box);
      }
    };
    const kept = windows.filter((window) => window[5]), tried = windows.filter((window) => !window[5]);
    for (const [left, top, w, h] of tried) frame([left * 512, top * 512, w * 512, h * 512], "#ddd", 1, [3, 5]);
    pen.font = "600 22px sans-serif";
    for (const [left, top, w, h, order] of kept) {
      frame([left * 512, top * 512, w * 512, h * 512], "#fff", 2, []);
      pen.setLineDash([]);
      pen.fillStyle = "rgb(0 0 0 / 75%)";
      pen.fillRect(left * 512, top * 512, 26, 28);
      pen.fillStyle = "#fff";
      pen.fillText(String(order), left * 512 + 7, top * 512 + 22);
    }
    frame([x, y, width, height], "#F0E442", 5, []);
  }

  click(event, index, check) {
    this.tab(index);
    this.tiles.get(index)?.focus({ preventScroll: true });
    if (!this.head.many) {
      this.anchor = index;
      return this.open(index);
    }
    if (event.shiftKey) {
      const [low, high] = [Math.min(this.anchor, index), Math.max(this.anchor, index)];
      return this.pick(this.head.ids.slice(low, high + 1), true);
    }
    this.anchor = index;
    const id = this.head.ids[index];
    if (check || event.ctrlKey || event.metaKey) return this.pick([id], !this.picked.has(id));
    this.show(index);
  }

  open(index, action = this.head.actions[0]?.[0]) {
    if (action) this.setTriggerValue("opened", { id: this.head.ids[index], action });
  }

  pick(ids, on) {
    for (const id of ids) if (on) this.picked.add(id); else this.picked.delete(id);
    this.marks();
    this.tell();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.report(), 200);
  }

  report() {
    this.setStateValue("selected", this.head.ids.filter((id) => this.picked.has(id)));
  }

  tell() {
    const total = this.head.ids.length;
    this.count.textContent = `${total.toLocaleString("en")} ${total === 1 ? this.head.noun[0] : this.head.noun[1]}`;
    this.status.textContent = this.picked.size ? `${this.picked.size.toLocaleString("en")} selected` : "";
    this.none.disabled = !this.picked.size;
  }

  key(event) {
    const total = this.head.ids.length;
    const page = this.columns * Math.max(1, Math.floor(this.scroller.clientHeight / this.pitch.y));
    const steps = {
      ArrowLeft: -1, ArrowRight: 1, ArrowUp: -this.columns, ArrowDown: this.columns,
      PageUp: -page, PageDown: page, Home: -total, End: total,
    };
    const id = this.head.ids[this.active];
    if (event.key in steps) {
      const before = this.active;
      this.move(Math.min(total - 1, Math.max(0, this.active + steps[event.key])));
      if (event.shiftKey && this.head.many) {
        const [low, high] = [Math.min(before, this.active), Math.max(before, this.active)];
        this.pick(this.head.ids.slice(low, high + 1), true);
      }
    } else if (event.key === " " && this.head.many) this.pick([id], !this.picked.has(id));
    else if (event.key === "Enter") this.open(this.active);
    else if (event.key === "Escape") this.pick([...this.picked], false);
    else if (event.key === "a" && (event.ctrlKey || event.metaKey) && this.head.many) this.pick(this.head.ids, true);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  move(index) {
    const row = this.rows.find((one) => one.first <= index && index < one.last);
    const { scrollTop, clientHeight } = this.scroller;
    if (row.y < scrollTop) this.scroller.scrollTop = row.y - GAP;
    else if (row.y + row.height > scrollTop + clientHeight) this.scroller.scrollTop = row.y + row.height - clientHeight;
    this.active = index;
    this.anchor = index;
    this.paint(false);
    this.marks();
    this.tiles.get(index)?.focus({ preventScroll: true });
  }

  close() {
    shop.keys.delete(this.told);
    this.watch.disconnect();
    clearTimeout(this.timer);
    this.sheets?.close();
    this.contexts?.close();
    this.frame.remove();
  }
}

export default function (component) {
  const root = component.parentElement;
  if (!mounted.has(root)) mounted.set(root, new Gallery(root));
  const gallery = mounted.get(root);
  gallery.update(component);
  return () => { if (!root.isConnected) { gallery.close(); mounted.delete(root); } };
}
