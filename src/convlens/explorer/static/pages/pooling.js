// Page 4: the maximum and the mean of every window, side by side, and what is left of both when the picture moves.

import { Newest, post } from "../core/api.js";
import { button, copyLink, picturePicker, slider, stepper, toggle } from "../core/controls.js";
import { h } from "../core/dom.js";
import { percent, readable } from "../core/numbers.js";
import { flag, integer, planes, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { NumberGrid } from "../draw/grid.js";
import { Player } from "../draw/player.js";

const LECTURE = [[[2, -4, 2, 2], [0, 1, 0, -1], [2, 1, 0, 2], [5, -3, 1, 4]]];
const WINDOW = ["window", "stride", "padding", "ceil", "include"];

export const settings = (opened) => ({
  input: planes(LECTURE, { most: 12, mostPlanes: 1 }),
  window: integer(2, { least: 1, most: 4 }),
  stride: integer(2, { least: 1, most: 4 }),
  padding: integer(0, { least: 0, most: 2 }),
  ceil: flag(false),
  include: flag(true),
  step: integer(0, { least: 0, most: 999 }),
  right: integer(1, { least: -8, most: 8 }),
  down: integer(0, { least: -8, most: 8 }),
  picture: word(opened.picture ?? "temple"),
});

export async function show(root, { settings, signal, notify }) {
  const player = new Player(settings, { signal });
  const stage = new Stage(settings, player);
  const moved = movedCard(settings, signal, notify);
  root.append(
    h("section", { class: "card stage-card" }, stage.element, player.element, stage.sums),
    h("div", { class: "beside" }, panel(settings, signal), moved.element),
  );
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => post("/pooling", { input: settings.get("input")[0], ...pooling(settings) }, ending), (answer) => stage.draw(answer))
    .then(() => stage.element.classList.remove("wrong"), (error) => {
      stage.element.classList.add("wrong");
      notify(error.message);
    });
  settings.on(["input", ...WINDOW], update, signal);
  settings.on(["step"], () => stage.step(), signal);
  const resize = new ResizeObserver(() => stage.fit());
  resize.observe(root);
  signal.addEventListener("abort", () => resize.disconnect());
  await Promise.all([update(), moved.ready]);
}

const pooling = (settings) => ({
  window: settings.get("window"), stride: settings.get("stride"), padding: settings.get("padding"),
  ceil_mode: settings.get("ceil"), count_include_pad: settings.get("include"),
});

/** The input, its maxima and its means; one window on all three. */
class Stage {
  #walks = null;

