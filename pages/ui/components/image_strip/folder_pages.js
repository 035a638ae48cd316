// The controls of an open folder in the image strip: which of its images are shown, other pages, and closing it.

import { button, make } from "../shared.js";

/** @typedef {{ name: string, span: string, pages: number }} Folder */

export class FolderPages {
  span = make("span", { className: "span", role: "status" });
  before = button("‹", () => this.turn(-1), { ariaLabel: "Earlier images of the folder", title: "Earlier images" });
  after = button("›", () => this.turn(1), { ariaLabel: "Later images of the folder", title: "Later images" });
  close = button("×", () => this.turn(0));
  node = make("span", { className: "folder" }, this.before, this.span, this.after, this.close);

  /** @param {(pages: number) => void} turn */
  constructor(turn) {
    this.turn = turn;
  }

  /** @param {Folder | null | undefined} folder */
  update(folder) {
    this.node.hidden = !folder;
    if (!folder) return;
    this.span.replaceChildren(make("b", { textContent: folder.name, title: folder.name }), folder.span);
    this.before.hidden = folder.pages < 2;
    this.after.hidden = folder.pages < 2;
    this.close.ariaLabel = `Close ${folder.name}`;
    this.close.title = this.close.ariaLabel;
  }
}
