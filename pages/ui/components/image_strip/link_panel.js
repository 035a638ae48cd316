// The panel below Copy link for an upload: its link does not contain the image, unless it is shared on the server.

import { button, make } from "../shared.js";

/** @typedef {import("./image_strip.js").Item} Item */

export class LinkPanel {
  /** @type {string | undefined} the upload that it is about */
  id;
  /** @type {string} */
  said = "";
  text = make("p", { role: "status" });
  press = button("", null, { className: "keep" });
  note = make("p");
  node = make("div", { className: "menu panel", hidden: true }, this.text, this.press, this.note);

  /** @param {(id: string, on: boolean) => void} share */
  constructor(share) {
    this.share = share;
  }

  /**
   * @param {Item} item
   * @param {string} said  whether the link was copied
   */
  open(item, said) {
    this.id = item.id;
    this.said = said;
    this.node.hidden = false;
    this.update(item);
    this.press.focus();
  }

  close() {
    this.node.hidden = true;
    this.id = undefined;
  }

  /** @param {Item | undefined} item */
  update(item) {
    if (!this.id || !item) return this.close();
    const { id, name, shared } = item;
    this.text.textContent = shared
      ? `${this.said}. ${name} is shared on this server: whoever has the link sees it.`
      : `${this.said}. It does not contain the image: whoever opens it is asked to upload ${name}.`;
    this.press.textContent = shared ? "Stop sharing" : "Share the image on this server";
    this.press.onclick = () => this.share(id, !shared);
    this.note.textContent = shared ? "" : "It is then held in this server's memory until the server stops.";
  }
}
