// Page 8: a trained network at work, all of it on one screen, down to the arithmetic of a single unit.

import { get, Newest } from "../core/api.js";
import { button, copyLink, picturePicker } from "../core/controls.js";
import { h, s } from "../core/dom.js";
import { percent, readable } from "../core/numbers.js";
import { choice, flag, integer, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { Atlas } from "./inside/atlas.js";
import { favouritesCard } from "./inside/favourites.js";
import { MapsCard } from "./inside/maps.js";
import { Unfolded } from "./inside/unfolded.js";
import { unitCard } from "./inside/unit.js";
import { METHODS, whyCard } from "./inside/why.js";

const PANELS = ["none", "answer", "unit", "maps", "why", "everywhere", "images", "filters"];

export const settings = (opened) => ({
  network: word(opened.run ?? opened.network ?? "lenet5_digits"),
  picture: word(opened.picture ?? "digit"),
  stage: word(""),
  layer: word(""),
  channel: integer(0, { least: 0, most: 99999 }),
  row: integer(-1, { least: -1, most: 9999 }),
  column: integer(-1, { least: -1, most: 9999 }),
  open: flag(false),
  panel: choice("none", PANELS),
  method: choice("gradcam", METHODS),
  target: word(""),
});

export async function show(root, context) {
  const { settings, signal, notify } = context;
  const listed = (await get("/networks", {}, signal)).filter((each) => each.family !== "block");
  const state = h("p", { class: "inside-state", role: "status" }, t("inside.building"));
  const banner = h("p", { class: "untrained", hidden: true }, h("b", {}, t("inside.untrainedLarge")), " ", t("inside.untrained"));
  const busy = h("progress", { class: "inside-busy", "aria-label": t("inside.building") });
  const stages = h("div", { class: "control stages-choice", hidden: true });
  const atlas = new Atlas({ signal, onPick: (layer, channel) => pick(layer, channel) });
  const unfolded = new Unfolded(context, { onClose: () => settings.set({ open: false }) });
  context.heard = (answer) => unfolded.unit(answer);
  const panel = sidePanel(context);
  root.append(
    h("section", { class: "card inside-bar" }, chooser(settings, listed, signal), await picturePicker(settings, "picture", t("controls.pictureLabel"), { signal }), stages, h("div", { class: "panel-end" }, state, button(t("controls.reset"), () => settings.reset()), copyLink(settings))),
    banner,
    h("div", { class: "inside-main" }, h("section", { class: "card atlas-card" }, busy, panel.tabs, atlas.element), panel.element));
  const pick = (layer, channel) => {
    const same = settings.get("open") && settings.get("layer") === layer && settings.get("channel") === channel;
    settings.set(same ? { open: false } : { layer, channel, row: -1, column: -1, open: true, panel: "unit" });
  };
  const newest = new Newest(signal);
  let seen = "";
  const update = () => {
    busy.hidden = false;
    return newest.run((ending) => Promise.all([get("/inside", subject(settings), ending), get("/inside/atlas", { ...subject(settings), stage: settings.get("stage") }, ending)]), ([overview, columns]) => {
      busy.hidden = true;
      context.overview = overview;
      state.textContent = told(overview);
      banner.hidden = overview.trained;
      const now = JSON.stringify(subject(settings));
      atlas.draw(columns, overview.best, now !== seen);
      if (now !== seen) panel.show();
      seen = now;
      offer(columns);
      return choose();
    }).catch((error) => {
      busy.hidden = true;
      notify(error.message);
    });
  };
  const offer = (columns) => {
    stages.hidden = columns.stages.length < 2;
    const index = columns.stages.indexOf(columns.stage);
    const list = h("select", { id: "inside-stage", onchange: () => settings.set({ stage: list.value, open: false }) }, columns.stages.map((name) => h("option", { value: name }, name)));
    list.value = columns.stage;
    const turn = (to, sign, words) => h("button", { type: "button", class: "round", disabled: columns.stages[to] === undefined, "aria-label": words, onclick: () => settings.set({ stage: columns.stages[to], open: false }) }, sign);
    stages.replaceChildren(h("label", { for: "inside-stage" }, t("inside.part", { number: index + 1, count: columns.stages.length })), h("div", { class: "stage-turn" }, turn(index - 1, "‹", t("inside.partBefore")), h("div", { class: "select" }, list), turn(index + 1, "›", t("inside.partAfter"))));
  };
  /** The layer that the address names, or the first one; it is taken apart where that is asked for. */
  const choose = () => {
    const known = context.overview.layers.filter((layer) => layer.type !== "input");
    const named = known.find((each) => each.id === settings.get("layer"));
    if (!named && settings.get("layer")) notify(t("inside.noLayer", { layer: settings.get("layer"), network: settings.get("network"), first: known[0].id }));
    context.layer = named ?? known[0];
    atlas.unfold(settings.get("open") && named ? unfolded.element : null, context.layer.id, settings.get("channel"));
    return Promise.all([settings.get("open") && named ? unfolded.update() : null, panel.update()]);
  };
  settings.on(["network"], () => {
    const suits = listed.find((each) => each.name === settings.get("network"))?.picture;
    settings.set({ target: "", layer: "", stage: "", channel: 0, row: -1, column: -1, open: false, panel: settings.get("panel") === "unit" ? "none" : settings.get("panel"), ...(suits ? { picture: suits } : {}) });
    update();
  }, signal);
  settings.on(["picture", "stage"], update, signal);
  settings.on(["layer", "channel", "open"], () => context.overview && choose(), signal);
  settings.on(["row", "column", "panel", "method", "target"], () => context.overview && panel.update(), signal);
  await update();
}

/** Six views in a panel beside the columns; only the one that is seen is asked for. */
function sidePanel(context) {
  const { settings } = context;
  const answer = answerView(context);
  const maps = new MapsCard(context);
  context.placed = (position) => maps.place(position);
  const unit = unitCard(context);
  const why = whyCard(context);
  const favourites = favouritesCard(context);
  const filters = filtersView(context);
  const views = {
    answer: { element: answer.element, update: answer.update },
    unit: { element: unit.element, update: unit.update },
    maps: { element: maps.element, update: () => Promise.all([maps.update(), unit.update()]) },
    why: { element: why.element, update: why.update },
    images: { element: favourites.element, update: favourites.update },
    everywhere: everywhereView(context),
    filters: { element: filters.element, update: filters.update },
  };
  const tabs = h("div", { class: "tabs", role: "group", "aria-label": t("inside.panel.label") }, PANELS.slice(1).map((name) =>
    h("button", { type: "button", value: name, onclick: () => settings.set({ panel: settings.get("panel") === name ? "none" : name }) }, t(`inside.panel.${name}`))));
  const title = h("h2", {});
  const body = h("div", { class: "panel-body", tabindex: "0", role: "region", "aria-label": t("inside.panel.label") });
  const element = h("aside", { class: "card inside-panel", hidden: true }, h("div", { class: "unfolded-head" }, title, button("×", () => settings.set({ panel: "none" }), { class: "quiet", "aria-label": t("inside.fold") })), body);
  let fresh = "";
  const update = () => {
    const offered = { why: context.overview.trained, images: context.overview.has_images };
    for (const tab of tabs.children) tab.hidden = offered[tab.value] === false;
    const name = offered[settings.get("panel")] === false ? "none" : settings.get("panel");
    for (const tab of tabs.children) tab.setAttribute("aria-pressed", String(tab.value === name));
    element.hidden = name === "none";
    const needed = [];
    if (name !== "none") {
      title.textContent = t(`inside.panel.${name}`);
      if (body.firstElementChild !== views[name].element) body.replaceChildren(views[name].element);
      needed.push(views[name].update());
    }
    // the unfolded map shows the unit's numbers, too
    if (settings.get("open") && name !== "unit" && name !== "maps") needed.push(unit.update());
    fresh = name;
    return Promise.all(needed);
  };
  return { element, tabs, update, show: () => fresh && update() };
}

/** The likeliest classes, the picture as the network sees it, softmax written out. */
function answerView(context) {
  const seen = h("img", { class: "seen", alt: t("inside.seen"), width: 224 });
  const bars = h("ol", { class: "bars" });
  const softmax = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("inside.softmax") });
  const element = h("div", { class: "answer-view" }, h("figure", {}, seen, h("figcaption", {}, t("inside.seen"))), bars, h("h3", {}, t("inside.softmax")), softmax);
  const update = () => {
    const { overview } = context;
    seen.src = `data:image/png;base64,${overview.seen}`;
    bars.replaceChildren(...overview.best.map(bar));
    softmax.replaceChildren(...softmaxRows(overview.softmax));
  };
  return { element, update };
}

