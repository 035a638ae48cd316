// One named packet of bytes from Python, put where the visible parts find it:
//   window.vitrine.blobs: name -> { header, payload }, and an event "blob" whose detail is the name.
// A packet is a u32 header length (little endian), a JSON header with its name in `id`, and the payload.

export default function ({ data }) {
  if (!data) return;
  const size = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + size)));
  const packet = { header, payload: data.slice(4 + size) };
  shop.blobs.set(header.id, packet);
  shop.bus.dispatchEvent(new CustomEvent("blob", { detail: header.id }));
  return () => {
    if (shop.blobs.get(header.id) === packet) shop.blobs.delete(header.id);
  };
}
