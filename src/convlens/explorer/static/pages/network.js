// Page 7: the graph of a network with its tensors to scale; modules open and close, two stand side by side.

import { get, Newest } from "../core/api.js";
import { button, copyLink } from "../core/controls.js";
import { h } from "../core/dom.js";
import { localised } from "../core/labels.js";
import { bytes, grouped, percent, readable, short } from "../core/numbers.js";
import { integer, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { NetworkDrawing, scaleOf } from "../draw/network.js";

export const settings = (opened) => ({
  a: word(opened.network ?? "resnet50"),
  b: word(""),
  openA: word(""),
  openB: word(""),
  side: integer(0, { least: 0, most: 1024 }),
});

// pairs that the lecture compares
const PAIRS = {
  inception: { a: "inception_naive", b: "inception_reduced" },
  residual: { a: "plain34", b: "resnet34", openA: "layer1,layer1.0", openB: "layer1,layer1.0" },
  mbconv: { a: "resnet50", b: "efficientnet_b0", openA: "layer2,layer2.1", openB: "stage3,stage3.1" },
};

export async function show(root, { settings, signal, notify }) {
  const listed = await get("/networks", {}, signal);
  const side = { a: null, b: null };
  const totals = h("div", { class: "totals" });
  for (const key of ["a", "b"]) side[key] = new Side(key, settings, listed, { signal, notify, drawn: () => redraw() });
  const redraw = () => {
    const graphs = [side.a, side.b].map((each) => each.graph).filter(Boolean);
    const scale = scaleOf(graphs);
    for (const each of [side.a, side.b]) each.draw(scale);
    totals.replaceChildren(totalsTable(graphs));
  };
  const layout = h("div", { class: "network-layout" });
  const columns = h("div", { class: "networks" }, side.a.element, side.b.element);
  root.append(
    h("section", { class: "card network-choice" },
      h("div", { class: "bar" }, side.a.choice, side.b.choice, sideControl(settings, signal)),
      h("div", { class: "control" }, h("span", { class: "control-label" }, t("network.pairs")), h("div", { class: "chips" }, Object.entries(PAIRS).map(([name, pair]) =>
        h("button", { type: "button", class: "chip", onclick: () => settings.set({ b: "", openA: "", openB: "", side: 0, ...pair }) }, t(`network.pair.${name}`))))),
      h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings))),
    layout,
  );
  layout.append(columns, h("aside", { class: "network-aside" },
    h("section", { class: "card" }, h("h2", {}, t("network.totals")), totals, h("p", { class: "quiet-text" }, t("network.peak"))),
    h("section", { class: "card" }, h("h2", {}, t("network.legend")), legend())));
  const follow = () => [columns, layout].forEach((each) => each.classList.toggle("two", settings.get("b") !== ""));
  settings.on(["b"], follow, signal);
  follow();
  await Promise.all([side.a.update(), side.b.update()]);
}

/** One of the two networks: its choice, its drawing, and what is open in it. */
class Side {
  graph = null;

  constructor(key, settings, listed, { signal, notify, drawn }) {
    Object.assign(this, { key, settings, notify, drawn });
    this.open = `open${key.toUpperCase()}`;
    this.drawing = new NetworkDrawing({
      label: t("network.drawing"),
      onOpen: (path) => this.#opened([...this.#paths(), path]),
      onClose: (path) => this.#opened(this.#paths().filter((each) => each !== path && !each.startsWith(`${path}.`))),
      onTell: (node, place) => this.#tell(node, place),
    });
    this.tip = h("div", { class: "tip", hidden: true, role: "status" });
    this.title = h("h2", { class: "network-name" });
    this.unfold = button(t("network.unfoldAll"), () => this.#opened(this.graph.nodes.filter((node) => node.module).map((node) => node.module).concat(this.#paths())));
    this.foldAll = button(t("network.foldAll"), () => this.#opened([]));
    this.element = h("section", { class: "card network-card", hidden: true }, h("div", { class: "network-head" }, this.title, this.unfold, this.foldAll), h("div", { class: "network-scroll", tabindex: "0", role: "region", "aria-label": t("network.drawing") }, this.drawing.svg), this.tip);
    this.choice = chooser(key, settings, listed, signal);
    this.newest = new Newest(signal);
    settings.on([key, this.open, "side"], () => this.update(), signal);
  }

  #paths() {
    return this.settings.get(this.open).split(",").filter(Boolean);
  }

  /** Beside a node, say what it is and what it costs. */
  #tell(node, place) {
    this.tip.hidden = !node;
    if (!node) return;
    const name = node.type === "input" ? t("network.input") : node.id;
    this.tip.replaceChildren(h("h3", {}, name), h("p", { class: "quiet-text" }, [localised(node.label), ...node.follows].filter(Boolean).join(" · ")), h("dl", { class: "facts" }, facts(this.graph, node)));
    const [card, box] = [this.element.getBoundingClientRect(), place.getBoundingClientRect()];
    const fits = box.right - card.left + 12 + this.tip.offsetWidth < card.width;
    this.tip.style.left = `${fits ? box.right - card.left + 12 : Math.max(8, Math.min(box.left - card.left - 12 - this.tip.offsetWidth, card.width - this.tip.offsetWidth - 8))}px`;
    this.tip.style.top = `${box.top - card.top}px`;
  }