/** The network without its last part: an answer at every place of a larger picture. */
function everywhereView(context) {
  const drawing = h("div", { class: "everywhere" });
  const told = h("p", { class: "quiet-text", role: "status" });
  const newest = new Newest(context.signal);
  let shown = "";
  const update = () => {
    const now = JSON.stringify(subject(context.settings));
    if (now === shown) return null;
    shown = now;
    told.textContent = t("inside.why.working");
    return newest.run((ending) => get("/inside/everywhere", subject(context.settings), ending), (found) => {
      const [height, width] = found.size;
      const [left, right, top, bottom] = found.extent;
      const [rows, columns] = [found.labels.length, found.labels[0].length];
      const [tall, wide] = [(bottom - top) / rows, (right - left) / columns];
      const cells = found.labels.flatMap((line, row) => line.map((label, column) => {
        const [x, y, sure] = [left + column * wide, top + row * tall, found.probabilities[row][column]];
        return s("g", {}, s("rect", { class: "everywhere-cell", x, y, width: wide, height: tall, "fill-opacity": 0.1 + 0.55 * sure }), rows <= 12 && columns <= 12 ? s("text", { x: x + wide / 2, y: y + tall / 2, "font-size": Math.min(tall / 2, (1.7 * wide) / Math.max(2, label.length)), "text-anchor": "middle", "dominant-baseline": "central" }, label) : null, s("title", {}, `${label}: ${percent(sure)}`));
      }));
      drawing.replaceChildren(s("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": t("inside.everywhere.map") }, s("image", { href: `data:image/png;base64,${found.picture}`, width, height }), cells));
      told.textContent = t("inside.everywhere.text", { places: `${rows}×${columns}`, window: found.window.join("×") });
    }).catch((error) => {
      drawing.replaceChildren();
      told.textContent = error.message;
    });
  };
  return { element: h("div", {}, drawing, told), update };
}

