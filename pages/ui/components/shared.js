// Shared code of the components: packets of bytes from Python, elements, numbers as text, files to save.

/** The shared state of the components of this page, created by the first one loaded. */
function pageState() {
  window.vitrine ??= { packets: new Map(), events: new EventTarget(), shortcuts: new Set() };
  return window.vitrine;
}

export const page = pageState();

/**
 * Splits a message from Python: a u32 header length (little endian), a JSON header, and the payload.
 * @param {Bytes} bytes
 * @returns {Packet<any>}
 */
export function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  return { header, payload: bytes.subarray(4 + length) };
}

/**
 * The default export of a component with an instance: created at the first call, updated at each, closed once its
 * element has left the page. Streamlit also ends a call that a newer one overtook; the instance outlives that.
 * @template Data
 * @param {(root: ShadowRoot) => { update(component: Component<Data>): void, close(): void }} create
 */
export function mounted(create) {
  /** @type {WeakMap<ShadowRoot, ReturnType<typeof create>>} */
  const instances = new WeakMap();
  /** @param {Component<Data>} component */
  return (component) => {
    const root = component.parentElement;
    const instance = instances.get(root) ?? create(root);
    instances.set(root, instance);
    instance.update(component);
    return () => {
      if (root.isConnected) return;
      instance.close();
      instances.delete(root);
    };
  };
}

/**
 * An element with these properties and children.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Partial<HTMLElementTagNameMap[Tag]>} [properties]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

/**
 * A button of type "button", which submits no form.
 * @param {string} text
 * @param {(() => void) | null} onclick
 * @param {Partial<HTMLButtonElement>} [properties]
 */
export function button(text, onclick, properties = {}) {
  return make("button", { type: "button", textContent: text, onclick, ...properties });
}

/**
 * The 2D context of a canvas.
 * @param {HTMLCanvasElement} canvas
 */
export const context = (canvas) => /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));

/**
 * Sets the colour scheme, light or dark by the theme, in which the browser draws sliders and check boxes.
 * @param {HTMLElement} frame
 */
export function adoptColorScheme(frame) {
  const [red, green, blue] = (getComputedStyle(frame).color.match(/[\d.]+/g) ?? []).map(Number);
  frame.style.colorScheme = red + green + blue > 384 ? "dark" : "light";
}

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * A value of a map in three digits.
 * @param {number} value
 */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  return (size >= 1e-3 && size < 1e5 ? String(+value.toPrecision(3)) : value.toExponential(2)).replaceAll("-", "−");
}

/**
 * A probability as a percentage; the value of a regression comes as text.
 * @param {number | string} chance
 */
export const percent = (chance) =>
  typeof chance === "string" ? chance : chance < 0.001 ? "< 0.1%" : `${(chance * 100).toFixed(1)}%`;

/**
 * The sign and the word for a predicted or true class.
 * @type {Record<Mark, [sign: string, word: string]>}
 */
export const MARKS = { right: ["✓", "right"], wrong: ["✗", "wrong"], true: ["✓", "true class"] };

/**
 * A duration as a text.
 * @param {number} seconds
 */
export function duration(seconds) {
  if (seconds < 0.0995) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  return seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
}

/**
 * The bytes in a base64 text.
 * @param {string} text
 */
export const decoded = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/**
 * Whether a key is pressed in a text field, which then handles it.
 * @param {KeyboardEvent} event
 */
export function typing(event) {
  const [target] = event.composedPath();
  return target instanceof Element && Boolean(target.closest("input, textarea, select, [contenteditable]"));
}

/**
 * Lets the user save a file.
 * @param {Blob} content
 * @param {string} name
 */
export function saveFile(content, name) {
  const link = make("a", { href: URL.createObjectURL(content), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Copies a text and returns a message for the user.
 * @param {string} text
 * @param {string} done
 */
export async function copyText(text, done) {
  try {
    await navigator.clipboard.writeText(text);
    return done;
  } catch {
    return "The browser blocked copying";
  }
}
