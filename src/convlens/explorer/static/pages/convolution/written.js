// A step's sum and the output size, written out with their numbers.

import { grouped, h, readable } from "../../core/dom.js";
import { t } from "../../core/text.js";

/** One line for every row of the kernel, then the total. */
export function writtenSum(step) {
  const many = step.input_patch.length > 1;
  const lines = step.input_patch.flatMap((plane, channel) => plane.map((values, u) => {
    const terms = values.map((value, v) => [v ? " + " : "", h("b", { class: "of-input" }, bracketed(value)), "·", h("b", { class: "of-kernel" }, bracketed(step.kernel[channel][u][v]))]);
    const total = step.products[channel][u].reduce((a, b) => a + b, 0);
    return { head: many && u === 0 ? t("convolution.channel", { number: step.channels[0] + channel + 1 }) : "", terms, total };
  }));
  return [
    h("div", { class: "sum-lines" }, lines.map(({ head, terms, total }) => [h("span", { class: "sum-head" }, head), h("span", { class: "sum-terms" }, terms), h("span", { class: "sum-part" }, "= ", readable(total))])),
    h("div", { class: "sum-total" }, lines.map(({ total }, index) => [index ? " + " : "", bracketed(total)]), step.bias ? [" + ", h("b", { class: "of-bias" }, bracketed(step.bias))] : [], " = ", h("strong", { class: "of-output" }, readable(step.output))),
  ];
}

const bracketed = (value) => (value < 0 ? `(${readable(value)})` : readable(value));

/** floor((H + 2p - d(k - 1) - 1) / s) + 1, in letters and in numbers, for rows and columns. */
export function sizeFormula(answer, settings) {
  const [p, d, s] = ["padding", "dilation", "stride"].map((name) => settings.get(name));
  const line = (name, size, k, result) => h("div", { class: "formula-line" }, h("span", { class: "formula-name" }, name), " = ", floor(
    [h("b", { class: "of-input" }, size), " + 2·", h("b", {}, p), " − ", h("b", {}, d), "·(", h("b", { class: "of-kernel" }, k), " − 1) − 1"], h("b", {}, s)), " + 1", result === null ? "" : [" = ", h("strong", { class: "of-output" }, result)]);
  const [rows, columns] = answer.sizes;
  return [
    h("div", { class: "formula-line letters" }, h("i", {}, "out"), " = ", floor([h("i", {}, "in"), " + 2", h("i", {}, "p"), " − ", h("i", {}, "d"), "(", h("i", {}, "k"), " − 1) − 1"], h("i", {}, "s")), " + 1"),
    line(t("convolution.rows"), rows.size, rows.kernel_size, rows.output),
    line(t("convolution.columns"), columns.size, columns.kernel_size, columns.output),
    h("p", { class: "quiet-text" }, t("convolution.cost", { parameters: grouped(answer.parameters), macs: grouped(answer.macs) })),
  ];
}

function floor(over, under) {
  return h("span", { class: "floor" }, h("span", { class: "fraction" }, h("span", { class: "over" }, over), h("span", { class: "under" }, under)));
}
