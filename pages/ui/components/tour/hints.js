// The hints of the tour, in the order of the page Start from top to bottom.

/**
 * @typedef {object} Hint
 * @property {string} at  a selector of the thing that it explains
 * @property {string} text  one sentence
 */

/**
 * The card of Start that leads to another page.
 * @param {string} address
 */
const door = (address) =>
  `.st-key-vitrine-doors [data-testid="stVerticalBlock"]:has(a[href*="${address}"]):not(:has([data-testid="stVerticalBlock"]))`;

/** @type {Hint[]} */
export const HINTS = [
  {
    at: ".chips",
    text: "These are the most probable classes: click one to explain it, or + to compare it with others.",
  },
  { at: "figure.tile:not(.lead)", text: "Click a map to enlarge it, with its values, its cost and what it computes." },
  { at: '[data-testid="stFileUploader"]', text: "Drag, paste or browse to explain your own image." },
  {
    at: door("compare"),
    text: "Compare puts the methods you choose side by side, for one class or several.",
  },
  {
    at: door("patches"),
    text: "Go on to patches and rules to see what the filters of the network respond to.",
  },
];

/**
 * The visible element of a selector, on the page or inside a component.
 * @param {string} selector
 */
export function visibleElement(selector) {
  const places = document.querySelectorAll('[data-testid="stBidiComponentIsolated"]');
  for (const root of [document, ...[...places].map((place) => place.shadowRoot)]) {
    const found = [...(root?.querySelectorAll(selector) ?? [])].find((one) => one.checkVisibility());
    if (found) return found;
  }
  return null;
}

/**
 * Where a box fits beside a thing without covering it, in the window: on its right, left, lower or upper side; if on
 * none, in the corner of the window that is farthest from its centre.
 * @param {DOMRect} thing
 * @param {{ width: number, height: number }} box
 * @param {{ width: number, height: number }} room  of the window
 * @param {number} gap
 */
export function placeBeside(thing, box, room, gap) {
  const { width, height } = box;
  /** @param {number} left  @param {number} top */
  const inside = (left, top) => ({
    left: Math.max(gap, Math.min(left, room.width - width - gap)),
    top: Math.max(gap, Math.min(top, room.height - height - gap)),
  });
  if (thing.right + width + 2 * gap <= room.width) return inside(thing.right + gap, thing.top);
  if (thing.left - width - 2 * gap >= 0) return inside(thing.left - gap - width, thing.top);
  if (thing.bottom + height + 2 * gap <= room.height) return inside(thing.left, thing.bottom + gap);
  if (thing.top - height - 2 * gap >= 0) return inside(thing.left, thing.top - gap - height);
  const right = thing.left + thing.width / 2 < room.width / 2;
  const low = thing.top + thing.height / 2 < room.height / 2;
  return inside(right ? room.width : 0, low ? room.height : 0);
}
