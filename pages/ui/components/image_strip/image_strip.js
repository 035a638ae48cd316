// The strip of images above every page, with Copy link, Export, Present and the list of keyboard shortcuts.

import { button, copyText, make, mounted, page, typing } from "../shared.js";
import { keepOneEntryPerPage, stateAddress } from "./address.js";
import { LinkPanel } from "./link_panel.js";
import { ShortcutList } from "./shortcut_list.js";

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {string} name
 * @property {boolean} own  an upload
 * @property {boolean} shared  whoever has the link sees it
 *
 * @typedef {object} Data
 * @property {Item[]} items  none on a page that does not depend on the current image
 * @property {string} current  the id of the image that is explained
 * @property {("png" | "pdf" | "svg" | "npz" | "csv")[]} exports
 * @property {boolean} exporting  whether the page has anything to export
 * @property {string} command  the command line that reproduces the maps, or ""
 * @property {string} query  the part of the address that Python writes
 * @property {string[]} frame  the names of its parameters
 */

const EXPORTS = {
  png: ["Figure", "PNG"],
  pdf: ["Figure", "PDF"],
  svg: ["Figure", "SVG"],
  npz: ["Raw maps", "NPZ"],
  csv: ["Scores", "CSV"],
};

/** @type {Record<string, number | undefined>} */
const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

