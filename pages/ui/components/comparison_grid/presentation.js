// The presentation: the maps alone, as large as the window allows, with keys for other images and classes.

import { make, page } from "../shared.js";

/** @typedef {import("./comparison_grid.js").ComparisonGrid} ComparisonGrid */

const MOST = 6; // maps
const GAP = 20;
const STEPPING = "← → image · ↑ ↓ class · ";
const LEAFING = "← → images · ";
const HINT = "hold O image only · D dark or light · Esc leave";

/** @type {Record<string, { image?: number, class?: number } | undefined>} */
const STEPS = {
  ArrowLeft: { image: -1 },
  ArrowRight: { image: 1 },
  ArrowUp: { class: -1 },
  ArrowDown: { class: 1 },
};

export class Presentation {
  note = make("p", { className: "note", role: "status" });
  node = make("dialog", { className: "presentation", ariaLabel: "Presentation" });

  /** @param {ComparisonGrid} grid */
  constructor(grid) {
    this.grid = grid;
    this.node.onclose = () => {
      this.grid.scroller.append(this.grid.board);
      page.events.dispatchEvent(new CustomEvent("present", { detail: false }));
    };
  }

  /** @param {AbortSignal} signal */
  listen(signal) {
    page.events.addEventListener("presenting", () => this.show(), { signal });
    document.addEventListener("keydown", (event) => this.press(event), { signal, capture: true });
    window.addEventListener("resize", () => this.fit(), { signal });
  }

  /** Opens or closes it, as the page is being presented or not. */
  show() {
    const on = Boolean(page.presenting);
    if (on && !this.node.open) {
      this.node.replaceChildren(this.grid.board, this.note);
      this.node.showModal();
    } else if (!on && this.node.open) {
      this.node.close();
    }
    this.fit();
  }

  /** Arranges the maps so that they are as large as possible. */
  fit() {
    if (!this.node.open) return;
    const { tiles, data } = this.grid;
    tiles.forEach((tile, index) => {
      tile.node.classList.toggle("surplus", index >= MOST);
    });
    const { gallery, columns, rows } = data;
    const about = gallery ? `${columns[0].heading} · ${gallery} · ${LEAFING}` : `${rows[0].picture} · ${STEPPING}`;
    this.note.textContent = about + HINT;
    const count = Math.min(MOST, tiles.length);
    const width = window.innerWidth - 2 * GAP;
    const height = window.innerHeight - 2 * GAP - this.note.offsetHeight;
    const beside = Math.max(...tiles.slice(0, count).map((tile) => tile.node.offsetHeight - tile.stage.offsetHeight));
    let best = { columns: 1, side: 0 };
    for (let columns = 1; columns <= count; columns++) {
      const rows = Math.ceil(count / columns);
      const across = (width - (columns - 1) * GAP) / columns;
      const down = (height - (rows - 1) * GAP) / rows - beside;
      const side = Math.floor(Math.min(across, down * this.grid.aspect));
      if (side > best.side) best = { columns, side };
    }
    this.node.style.setProperty("--across", String(best.columns));
    this.node.style.setProperty("--side", `${best.side}px`);
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (!this.node.open || this.grid.drawer.open || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = STEPS[event.key];
    if (step) page.events.dispatchEvent(new CustomEvent("step", { detail: step }));
    else if (event.key.toLowerCase() === "d") this.node.classList.toggle("light");
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
