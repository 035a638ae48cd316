// Passes images pasted anywhere on the page to the page's uploader.

/** @param {ClipboardEvent} event */
function paste(event) {
  const files = [...(event.clipboardData?.files ?? [])];
  const input = document.querySelector('[data-testid="stFileUploader"] input[type="file"]');
  if (!files.length || !(input instanceof HTMLInputElement)) return;
  event.preventDefault();
  const box = new DataTransfer();
  for (const file of files) box.items.add(file);
  input.files = box.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
}

/** @param {Component<unknown>} component */
export default function ({ parentElement }) {
  document.addEventListener("paste", paste); // adding it again has no effect
  return () => parentElement.isConnected || document.removeEventListener("paste", paste);
}
