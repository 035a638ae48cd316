// The strip of images above every page, with Copy link, Export, Present and the list of keyboard shortcuts.

import { button, copyText, make, mounted, page, typing } from "../shared.js";
import { keepAddress, stateAddress } from "./address.js";
import { FolderPages } from "./folder_pages.js";
import { LinkPanel } from "./link_panel.js";
import { ShortcutList } from "./shortcut_list.js";

/**
 * @typedef {object} Item
 * @property {string} id
 * @property {string} name
 * @property {boolean} own  an upload
 * @property {boolean} other  an example for other models, shown on request
 * @property {boolean} shared  whoever has the link sees it
 *
 * @typedef {object} Data
 * @property {Item[]} items  none on a page that does not depend on the current image
 * @property {import("./folder_pages.js").Folder | null} [folder]  the open folder, whose images come last
 * @property {string} current  the id of the image that is explained
 * @property {("png" | "pdf" | "svg" | "npz" | "csv" | "html")[]} exports
 * @property {boolean} exporting  whether the page has anything to export
 * @property {string} command  the command line that reproduces the maps, or ""
 * @property {boolean} present
 * @property {boolean} leafing  whether many images are presented, a few at a time
 * @property {string} query  the part of the address that Python writes
 * @property {string} private  what is added to it but never copied
 * @property {string[]} frame  the names of their parameters
 */

const EXPORTS = {
  png: ["Figure", "PNG"],
  pdf: ["Figure", "PDF"],
  svg: ["Figure", "SVG"],
  npz: ["Raw maps", "NPZ"],
  csv: ["Scores", "CSV"],
  html: ["Report", "HTML"],
};

const PACKETS = ["thumbnails", "thumbnails-folder"];

/** @type {Record<string, number | undefined>} */
const MOVES = { ArrowLeft: -1, ArrowRight: 1 };

/** @param {Event} event */
const detail = (event) => /** @type {CustomEvent} */ (event).detail;

class ImageStrip {
  /** @type {Data} */
  data;
  /** @type {Component<Data>["setTriggerValue"]} */
  send;
  /** @type {string | undefined} */
  order;
  others = false;
  further = button("", () => this.toggleOthers(), { className: "others" });
  /** @type {boolean} whether Python last said that the page is presented */
  told = false;
  /** @type {string | undefined} */
  shown;
  /** @type {boolean | null} whether the page was asked to be presented, and has not answered yet */
  asked = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  timer;
  /** @type {Map<string, string>} */
  urls = new Map();
  /** @type {HTMLButtonElement[]} */
  buttons = [];
  listeners = new AbortController();
  shortcuts = new ShortcutList();
  folder = new FolderPages((pages) => this.send("turn", pages));

