// The tour: hints, one at a time, each beside the thing on the page that it explains.

import { button, make, mounted, page } from "../shared.js";
import { HINTS, placeBeside, visibleElement } from "./hints.js";

/**
 * @typedef {object} Data
 * @property {boolean} welcome  whether this visit opened the app and nothing specific
 * @property {number} asked  how often the user asked for the tour
 */

const SEEN = "vitrine-tour"; // set in the browser's storage once the tour was shown
const GAP = 12; // pixels between a hint and what it explains, or the edge of the window
const PERIOD = 250; // milliseconds between looks at where the things are
const PATIENCE = 10_000; // milliseconds after which a tour that was asked for goes without the things that are missing

/** Whether this browser has shown the tour; one that stores nothing would show it at every visit, and does not. */
function seen() {
  try {
    return localStorage.getItem(SEEN) !== null;
  } catch {
    return true;
  }
}

/** Remembers that this browser has shown the tour. */
function remember() {
  try {
    localStorage.setItem(SEEN, "seen");
  } catch {
    // the user forbids it
  }
}

class Tour {
  at = -1; // the hint that is shown
  /** @type {ReturnType<typeof setInterval> | undefined} */
  timer;
  /** @type {Element | null} */
  before = null;
  listeners = new AbortController();
  count = make("p", { className: "count" });
  text = make("p", { className: "text", ariaLive: "polite" });
  back = button("Back", () => this.step(-1));
  next = button("Next", () => this.step(1), { className: "next" });
  end = button("×", () => this.stop(), { className: "end", ariaLabel: "Close the tour", title: "Close (Esc)" });
  hint = make(
    "div",
    { className: "hint", popover: "manual", role: "dialog", ariaLabel: "Tour" },
    this.end,
    this.count,
    this.text,
    make("div", { className: "steps" }, this.back, this.next),
  );
  ring = make("div", { className: "ring", popover: "manual" });

  /** @param {ShadowRoot} root */
  constructor(root) {
    root.append(this.ring, this.hint);
    const { signal } = this.listeners;
    document.addEventListener("keydown", (event) => this.press(event), { signal, capture: true });
    window.addEventListener("resize", () => this.follow(), { signal });
    document.addEventListener("scroll", () => this.follow(), { signal, capture: true });
    page.events.addEventListener("presenting", () => this.stop(), { signal });
  }

  close() {
    this.listeners.abort();
    clearInterval(this.timer);
    this.ring.remove();
    this.hint.remove();
  }

  /** @param {Component<Data>} component */
  update({ data }) {
    const wanted = data.asked > (page.toursAsked ?? 0);
    page.toursAsked = data.asked;
    if (wanted) this.await(() => false, PATIENCE);
    else if (data.welcome && !seen()) this.await(seen, Infinity);
  }

  /**
   * Starts once all things to explain are there: the page is drawn from top to bottom.
   * @param {() => boolean} pointless  whether there is nothing left to wait for
   * @param {number} patience  milliseconds after which those that are there are enough
   */
  await(pointless, patience) {
    clearInterval(this.timer);
    const enough = performance.now() + patience;
    const look = () => {
      if (page.presenting || pointless()) clearInterval(this.timer);
      else if (performance.now() > enough || HINTS.every(({ at }) => visibleElement(at))) this.start();
    };
    this.timer = setInterval(look, PERIOD);
    look();
  }

  start() {
    clearInterval(this.timer);
    remember();
    if (page.presenting) return;
    this.before = document.activeElement;
    this.at = -1;
    this.ring.showPopover();
    this.hint.showPopover();
    this.timer = setInterval(() => this.follow(), PERIOD);
    this.step(1);
    this.next.focus({ preventScroll: true });
  }

  stop() {
    clearInterval(this.timer);
    if (this.at < 0) return;
    this.at = -1;
    const focused = this.hint.matches(":focus-within");
    this.ring.hidePopover();
    this.hint.hidePopover();
    if (focused && this.before instanceof HTMLElement) this.before.focus({ preventScroll: true });
  }

  /**
   * Shows the next hint, or the one before, of those whose thing is on the page; after the last one the tour ends.
   * @param {1 | -1} by
   */
  step(by) {
    let next = this.at + by;
    while (next >= 0 && next < HINTS.length && !visibleElement(HINTS[next].at)) next += by;
    if (next >= HINTS.length) this.stop();
    if (next < 0 || next >= HINTS.length) return;
    this.at = next;
    this.count.textContent = `Hint ${next + 1} of ${HINTS.length}`;
    this.text.textContent = HINTS[next].text;
    this.back.disabled = next === 0;
    this.next.textContent = next === HINTS.length - 1 ? "Done" : "Next";
    if (next === 0) this.next.focus({ preventScroll: true });
    visibleElement(HINTS[next].at)?.scrollIntoView({ block: "center", inline: "nearest" });
    this.follow();
  }

  /** Places the hint beside its thing, which may have moved. */
  follow() {
    if (this.at < 0) return;
    const thing = visibleElement(HINTS[this.at].at)?.getBoundingClientRect();
    this.ring.hidden = !thing;
    if (!thing) return;
    const { ring, hint } = this;
    const box = { width: hint.offsetWidth, height: hint.offsetHeight };
    const room = { width: document.documentElement.clientWidth, height: window.innerHeight };
    const place = placeBeside(thing, box, room, GAP);
    Object.assign(hint.style, { left: `${place.left}px`, top: `${place.top}px` });
    Object.assign(ring.style, { left: `${thing.left}px`, top: `${thing.top}px` });
    Object.assign(ring.style, { width: `${thing.width}px`, height: `${thing.height}px` });
  }

  /** @param {KeyboardEvent} event */
  press(event) {
    if (this.at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const path = event.composedPath();
    if (event.key === "Escape" && !path.some((node) => node instanceof HTMLDialogElement)) this.stop();
    else if (!path.includes(this.hint)) return;
    else if (event.key === "ArrowRight") this.step(1);
    else if (event.key === "ArrowLeft") this.step(-1);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

export default mounted((root) => new Tour(root));