  constructor(settings, player) {
    this.settings = settings;
    this.player = player;
    this.input = new NumberGrid({ label: t("pooling.inputGrid"), tone: "input", onEdit: (row, column, value) => this.#edit(row, column, value) });
    this.outputs = Object.fromEntries(["max", "average"].map((name) => [name, new NumberGrid({ label: t(`pooling.${name}`), tone: "output", onPick: (row, column) => player.go(row * this.#walks.max.output[0].length + column) })]));
    this.captions = Object.fromEntries(["input", "max", "average"].map((name) => [name, h("h2", { class: `caption tone-${name === "input" ? "input" : "output"}` })]));
    const part = (name, grid) => h("div", { class: "stage-part" }, this.captions[name], grid.element);
    const sign = () => h("span", { class: "stage-sign", "aria-hidden": "true" }, "→");
    this.element = h("div", { class: "stage" }, part("input", this.input), sign(), part("max", this.outputs.max), part("average", this.outputs.average));
    this.sums = h("div", { class: "sum pooled-sums", role: "region", tabindex: "0", "aria-label": t("pooling.sums") });
  }

  draw(walks) {
    this.#walks = walks;
    const { max } = walks;
    const [[top], [left]] = max.padding;
    const [rows, columns] = [max.padded.length, max.padded[0].length];
    this.input.draw(max.padded, [top, columns - left - max.x[0].length, rows - top - max.x.length, left].map((cells) => Math.max(cells, 0)));
    this.captions.input.textContent = t("pooling.input", { size: size(max.x) });
    for (const name of ["max", "average"]) {
      this.outputs[name].draw(walks[name].output);
      this.captions[name].textContent = `${t(`pooling.${name}`)} ${size(walks[name].output)}`;
    }
    this.player.count = max.steps.length;
    this.fit();
    this.step();
  }

  step() {
    if (!this.#walks) return;
    const index = this.player.step;
    const [max, average] = [this.#walks.max.steps[index], this.#walks.average.steps[index]];
    this.input.window({ row: max.rows[0], column: max.columns[0], height: max.rows.length, width: max.columns.length });
    this.input.mark(max.rows.flatMap((row) => max.columns.map((column) => ({ row, column, kind: same([row, column], max.chosen) ? "now" : "tap" }))));
    const columns = this.#walks.max.output[0].length;
    const marks = Array.from({ length: index + 1 }, (_, i) => ({ row: Math.floor(i / columns), column: i % columns, kind: i === index ? "now" : "done" }));
    this.outputs.max.mark(marks);
    this.outputs.average.mark(marks);
    this.sums.replaceChildren(written(t("pooling.max"), "max(", ", ", counted(max), ")", max), written(t("pooling.average"), "(", " + ", counted(average), `) / ${readable(average.divisor)}`, average));
  }

  fit() {
    if (!this.#walks) return;
    const widths = [this.#walks.max.padded[0].length, this.#walks.max.output[0].length];
    const room = this.element.clientWidth;
    if (!room) return;
    const beside = (room - 110) / (widths[0] + 2 * widths[1]);
    const stacked = beside < 30;
    this.element.classList.toggle("stacked", stacked);
    this.element.style.setProperty("--cell", `${Math.floor(Math.min(54, Math.max(20, stacked ? room / Math.max(...widths) : beside)))}px`);
  }

  #edit(row, column, value) {
    const changed = structuredClone(this.settings.get("input"));
    changed[0][row][column] = value;
    this.settings.set({ input: changed });
  }
}

const size = (plane) => `${plane.length}×${plane[0].length}`;
const same = (a, b) => b !== null && a[0] === b[0] && a[1] === b[1];
const counted = (step) => step.input_patch.flatMap((line, u) => line.filter((_, v) => step.counted[u][v]));

function written(name, before, between, values, after, step) {
  const sum = between === " + ";
  const terms = values.map((value, index) => [index ? between : "", h("b", { class: "of-input" }, sum && value < 0 ? `(${readable(value)})` : readable(value))]);
  return h("p", {}, h("span", { class: "sum-head" }, `${name}: `), before, terms, after, " = ", h("strong", { class: "of-output", "data-of": step.divisor === null ? "max" : "average" }, readable(step.output)));
}

function panel(settings, signal) {
  const plane = () => settings.get("input")[0];
  const reshape = (rows, columns) => settings.set({ step: 0, input: [Array.from({ length: rows }, (_, row) => Array.from({ length: columns }, (_, column) => plane()[row % plane().length][column % plane()[0].length]))] });
  const watch = { settings, names: ["input"], signal };
  return h("section", { class: "card panel", "aria-label": t("controls.settings") },
    slider(settings, "window", t("pooling.window"), { signal }),
    slider(settings, "stride", t("pooling.stride"), { signal }),
    slider(settings, "padding", t("pooling.padding"), { signal }),
    toggle(settings, "ceil", t("pooling.ceil"), { signal }),
    toggle(settings, "include", t("pooling.include"), { signal }),
    h("details", { class: "fold" }, h("summary", {}, t("pooling.shape")), h("div", { class: "steppers" },
      stepper(t("pooling.rows"), { read: () => plane().length, write: (rows) => reshape(rows, plane()[0].length), least: 1, most: 12 }, watch),
      stepper(t("pooling.columns"), { read: () => plane()[0].length, write: (columns) => reshape(plane().length, columns), least: 1, most: 12 }, watch))),
    h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings)));
}

/** The picture, its maxima and its means: as it is, moved, and the difference. */
function movedCard(settings, signal, notify) {
  const table = h("div", { class: "moved" });
  const element = h("section", { class: "card" }, h("h2", {}, t("pooling.moved")), h("p", { class: "quiet-text" }, t("pooling.movedText")),
    h("div", { class: "bar moved-bar" }, slider(settings, "right", t("pooling.right"), { signal }), slider(settings, "down", t("pooling.down"), { signal })), table);
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => post("/pooling/picture", { ...pooling(settings), picture: settings.get("picture"), right: settings.get("right"), down: settings.get("down") }, ending),
    (rows) => table.replaceChildren(...rows.map(movedRow))).catch((error) => notify(error.message));
  settings.on([...WINDOW, "picture", "right", "down"], update, signal);
  const ready = picturePicker(settings, "picture", t("controls.pictureLabel"), { signal }).then((picker) => {
    element.append(picker);
    return update();
  });
  return { element, ready };
}

function movedRow(row) {
  const name = row.name === "picture" ? t("pooling.picture") : t(`pooling.${row.name}`);
  const images = ["before", "after", "difference"].map((key) => h("figure", {}, h("img", { src: `data:image/png;base64,${row[key]}`, alt: `${name}: ${t(`pooling.shown.${key}`)}` }), h("figcaption", {}, t(`pooling.shown.${key}`))));
  return h("div", { class: "moved-row", "data-row": row.name },
    h("p", {}, h("b", {}, `${name} ${row.size.join("×")}`), " · ", h("span", { class: "quiet-text" }, t("pooling.change", { change: percent(row.change), same: percent(row.same) }))),
    h("div", { class: "triple" }, images));
}
