// A step's sum and the output size, written out with their numbers.

import { h } from "../../core/dom.js";
import { grouped, readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";

/** One line for every row of the kernel, then the total. */
export function writtenSum(step, light) {
  let count = -1;
  const many = step.input_patch.length > 1;
  const lines = step.input_patch.flatMap((plane, channel) => plane.map((values, u) => {
    const terms = values.map((value, v) => {
      const index = (count += 1);
      return [v ? " + " : "", h("span", { class: "term", "data-term": index, onpointerenter: () => light(index), onpointerleave: () => light(-1) }, h("b", { class: "of-input" }, bracketed(value)), "·", h("b", { class: "of-kernel" }, bracketed(step.kernel[channel][u][v])))];
    });
    const total = step.products[channel][u].reduce((a, b) => a + b, 0);
    return { head: many && u === 0 ? t("convolution.channel", { number: step.channels[0] + channel + 1 }) : "", terms, total };
  }));
  return [
    h("div", { class: "sum-lines" }, lines.map(({ head, terms, total }) => [h("span", { class: "sum-head" }, head), h("span", { class: "sum-terms" }, terms), h("span", { class: "sum-part" }, "= ", readable(total))])),
    h("div", { class: "sum-total" }, lines.map(({ total }, index) => [index ? " + " : "", bracketed(total)]), step.bias ? [" + ", h("b", { class: "of-bias" }, bracketed(step.bias))] : [], " = ", h("strong", { class: "of-output" }, readable(step.output))),
  ];
}

const bracketed = (value) => (value < 0 ? `(${readable(value)})` : readable(value));

/** The output size in letters and in numbers, for rows and columns; a transposed convolution has its own formula. */
export function sizeFormula(answer, settings) {
  const write = settings.get("operation") === "transposed" ? transposedSize : slidSize;
  const letters = write(...["in", "k", "p", "d", "s", "o"].map((letter) => h("i", {}, letter)));
  const lines = answer.sizes.map(({ size, kernel_size, output }, axis) => {
    const [p, d, s, o] = ["padding", "dilation", "stride", "output_padding"].map((name) => h("b", {}, settings.get(name)[axis]));
    const numbers = write(h("b", { class: "of-input" }, size), h("b", { class: "of-kernel" }, kernel_size), p, d, s, o);
    const name = h("span", { class: "formula-name" }, t(`convolution.${axis ? "columns" : "rows"}`));
    return h("div", { class: "formula-line" }, name, " = ", numbers, " = ", h("strong", { class: "of-output" }, output));
  });
  return [
    h("div", { class: "formula-line letters" }, h("i", {}, "out"), " = ", letters),
    lines,
    h("p", { class: "quiet-text" }, t("convolution.cost", { parameters: grouped(answer.parameters), macs: grouped(answer.macs) })),
  ].flat();
}

/** floor((in + 2p - d(k - 1) - 1) / s) + 1 */
const slidSize = (size, k, p, d, s) => [floor([size, " + 2·", p, " − ", d, "·(", k, " − 1) − 1"], s), " + 1"];

/** (in - 1)s - 2p + d(k - 1) + o + 1 */
const transposedSize = (size, k, p, d, s, o) => h("span", {}, "(", size, " − 1)·", s, " − 2·", p, " + ", d, "·(", k, " − 1) + ", o, " + 1");

function floor(over, under) {
  return h("span", { class: "floor" }, h("span", { class: "fraction" }, h("span", { class: "over" }, over), h("span", { class: "under" }, under)));
}
