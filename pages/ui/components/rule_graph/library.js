// Cytoscape, which draws the graph.

/** Waits for the library: it comes with a component of its own, which is sent once. */
export async function library() {
  while (!globalThis.cytoscape) await new Promise((resolve) => setTimeout(resolve, 30));
  return globalThis.cytoscape;
}
