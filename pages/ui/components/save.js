// A file from Python for the user to keep; each number is saved once, whatever is drawn again.

const saved = new Set();

export default function ({ data }) {
  if (!data) return;
  const size = new DataView(data.buffer, data.byteOffset, 4).getUint32(0, true);
  const { name, kind, number } = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + size)));
  if (saved.has(number)) return;
  saved.add(number);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([data.slice(4 + size)], { type: kind }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
