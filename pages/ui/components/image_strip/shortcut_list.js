// The dialog that lists the keyboard shortcuts of the page.

import { button, make, page } from "../shared.js";

/** @type {Shortcuts[]} */
const OWN = [
  [
    "On every page",
    [
      ["P", "presentation"],
      ["Esc", "close"],
      ["?", "these keys"],
    ],
  ],
  ["In the image strip", [["← →", "another image"]]],
];

export class ShortcutList {
  node = make("dialog", { className: "help", ariaLabel: "Keys", onclick: () => this.node.close() });

  /** Lists the current shortcuts: other components add theirs to `page.shortcuts` while they are shown. */
  open() {
    if (this.node.open) return;
    const sections = new Map([...OWN, ...page.shortcuts]);
    const lists = [...sections].flatMap(([title, rows]) => [
      make("h3", { textContent: title }),
      make(
        "dl",
        {},
        ...rows.flatMap(([keys, does]) => [make("dt", { textContent: keys }), make("dd", { textContent: does })]),
      ),
    ]);
    this.node.replaceChildren(
      make("h2", { textContent: "Keys" }),
      ...lists,
      button("Close", null, { className: "close" }),
    );
    this.node.showModal();
  }
}