class ImageStrip {
  /** @type {Data} undefined before the first update */
  data;
  /** @type {Component<Data>["setTriggerValue"]} */
  send;
  /** @type {string | undefined} */
  order;
  /** @type {string | undefined} */
  shown;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer;
  /** @type {Map<string, string>} */
  urls = new Map();
  /** @type {HTMLButtonElement[]} */
  buttons = [];
  listeners = new AbortController();
  shortcuts = new ShortcutList();

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.strip = make("div", { className: "strip", role: "group", ariaLabel: "Images" });
    this.link = button("Copy link", () => this.copyLink());
    this.export = button("Export", () => this.openMenu(Boolean(this.menu.hidden)), {
      ariaExpanded: "false",
      ariaHasPopup: "true",
    });
    this.present = button("Present", () => this.setPresenting(!this.presenting), {
      title: "Larger type, no sidebar (P)",
    });
    this.menu = make("div", { className: "menu", hidden: true });
    this.status = make("span", { className: "status", role: "status" });
    this.panel = new LinkPanel((id, on) => this.send("share", { id, on }));
    this.actions = make(
      "div",
      { className: "actions" },
      this.status,
      this.link,
      this.export,
      this.present,
      this.menu,
      this.panel.node,
    );
    this.box = make("div", { className: "image-strip" }, this.strip, this.actions);
    root.append(this.box, this.shortcuts.node);
    keepOneEntryPerPage();
    this.listen();
    if (["1", "true", "on"].includes(new URLSearchParams(location.search).get("present") ?? "")) {
      this.setPresenting(true);
    }
  }

  listen() {
    const { signal } = this.listeners;
    this.strip.addEventListener("keydown", (event) => this.step(event));
    document.addEventListener("keydown", (event) => this.press(event), { signal });
    document.addEventListener("click", (event) => this.clicked(event), { signal });
    page.events.addEventListener("packet", (event) => this.arrived(event), { signal });
    page.events.addEventListener("shortcuts", () => this.shortcuts.open(), { signal });
  }

  close() {
    this.listeners.abort();
    clearTimeout(this.timer);
    for (const url of this.urls.values()) URL.revokeObjectURL(url);
    this.box.remove();
    this.shortcuts.node.remove();
  }

  /** @param {Component<Data>} component */
  update({ data, setTriggerValue }) {
    if (!this.data) history.replaceState(history.state, "", stateAddress(data.query, data.frame));
    this.data = data;
    this.send = setTriggerValue;
    const order = data.items.map((item) => item.id).join("\n");
    if (order !== this.order) this.build(order);
    for (const image of this.buttons) {
      const current = image.dataset.id === data.current;
      image.ariaCurrent = current ? "true" : "false";
      image.tabIndex = current ? 0 : -1;
      if (current && this.shown !== data.current) image.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (this.buttons.length && !this.buttons.some((image) => image.tabIndex === 0)) this.buttons[0].tabIndex = 0;
    this.shown = data.current;
    this.strip.hidden = !data.items.length;
    this.export.hidden = !data.exporting;
    this.panel.update(data.items.find((item) => item.id === this.panel.id));
    this.fillMenu();
    this.paint();
  }

  /** @param {string} order */
  build(order) {
    this.order = order;
    this.buttons = this.data.items.map(({ id, name, own }) => {
      const image = make("button", { type: "button", title: name, ariaLabel: name }, make("img", { alt: "" }));
      image.dataset.id = id;
      image.classList.toggle("own", own);
      image.onclick = () => this.send("pick", id);
      return image;
    });
    this.strip.replaceChildren(...this.buttons);
  }

  /** @param {Event} event */
  arrived(event) {
    if (event instanceof CustomEvent && event.detail === "thumbnails") this.paint();
  }

  /** Shows the thumbnails, which arrive in a separate packet. */
  paint() {
    /** @type {Packet<{ ids: string[], sizes: number[] }> | undefined} */
    const packet = page.packets.get("thumbnails");
    if (!packet) return;
    let start = 0;
    packet.header.ids.forEach((id, index) => {
      const end = start + packet.header.sizes[index];
      if (!this.urls.has(id)) {
        const picture = new Blob([packet.payload.slice(start, end)], { type: "image/jpeg" });
        this.urls.set(id, URL.createObjectURL(picture));
      }
      start = end;
    });
    for (const image of this.buttons) {
      const url = this.urls.get(image.dataset.id ?? "");
      const thumbnail = image.querySelector("img");
      if (url && thumbnail && thumbnail.src !== url) thumbnail.src = url;
    }
  }

  /**
   * The arrow keys select the image before or after the focused one.
   * @param {KeyboardEvent} event
   */
  step(event) {
    const move = MOVES[event.key];
    if (!move) return;
    event.preventDefault();
    const next = this.buttons[this.buttons.findIndex((image) => image.matches(":focus")) + move];
    if (!next) return;
    next.focus();
    next.click();
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (event.key === "Escape") {
      if (!this.panel.node.hidden) this.panel.close();
      else if (this.menu.hidden) this.setPresenting(false);
      else this.openMenu(false, true);
    }
    if (typing(event)) return;
    if (event.key === "?") this.shortcuts.open();
    if (event.key.toLowerCase() === "p" && !event.ctrlKey && !event.metaKey && !event.altKey) this.present.click();
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    if (event.composedPath().includes(this.actions)) return;
    this.openMenu(false);
    this.panel.close();
  }

  /** The address of the page in its current state. */
  address() {
    const url = stateAddress(this.data.query, this.data.frame);
    const view = page.viewText?.();
    if (view) url.searchParams.set("view", view);
    if (this.presenting) url.searchParams.set("present", "1");
    return url.href;
  }

  /** Copies the address; that of an upload does not contain the image, which is said with it. */
  async copyLink() {
    const current = this.data.items.find((item) => item.id === this.data.current);
    const said = await copyText(this.address(), "Link copied");
    if (current?.own) this.panel.open(current, said);
    else this.say(said);
  }

  /**
   * @param {string} text
   * @param {string} done
   */
  async copy(text, done) {
    this.say(await copyText(text, done));
  }

  /** @param {string} text */
  say(text) {
    this.status.textContent = text;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.status.textContent = "";
    }, 2500);
  }

  /**
   * Opens or closes the menu of exports.
   * @param {boolean} open
   * @param {boolean} [focus]  whether to focus the button of the menu
   */
  openMenu(open, focus = false) {
    this.menu.hidden = !open;
    if (open) this.panel.close();
    this.export.ariaExpanded = String(open);
    if (open) this.menu.querySelector("button")?.focus();
    if (focus) this.export.focus();
  }

  fillMenu() {
    const { exports, command } = this.data;
    /**
     * @param {string} text
     * @param {string} kind
     * @param {() => void} onclick
     */
    const row = (text, kind, onclick) =>
      make("button", { type: "button", onclick }, text, make("span", { textContent: kind }));
    /** @type {HTMLElement[]} */
    const rows = exports.map((kind) => {
      const [text, type] = EXPORTS[kind];
      return row(text, type, () => {
        this.send("export", { kind, view: page.view ?? {} });
        this.openMenu(false, true);
      });
    });
    if (command) {
      const copy = () => this.copy(command, "Command copied").then(() => this.openMenu(false, true));
      rows.push(row("Copy command", "CLI", copy), make("code", { textContent: command, tabIndex: 0 }));
    }
    if (!rows.length) rows.push(make("p", { textContent: "Nothing to export yet." }));
    this.menu.replaceChildren(...rows);
  }

  get presenting() {
    return document.documentElement.classList.contains("vitrine-present");
  }

  /** @param {boolean} on */
  setPresenting(on) {
    document.documentElement.classList.toggle("vitrine-present", on);
    this.present.ariaPressed = String(on);
    this.present.textContent = on ? "Exit presentation" : "Present";
  }
}

export default mounted((root) => new ImageStrip(root));
