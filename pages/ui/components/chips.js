// The classes the model finds most probable. A click explains one; "+" or Ctrl-click adds it beside the others.

const parts = new WeakMap();

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

const percent = (chance) => (chance < 0.001 ? "< 0.1 %" : `${(chance * 100).toFixed(1)} %`);

function chip({ index, label, chance }, chosen, send) {
  const on = chosen.includes(index);
  const bar = make("span", { className: "bar" });
  bar.style.setProperty("--share", chance);
  const main = make(
    "button",
    { type: "button", className: "class", ariaPressed: String(on), title: `Explain ${label}` },
    make("span", { className: "label", textContent: label }),
    make("span", { className: "chance", textContent: percent(chance) }),
    bar,
  );
  main.onclick = (event) => send("pick", { index, joins: event.ctrlKey || event.metaKey, chosen });
  const join = make("button", {
    type: "button",
    className: "join",
    textContent: on ? "−" : "+",
    ariaLabel: on ? `Stop explaining ${label}` : `Explain ${label} beside the others`,
    disabled: on && chosen.length === 1,
  });
  join.title = join.ariaLabel;
  join.onclick = () => send("pick", { index, joins: true, chosen });
  const box = make("div", { className: on ? "chip on" : "chip" }, main, join);
  box.dataset.index = index;
  return box;
}

export default function ({ data, parentElement, setTriggerValue }) {
  let root = parts.get(parentElement);
  if (!root) {
    root = make("div", { className: "chips", role: "group", ariaLabel: "Most probable classes" });
    parentElement.append(root);
    parts.set(parentElement, root);
  }
  const focused = parentElement.activeElement?.closest(".chip")?.dataset.index;
  const part = parentElement.activeElement?.className;
  root.replaceChildren(...data.classes.map((entry) => chip(entry, data.chosen, setTriggerValue)));
  if (focused) root.querySelector(`[data-index="${focused}"] .${part}`)?.focus();
}
