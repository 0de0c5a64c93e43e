// Page 2: a kernel slides over a grid of numbers. All sums come from the library, one window at a time.

import { Newest, post } from "../core/api.js";
import { picturePicker } from "../core/controls.js";
import { h } from "../core/dom.js";
import { readable } from "../core/numbers.js";
import { choice, integer, pair, planes, real, word } from "../core/settings.js";
import { t } from "../core/text.js";
import { NumberGrid } from "../draw/grid.js";
import { Player } from "../draw/player.js";
import { Formula } from "./convolution/formula.js";
import { panel } from "./convolution/panel.js";
import { sizeFormula, writtenSum } from "./convolution/written.js";

const INPUT = [[[3, 3, 2, 1, 0], [0, 0, 1, 3, 1], [3, 1, 2, 2, 3], [2, 0, 0, 2, 2], [2, 0, 0, 0, 1]]];
const KERNEL = [[[0, 1, 2], [2, 2, 0], [0, 1, 2]]];

export const settings = (opened) => ({
  input: planes(INPUT, { most: 12, mostPlanes: 4 }),
  kernel: planes(KERNEL, { most: 7, mostPlanes: 16 }),
  operation: choice("correlation", ["correlation", "convolution", "transposed"]),
  stride: pair([1, 1], { least: 1, most: 4 }),
  padding: pair([0, 0], { least: 0, most: 4 }),
  mode: choice("zeros", ["zeros", "reflect", "replicate", "circular"]),
  dilation: pair([1, 1], { least: 1, most: 4 }),
  output_padding: pair([0, 0], { least: 0, most: 3 }),
  filters: integer(1, { least: 1, most: 4 }),
  groups: integer(1, { least: 1, most: 4 }),
  bias: real(0, { least: -1000, most: 1000 }),
  step: integer(0, { least: 0, most: 9999 }),
  picture: word(opened.picture ?? "temple"),
});

const CAPTION = 150; // pixels that the kernel's caption takes, however small the kernel is
const SLIDE = ["operation", "stride", "padding", "mode", "dilation", "output_padding"];
const LAYER = [...SLIDE, "input", "kernel", "filters", "groups", "bias"];

export async function show(root, { settings, signal, notify }) {
  const player = new Player(settings, { signal });
  const general = new Formula(settings, { signal, onLight: (term) => stage.light(term) });
  const stage = new Stage(settings, player, general);
  const formula = h("div", { class: "formula" });
  const picture = pictureCard(settings, signal);
  root.append(
    h("section", { class: "card stage-card" }, stage.element, player.element, stage.sum),
    h("div", { class: "beside" }, panel(settings, signal), h("div", { class: "stack" }, general.element, h("section", { class: "card" }, h("h2", {}, t("convolution.size")), formula), picture.element)),
  );
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => post("/convolution", request(settings), ending), (answer) => {
    stage.draw(answer.walk);
    formula.replaceChildren(...sizeFormula(answer, settings));
  }).then(() => stage.element.classList.remove("wrong"), (error) => {
    stage.element.classList.add("wrong");
    notify(error.message);
  });
  settings.on(LAYER, update, signal);
  settings.on(["step"], () => stage.step(), signal);
  const resize = new ResizeObserver(() => stage.fit());
  resize.observe(root);
  signal.addEventListener("abort", () => resize.disconnect());
  await Promise.all([update(), picture.ready]);
}

function request(settings, names = LAYER) {
  const { mode, ...rest } = Object.fromEntries(names.map((name) => [name, settings.get(name)]));
  return { padding_mode: mode, ...rest };
}

/** The grids: inputs, kernels of the filter at work, outputs; the window moves with the step. */
class Stage {
  #walk = null;
  #shape = "";
  #inputs = [];
  #kernels = [];
  #outputs = [];

