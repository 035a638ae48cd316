// Zoom and crosshair, common to all tiles of a grid.

import { clamp, number } from "../shared.js";

/**
 * @typedef {import("./comparison_grid.js").ComparisonGrid} ComparisonGrid
 * @typedef {import("./tile.js").Tile} Tile
 *
 * @typedef {{ u: number, v: number }} Point  fractions of the image's width and height
 */

/** @type {Record<string, [x: number, y: number] | undefined>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const EDGE = 0.999999; // the last position inside the image

export class Camera {
  /** @type {Point | null} position of the crosshair */
  point = null;

  /** @param {ComparisonGrid} grid */
  constructor(grid) {
    this.grid = grid;
  }

  get view() {
    return this.grid.view;
  }

  /** Moves the images and maps of all tiles with CSS variables. */
  apply() {
    const { view } = this;
    const half = 0.5 / view.zoom;
    view.x = clamp(view.x, half, 1 - half);
    view.y = clamp(view.y, half, 1 - half);
    const { box, toolbar } = this.grid;
    const { style } = box;
    style.setProperty("--zoom", String(view.zoom));
    style.setProperty("--left", `${-(view.x - half) * view.zoom * 100}%`);
    style.setProperty("--top", `${-(view.y - half) * view.zoom * 100}%`);
    box.classList.toggle("near", view.zoom >= 4);
    toolbar.zoomed.textContent = `${+view.zoom.toFixed(1)}×`;
  }

  /**
   * @param {number} factor
   * @param {Point | null} [about]  the fixed point of the zoom
   */
  zoom(factor, about = this.point) {
    const { view } = this;
    const before = view.zoom;
    view.zoom = clamp(before * factor, 1, 16);
    if (about) {
      view.x = about.u + (view.x - about.u) * (before / view.zoom);
      view.y = about.v + (view.y - about.v) * (before / view.zoom);
    }
    this.apply();
    this.drawCrosshair();
  }

  fit() {
    Object.assign(this.view, { zoom: 1, x: 0.5, y: 0.5 });
    this.apply();
    this.drawCrosshair();
  }

  /** Draws the crosshair at the same point of all tiles, and shows the values there. */
  drawCrosshair() {
    const { point, view } = this;
    const { box } = this.grid;
    box.classList.toggle("pointed", Boolean(point));
    if (!point) return;
    box.style.setProperty("--u", `${((point.u - view.x) * view.zoom + 0.5) * 100}%`);
    box.style.setProperty("--v", `${((point.v - view.y) * view.zoom + 0.5) * 100}%`);
    for (const tile of this.grid.tiles) {
      const value = tile.at(point.u, point.v);
      tile.value.textContent = value === null ? "" : number(value);
    }
    const size = this.grid.tiles.find((tile) => tile.map)?.map;
    const place = size ? `x ${Math.floor(point.u * size.width)}, y ${Math.floor(point.v * size.height)}` : "";
    for (const tile of this.grid.leads) tile.value.textContent = place;
    const { open } = this.grid.drawer;
    if (open) open.tile.value.textContent = open.source.value.textContent;
  }

  /**
   * The point of the image under the pointer.
   * @param {MouseEvent} event
   * @param {HTMLElement} stage
   * @returns {Point}
   */
  pointAt(event, stage) {
    const { left, top, width, height } = stage.getBoundingClientRect();
    const { view } = this;
    return {
      u: clamp(view.x + ((event.clientX - left) / width - 0.5) / view.zoom, 0, EDGE),
      v: clamp(view.y + ((event.clientY - top) / height - 0.5) / view.zoom, 0, EDGE),
    };
  }

  /**
   * Adds the pointer and keyboard handlers of a tile.
   * @param {Tile} tile
   */
  steer(tile) {
    const { stage } = tile;
    /** @type {{ x: number, y: number, view: Point, moved: boolean } | null} */
    let drag = null;
    stage.onpointerdown = (event) => {
      drag = { x: event.clientX, y: event.clientY, view: { u: this.view.x, v: this.view.y }, moved: false };
    };
    stage.onpointermove = (event) => {
      this.point = this.pointAt(event, stage);
      if (drag && event.buttons && this.view.zoom > 1) {
        const { width, height } = stage.getBoundingClientRect();
        const dx = event.clientX - drag.x;
        const dy = event.clientY - drag.y;
        drag.moved ||= Math.hypot(dx, dy) > 4;
        this.view.x = drag.view.u - dx / width / this.view.zoom;
        this.view.y = drag.view.v - dy / height / this.view.zoom;
        this.apply();
      }
      this.drawCrosshair();
    };
    stage.onpointerleave = () => {
      this.point = null;
      this.drawCrosshair();
    };
    /** @param {WheelEvent} event */
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / 200), this.pointAt(event, stage));
    };
    stage.addEventListener("wheel", wheel, { passive: false });
    stage.onclick = () => {
      const dragged = drag?.moved;
      drag = null;
      if (!dragged && this.grid.tiles.includes(tile)) this.grid.drawer.show(tile);
    };
    stage.onkeydown = (event) => this.press(event, tile);
  }

  /**
   * @param {KeyboardEvent} event
   * @param {Tile} tile
   */
  press(event, tile) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) this.movePoint(arrow, event.shiftKey, tile);
    else if (event.key === "+" || event.key === "=") this.zoom(1.5);
    else if (event.key === "-") this.zoom(1 / 1.5);
    else if (event.key === "0") this.fit();
    else return;
    event.preventDefault();
  }

  /**
   * Moves the crosshair, keeps it in view, and announces the value there.
   * @param {[x: number, y: number]} arrow
   * @param {boolean} fine  by one value of the map
   * @param {Tile} tile
   */
  movePoint([x, y], fine, tile) {
    const { view } = this;
    const step = fine && tile.map ? 1 / tile.map.width : 1 / 24 / view.zoom;
    const { u, v } = this.point ?? { u: view.x, v: view.y };
    this.point = { u: clamp(u + x * step, 0, EDGE), v: clamp(v + y * step, 0, EDGE) };
    const half = 0.5 / view.zoom;
    view.x = clamp(view.x, this.point.u - half, this.point.u + half);
    view.y = clamp(view.y, this.point.v - half, this.point.v + half);
    this.apply();
    this.drawCrosshair();
    this.grid.status.textContent = `${tile.header.title} ${tile.value.textContent}`;
  }
}
