// An image pasted anywhere on the page goes the way of a picked file: into the page's uploader.

function paste(event) {
  const files = [...(event.clipboardData?.files ?? [])];
  const input = document.querySelector('[data-testid="stFileUploader"] input[type="file"]');
  if (!files.length || !input) return;
  event.preventDefault();
  const box = new DataTransfer();
  files.forEach((file) => box.items.add(file));
  input.files = box.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

export default function ({ parentElement }) {
  document.addEventListener("paste", paste); // a second time changes nothing
  return () => parentElement.isConnected || document.removeEventListener("paste", paste);
}
