// The facts of the selected node or link, with nodes and links as buttons, for navigation without a mouse.

import { button, make } from "../shared.js";

/**
 * @typedef {object} Actions
 * @property {(element: Cytoscape.Element | null) => void} choose
 * @property {(node: Cytoscape.Element) => void} open
 * @property {{ filter: string, class: string }} opens  the text of the button that opens a node of that kind
 */

/**
 * @param {Cytoscape.Element} element
 * @param {Actions} actions
 * @returns {HTMLElement[]}
 */
export function card(element, actions) {
  const about = element.isNode() ? nodeCard(element, actions) : linkCard(element, actions);
  return [...about, button("Clear selection", () => actions.choose(null), { className: "plain" })];
}

/**
 * @param {Cytoscape.Element} node
 * @param {Actions} actions
 */
function nodeCard(node, actions) {
  /** @type {"filter" | "class"} */
  const kind = node.data("kind");
  const label = node.data("label");
  const links = [...node.connectedEdges().not(".away")].sort((a, b) => b.data("weight") - a.data("weight"));
  /**
   * @param {string} one
   * @param {string} more
   */
  const counted = (one, more) => `${links.length} ${links.length === 1 ? one : more}`;
  const use = kind === "filter" ? `Used by ${counted("class", "classes")}` : `Uses ${counted("filter", "filters")}`;
  const src = node.data("picture");
  const picture = src ? [make("img", { className: "picture", src, alt: `Average patch of ${label}` })] : [];
  return [
    ...picture,
    make("p", { className: "name", textContent: label }),
    make("p", { textContent: `${use} at this minimum weight.` }),
    make("ul", {}, ...links.map((link) => entry(link.connectedNodes().not(node)[0], actions, link))),
    button(actions.opens[kind], () => actions.open(node), { className: "plain" }),
  ];
}

/**
 * @param {Cytoscape.Element} link
 * @param {Actions} actions
 */
function linkCard(link, actions) {
  const ends = [link.source(), link.target()].sort((a, b) => (a.data("kind") < b.data("kind") ? 1 : -1));
  const score = link.data("weight").toFixed(2);
  return [
    make("p", { className: "name", textContent: ends.map((end) => end.data("label")).join(" → ") }),
    make("p", { textContent: `Best rule score: ${score}. See the table for all rules.` }),
    make("ul", {}, ...ends.map((end) => entry(end, actions))),
  ];
}

/**
 * A button for a neighbouring node, with the link to it.
 * @param {Cytoscape.Element} node
 * @param {Actions} actions
 * @param {Cytoscape.Element} [link]
 */
function entry(node, { choose }, link) {
  const item = make(
    "li",
    {},
    button(node.data("label"), () => choose(node), { className: "plain" }),
  );
  if (!link) return item;
  const score = link.data("weight").toFixed(2);
  const title = `Rules of ${link.source().data("label")} and ${link.target().data("label")}`;
  const ariaLabel = `${title}, score ${score}`;
  item.append(button(score, () => choose(link), { className: "plain", title, ariaLabel }));
  return item;
}
