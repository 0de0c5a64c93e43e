// What is set beside the grids: the operation, how the kernel slides, the kernel itself, and all sizes.

import { button, copyLink, segments, select, slider, stepper } from "../../core/controls.js";
import { h } from "../../core/dom.js";
import { t } from "../../core/text.js";
import { KERNELS } from "./kernels.js";
import { divisors, resized } from "./shapes.js";

const PAIRS = ["stride", "padding", "dilation", "output_padding"];

// a slider shows one number of a pair, and moves both where rows and columns go together
const BOTH = { read: ([rows]) => rows, write: (value) => [value, value] };
const ROWS = { read: ([rows]) => rows, write: (value, [, columns]) => [value, columns] };
const COLUMNS = { read: ([, columns]) => columns, write: (value, [rows]) => [rows, value] };

export function panel(settings, signal) {
  const modes = Object.fromEntries(["zeros", "reflect", "replicate", "circular"].map((mode) => [mode, t(`convolution.modes.${mode}`)]));
  const operations = Object.fromEntries(["correlation", "convolution", "transposed"].map((name) => [name, t(`convolution.${name}`)]));
  const sliders = Object.fromEntries(PAIRS.map((name) => [name, axes(settings, name, signal)]));
  const apart = apartSwitch(settings, Object.values(sliders), signal);
  const mode = select(settings, "mode", t("convolution.mode"), modes, { signal });
  const kernelChoice = h("div", { class: "chips" }, Object.entries(KERNELS).map(([name, plane]) =>
    h("button", { type: "button", class: "chip", onclick: () => settings.set({ kernel: settings.get("kernel").map(() => plane) }) }, t(`convolution.kernels.${name}`))));
  const told = h("p", { class: "quiet-text told-operation" }, t("convolution.transposedText"));
  // a transposed convolution cuts its padding off the output, so there is nothing to pad with
  const follow = () => {
    const transposed = settings.get("operation") === "transposed";
    mode.hidden = transposed;
    sliders.output_padding.element.hidden = !transposed;
    told.hidden = !transposed;
  };
  settings.on(["operation"], follow, signal);
  follow();
  return h("section", { class: "card panel", "aria-label": t("controls.settings") },
    segments(settings, "operation", t("convolution.operation"), operations, { signal }), told,
    sliders.stride.element, sliders.padding.element, mode, sliders.output_padding.element, sliders.dilation.element, apart,
    slider(settings, "bias", t("convolution.bias"), { least: -10, most: 10, signal }),
    h("div", { class: "control" }, h("span", { class: "control-label" }, t("convolution.preset")), kernelChoice),
    shapes(settings, signal),
    h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings)));
}

/** One slider for both axes, and one for each; which are seen is for the switch to say. */
function axes(settings, name, signal) {
  const label = t(`convolution.${name}`);
  const both = slider(settings, name, label, { part: BOTH, signal });
  const each = h("div", { class: "axes", role: "group", "aria-label": label }, h("span", { class: "control-label" }, label),
    slider(settings, name, t("convolution.rows"), { part: ROWS, signal }),
    slider(settings, name, t("convolution.columns"), { part: COLUMNS, signal }));
  return { element: h("div", {}, both, each), show: (apart) => ([both.hidden, each.hidden] = [apart, !apart]) };
}

/** On, it shows rows and columns apart; off, the columns follow the rows. It is on where the address sets them apart. */
function apartSwitch(settings, sliders, signal) {
  const differ = () => PAIRS.some((name) => settings.get(name)[0] !== settings.get(name)[1]);
  const box = h("input", { type: "checkbox", id: "axes-apart", role: "switch" });
  const show = () => sliders.forEach((each) => each.show(box.checked));
  const follow = () => {
    box.checked ||= differ();
    show();
  };
  box.addEventListener("change", () => {
    if (!box.checked) settings.set(Object.fromEntries(PAIRS.map((name) => [name, [settings.get(name)[0], settings.get(name)[0]]])));
    show();
  });
  settings.on(PAIRS, follow, signal);
  follow();
  return h("div", { class: "control control-toggle" }, box, h("label", { for: "axes-apart" }, t("convolution.apart")));
}

function shapes(settings, signal) {
  const reshape = (changes) => settings.set({ ...resized(settings, changes), step: 0 });
  const input = () => settings.get("input");
  const kernel = () => settings.get("kernel");
  const watch = { settings, names: ["input", "kernel", "filters", "groups"], signal };
  return h("details", { class: "fold" }, h("summary", {}, t("convolution.shape")),
    h("div", { class: "steppers" },
      stepper(t("convolution.inputRows"), { id: "inputRows", read: () => input()[0].length, write: (rows) => reshape({ rows }), least: 1, most: 12 }, watch),
      stepper(t("convolution.inputColumns"), { id: "inputColumns", read: () => input()[0][0].length, write: (columns) => reshape({ columns }), least: 1, most: 12 }, watch),
      stepper(t("convolution.kernelRows"), { id: "kernelRows", read: () => kernel()[0].length, write: (kernelRows) => reshape({ kernelRows }), least: 1, most: 7 }, watch),
      stepper(t("convolution.kernelColumns"), { id: "kernelColumns", read: () => kernel()[0][0].length, write: (kernelColumns) => reshape({ kernelColumns }), least: 1, most: 7 }, watch),
      stepper(t("convolution.channels"), { id: "channels", read: () => input().length, write: (channels) => reshape({ channels, groups: 1 }), least: 1, most: 4 }, watch),
      stepper(t("convolution.filters"), { id: "filters", read: () => settings.get("filters"), write: (filters) => reshape({ filters, groups: 1 }), least: 1, most: 4 }, watch),
      stepper(t("convolution.groups"), { id: "groups", read: () => settings.get("groups"), write: (groups) => reshape({ groups }), options: () => divisors(input().length, settings.get("filters")) }, watch)));
}
