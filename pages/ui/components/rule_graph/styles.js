// The stylesheet of the graph in the colours of the theme, at a zoom.

const FILTER = "#0072b2";
const CLASS = "#e69f00";
const RULE = "#cc79a7";

/**
 * @param {HTMLElement} frame
 * @param {HTMLElement} canvas
 * @param {number} unit  the length in the graph of a pixel of the screen
 * @param {boolean} crowded  whether only selected filters are named
 * @returns {Cytoscape.Style[]}
 */
export function styles(frame, canvas, unit, crowded) {
  const { color: text, fontFamily } = getComputedStyle(frame);
  const { backgroundColor: ground } = getComputedStyle(canvas);
  return [
    {
      selector: "node",
      style: {
        label: "data(label)",
        color: text,
        "font-size": 13 * unit,
        "font-family": fontFamily,
        width: "data(size)",
        height: "data(size)",
        "text-outline-color": ground,
        "text-outline-width": 2 * unit,
      },
    },
    {
      selector: "node[kind = 'filter']",
      style: {
        shape: "ellipse",
        label: crowded ? "" : "data(label)",
        "background-color": FILTER,
        "border-width": 3,
        "border-color": FILTER,
        "text-valign": "bottom",
        "text-margin-y": 3 * unit,
      },
    },
    { selector: "node[picture]", style: { "background-image": "data(picture)", "background-fit": "cover" } },
    {
      selector: "node[kind = 'class']",
      style: {
        shape: "round-rectangle",
        "background-color": CLASS,
        color: "#111",
        "text-outline-width": 0,
        "text-valign": "center",
        width: (node) => node.data("width") * unit,
        height: (node) => node.data("size") * unit,
        "font-size": 14 * unit,
        "font-weight": 600,
      },
    },
    {
      selector: "edge",
      style: {
        width: "mapData(weight, 0, 1, 0.5, 5)",
        opacity: "mapData(weight, 0, 1, 0.2, 0.45)",
        "line-color": text,
        "curve-style": "haystack",
        "haystack-radius": 0,
      },
    },
    { selector: ".away", style: { display: "none" } },
    { selector: "node.near", style: { label: "data(label)" } },
    { selector: ".dim", style: { opacity: 0.12 } },
    { selector: "node.chosen", style: { "border-color": text, "border-width": 5, "z-index": 10 } },
    { selector: "edge.near", style: { opacity: 0.95, "line-color": FILTER } },
    {
      selector: "node.rule",
      style: {
        "border-color": RULE,
        "border-width": 5,
        "z-index": 9,
        "underlay-color": RULE,
        "underlay-opacity": 0.4,
        "underlay-padding": 9,
      },
    },
    {
      selector: "node[kind = 'filter'].rule",
      style: { label: "data(label)", "font-size": 16 * unit, "font-weight": 600, "underlay-shape": "ellipse" },
    },
    { selector: "edge.rule", style: { width: 7, opacity: 1, "line-color": RULE, "z-index": 9 } },
    { selector: "edge.chosen", style: { width: 9, opacity: 1, "line-color": text, "z-index": 10 } },
  ];
}