function filtersView(context) {
  const element = h("div", {});
  let shown = "";
  const update = async () => {
    const network = context.settings.get("network");
    if (shown === network) return;
    const answer = await get("/inside/filters", { network }, context.signal);
    shown = network;
    element.replaceChildren(h("p", { class: "quiet-text" }, answer.filters.length ? t("inside.filtersText", { count: answer.filters.length, size: answer.kernel_size.join("×") }) : t("inside.noFilters")),
      h("div", { class: "filters" }, answer.filters.map((each, index) => h("img", { src: `data:image/png;base64,${each}`, alt: t("inside.filter", { number: index + 1 }), width: 48, height: 48 }))));
  };
  return { element, update };
}

export const subject = (settings) => ({ network: settings.get("network"), picture: settings.get("picture") });

function told(overview) {
  if (overview.plain) return t("inside.plain", { classes: overview.classes });
  return overview.trained ? t("inside.trained", { classes: overview.classes }) : "";
}

function bar({ label, probability }) {
  return h("li", {}, h("span", { class: "bar-label" }, label), h("span", { class: "bar-track" }, h("span", { class: "bar-fill", vars: { "--part": probability } })), h("span", { class: "bar-value" }, percent(probability)));
}

/** e^(score - largest) over the sum of all of them, class by class. */
function softmaxRows({ largest, sum, rows }) {
  return [
    h("p", { class: "quiet-text" }, t("inside.softmaxText", { largest: readable(largest), sum: readable(sum) })),
    h("table", { class: "softmax" }, h("thead", {}, h("tr", {}, ["class", "score", "probability"].map((name) => h("th", { scope: "col" }, t(`inside.column.${name}`))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, h("th", { scope: "row" }, row.label), h("td", { class: "number" }, readable(row.score)), h("td", { class: "number" }, `${readable(row.power, 3)} / ${readable(sum, 4)} = ${readable(row.power / sum, 3)}`))))),
  ];
}

function chooser(settings, listed, signal) {
  const kind = (each) => (each.family === "own" || each.family === "trained" ? each.family : "initial");
  const list = h("select", { id: "inside-network", onchange: () => settings.set({ network: list.value }) }, ["own", "trained", "initial"].map((family) => {
    const members = listed.filter((each) => kind(each) === family);
    return members.length ? h("optgroup", { label: t(`inside.family.${family}`) }, members.map((each) => h("option", { value: each.name }, each.name))) : null;
  }));
  const follow = () => (list.value = settings.get("network"));
  settings.on(["network"], follow, signal);
  follow();
  return h("div", { class: "control" }, h("label", { for: "inside-network" }, t("inside.network")), h("div", { class: "select" }, list));
}
