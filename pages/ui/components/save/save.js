// Saves a file that Python made. Each number is saved once, however often Streamlit runs this.

import { saveFile, unpack } from "../shared.js";

/** @type {Set<number>} */
const saved = new Set();

/** @param {Component<Bytes | null>} component */
export default function ({ data }) {
  if (!data) return;
  const { header, payload } = unpack(data);
  if (saved.has(header.number)) return;
  saved.add(header.number);
  saveFile(new Blob([payload], { type: header.kind }), header.name);
}
