// The graph of filters and classes: thresholds, search and camera are handled here; Python receives only the selection,
// and sends the rule to highlight in a separate packet.

import { adoptColorScheme, button, make, mounted, page, saveFile, unpack } from "../shared.js";
import { card } from "./card.js";
import { library } from "./library.js";
import { styles } from "./styles.js";

/**
 * @typedef {object} Node
 * @property {string} id
 * @property {string} label
 * @property {"filter" | "class"} kind
 * @property {number} size
 * @property {number} width
 * @property {number} x
 * @property {number} y
 * @property {[start: number, length: number]} [picture]  its range in the payload
 *
 * @typedef {object} Head
 * @property {string} token  identifies the contents
 * @property {string} label
 * @property {Node[]} nodes
 * @property {[source: string, target: string, weight: number][]} edges
 * @property {string} marks  the name of the packet with selection and highlighted rule
 * @property {number} least  the initial minimum weight
 * @property {string} file  the name of the picture to save
 * @property {string} hint
 * @property {{ filter: string, class: string }} opens
 *
 * @typedef {{ chosen: string, rule: string[] }} Marks  the initial selection, and the nodes of the highlighted rule
 */

const WHEEL = "Click the graph, or hold Ctrl or ⌘, to zoom with the wheel.";
const CROWD = 150; // nodes of a graph that shows names of filters only where it is enlarged
const LARGEST = 1.2; // of a graph that is fitted to its frame

const LEGEND = {
  filter: "filter",
  class: "class",
  edge: "thicker line: higher rule score",
  rule: "the chosen rule",
};

class RuleGraph {
  /** @type {ShadowRoot} */
  root;
  /** @type {Component<Bytes>} */
  component;
  /** @type {Head | undefined} */
  head;
  /** @type {Cytoscape.Core} */
  cy;
  /** @type {string[]} */
  urls = [];
  /** @type {Set<string>} */
  rule = new Set();
  /** @type {string | undefined} the id of the selected node or link */
  chosen;
  marked = false; // the initial selection from Python has been applied
  moved = false; // the user has moved or zoomed the graph
  engaged = false; // the user has clicked the graph, so that its wheel zooms
  /** @type {number | null} */
  frameRequest = null;
  listeners = new AbortController();

