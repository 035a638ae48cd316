// How far maps agree: a table for each class, rank correlation above the diagonal and overlap below it, coloured and in
// numbers. Python sends the numbers; the file to keep is made here.

const drawn = new WeakMap();

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};
const digits = (value) => (value === null ? "–" : (Math.round(value * 100) / 100 || 0).toFixed(2).replace("-", "−"));

// The colour of a number from -1 to 1 and, on it, black or white, whichever reads better.
function tinted(cell, value, colours) {
  const at = 3 * Math.round(((value + 1) / 2) * 255);
  const parts = colours.slice(at, at + 3);
  const [r, g, b] = [...parts].map((part) => ((part / 255 + 0.055) / 1.055) ** 2.4);
  cell.style.background = `rgb(${parts.join(" ")})`;
  cell.style.color = 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.18 ? "#000" : "#fff";
}

function table({ target, methods, spearman, overlap }, colours) {
  const cell = (i, j) => {
    if (i === j) return make("td", { className: "self" });
    const [value, what] = i < j ? [spearman[i][j], "rank correlation"] : [overlap[i][j], "overlap"];
    const told = value === null ? "one of the maps has no order" : digits(value);
    const found = make("td", { textContent: digits(value), title: `${methods[i]} and ${methods[j]}, ${what}: ${told}` });
    if (value !== null) tinted(found, value, colours);
    return found;
  };
  const across = methods.map((name) => make("th", { scope: "col" }, make("span", { textContent: name })));
  const rows = methods.map((name, i) =>
    make("tr", {}, make("th", { scope: "row", textContent: name }), ...methods.map((_, j) => cell(i, j))),
  );
  return make(
    "div",
    { className: "scroll", tabIndex: 0, role: "region", ariaLabel: `Agreement for ${target.label}` },
    make(
      "table",
      {},
      make("caption", { textContent: target.label }),
      make("thead", {}, make("tr", {}, make("td"), ...across)),
      make("tbody", {}, ...rows),
    ),
  );
}

function csv(classes) {
  const quoted = (text) => `"${String(text).replaceAll('"', '""')}"`;
  const lines = classes.flatMap(({ target, methods, spearman, overlap }) =>
    methods.flatMap((one, i) =>
      methods
        .slice(i + 1)
        .map((other, k) => [quoted(target.label), quoted(one), quoted(other), spearman[i][i + 1 + k] ?? "", overlap[i][i + 1 + k] ?? ""]),
    ),
  );
  return [["class", "method", "other", "spearman", "overlap"], ...lines].map((line) => line.join(",") + "\r\n").join("");
}

function keep(classes) {
  const link = make("a", { href: URL.createObjectURL(new Blob([csv(classes)], { type: "text/csv" })), download: "agreement.csv" });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function legend({ share, chance }, colours) {
  const stops = [...Array(9).keys()].map((i) => colours.slice(3 * Math.round((i / 8) * 255)).slice(0, 3).join(" "));
  const ramp = make("span", { className: "ramp" });
  ramp.style.background = `linear-gradient(to right, ${stops.map((stop) => `rgb(${stop})`).join(", ")})`;
  const strong = Math.round(share * 100);
  return make(
    "div",
    { className: "legend" },
    make("p", {
      textContent:
        "Above the diagonal: rank correlation of all pixels (Spearman), 1 for the same order, 0 for none in common. " +
        `Below it: overlap of the strongest ${strong} % of the pixels, as intersection over union; ${chance.toFixed(2)} is what chance gives. ` +
        "Random and Edge detector look at no model: a map that agrees with them as much as with the others shows little of it. " +
        "A dash stands for a map that has the same value everywhere.",
    }),
    make("span", { className: "scale", ariaHidden: "true" }, "−1", ramp, "1"),
  );
}

export default function ({ data, parentElement }) {
  const text = JSON.stringify(data);
  if (drawn.get(parentElement) === text) return;
  drawn.set(parentElement, text);
  const colours = Uint8Array.from(atob(data.colours), (c) => c.charCodeAt(0));
  const button = make("button", { type: "button", textContent: "Agreement as CSV" });
  button.onclick = () => keep(data.classes);
  const tables = make("div", { className: "tables" }, ...data.classes.map((one) => table(one, colours)));
  parentElement.querySelector(".matrix")?.remove();
  parentElement.append(make("div", { className: "matrix" }, tables, make("div", { className: "aside" }, legend(data, colours), button)));
}