  #opened(paths) {
    this.settings.set({ [this.open]: [...new Set(paths)].join(",") });
  }

  update() {
    const name = this.settings.get(this.key);
    if (!name) {
      this.graph = null;
      this.element.hidden = true;
      this.drawn();
      return null;
    }
    const query = { opened: this.settings.get(this.open) };
    if (this.settings.get("side")) query.side = this.settings.get("side");
    return this.newest.run((ending) => get(`/networks/${encodeURIComponent(name)}`, query, ending), (graph) => {
      this.graph = graph;
      this.element.hidden = false;
      this.title.textContent = graph.name;
      this.drawn();
    }).catch((error) => this.notify(error.message));
  }

  draw(scale) {
    if (!this.graph) return;
    this.unfold.disabled = !this.graph.nodes.some((node) => node.module);
    this.foldAll.disabled = !this.#paths().length;
    this.tip.hidden = true;
    this.drawing.draw(this.graph, scale);
  }
}

function chooser(key, settings, listed, signal) {
  const id = `network-${key}`;
  const families = [...new Set(listed.map((each) => each.family))];
  const list = h("select", { id, onchange: () => settings.set({ [key]: list.value, [`open${key.toUpperCase()}`]: "" }) },
    key === "b" ? h("option", { value: "" }, t("network.none")) : null,
    families.map((family) => h("optgroup", { label: ["own", "block", "trained"].includes(family) ? t(`network.family.${family}`) : family },
      listed.filter((each) => each.family === family).map((each) => h("option", { value: each.name }, each.name)))));
  const follow = () => (list.value = settings.get(key));
  settings.on([key], follow, signal);
  follow();
  return h("div", { class: "control" }, h("label", { for: id }, t(`network.choose.${key}`)), h("div", { class: "select" }, list));
}

function sideControl(settings, signal) {
  const input = h("input", { type: "number", id: "network-side", min: 0, max: 1024, step: 1, placeholder: t("network.usual"), onchange: () => settings.set({ side: Math.min(1024, Math.max(0, Number.parseInt(input.value, 10) || 0)) }) });
  const follow = () => (input.value = settings.get("side") || "");
  settings.on(["side"], follow, signal);
  follow();
  return h("div", { class: "control" }, h("label", { for: "network-side" }, t("network.side")), h("div", { class: "wide" }, input));
}

const known = (value, show = grouped) => (value === null ? t("network.unknown") : show(value));

function facts(graph, node) {
  const share = (value, total) => (value === null || !total ? "" : ` (${percent(value / total)})`);
  const pairs = [
    ["shape", node.shape.join("×")],
    ["parameters", known(node.parameters, short) + share(node.parameters, graph.totals.parameters)],
    ["macs", known(node.macs, short) + share(node.macs, graph.totals.macs)],
    ["memory", bytes(node.output_bytes)],
  ];
  return pairs.map(([name, text]) => [h("dt", {}, t(`network.fact.${name}`)), h("dd", {}, text)]).flat();
}

function totalsTable(graphs) {
  if (!graphs.length) return h("p", {});
  const rows = [["parameters", grouped], ["macs", short], ["flops", short], ["peak_memory", bytes]];
  const [first, second] = graphs;
  return h("div", { class: "table-scroll" }, h("table", {},
    second ? h("thead", {}, h("tr", {}, h("td", {}), graphs.map((graph) => h("th", { scope: "col" }, graph.name)), h("th", { scope: "col" }, t("network.ratio")))) : null,
    h("tbody", {}, rows.map(([name, show]) => h("tr", {}, h("th", { scope: "row" }, t(`network.fact.${name}`)), graphs.map((graph) => h("td", { class: "number" }, show(graph.totals[name]))), second ? h("td", { class: "number" }, `${readable(first.totals[name] / second.totals[name], 3)}×`) : null)),
    graphs.some((graph) => Object.keys(graph.not_counted).length) ? h("tr", {}, h("th", { scope: "row" }, t("network.notCounted")), graphs.map((graph) => h("td", {}, Object.keys(graph.not_counted).join(", ") || "–"))) : null)));
}

function legend() {
  return [
    h("p", { class: "quiet-text" }, t("network.scale")),
    h("ul", { class: "legend" }, ["convolution", "pool", "linear", "module"].map((type) => h("li", {}, h("span", { class: `swatch type-${type}`, "aria-hidden": "true" }), t(`network.type.${type}`)))),
  ];
}