  options = make("datalist", { id: "names" });
  search = make("input", { type: "search", placeholder: "F12 or a class" });
  least = make("input", { type: "range", min: "0", max: "1", step: "0.01" });
  value = make("output");
  shared = make("input", { type: "checkbox" });
  fitButton = button("Fit", null, { className: "plain" });
  saveButton = button("PNG", null, { className: "plain" });
  bar = make(
    "div",
    { className: "bar" },
    make("label", {}, "Find", this.search),
    this.options,
    make("label", {}, "Minimum weight", this.least, this.value),
    make("label", {}, this.shared, "Only shared filters"),
    make("span", { className: "spread" }, this.fitButton, this.saveButton),
  );
  canvas = make("div", { className: "canvas", role: "img" });
  notice = make("p", { className: "notice", textContent: WHEEL, hidden: true });
  stage = make("div", { className: "stage" }, this.canvas, this.notice);
  card = make("div", { className: "card" });
  body = make("div", { className: "body" }, this.stage, this.card);
  count = make("span", { role: "status" });
  legend = make(
    "div",
    { className: "legend" },
    ...Object.entries(LEGEND).map(([className, text]) => make("span", {}, make("i", { className }), text)),
    this.count,
  );
  /** @type {HTMLDivElement & { __cy?: Cytoscape.Core }} with the graph, for the tests */
  frame = make("div", { className: "graph" }, this.bar, this.body, this.legend);
  watch = new ResizeObserver(() => this.resized());

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.root = root;
    this.search.setAttribute("list", this.options.id);
    this.search.oninput = () => this.find();
    this.least.oninput = () => this.filter();
    this.shared.onchange = () => this.filter();
    this.fitButton.onclick = () => {
      this.moved = false;
      this.fit();
    };
    this.saveButton.onclick = () => this.save();
    this.canvas.addEventListener("wheel", (event) => this.wheel(event), { capture: true });
    this.canvas.onpointerdown = () => this.engage(true);
    this.stage.onpointerleave = () => this.engage(false);
    page.events.addEventListener("packet", (event) => this.arrived(event), { signal: this.listeners.signal });
    this.watch.observe(this.frame);
  }

  close() {
    this.listeners.abort();
    this.watch.disconnect();
    this.cy?.destroy();
    this.urls.forEach(URL.revokeObjectURL);
    this.frame.remove();
  }

  /** @param {Component<Bytes>} component */
  async update(component) {
    this.component = component;
    /** @type {Packet<Head>} */
    const packet = unpack(component.data);
    const cytoscape = await library();
    if (this.listeners.signal.aborted) return;
    if (!this.cy) {
      this.root.append(this.frame); // not before: search and sliders need the graph
      this.begin(cytoscape, packet.header.least);
    }
    adoptColorScheme(this.frame);
    if (this.head?.token !== packet.header.token) this.load(packet);
    this.cy.style(this.styles());
  }

  /** The styles at the current zoom: texts and classes have the same size on the screen at any. */
  styles() {
    const zoom = this.cy.zoom();
    const crowded = this.cy.nodes().not(".away").length > CROWD && zoom < 0.8;
    return styles(this.frame, this.canvas, 1 / zoom, crowded);
  }

  /** Adapts the styles to the zoom, once per frame. */
  rescale() {
    this.frameRequest ??= requestAnimationFrame(() => {
      this.frameRequest = null;
      if (!this.listeners.signal.aborted) this.cy.style(this.styles());
    });
  }

  /**
   * Lets the wheel scroll the page, unless the graph was clicked before or a key is held.
   * @param {WheelEvent} event
   */
  wheel(event) {
    const zooms = this.engaged || event.ctrlKey || event.metaKey;
    this.notice.hidden = zooms;
    if (!zooms) event.stopImmediatePropagation(); // Cytoscape listens at the same element
  }

  /** @param {boolean} engaged */
  engage(engaged) {
    this.engaged = engaged;
    this.notice.hidden = true;
  }

  /**
   * @param {Cytoscape.Factory} cytoscape
   * @param {number} least
   */
  begin(cytoscape, least) {
    this.cy = cytoscape({
      container: this.canvas,
      minZoom: 0.05,
      maxZoom: 6,
      boxSelectionEnabled: false,
      autounselectify: true,
      layout: { name: "preset" },
    });
    this.frame.__cy = this.cy;
    this.cy.on("tap", "node, edge", ({ target }) => this.choose(target));
    this.cy.on("dbltap", "node", ({ target }) => this.open(target));
    this.cy.on("tap", ({ target }) => {
      if (target === this.cy) this.choose(null);
    });
    this.cy.on("mouseover", "node, edge", () => {
      this.canvas.style.cursor = "pointer";
    });
    this.cy.on("mouseout", "node, edge", () => {
      this.canvas.style.cursor = "";
    });
    this.cy.on("scrollzoom pinchzoom dragpan", () => {
      this.moved = true;
    });
    this.cy.on("zoom", () => this.rescale());
    this.least.value = String(least);
  }

  /** @param {Packet<Head>} packet */
  load({ header, payload }) {
    const before = this.head;
    this.head = header;
    this.urls.forEach(URL.revokeObjectURL);
    this.urls = [];
    const nodes = header.nodes.map((node) => ({
      data: this.nodeData(node, payload),
      position: { x: node.x, y: node.y },
      grabbable: true,
    }));
    const edges = header.edges.map(([source, target, weight]) => ({
      data: { id: `${source}-${target}`, source, target, weight },
    }));
    this.cy.batch(() => {
      this.cy.elements().remove();
      this.cy.add(nodes);
      this.cy.add(edges);
    });
    this.options.replaceChildren(...header.nodes.map(({ label }) => make("option", { value: label })));
    const weights = header.edges.map(([, , weight]) => weight);
    this.least.max = String(Math.ceil(Math.max(0.01, ...weights) * 100) / 100);
    this.least.min = String(header.least);
    if (header.least !== before?.least) this.least.value = String(header.least);
    if (before && header.token !== before.token) this.moved = false;
    this.filter();
    this.mark();
    if (!this.moved) this.fit();
  }

  /**
   * @param {Node} node
   * @param {Bytes} payload
   */
  nodeData({ id, label, kind, size, width, picture }, payload) {
    if (!picture) return { id, label, kind, size, width };
    const [start, length] = picture;
    const content = new Blob([payload.subarray(start, start + length)], { type: "image/jpeg" });
    const url = URL.createObjectURL(content);
    this.urls.push(url);
    return { id, label, kind, size, width, picture: url };
  }

  /** @param {Event} event */
  arrived(event) {
    if (event instanceof CustomEvent && event.detail === this.head?.marks) this.mark();
  }

  /** Applies the initial selection and the rule selected in the table, from Python's packet. */
  mark() {
    /** @type {Packet<Marks> | undefined} */
    const packet = this.head && page.packets.get(this.head.marks);
    if (!packet) return;
    this.rule = new Set(packet.header.rule);
    if (!this.marked) this.chosen = packet.header.chosen;
    this.marked = true;
    this.highlight();
  }

  /** The selected node or link, if it exists. */
  element() {
    return this.chosen ? (this.cy.getElementById(this.chosen)[0] ?? null) : null;
  }

  /** Shows the links of at least the minimum weight, and the filters with enough of them. */
  filter() {
    if (!this.head) return;
    const start = performance.now();
    const least = this.least.valueAsNumber;
    this.value.textContent = least.toFixed(2);
    const { cy } = this;
    cy.batch(() => {
      const strong = cy.edges().filter((edge) => edge.data("weight") >= least);
      /** @type {Map<string, number>} */
      const classes = new Map();
      for (const edge of strong) {
        const filter = edge.data(edge.source().data("kind") === "filter" ? "source" : "target");
        classes.set(filter, (classes.get(filter) ?? 0) + 1);
      }
      const few = this.shared.checked ? 2 : 1;
      /** @param {string} id */
      const shown = (id) => (classes.get(id) ?? 0) >= few;
      cy.elements().addClass("away");
      const edges = strong.filter((edge) => shown(edge.data("source")) || shown(edge.data("target")));
      edges.removeClass("away");
      edges.connectedNodes().removeClass("away");
    });
    /** @param {string} selector */
    const count = (selector) => cy.elements(selector).not(".away").length;
    const [filters, groups] = [count("node[kind = 'filter']"), count("node[kind = 'class']")];
    this.count.textContent = `${filters} filters, ${groups} classes, ${count("edge")} edges shown`;
    this.canvas.ariaLabel = `${this.head.label}: ${this.count.textContent}. The table lists the same rules.`;
    this.highlight();
    this.frame.dataset.step = (performance.now() - start).toFixed(1);
  }

  /** Selects the node that matches the search, once it is unique. */
  find() {
    const wanted = this.search.value.trim().toLowerCase();
    if (!wanted) return;
    const shown = this.cy.nodes().not(".away");
    /** @param {Cytoscape.Element} node */
    const label = (node) => node.data("label").toLowerCase();
    const exact = shown.filter((node) => label(node) === wanted);
    const found = exact.length ? exact : shown.filter((node) => label(node).includes(wanted));
    if (exact.length || found.length === 1) this.choose(found[0]);
  }

  /** @param {Cytoscape.Element | null} element */
  choose(element) {
    this.chosen = element?.id();
    this.highlight();
    this.component.setTriggerValue("picked", this.chosen ?? "");
  }

  /** @param {Cytoscape.Element} node */
  open(node) {
    this.component.setTriggerValue("opened", node.id());
  }

  /** Highlights the selected node or link and the rule, and describes the selection. */
  highlight() {
    const { cy } = this;
    const element = this.element();
    this.chosen = element?.id();
    cy.batch(() => {
      cy.elements().removeClass("dim near chosen rule");
      const rule = cy.nodes().filter((node) => this.rule.has(node.id()));
      rule.union(rule.edgesWith(rule)).addClass("rule");
      if (!element) return;
      const links = element.isNode() ? element.connectedEdges().not(".away") : cy.getElementById(element.id());
      const near = links.union(links.connectedNodes()).union(element);
      cy.elements().not(near).not(".rule").addClass("dim");
      near.addClass("near");
      element.addClass("chosen");
    });
    this.describe(element);
  }

  /** @param {Cytoscape.Element | null} element */
  describe(element) {
    if (!this.head) return;
    if (!element) {
      this.card.replaceChildren(make("p", { textContent: this.head.hint }));
      return;
    }
    const actions = {
      choose: this.choose.bind(this),
      open: this.open.bind(this),
      opens: this.head.opens,
    };
    this.card.replaceChildren(...card(element, actions));
  }

  resized() {
    this.body.classList.toggle("narrow", this.frame.clientWidth < 640);
    this.cy?.resize();
    if (!this.moved) this.fit();
  }

  fit() {
    if (!this.cy) return;
    const shown = this.cy.elements().not(".away");
    // What has the same size at any zoom takes another part of the graph after each fit; the same start gives the same end.
    this.cy.zoom(1);
    this.cy.style(this.styles());
    for (let round = 0; round < 3; round++) {
      this.cy.fit(shown, 30);
      if (this.cy.zoom() > LARGEST) this.cy.zoom(LARGEST).center(shown);
      this.cy.style(this.styles());
    }
  }

  save() {
    if (!this.head) return;
    const bg = getComputedStyle(this.canvas).backgroundColor;
    saveFile(this.cy.png({ output: "blob", full: true, scale: 2, bg, maxWidth: 4000 }), this.head.file);
  }
}

export default mounted((root) => new RuleGraph(root));
