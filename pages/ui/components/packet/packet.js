// Receives a named packet of bytes from Python and stores it in `page.packets` for the visible components.

import { page, unpack } from "../shared.js";

/** @param {Component<Bytes | null>} component */
export default function ({ data }) {
  if (!data) return undefined;
  const { header, payload } = unpack(data);
  const packet = { header, payload: payload.slice() }; // a copy starts at offset 0, so that 16-bit values are aligned
  page.packets.set(header.id, packet);
  page.events.dispatchEvent(new CustomEvent("packet", { detail: header.id }));
  return () => {
    if (page.packets.get(header.id) === packet) page.packets.delete(header.id);
  };
}
