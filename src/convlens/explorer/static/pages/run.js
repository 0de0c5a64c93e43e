// Page 12: debugging one's own run: its curves, its layers, its worst mistakes, and what it was shown.

import { get, Newest, post } from "../core/api.js";
import { segments } from "../core/controls.js";
import { h, s } from "../core/dom.js";
import { percent, readable } from "../core/numbers.js";
import { choice, integer } from "../core/settings.js";
import { t } from "../core/text.js";
import { Curves, ticks } from "../draw/curves.js";

export const settings = () => ({
  which: choice("best", ["best", "last"]),
  truth: integer(-1, { least: -1, most: 9999 }),
  answer: integer(-1, { least: -1, most: 9999 }),
});

export async function show(root, { settings, signal, notify }) {
  const run = await get("/run", {}, signal);
  if (!run.open) {
    root.append(h("section", { class: "card" }, h("p", {}, t("run.none")), h("p", {}, h("code", {}, "convlens explore runs/train/photos"))));
    return;
  }
  const curves = new Progress(run.metrics);
  const layers = h("div", { class: "run-layers" });
  const told = h("p", { class: "quiet-text" });
  const confusion = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("run.confusion") });
  const mistakes = h("div", { class: "favourites" });
  const augmented = h("div", { class: "run-augmented" });
  root.append(
    h("section", { class: "card" }, h("h2", {}, t("run.curves", { name: run.name })), curves.element),
    h("section", { class: "card" }, h("h2", {}, t("run.layers")), h("p", { class: "quiet-text" }, t("run.layersText")), run.kept.length > 1 ? segments(settings, "which", t("run.which"), { best: t("run.best"), last: t("run.last") }, { signal }) : null, layers),
    h("section", { class: "card" }, h("h2", {}, t("run.mistakes")), told, confusion, mistakes),
    h("section", { class: "card" }, h("h2", {}, t("run.augmented")), h("p", { class: "quiet-text" }, t("run.augmentedText")), augmented));
  curves.fit();
  const resize = new ResizeObserver(() => curves.fit());
  resize.observe(root);
  signal.addEventListener("abort", () => resize.disconnect());
  const newestLayers = new Newest(signal);
  const drawLayers = () => newestLayers.run((ending) => get("/run/layers", { which: settings.get("which") }, ending), (found) => layers.replaceChildren(...found.map(layerRow))).catch((error) => notify(error.message));
  const open = async (index) => {
    const { name } = await post(`/run/picture/${index}`, {}, signal);
    const link = h("a", { href: `/inside?network=${encodeURIComponent(run.name)}&picture=${name}&panel=why` });
    document.body.append(link);
    link.click();
    link.remove();
  };
  const newest = new Newest(signal);
  const drawMistakes = () => {
    const cell = settings.get("truth") >= 0 ? { truth: settings.get("truth"), answer: settings.get("answer") } : {};
    return newest.run((ending) => get("/run/mistakes", cell, ending), (found) => {
      const wrong = found.confusion.flatMap((row, i) => row.filter((_, j) => i !== j)).reduce((a, b) => a + b, 0);
      told.textContent = settings.get("truth") >= 0 ? t("run.cell", { truth: found.classes[settings.get("truth")], answer: found.classes[settings.get("answer")] }) : t("run.mistakesText", { wrong, images: found.images });
      confusion.replaceChildren(table(found, settings));
      mistakes.replaceChildren(...found.shown.map((image) => h("figure", {}, h("button", { type: "button", class: "favourite run-open", title: image.key, "aria-label": t("run.open", { key: image.key }), onclick: () => open(image.index).catch((error) => notify(error.message)) }, h("img", { src: `data:image/png;base64,${image.png}`, alt: "" })), h("figcaption", {}, t("run.said", { truth: image.truth, answer: image.answer, sure: percent(image.probability) })))));
    }).catch((error) => notify(error.message));
  };
  settings.on(["which"], drawLayers, signal);
  settings.on(["truth", "answer"], drawMistakes, signal);
  await Promise.all([drawLayers(), drawMistakes(), get("/run/augmented", {}, signal).then((images) => augmented.replaceChildren(...images.map((each) => h("img", { src: `data:image/png;base64,${each}`, alt: t("run.augmentedOne"), width: 72 })))).catch((error) => notify(error.message))]);
}