  constructor(settings, player, general) {
    this.settings = settings;
    this.player = player;
    this.general = general;
    this.columns = ["input", "kernel", "output"].map((tone) => h("div", { class: `planes planes-${tone}` }));
    this.captions = ["input", "kernel", "output"].map((tone) => h("h2", { class: `caption tone-${tone}` }));
    const [input, kernel, output] = this.columns.map((column, index) => h("div", { class: "stage-part" }, this.captions[index], column));
    this.sign = h("span", { class: "stage-sign", "aria-hidden": "true" });
    this.element = h("div", { class: "stage" }, input, this.sign, kernel, h("span", { class: "stage-sign", "aria-hidden": "true" }, "="), output);
    this.sum = h("div", { class: "sum", "aria-label": t("convolution.sum"), role: "region", tabindex: "0" });
  }

  draw(walk) {
    this.#walk = walk;
    this.general.draw(walk);
    this.#build();
    this.sign.textContent = walk.operation === "correlation" ? "⋆" : "∗";
    const [top, left] = [walk.padding[0][0], walk.padding[1][0]];
    const margin = [top, walk.padding[1][1], walk.padding[0][1], left];
    const apart = walk.operation === "transposed" ? { rows: walk.source_rows, columns: walk.source_columns } : null;
    this.#inputs.forEach((grid, channel) => grid.draw(walk.padded[channel], margin, apart));
    this.#outputs.forEach((grid, filter) => grid.draw(walk.output[filter]));
    const [rows, columns] = [walk.padded[0].length, walk.padded[0][0].length];
    this.captions[0].textContent = t("convolution.input", { size: size(walk.x, 1) }) + (rows === walk.x[0].length && columns === walk.x[0][0].length ? "" : ` → ${rows}×${columns}`);
    this.captions[2].textContent = t("convolution.output", { size: size(walk.output, 1) });
    this.player.count = walk.steps.length;
    this.fit();
    this.step();
  }

  /** Show the window of the present step; nothing is asked for and little is redrawn. */
  step() {
    if (!this.#walk) return;
    const step = this.#walk.steps[this.player.step];
    const [filter, row, column] = step.output_cell;
    const kernels = this.settings.get("kernel");
    const perFilter = this.#walk.applied_kernel[0].length;
    this.#kernels.forEach((grid, plane) => {
      grid.draw(kernels[filter * perFilter + plane]);
      grid.element.dataset.filter = filter;
    });
    this.captions[1].textContent = [
      t("convolution.kernel", { size: `${kernels[0].length}×${kernels[0][0].length}` }),
      this.settings.get("filters") > 1 && t("convolution.filter", { number: filter + 1 }),
      this.#walk.operation !== "correlation" && t("convolution.flipped"),
    ].filter(Boolean).join(" · ");
    const place = { row: step.rows[0], column: step.columns[0], height: step.rows.at(-1) - step.rows[0] + 1, width: step.columns.at(-1) - step.columns[0] + 1 };
    this.#inputs.forEach((grid, channel) => {
      const read = channel >= step.channels[0] && channel < step.channels[1];
      grid.window(read ? place : null);
      grid.mark(read ? taps(step, step.kernel[channel - step.channels[0]]) : []);
    });
    const [rows, columns] = [this.#walk.output[0].length, this.#walk.output[0][0].length];
    this.#outputs.forEach((grid, index) => {
      const done = Math.max(0, Math.min(step.index + 1 - index * rows * columns, rows * columns));
      const marks = Array.from({ length: done }, (_, i) => ({ row: Math.floor(i / columns), column: i % columns, kind: "done" }));
      if (index === filter) marks[marks.length - 1] = { row, column, kind: "now" };
      grid.mark(marks);
    });
    this.sum.replaceChildren(...writtenSum(step, (index) => this.general.light(index)));
    this.general.step(step);
  }

  /** Show one term of the window: its cell of the input, its cell of the kernel, and itself in the sum. */
  light(term) {
    if (!this.#walk) return;
    const step = this.#walk.steps[this.player.step];
    for (const lit of this.element.parentElement.querySelectorAll(".lit")) lit.classList.remove("lit");
    if (!term) return;
    this.#inputs[step.channels[0] + term.channel].light(step.rows[term.row], step.columns[term.column]);
    this.#kernels[term.channel].light(...(this.#walk.operation === "correlation" ? [term.row, term.column] : [step.kernel[0].length - 1 - term.row, step.kernel[0][0].length - 1 - term.column]));
    const index = (term.channel * step.rows.length + term.row) * step.columns.length + term.column;
    this.sum.querySelector(`[data-term="${index}"]`)?.classList.add("lit");
  }

  /** Cells as large as the page allows; parts below each other where they would be too small. */
  fit() {
    if (!this.#walk) return;
    const widths = [this.#walk.padded[0][0].length, this.#walk.kernel_size[1], this.#walk.output[0][0].length];
    const room = this.element.clientWidth;
    if (!room) return;
    const all = (room - 120) / (widths[0] + widths[1] + widths[2]);
    const beside = all * widths[1] < CAPTION ? (room - 120 - CAPTION) / (widths[0] + widths[2]) : all;
    const stacked = beside < 24;
    const cell = stacked ? room / Math.max(...widths) : beside;
    this.element.classList.toggle("stacked", stacked);
    this.element.style.setProperty("--cell", `${Math.floor(Math.min(54, Math.max(20, cell)))}px`);
  }

  #build() {
    const shape = [this.#walk.padded.length, this.#walk.applied_kernel[0].length, this.#walk.output.length].join();
    if (shape === this.#shape) return;
    this.#shape = shape;
    const many = (count, make) => Array.from({ length: count }, (_, index) => make(index));
    this.#inputs = many(this.#walk.padded.length, (channel) => new NumberGrid({
      label: t("convolution.inputGrid", { number: channel + 1 }),
      tone: "input",
      onEdit: (row, column, value) => this.#edit("input", channel, row, column, value),
    }));
    this.#kernels = many(this.#walk.applied_kernel[0].length, (plane) => new NumberGrid({
      label: t("convolution.kernelGrid", { number: plane + 1 }),
      tone: "kernel",
      onEdit: (row, column, value) => this.#edit("kernel", Number(this.#kernels[plane].element.dataset.filter) * this.#kernels.length + plane, row, column, value),
    }));
    this.#outputs = many(this.#walk.output.length, (filter) => new NumberGrid({
      label: t("convolution.outputGrid", { number: filter + 1 }),
      tone: "output",
      onPick: (row, column) => this.player.go((filter * this.#walk.output[0].length + row) * this.#walk.output[0][0].length + column),
    }));
    [this.#inputs, this.#kernels, this.#outputs].forEach((grids, index) => this.columns[index].replaceChildren(...grids.map((grid) => grid.element)));
  }

  #edit(name, plane, row, column, value) {
    const changed = structuredClone(this.settings.get(name));
    changed[plane][row][column] = value;
    this.settings.set({ [name]: changed });
  }
}