  /** @param {ShadowRoot} root */
  constructor(root) {
    this.strip = make("div", { className: "strip", role: "group", ariaLabel: "Images" });
    this.link = button("Copy link", () => this.copyLink());
    this.export = button("Export", () => this.openMenu(Boolean(this.menu.hidden)), {
      ariaExpanded: "false",
      ariaHasPopup: "true",
    });
    this.present = button("Present", () => this.setPresenting(!this.presenting), {
      title: "The maps alone, in the whole window (P)",
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
    this.box = make("div", { className: "image-strip" }, this.strip, this.folder.node, this.actions);
    root.append(this.box, this.shortcuts.node);
    this.listen();
  }

  listen() {
    const { signal } = this.listeners;
    this.strip.addEventListener("keydown", (event) => this.step(event));
    document.addEventListener("keydown", (event) => this.press(event), { signal });
    document.addEventListener("click", (event) => this.clicked(event), { signal });
    page.events.addEventListener("packet", (event) => this.arrived(event), { signal });
    page.events.addEventListener("present", (event) => this.setPresenting(detail(event)), { signal });
    page.events.addEventListener("step", (event) => this.stepImage(detail(event)), { signal });
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
    const whole = [data.query, data.private].filter(Boolean).join("&");
    this.data = data;
    this.send = setTriggerValue;
    keepAddress(whole, data.frame);
    this.folder.update(data.folder); // first, as it takes room from the strip
    this.refill();
    this.mark();
    this.strip.hidden = !data.items.length;
    this.export.hidden = !data.exporting;
    // Until the page has taken up what was asked last, it is as it was before that.
    if (this.asked === null && data.present !== this.told) this.setPresenting(data.present);
    else if (data.present === this.asked) {
      this.asked = null;
      this.askPresenting();
    }
    this.told = data.present;
    this.panel.update(data.items.find((item) => item.id === this.panel.id));
    this.fillMenu();
    this.paint();
  }

  /** The images in the strip: those for other models only on request. */
  get visible() {
    return this.data.items.filter((item) => !item.other || this.others);
  }

  /** Builds the strip, if its images have changed. */
  refill() {
    const order = this.visible.map((item) => item.id).join("\n");
    if (order !== this.order) this.build(order);
  }

  toggleOthers() {
    this.others = !this.others;
    this.refill();
    this.mark();
    this.paint();
    this.further.focus();
  }

  /** Marks the current image. */
  mark() {
    const { data } = this;
    for (const image of this.buttons) {
      const current = image.dataset.id === data.current;
      image.ariaCurrent = current ? "true" : "false";
      image.tabIndex = current ? 0 : -1;
      if (current && this.shown !== data.current) image.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (this.buttons.length && !this.buttons.some((image) => image.tabIndex === 0)) this.buttons[0].tabIndex = 0;
    this.shown = data.current;
  }

  /** @param {string} order */
  build(order) {
    this.order = order;
    const { visible } = this;
    this.buttons = visible.map(({ id, name, own }) => {
      const image = make("button", { type: "button", title: name, ariaLabel: name }, make("img", { alt: "" }));
      image.dataset.id = id;
      image.classList.toggle("own", own);
      image.onclick = () => this.send("pick", id);
      return image;
    });
    const nodes = this.buttons.map((image, index) => {
      const { id, name, own } = visible[index];
      if (!own) return image;
      const title = `Delete ${name} (Delete)`;
      const remove = button("×", () => this.send("remove", id), {
        className: "remove",
        title,
        ariaLabel: `Delete ${name}`,
      });
      remove.tabIndex = -1; // the key Delete does the same
      return make("span", { className: "upload" }, image, remove);
    });
    this.strip.replaceChildren(...nodes, ...(this.data.items.some((item) => item.other) ? [this.further] : []));
    this.further.textContent = this.others ? "Fewer" : "Other examples";
    this.further.ariaExpanded = String(this.others);
  }

  /** @param {Event} event */
  arrived(event) {
    if (event instanceof CustomEvent && PACKETS.includes(event.detail)) this.paint();
  }

  /** Shows the thumbnails, which arrive in a separate packet. */
  paint() {
    for (const name of PACKETS) this.unpack(name);
    for (const image of this.buttons) {
      const url = this.urls.get(image.dataset.id ?? "");
      const thumbnail = image.querySelector("img");
      if (url && thumbnail && thumbnail.src !== url) thumbnail.src = url;
    }
  }

  /** @param {string} name  of a packet with thumbnails */
  unpack(name) {
    /** @type {Packet<{ ids: string[], sizes: number[] }> | undefined} */
    const packet = page.packets.get(name);
    let start = 0;
    packet?.header.ids.forEach((id, index) => {
      const end = start + packet.header.sizes[index];
      if (!this.urls.has(id) && end > start) {
        const picture = new Blob([packet.payload.slice(start, end)], { type: "image/jpeg" });
        this.urls.set(id, URL.createObjectURL(picture));
      }
      start = end;
    });
  }

  /**
   * The arrow keys select the image before or after the focused one.
   * @param {KeyboardEvent} event
   */
  step(event) {
    const item = this.data.items.find(({ id }) =>
      this.buttons.some((one) => one.matches(":focus") && one.dataset.id === id),
    );
    if (event.key === "Delete" && item?.own) this.send("remove", item.id);
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
    const inDialog = event.composedPath().some((node) => node instanceof HTMLDialogElement);
    if (event.key === "Escape" && !inDialog) {
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
    else url.searchParams.delete("present");
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
    return Boolean(page.presenting);
  }

  /** @param {boolean} on */
  setPresenting(on) {
    if (on === this.presenting) return;
    page.presenting = on;
    this.askPresenting();
    document.documentElement.classList.toggle("vitrine-present", on);
    this.present.ariaPressed = String(on);
    this.present.textContent = on ? "Exit presentation" : "Present";
    page.events.dispatchEvent(new Event("presenting"));
  }

  /** Asks the page to be as it is shown here, one request after the other: of two at once, one could be lost. */
  askPresenting() {
    if (this.asked !== null || this.presenting === this.data.present) return;
    this.asked = this.presenting;
    this.send("present", this.presenting);
  }

  /**
   * Selects the image before or after the current one, from the last on again with the first; or those presented.
   * @param {{ image?: number }} step
   */
  stepImage({ image = 0 }) {
    const { current, leafing } = this.data;
    const items = this.visible;
    if (image && leafing) this.send("leaf", image);
    if (!image || leafing || !items.length) return;
    const at = items.findIndex((item) => item.id === current);
    this.send("pick", items[(at + image + items.length) % items.length].id);
  }
}

export default mounted((root) => new ImageStrip(root));