/** Loss and accuracy, epoch by epoch. */
class Progress {
  constructor(metrics) {
    this.metrics = metrics;
    this.loss = new Curves({ label: t("run.loss"), height: 240, margin: { top: 12, right: 14, bottom: 30, left: 54 } });
    this.right = new Curves({ label: t("run.accuracy"), height: 240, margin: { top: 12, right: 14, bottom: 30, left: 54 } });
    this.element = h("div", { class: "pair gradient-pair" },
      h("figure", {}, h("h3", {}, t("run.loss")), h("p", { class: "dense-legend" }, h("span", { class: "of-kernel" }, `— ${t("run.training")}`), h("span", { class: "of-output" }, `— ${t("run.heldOut")}`)), this.loss.element),
      h("figure", {}, h("h3", {}, t("run.accuracy")), h("p", { class: "dense-legend" }, h("span", { class: "of-output" }, `— ${t("run.heldOut")}`)), this.right.element));
  }

  fit() {
    const epochs = this.metrics.map((row) => row.epoch);
    const column = (name) => this.metrics.map((row) => row[name]).map((value) => value ?? NaN);
    const x = { low: Math.min(...epochs), high: Math.max(...epochs, 2), ticks: ticks(Math.min(...epochs), Math.max(...epochs, 2), 6).filter(Number.isInteger) };
    const losses = [...column("loss"), ...column("val_log_loss")].filter(Number.isFinite);
    const most = Math.max(...losses, 0.1) * 1.05;
    this.loss.axes(x, { low: 0, high: most, ticks: ticks(0, most, 4) });
    this.loss.lines([line(epochs, column("loss"), "kernel"), line(epochs, column("val_log_loss"), "output")]);
    this.right.axes(x, { low: 0, high: 1.02, ticks: [0, 0.25, 0.5, 0.75, 1], text: percent });
    this.right.lines([line(epochs, column("val_top1"), "output")]);
  }
}

function line(epochs, values, tone) {
  const known = epochs.map((epoch, index) => [epoch, values[index]]).filter(([, value]) => Number.isFinite(value));
  return { xs: known.map(([epoch]) => epoch), ys: known.map(([, value]) => value), tone };
}

function layerRow(found) {
  const histogram = (name, tone) => {
    const values = found[name];
    if (!values) return h("div", {});
    const high = Math.max(...values.counts);
    return h("div", {}, h("span", { class: "quiet-text" }, t(`run.${name}`)), s("svg", { class: `histogram of-${tone}`, viewBox: `0 0 ${values.counts.length * 8} 40`, preserveAspectRatio: "none", "aria-hidden": "true" }, values.counts.map((count, index) => s("rect", { x: index * 8, y: 40 - (38 * Math.sqrt(count)) / Math.sqrt(high), width: 7, height: (38 * Math.sqrt(count)) / Math.sqrt(high) }))),
      h("span", { class: "quiet-text run-range" }, `${readable(values.low, 2)} … ${readable(values.high, 2)}`));
  };
  const channels = [found.dead.length ? t("run.dead", { channels: listed(found.dead) }) : "", found.saturated.length ? t("run.saturated", { channels: listed(found.saturated) }) : ""].filter(Boolean).join(" ");
  return h("div", { class: "run-layer" }, h("b", {}, found.layer), histogram("weights", "kernel"), histogram("activations", "output"), histogram("gradients", "input"), channels ? h("p", { class: "run-dead" }, channels) : null);
}

const listed = (numbers) => (numbers.length > 12 ? `${numbers.slice(0, 12).join(", ")} … (${numbers.length})` : numbers.join(", "));

/** Truth down, answer across; a cell lists its images. */
function table({ classes, confusion }, settings) {
  const most = Math.max(1, ...confusion.flatMap((row, i) => row.filter((_, j) => i !== j)));
  const cell = (count, i, j) => {
    if (!count || i === j) return h("td", { class: "number" }, count || "");
    const chosen = settings.get("truth") === i && settings.get("answer") === j;
    return h("td", { class: "number" }, h("button", { type: "button", class: "run-cell", "aria-pressed": String(chosen), "aria-label": t("run.cellOf", { truth: classes[i], answer: classes[j], count }), vars: { "--part": count / most }, onclick: () => settings.set(chosen ? { truth: -1, answer: -1 } : { truth: i, answer: j }) }, count));
  };
  return h("table", { class: "run-confusion" }, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("run.truth")), classes.map((name) => h("th", { scope: "col" }, name)))), h("tbody", {}, confusion.map((row, i) => h("tr", {}, h("th", { scope: "row" }, classes[i]), row.map((count, j) => cell(count, i, j))))));
}