const size = (planes, from) => (planes.length > from ? `${planes.length}×` : "") + `${planes[0].length}×${planes[0][0].length}`;

const taps = (step, plane) => step.rows.flatMap((row, u) => step.columns.map((column, v) => ({ row, column, note: plane[u][v] })));

/** The same kernel on a picture. */
function pictureCard(settings, signal) {
  const before = h("img", { alt: t("convolution.before") });
  const after = h("img", { alt: t("convolution.after") });
  const scale = h("figcaption", {});
  const beforeSize = h("figcaption", {});
  const element = h("section", { class: "card" }, h("h2", {}, t("convolution.onPicture")), h("p", { class: "quiet-text" }, t("convolution.onPictureText")),
    h("div", { class: "pair" }, h("figure", {}, before, beforeSize), h("figure", {}, after, scale)));
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => post("/convolution/picture", {
    kernel: settings.get("kernel")[0], picture: settings.get("picture"), ...request(settings, SLIDE),
  }, ending), (answer) => {
    before.src = `data:image/png;base64,${answer.before}`;
    after.src = `data:image/png;base64,${answer.after}`;
    beforeSize.textContent = answer.before_size.join("×");
    scale.textContent = `${answer.after_size.join("×")} · ${t("convolution.range", { low: readable(answer.low, 3), high: readable(answer.high, 3) })}`;
  });
  settings.on(["kernel", "picture", ...SLIDE], update, signal);
  const ready = picturePicker(settings, "picture", t("controls.pictureLabel"), { signal }).then((picker) => {
    element.append(picker);
    return update();
  });
  return { element, ready };
}
