// The strip above every page: examples and uploads, and the three things to do with what is shown.

const parts = new WeakMap();

const make = (tag, properties = {}, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

const KEYS = [["P", "presentation"], ["Esc", "close"], ["?", "these keys"]];
const STRIP = [["← →", "another image"]];
const EXPORTS = {
  png: ["Figure", "PNG"],
  pdf: ["Figure", "PDF"],
  svg: ["Figure", "SVG"],
  npz: ["Raw maps", "NPZ"],
  csv: ["Scores", "CSV"],
};

class Film {
  constructor(root) {
    this.urls = new Map();
    this.strip = make("div", { className: "strip", role: "group", ariaLabel: "Images" });
    this.link = make("button", { type: "button", textContent: "Copy link" });
    this.export = make("button", { type: "button", textContent: "Export", ariaExpanded: "false" });
    this.export.setAttribute("aria-haspopup", "true");
    this.present = make("button", { type: "button", textContent: "Present", title: "Larger type, no sidebar (P)" });
    this.menu = make("div", { className: "menu", hidden: true });
    this.status = make("span", { className: "status", role: "status" });
    const actions = make("div", { className: "actions" }, this.status, this.link, this.export, this.present, this.menu);
    this.help = make("dialog", { className: "help", ariaLabel: "Keys" });
    this.help.onclick = () => this.help.close();
    root.append(make("div", { className: "film" }, this.strip, actions), this.help);

    this.strip.addEventListener("keydown", (event) => this.step(event));
    this.link.onclick = () => this.copy(this.address(), "Link copied");
    this.export.onclick = () => this.toggle(this.menu.hidden);
    this.present.onclick = () => this.stage(!document.documentElement.classList.contains("vitrine-present"));
    this.away = (event) => event.composedPath().includes(actions) || this.toggle(false);
    this.keys = (event) => {
      if (event.key === "Escape") this.menu.hidden ? this.stage(false) : this.toggle(false, true);
      const typing = event.composedPath()[0].closest?.("input, textarea, select, [contenteditable]");
      if (event.key === "?" && !typing) this.list();
      if (event.key.toLowerCase() === "p" && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) {
        this.present.click();
      }
    };
    this.asked = () => this.list();
    this.arrived = (event) => event.detail === "film" && this.paint();
    document.addEventListener("click", this.away);
    document.addEventListener("keydown", this.keys);
    shop.bus.addEventListener("blob", this.arrived);
    shop.bus.addEventListener("keys", this.asked);
    if (["1", "true", "on"].includes(new URLSearchParams(location.search).get("present"))) this.stage(true);
  }

  end() {
    document.removeEventListener("click", this.away);
    document.removeEventListener("keydown", this.keys);
    shop.bus.removeEventListener("blob", this.arrived);
    shop.bus.removeEventListener("keys", this.asked);
    this.urls.forEach((url) => URL.revokeObjectURL(url));
  }

  show(data, send) {
    this.data = data;
    this.send = send;
    const order = data.items.map((item) => item.id).join("\n");
    if (order !== this.order) this.build(order);
    for (const button of this.strip.children) {
      const current = button.dataset.id === data.current;
      button.ariaCurrent = current ? "true" : "false";
      button.tabIndex = current ? 0 : -1;
      if (current && this.shown !== data.current) button.scrollIntoView({ block: "nearest", inline: "nearest" });
    }
    if (![...this.strip.children].some((button) => button.tabIndex === 0)) this.strip.firstChild.tabIndex = 0;
    this.shown = data.current;
    this.fill();
    this.paint();
  }

  build(order) {
    this.order = order;
    this.strip.replaceChildren(
      ...this.data.items.map((item) => {
        const image = make("img", { alt: "" });
        const button = make("button", { type: "button", title: item.name, ariaLabel: item.name }, image);
        button.dataset.id = item.id;
        button.classList.toggle("own", item.own);
        button.onclick = () => this.send("pick", item.id);
        return button;
      }),
    );
  }

  paint() {
    const packet = shop.blobs.get("film");
    if (!packet) return;
    let start = 0;
    packet.header.ids.forEach((id, index) => {
      const end = start + packet.header.sizes[index];
      if (!this.urls.has(id)) {
        this.urls.set(id, URL.createObjectURL(new Blob([packet.payload.slice(start, end)], { type: "image/jpeg" })));
      }
      start = end;
    });
    for (const button of this.strip.children) {
      const url = this.urls.get(button.dataset.id);
      if (url && button.firstChild.src !== url) button.firstChild.src = url;
    }
  }

  step(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const buttons = [...this.strip.children];
    const next = buttons[buttons.indexOf(event.target.closest("button")) + move];
    if (!next) return;
    next.focus();
    next.click();
  }

  address() {
    const url = new URL(location.href);
    const theirs = [...url.searchParams].filter(([name]) => !this.data.frame.includes(name));
    url.search = this.data.query;
    for (const [name, value] of theirs) url.searchParams.append(name, value);
    const look = shop.look?.();
    if (look) url.searchParams.set("view", look);
    if (document.documentElement.classList.contains("vitrine-present")) url.searchParams.set("present", "1");
    return url.href;
  }

  async copy(text, done) {
    try {
      await navigator.clipboard.writeText(text);
      this.say(done);
    } catch {
      this.say("The browser did not allow copying");
    }
  }

  say(text) {
    this.status.textContent = text;
    clearTimeout(this.silence);
    this.silence = setTimeout(() => (this.status.textContent = ""), 2500);
  }

  toggle(open, focus = false) {
    this.menu.hidden = !open;
    this.export.ariaExpanded = String(open);
    if (open) this.menu.querySelector("button")?.focus();
    if (focus) this.export.focus();
  }

  fill() {
    const { exports, command } = this.data;
    const rows = exports.map((kind) => {
      const [what, type] = EXPORTS[kind];
      const row = make("button", { type: "button" }, what, make("span", { textContent: type }));
      row.onclick = () => {
        this.send("export", { kind, view: shop.view ?? {} });
        this.toggle(false, true);
      };
      return row;
    });
    if (command) {
      const row = make("button", { type: "button" }, "Copy the command", make("span", { textContent: "CLI" }));
      row.onclick = () => this.copy(command, "Command copied").then(() => this.toggle(false, true));
      rows.push(row, make("code", { textContent: command, tabIndex: 0 }));
    }
    if (!rows.length) rows.push(make("p", { textContent: "Nothing to export yet." }));
    this.menu.replaceChildren(...rows);
  }

  // The keys of this page: the other parts put theirs into `shop.keys` for as long as they are shown.
  list() {
    if (this.help.open) return;
    const rooms = new Map([["Everywhere", KEYS], ["In the strip of images", STRIP], ...shop.keys]);
    const row = ([key, what]) => [make("dt", { textContent: key }), make("dd", { textContent: what })];
    this.help.replaceChildren(
      make("h2", { textContent: "Keys" }),
      ...[...rooms].flatMap(([title, keys]) => [make("h3", { textContent: title }), make("dl", {}, ...keys.flatMap(row))]),
      make("button", { type: "button", className: "close", textContent: "Close" }),
    );
    this.help.showModal();
  }

  stage(on) {
    document.documentElement.classList.toggle("vitrine-present", on);
    this.present.ariaPressed = String(on);
    this.present.textContent = on ? "Leave presentation" : "Present";
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  let part = parts.get(parentElement);
  if (!part) parts.set(parentElement, (part = new Film(parentElement)));
  part.show(data, setTriggerValue);
  return () => parentElement.isConnected || part.end();
}
