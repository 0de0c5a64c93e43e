// Page 7: the graph of a network as a canvas, its tensors to scale; modules open and close, two networks stand side by side.

import { get, Newest } from "../core/api.js";
import { button, copyLink, select, toggle } from "../core/controls.js";
import { colour, h } from "../core/dom.js";
import { localised } from "../core/labels.js";
import { bytes, duration, grouped, readable, scientific, short } from "../core/numbers.js";
import { choice, flag, integer, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { asSvg, once, scaleOf, sceneOf } from "../draw/scene.js";
import { Viewer } from "../draw/viewer.js";
import { known, nodeCard } from "./network/card.js";
import { pattern } from "./network/pattern.js";

const COLOURS = ["kind", "parameters", "macs", "memory", "time", "plan", "field", "gradient"];
const ASKED = ["time", "plan", "field", "gradient"]; // not in the graph: measured or computed when first asked for

export const settings = (opened) => ({
  a: word(opened.network ?? "resnet50"),
  b: word(""),
  openA: word(""),
  openB: word(""),
  side: integer(0, { least: 0, most: 1024 }),
  way: choice("fit", ["fit", "down", "across"]),
  once: flag(true),
  tint: choice("kind", COLOURS),
  at: word(""),
});

// pairs that the lecture compares
const PAIRS = {
  inception: { a: "inception_naive", b: "inception_reduced" },
  residual: { a: "plain34", b: "resnet34", openA: "layer1,layer1.0", openB: "layer1,layer1.0" },
  mbconv: { a: "resnet50", b: "efficientnet_b0", openA: "layer2,layer2.1", openB: "stage3,stage3.1" },
};

export async function show(root, { settings, signal, notify }) {
  const listed = await get("/networks", {}, signal);
  const totals = h("div", { class: "totals" });
  const note = h("p", { class: "quiet-text", hidden: true });
  const card = nodeCard({ signal, open: (side, path) => sides[side].open(path) });
  const redraw = () => {
    const graphs = [sides.a, sides.b].map((each) => each.graph).filter(Boolean);
    const scale = scaleOf(graphs);
    for (const each of [sides.a, sides.b]) each.draw(scale);
    turn.textContent = sides.a.across ? "⤷" : "⤵";
    totals.replaceChildren(totalsTable(graphs));
    const told = graphs.map((graph) => graph.name.replace(/_.*/, "")).find((name) => name === "googlenet");
    note.hidden = !told;
    if (told) note.textContent = t("network.googlenet");
  };
  const sides = Object.fromEntries(["a", "b"].map((key) => [key, new Side(key, settings, { signal, notify, drawn: redraw, chosen: (node, graph) => card.show(key, node, graph) })]));
  const turn = button("", () => settings.set({ way: sides.a.across ? "down" : "across" }), { class: "plain turn-way", "aria-label": t("network.turn"), title: t("network.turn") });
  const find = search(sides, signal);
  const colours = Object.fromEntries(COLOURS.map((name) => [name, t(`network.tint.${name}`)]));
  root.append(
    h("section", { class: "card network-bar" },
      h("div", { class: "bar" }, chooser("a", settings, listed, signal), chooser("b", settings, listed, signal), sideControl(settings, signal), select(settings, "tint", t("network.tint.label"), colours, { signal }), find,
        toggle(settings, "once", t("network.once"), { signal }),
        h("div", { class: "chips" }, turn,
          button("SVG", () => sides.a.save("svg")), button("PNG", () => sides.a.save("png")), button(t("controls.reset"), () => settings.reset()), copyLink(settings)))),
    h("div", { class: "network-layout" },
      h("div", { class: "networks" }, sides.a.element, sides.b.element),
      h("aside", { class: "network-aside" }, card.element,
        h("section", { class: "card" }, h("h2", {}, t("network.totals")), totals, h("p", { class: "quiet-text" }, t("network.peak")), note),
        h("section", { class: "card" }, h("h2", {}, t("network.pairs")), h("div", { class: "chips" }, Object.entries(PAIRS).map(([name, pair]) =>
          h("button", { type: "button", class: "chip", onclick: () => settings.set({ b: "", openA: "", openB: "", side: 0, at: "", ...pair }) }, t(`network.pair.${name}`))))),
        h("section", { class: "card" }, h("h2", {}, t("network.legend")), legend()),
        pattern())));
  const follow = () => root.querySelector(".networks").classList.toggle("two", settings.get("b") !== "");
  settings.on(["b"], follow, signal);
  follow();
  settings.on(["way", "once", "tint"], redraw, signal);
  await Promise.all([sides.a.update(), sides.b.update()]);
}

/** One of the two networks: its canvas, and what is open in it. */
class Side {
  graph = null;
  across = false; // whether it is drawn from left to right
  #shown = null; // what is drawn: equal blocks once
  #figures = new Map();
  #fitted = "";

  constructor(key, settings, { signal, notify, drawn, chosen }) {
    this.key = key;
    this.settings = settings;
    this.notify = notify;
    this.drawn = drawn;
    this.chosen = chosen;
    this.signal = signal;
    this.setting = `open${key.toUpperCase()}`;
    this.viewer = new Viewer({
      label: t("network.drawing"), signal,
      onPick: (id, group) => (group ? this.close(group) : this.choose(id)),
      onOpen: (id, isGroup) => (isGroup ? this.close(id) : this.open(this.node(id)?.module)),
      onKey: (event) => this.#key(event),
    });
    this.title = h("h2", { class: "network-name" });
    this.unfold = button(t("network.unfoldAll"), () => this.#opened([...this.graph.nodes.filter((node) => node.module).map((node) => node.module), ...this.#paths()]));
    this.everything = button(t("network.unfoldEvery"), () => this.#every());
    this.foldAll = button(t("network.foldAll"), () => this.#opened([]));
    this.said = h("p", { class: "visually-hidden", role: "status" });
    this.element = h("section", { class: "card network-card", hidden: true }, h("div", { class: "network-head" }, this.title, this.unfold, this.everything, this.foldAll), this.viewer.element, this.said);
    this.newest = new Newest(signal);
    settings.on([key, this.setting, "side"], () => this.update(), signal);
    settings.on(["tint"], () => this.#ask(), signal);
  }

  node(id) {
    return this.#shown?.nodes.find((each) => each.id === id);
  }

  get nodes() {
    return this.#shown?.nodes ?? [];
  }

  #paths() {
    return this.settings.get(this.setting).split(",").filter(Boolean);
  }

  open(path) {
    if (path) this.#opened([...this.#paths(), path]);
  }

  close(path) {
    this.#opened(this.#paths().filter((each) => each !== path && !each.startsWith(`${path}.`)));
  }

  #opened(paths) {
    this.settings.set({ [this.setting]: [...new Set(paths)].join(",") });
  }

  /** Level after level, until nothing is left to open. */
  async #every() {
    for (let level = 0; level < 12 && this.graph.nodes.some((node) => node.module); level += 1) {
      this.settings.set({ [this.setting]: [...new Set([...this.#paths(), ...this.graph.nodes.filter((node) => node.module).map((node) => node.module)])].join(",") });
      await this.updating;
    }
  }

  choose(id) {
    this.viewer.choose(id);
    const node = this.node(id) ?? null;
    this.said.textContent = node ? spoken(node) : "";
    if (this.key === "a") this.settings.set({ at: id ?? "" });
    this.chosen(node, this.graph);
  }

  /** Go to a node from the search. */
  show(id) {
    this.viewer.show(id);
    this.choose(id);
  }

  /** Arrows follow the edges; Enter opens, Backspace closes. */
  #key(event) {
    const now = this.viewer.chosen;
    const ids = this.nodes.map((node) => node.id);
    const next = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (next) {
      const to = ids[Math.min(ids.length - 1, Math.max(0, (now ? ids.indexOf(now) : -1) + next))];
      this.choose(to);
      if (!this.viewer.visible(to)) this.viewer.show(to);
      return true;
    }
    if (event.key === "Enter" || event.key === " ") this.open(this.node(now)?.module);
    else if (event.key === "Backspace") this.close(this.node(now)?.group.at(-1) ?? "");
    else if (event.key === "/") document.getElementById("network-search").focus();
    else return false;
    return true;
  }

  update() {
    const name = this.settings.get(this.key);
    if (!name) {
      this.graph = null;
      this.#shown = null;
      this.element.hidden = true;
      this.drawn();
      return null;
    }
    const query = { opened: this.settings.get(this.setting) };
    if (this.settings.get("side")) query.side = this.settings.get("side");
    this.updating = this.newest.run((ending) => get(`/networks/${encodeURIComponent(name)}`, query, ending), (graph) => {
      this.graph = graph;
      this.#figures.clear();
      this.element.hidden = false;
      this.title.textContent = graph.name;
      this.drawn();
      return this.#ask();
    }).catch((error) => this.notify(error.message));
    return this.updating;
  }

  /** Times, gradients and fields are asked for when they are to be seen. */
  async #ask() {
    const what = this.settings.get("tint");
    if (!this.graph || !ASKED.includes(what) || this.#figures.has(what)) return;
    try {
      this.#figures.set(what, await get(`/networks/${encodeURIComponent(this.graph.name)}/figures`, { what, opened: this.settings.get(this.setting) }, this.signal));
      this.drawn();
    } catch (error) {
      if (error.name !== "AbortError") this.notify(error.message);
    }
  }

  #value(node, what) {
    if (ASKED.includes(what)) return this.#figures.get(what)?.[node.id] ?? null;
    return { parameters: node.parameters, macs: node.macs, memory: node.output_bytes }[what] ?? null;
  }

  draw(scale) {
    if (!this.graph) return;
    this.unfold.disabled = this.everything.disabled = !this.graph.nodes.some((node) => node.module);
    this.foldAll.disabled = !this.#paths().length;
    this.#shown = this.settings.get("once") ? once(this.graph) : this.graph;
    const what = this.settings.get("tint");
    const values = this.#shown.nodes.map((node) => this.#value(node, what)).filter((value) => value > 0);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const tint = (node) => {
      if (what === "kind" || node.type === "input") return null;
      const value = this.#value(node, what);
      if (!(value > 0)) return "--sunk";
      return heat(high > low ? Math.log(value / low) / Math.log(high / low) : 1);
    };
    this.scale = { what, low, high };
    const [way, alone] = [this.settings.get("way"), this.settings.get("b") === ""];
    const view = [this.graph.name, way, alone].join();
    const scene = (across) => sceneOf(this.#shown, { scale, across, tint });
    if (view === this.#fitted) this.scene = scene(this.across); // it stays as it is when a part is opened
    else if (way === "fit" && alone) {
      // the way that shows it larger; two beside each other go down
      const [down, across] = [scene(false), scene(true)];
      this.across = this.viewer.zoomFor(across.box) > this.viewer.zoomFor(down.box);
      this.scene = this.across ? across : down;
    } else {
      this.across = way === "across";
      this.scene = scene(this.across);
    }
    this.viewer.draw(this.scene, { fit: view !== this.#fitted || !this.#paths().length });
    this.#fitted = view;
    const at = this.settings.get("at");
    if (this.key === "a" && this.node(at)) this.choose(at);
    this.element.querySelector(".tint-scale")?.remove();
    if (what !== "kind" && values.length) this.element.append(tintScale(this.scale));
  }

  /** The whole drawing as a file. */
  async save(kind) {
    const text = asSvg(this.scene, (token) => (token.startsWith("--") ? colour(token) : token));
    let file = new Blob([text], { type: "image/svg+xml" });
    if (kind === "png") file = await raster(file, this.scene.box);
    const link = h("a", { href: URL.createObjectURL(file), download: `${this.graph.name}.${kind}` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }
}

/** Twice as large as drawn, but no side longer than browsers can. */
async function raster(svg, /** @type {number[]} */ [x, y, right, bottom]) {
  const [wide, tall] = [right - x + 24, bottom - y + 24];
  const k = Math.min(2, 12_000 / Math.max(wide, tall));
  const image = new Image(wide * k, tall * k);
  image.src = URL.createObjectURL(svg);
  await image.decode();
  const canvas = h("canvas", { width: Math.round(wide * k), height: Math.round(tall * k) });
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
  URL.revokeObjectURL(image.src);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** From pale to strong, 0 to 1. */
const heat = (part) => `color-mix(in oklab, ${colour("--heat")} ${Math.round(12 + 76 * part)}%, ${colour("--card")})`;

function tintScale({ what, low, high }) {
  const shown = { time: duration, plan: duration, memory: bytes, field: (value) => t("units.pixels", { count: readable(value) }), gradient: (value) => scientific(value, 2) }[what] ?? short;
  return h("p", { class: "tint-scale" }, t(`network.tint.${what}`), ": ", h("span", {}, shown(low)), h("span", { class: "tint-ramp", "aria-hidden": "true" }), h("span", {}, shown(high)), ` ${t("network.tint.log")}`);
}

function spoken(node) {
  const what = node.type === "input" ? t("network.input") : [node.id, localised(node.label), ...node.follows].join(" ");
  return `${what}, ${node.shape.join("×")}${node.module ? `, ${t("network.unfold")}` : ""}`;
}

/** Names, operators and shapes: what is drawn and matches, to go to. */
function search(sides, signal) {
  const found = h("ol", { class: "found", hidden: true });
  const input = h("input", { type: "search", id: "network-search", placeholder: t("network.searchHint"), autocomplete: "off" });
  const look = () => {
    const wanted = input.value.trim().toLowerCase().replace(/x(?=\d)/g, "×");
    const hits = wanted ? ["a", "b"].flatMap((key) => sides[key].nodes.filter((node) => [node.id, node.label, localised(node.label), ...node.follows, node.shape.join("×")].join(" ").toLowerCase().includes(wanted)).map((node) => [key, node])) : [];
    found.hidden = !wanted;
    found.replaceChildren(h("li", { class: "quiet-text" }, t("network.found", { count: hits.length })), ...hits.slice(0, 12).map(([key, node]) => h("li", {}, h("button", { type: "button", onclick: () => go(key, node.id) }, h("b", {}, node.id), ` ${localised(node.label)} `, h("span", { class: "quiet-text" }, node.shape.join("×"))))));
  };
  const go = (key, id) => {
    found.hidden = true;
    sides[key].show(id);
  };
  input.addEventListener("input", look);
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter") found.querySelector("button")?.click();
    if (event.key === "Escape") found.hidden = true;
  });
  addEventListener("pointerdown", (event) => (found.hidden ||= !found.contains(event.target)), { signal });
  return h("div", { class: "control network-find" }, h("label", { for: "network-search" }, t("network.search")), h("div", { class: "wide" }, input, found));
}

function chooser(key, settings, listed, signal) {
  const id = `network-${key}`;
  const families = [...new Set(listed.map((each) => each.family))];
  const list = h("select", { id, onchange: () => settings.set({ [key]: list.value, [`open${key.toUpperCase()}`]: "", at: "" }) },
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

const ratio = (first, second, name) => ([first, second].some((graph) => graph.totals[name] === null) ? null : first.totals[name] / second.totals[name]);

function totalsTable(graphs) {
  if (!graphs.length) return h("p", {});
  /** @type {[string, (value: number) => string][]} */
  const rows = [["parameters", grouped], ["macs", short], ["flops", short], ["peak_memory", bytes]];
  const [first, second] = graphs;
  return h("div", { class: "table-scroll" }, h("table", {},
    second ? h("thead", {}, h("tr", {}, h("td", {}), graphs.map((graph) => h("th", { scope: "col" }, graph.name)), h("th", { scope: "col" }, t("network.ratio")))) : null,
    h("tbody", {}, rows.map(([name, show]) => h("tr", {}, h("th", { scope: "row" }, t(`network.fact.${name}`)), graphs.map((graph) => h("td", { class: "number" }, known(graph.totals[name], show))), second ? h("td", { class: "number" }, known(ratio(first, second, name), (value) => `${readable(value, 3)}×`)) : null)),
    graphs.some((graph) => Object.keys(graph.not_counted).length) ? h("tr", {}, h("th", { scope: "row" }, t("network.notCounted")), graphs.map((graph) => h("td", {}, Object.keys(graph.not_counted).join(", ") || "–"))) : null)));
}

function legend() {
  return [
    h("p", { class: "quiet-text" }, t("network.scale")),
    h("ul", { class: "legend" }, ["convolution", "pool", "linear", "module"].map((type) => h("li", {}, h("span", { class: `swatch type-${type}`, "aria-hidden": "true" }), t(`network.type.${type}`)))),
    h("p", { class: "quiet-text" }, t("network.keys")),
  ];
}
