// Takes one named packet of bytes from Python and puts it where the visible components find it: `page.packets`.

import { page, unpack } from "../shared.js";

/** @param {Component<Bytes | null>} component */
export default function ({ data }) {
  if (!data) return undefined;
  const { header, payload } = unpack(data);
  const packet = { header, payload: payload.slice() }; // a copy begins at 0, so that 16-bit values can be read in place
  page.packets.set(header.id, packet);
  page.events.dispatchEvent(new CustomEvent("packet", { detail: header.id }));
  return () => {
    if (page.packets.get(header.id) === packet) page.packets.delete(header.id);
  };
}
