// Cytoscape, which draws the graph.

/** Waits for the library, which arrives with a separate component that is sent once. */
export async function library() {
  while (!globalThis.cytoscape) await new Promise((resolve) => setTimeout(resolve, 30));
  return globalThis.cytoscape;
}
