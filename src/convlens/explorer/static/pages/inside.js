// Page 8: a network at work on a picture, from its prediction down to the arithmetic of a single unit.

import { get, Newest } from "../core/api.js";
import { button, copyLink, picturePicker } from "../core/controls.js";
import { h } from "../core/dom.js";
import { localised } from "../core/labels.js";
import { percent, readable } from "../core/numbers.js";
import { choice, integer, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { colourTable, decoded, drawMap } from "../draw/maps.js";
import { favouritesCard } from "./inside/favourites.js";
import { MapsCard } from "./inside/maps.js";
import { unitCard } from "./inside/unit.js";
import { METHODS, whyCard } from "./inside/why.js";

export const settings = (opened) => ({
  network: word(opened.run ?? opened.network ?? "lenet5"),
  picture: word(opened.picture ?? "digit"),
  layer: word(""),
  channel: integer(0, { least: 0, most: 99999 }),
  row: integer(-1, { least: -1, most: 9999 }),
  column: integer(-1, { least: -1, most: 9999 }),
  method: choice("gradcam", METHODS),
  target: word(""),
});

export async function show(root, context) {
  const { settings, signal, notify } = context;
  const listed = (await get("/networks", {}, signal)).filter((each) => each.family !== "block");
  const seen = h("img", { class: "seen", alt: t("inside.seen"), width: 224 });
  const bars = h("ol", { class: "bars" });
  const softmax = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("inside.softmax") });
  const state = h("p", { class: "quiet-text" });
  const layers = h("div", { class: "layers", role: "group", tabindex: "0", "aria-label": t("inside.layers") });
  const maps = new MapsCard(context);
  context.placed = (position) => maps.place(position);
  const unit = unitCard(context);
  const favourites = favouritesCard(context);
  const why = whyCard(context);
  const filters = h("section", { class: "card", hidden: true });
  root.append(
    h("section", { class: "card inside-head" },
      h("div", { class: "inside-choice" }, chooser(settings, listed, signal), await picturePicker(settings, "picture", t("controls.pictureLabel"), { signal }), state, h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings))),
      h("figure", {}, seen, h("figcaption", {}, t("inside.seen"))),
      h("div", {}, h("h2", {}, t("inside.prediction")), bars, h("details", { class: "fold softmax" }, h("summary", {}, t("inside.softmax")), softmax))),
    why.element,
    h("section", { class: "card" }, h("h2", {}, t("inside.layers")), layers, maps.element),
    unit.element, favourites.element, filters,
  );
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => get("/inside", subject(settings), ending), async (answer) => {
    seen.src = `data:image/png;base64,${answer.seen}`;
    bars.replaceChildren(...answer.best.map(bar));
    state.textContent = answer.plain ? t("inside.plain", { classes: answer.classes }) : answer.trained ? t("inside.trained", { classes: answer.classes }) : t("inside.untrained");
    context.overview = answer;
    layers.replaceChildren(...answer.layers.filter((layer) => layer.type !== "input").map((layer) => layerButton(layer, settings)));
    softmax.replaceChildren(...softmaxRows(answer.softmax));
    choose();
    showGlances();
    why.update();
  }).catch((error) => notify(error.message));
  /** Show the layer that the address names, or the first. */
  const choose = () => {
    const known = context.overview.layers.filter((layer) => layer.type !== "input");
    const named = known.find((each) => each.id === settings.get("layer"));
    if (!named && settings.get("layer")) notify(t("inside.noLayer", { layer: settings.get("layer"), network: settings.get("network"), first: known[0].id }));
    const layer = named ?? known[0];
    for (const each of layers.children) each.setAttribute("aria-pressed", String(each.value === layer.id));
    const now = [...layers.children].find((each) => each.value === layer.id);
    layers.scrollTo({ left: now.offsetLeft - layers.clientWidth / 2 + now.clientWidth / 2 });
    context.layer = layer;
    return Promise.all([maps.update(), unit.update(), favourites.update()]);
  };
  /** A look at every layer at once: its strongest channel in the layer's button. */
  const showGlances = async () => {
    const glances = await get("/inside/glances", subject(settings), signal);
    for (const button of layers.children) {
      const glance = glances[button.value];
      if (!glance) continue;
      const canvas = h("canvas", { class: "glance", "aria-hidden": "true" });
      drawMap(canvas, decoded(glance.levels), ...glance.drawn, colourTable(glance.low, glance.high));
      button.prepend(canvas);
    }
  };
  const forget = { target: "", layer: "", channel: 0, row: -1, column: -1 };
  settings.on(["network"], () => {
    settings.set(forget);
    showFilters();
    update();
  }, signal);
  settings.on(["picture"], update, signal);
  settings.on(["method", "target"], () => context.overview && why.update(), signal);
  settings.on(["layer"], () => context.overview && choose(), signal);
  settings.on(["channel", "row", "column"], () => Promise.all([maps.update(), unit.update()]), signal);
  settings.on(["channel"], () => favourites.update(), signal);
  const showFilters = async () => {
    const answer = await get("/inside/filters", { network: settings.get("network") }, signal);
    filters.hidden = !answer.filters.length;
    filters.replaceChildren(h("h2", {}, t("inside.filters")), h("p", { class: "quiet-text" }, t("inside.filtersText", { count: answer.filters.length, size: answer.kernel_size.join("×") })),
      h("div", { class: "filters" }, answer.filters.map((each, index) => h("img", { src: `data:image/png;base64,${each}`, alt: t("inside.filter", { number: index + 1 }), width: 48, height: 48 }))));
  };
  await update();
  if (context.overview) {
    await choose();
    await showFilters();
  }
}

export const subject = (settings) => ({ network: settings.get("network"), picture: settings.get("picture") });

function bar({ label, probability }) {
  return h("li", {}, h("span", { class: "bar-label" }, label), h("span", { class: "bar-track" }, h("span", { class: "bar-fill", vars: { "--part": probability } })), h("span", { class: "bar-value" }, percent(probability)));
}

/** e^(score - largest) over the sum of all of them, class by class. */
function softmaxRows({ largest, sum, rows }) {
  return [
    h("p", { class: "quiet-text" }, t("inside.softmaxText", { largest: readable(largest), sum: readable(sum) })),
    h("table", {}, h("thead", {}, h("tr", {}, ["class", "score", "probability"].map((name) => h("th", { scope: "col" }, t(`inside.column.${name}`))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.label), h("td", { class: "number" }, readable(row.score)), h("td", { class: "number" }, `${readable(row.power, 3)} / ${readable(sum, 4)} = ${readable(row.power / sum, 3)}`))))),
  ];
}

function layerButton(layer, settings) {
  return h("button", { type: "button", value: layer.id, class: `layer type-${layer.type}`, onclick: () => settings.set({ layer: layer.id, channel: 0, row: -1, column: -1 }) },
    h("span", { class: "layer-name" }, layer.id), h("span", {}, localised(layer.label)), layer.follows.length ? h("span", {}, layer.follows.join(" · ")) : null, h("span", { class: "layer-shape" }, layer.shape.join("×")));
}

function chooser(settings, listed, signal) {
  const list = h("select", { id: "inside-network", onchange: () => settings.set({ network: list.value }) }, listed.map((each) => h("option", { value: each.name }, each.name)));
  const follow = () => (list.value = settings.get("network"));
  settings.on(["network"], follow, signal);
  follow();
  return h("div", { class: "control" }, h("label", { for: "inside-network" }, t("inside.network")), h("div", { class: "select" }, list));
}
