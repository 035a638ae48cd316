// The graph of filters and classes: thresholds, search and camera live here; Python hears only what was picked, and
// says in a packet of its own which rule is to stand out.

const mounted = new WeakMap();
const FILTER = "#0072b2", CLASS = "#e69f00", RULE = "#cc79a7";

const make = (tag, className, text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};
const input = (type, set, text) => {
  const label = make("label", "", text), field = make("input");
  Object.assign(field, { type, ...set });
  label.append(field);
  return { label, field };
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

/** Cytoscape comes with a component of its own that is sent once; wait until it has arrived. */
async function library() {
  while (!globalThis.cytoscape) await new Promise((resolve) => setTimeout(resolve, 30));
  return globalThis.cytoscape;
}

class Graph {
  constructor(root) {
    this.root = root;
    this.urls = [];
    this.rule = new Set();
    this.build();
    this.heard = ({ detail }) => { if (detail === this.head?.marks) this.mark(); };
    shop.bus.addEventListener("blob", this.heard);
    this.watch = new ResizeObserver(() => {
      this.body.classList.toggle("narrow", this.frame.clientWidth < 640);
      this.cy?.resize();
      if (!this.moved) this.fit();
    });
    this.watch.observe(this.frame);
  }

  build() {
    this.frame = make("div", "graph");
    const bar = make("div", "bar");
    const find = input("search", { placeholder: "F12 or a class", oninput: () => this.find() }, "Find");
    const least = input("range", { min: 0, max: 1, step: 0.01, oninput: () => this.filter() }, "Minimum weight");
    const shared = input("checkbox", { onchange: () => this.filter() }, "");
    shared.label.append("Only shared filters");
    this.least = least.field;
    this.shared = shared.field;
    this.search = find.field;
    this.value = make("output");
    least.label.append(this.value);
    this.options = make("datalist");
    this.options.id = "names";
    this.search.setAttribute("list", "names");
    const buttons = make("span", "spread");
    const fit = make("button", "plain", "Fit"), png = make("button", "plain", "PNG");
    fit.onclick = () => { this.moved = false; this.fit(); };
    png.onclick = () => this.save();
    buttons.append(fit, png);
    bar.append(find.label, this.options, least.label, shared.label, buttons);

    this.body = make("div", "body");
    this.canvas = make("div", "canvas");
    this.canvas.setAttribute("role", "img");
    this.card = make("div", "card");
    this.body.append(this.canvas, this.card);
    const legend = make("div", "legend");
    for (const [name, text] of [["filter", "filter"], ["class", "class"], ["edge", "thicker line: higher rule score"], ["rule", "the chosen rule"]]) {
      const entry = make("span");
      entry.append(make("i", name), text);
      legend.append(entry);
    }
    this.count = make("span");
    this.count.setAttribute("role", "status");
    legend.append(this.count);
    this.frame.append(bar, this.body, legend);
    this.root.append(this.frame);
  }

  async update({ data, setTriggerValue }) {
    this.setTriggerValue = setTriggerValue;
    scheme(this.frame);
    const { head, payload } = unpack(data);
    const cytoscape = await library();
    if (this.closed) return;
    if (this.head?.token !== head.token) this.load(cytoscape, head, payload);
    this.cy.style(this.style());
  }

  load(cytoscape, head, payload) {
    const first = !this.cy;
    this.head = head;
    this.cy ??= cytoscape({
      container: this.canvas, minZoom: 0.05, maxZoom: 6, boxSelectionEnabled: false,
      autounselectify: true, layout: { name: "preset" },
    });
    this.frame.__cy = this.cy;
    this.urls.forEach(URL.revokeObjectURL);
    this.urls = [];
    const nodes = head.nodes.map((node) => ({ data: this.node(node, payload), position: { x: node.x, y: node.y }, grabbable: true }));
    const edges = head.edges.map(([source, target, weight]) => ({ data: { id: `${source}-${target}`, source, target, weight } }));
    this.cy.batch(() => {
      this.cy.elements().remove();
      this.cy.add(nodes);
      this.cy.add(edges);
    });
    this.options.replaceChildren(...head.nodes.map((node) => Object.assign(make("option"), { value: node.label })));
    if (first) {
      this.cy.on("tap", "node, edge", (event) => this.pick(event.target));
      this.cy.on("dbltap", "node", (event) => this.open(event.target));
      this.cy.on("tap", (event) => { if (event.target === this.cy) this.pick(null); });
      this.cy.on("mouseover", "node, edge", () => { this.canvas.style.cursor = "pointer"; });
      this.cy.on("mouseout", "node, edge", () => { this.canvas.style.cursor = ""; });
      this.cy.on("scrollzoom pinchzoom dragpan", () => { this.moved = true; });
      this.least.value = head.least;
    }
    const weights = head.edges.map((edge) => edge[2]);
    this.least.max = Math.ceil(Math.max(0.01, ...weights) * 100) / 100;
    this.filter();
    this.mark();
    if (first || !this.moved) this.fit();
  }

  /** Python's packet: what is picked when the graph is first shown, and the rule that the table has chosen. */
  mark() {
    const said = shop.blobs.get(this.head.marks)?.header;
    if (!said) return;
    this.rule = new Set(said.rule);
    if (!this.marked) this.chosen = said.chosen;
    this.marked = true;
    this.pick(this.picked(), true);
  }

  /** The node or link that is picked and shown. */
  picked() {
    const one = this.chosen && this.cy.getElementById(this.chosen);
    return one?.length ? one : null;
  }

  node({ id, label, kind, size, width, picture }, payload) {
    const data = { id, label, kind, size, width };
    if (picture) {
      const [start, length] = picture;
      data.picture = URL.createObjectURL(new Blob([payload.subarray(start, start + length)], { type: "image/jpeg" }));
      this.urls.push(data.picture);
    }
    return data;
  }

  style() {
    const theme = getComputedStyle(this.frame);
    const text = theme.color;
    const ground = getComputedStyle(this.canvas).backgroundColor;
    return [
      { selector: "node", style: {
        label: "data(label)", color: text, "font-size": 13, "font-family": theme.fontFamily, "min-zoomed-font-size": 7,
        width: "data(size)", height: "data(size)", "text-outline-color": ground, "text-outline-width": 2,
      } },
      { selector: "node[kind = 'filter']", style: {
        shape: "ellipse", "background-color": FILTER, "border-width": 3, "border-color": FILTER, "text-valign": "bottom", "text-margin-y": 3,
      } },
      { selector: "node[picture]", style: { "background-image": "data(picture)", "background-fit": "cover" } },
      { selector: "node[kind = 'class']", style: {
        shape: "round-rectangle", "background-color": CLASS, color: "#111", "text-outline-width": 0, "text-valign": "center",
        width: "data(width)", height: "data(size)", "font-size": 15, "font-weight": 600, "min-zoomed-font-size": 5,
      } },
      { selector: "edge", style: {
        width: "mapData(weight, 0, 1, 0.5, 5)", opacity: "mapData(weight, 0, 1, 0.2, 0.45)", "line-color": text,
        "curve-style": "haystack", "haystack-radius": 0,
      } },
      { selector: ".away", style: { display: "none" } },
      { selector: ".dim", style: { opacity: 0.12 } },
      { selector: "node.chosen", style: { "border-color": text, "border-width": 5, "z-index": 10 } },
      { selector: "edge.near", style: { opacity: 0.95, "line-color": FILTER } },
      { selector: "node.rule", style: {
        "border-color": RULE, "border-width": 5, "z-index": 9, "underlay-color": RULE, "underlay-opacity": 0.4, "underlay-padding": 9,
      } },
      { selector: "node[kind = 'filter'].rule", style: { "font-size": 20, "min-zoomed-font-size": 0, "underlay-shape": "ellipse" } },
      { selector: "edge.rule", style: { width: 7, opacity: 1, "line-color": RULE, "z-index": 9 } },
      { selector: "edge.chosen", style: { width: 9, opacity: 1, "line-color": text, "z-index": 10 } },
    ];
  }

  filter() {
    const start = performance.now();
    const least = Number(this.least.value);
    this.value.textContent = least.toFixed(2);
    const { cy } = this;
    cy.batch(() => {
      const strong = cy.edges().filter((edge) => edge.data("weight") >= least);
      const classes = new Map();
      strong.forEach((edge) => {
        const filter = edge.source().data("kind") === "filter" ? edge.data("source") : edge.data("target");
        classes.set(filter, (classes.get(filter) ?? 0) + 1);
      });
      const few = this.shared.checked ? 2 : 1;
      const shown = new Set([...classes].filter(([, count]) => count >= few).map(([id]) => id));
      cy.edges().addClass("away");
      const edges = strong.filter((edge) => shown.has(edge.data("source")) || shown.has(edge.data("target")));
      edges.removeClass("away");
      cy.nodes().addClass("away");
      edges.connectedNodes().removeClass("away");
    });
    const count = (selector) => cy.elements(selector).not(".away").length;
    this.count.textContent =
      `${count("node[kind = 'filter']")} filters, ${count("node[kind = 'class']")} classes, ${count("edge")} links shown`;
    this.canvas.setAttribute("aria-label", `${this.head.label}: ${this.count.textContent}. The table lists the same rules.`);
    this.pick(this.picked(), true);
    this.spent = performance.now() - start;
    this.frame.dataset.step = this.spent.toFixed(1);
  }

  find() {
    const wanted = this.search.value.trim().toLowerCase();
    if (!wanted) return;
    const shown = this.cy.nodes().not(".away");
    const exact = shown.filter((node) => node.data("label").toLowerCase() === wanted);
    const found = exact.length ? exact : shown.filter((node) => node.data("label").toLowerCase().includes(wanted));
    if (exact.length || found.length === 1) this.pick(found[0]);
  }

  /** Pick a node or a link, or nothing. */
  pick(one, quiet = false) {
    this.chosen = one?.id();
    this.cy.batch(() => {
      this.cy.elements().removeClass("dim near chosen rule");
      const rule = this.cy.nodes().filter((node) => this.rule.has(node.id()));
      rule.union(rule.edgesWith(rule)).addClass("rule");
      if (!one) return;
      const links = one.isNode() ? one.connectedEdges().not(".away") : one;
      const near = links.union(links.connectedNodes()).union(one);
      this.cy.elements().not(near).not(".rule").addClass("dim");
      links.addClass("near");
      one.addClass("chosen");
    });
    this.describe();
    if (!quiet) this.setTriggerValue("picked", this.chosen ?? "");
  }

  open(node) {
    this.setTriggerValue("opened", node.id());
  }

  /** What is known of what is picked, with nodes and links as buttons: the way through the graph without a mouse. */
  describe() {
    const one = this.picked();
    this.card.replaceChildren();
    if (!one) {
      this.card.append(make("p", "", this.head.hint));
      return;
    }
    if (one.isNode()) this.nodeCard(one); else this.linkCard(one);
    const leave = make("button", "plain", "Clear selection");
    leave.onclick = () => this.pick(null);
    this.card.append(leave);
  }

  nodeCard(node) {
    const edges = node.connectedEdges().not(".away").sort((a, b) => b.data("weight") - a.data("weight"));
    const many = (count, one, more) => `${count} ${count === 1 ? one : more}`;
    const words = node.data("kind") === "filter"
      ? `Used by ${many(edges.length, "class", "classes")}` : `Uses ${many(edges.length, "filter", "filters")}`;
    if (node.data("picture")) {
      this.card.append(Object.assign(make("img", "picture"), { src: node.data("picture"), alt: `Average patch of ${node.data("label")}` }));
    }
    this.card.append(make("p", "name", node.data("label")), make("p", "", `${words} at this weight.`));
    const list = make("ul");
    edges.forEach((edge) => {
      const other = edge.connectedNodes().not(node)[0];
      list.append(this.entry(other, edge));
    });
    const open = make("button", "plain", this.head.opens[node.data("kind")]);
    open.onclick = () => this.open(node);
    this.card.append(list, open);
  }

  linkCard(edge) {
    const ends = [edge.source(), edge.target()].sort((a, b) => a.data("kind") < b.data("kind") ? 1 : -1);
    const list = make("ul");
    ends.forEach((end) => list.append(this.entry(end)));
    this.card.append(make("p", "name", ends.map((end) => end.data("label")).join(" → ")));
    this.card.append(make("p", "", `The best of its rules scores ${edge.data("weight").toFixed(2)}. The table lists them.`), list);
  }

  /** A node to go to, and the link that leads there. */
  entry(node, edge) {
    const item = make("li"), name = make("button", "plain", node.data("label"));
    name.onclick = () => this.pick(node);
    item.append(name);
    if (!edge) return item;
    const rules = make("button", "plain", edge.data("weight").toFixed(2));
    rules.title = `Rules of ${edge.source().data("label")} and ${edge.target().data("label")}`;
    rules.setAttribute("aria-label", `${rules.title}, score ${rules.textContent}`);
    rules.onclick = () => this.pick(edge);
    item.append(rules);
    return item;
  }

  fit() {
    this.cy?.fit(this.cy.elements().not(".away"), 30);
  }

  save() {
    const ground = getComputedStyle(this.canvas).backgroundColor;
    const link = make("a");
    link.href = URL.createObjectURL(this.cy.png({ output: "blob", full: true, scale: 2, bg: ground, maxWidth: 4000 }));
    link.download = this.head.file;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  close() {
    this.closed = true;
    shop.bus.removeEventListener("blob", this.heard);
    this.watch.disconnect();
    this.cy?.destroy();
    this.urls.forEach(URL.revokeObjectURL);
    this.frame.remove();
  }
}

export default function (component) {
  const root = component.parentElement;
  if (!mounted.has(root)) mounted.set(root, new Graph(root));
  const graph = mounted.get(root);
  graph.update(component);
  return () => { if (!root.isConnected) { graph.close(); mounted.delete(root); } };
}
