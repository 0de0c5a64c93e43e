// The layer as the lecture writes it: the sum over channels and places with the indices of the term that is lit, the
// blocks that it reads and writes, and the line of PyTorch that makes this layer.

import { button } from "../../core/controls.js";
import { h, s } from "../../core/dom.js";
import { readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";

const LIGHT_EVERY = 650; // ms

/** What is lit: one term of the present window at a time; `onLight({channel, row, column} | null)` hears it. */
export class Formula {
  #step = null;
  #walk = null;
  #timer = null;
  #at = -1;

  constructor(settings, { signal, onLight }) {
    this.settings = settings;
    this.onLight = onLight;
    this.symbols = h("p", { class: "general-sum" });
    this.lit = h("p", { class: "lit-term", "aria-live": "polite" });
    this.blocks = h("div", { class: "blocks" });
    this.play = button(t("convolution.formula.play"), () => this.toggle());
    this.code = codeLine(settings, signal);
    this.element = h("section", { class: "card formula-card" },
      h("div", {}, h("h2", {}, t("convolution.formula.title")), this.symbols, this.lit, h("div", { class: "panel-end" }, this.play), h("p", { class: "quiet-text" }, t("convolution.formula.text"))),
      h("div", {}, h("h2", {}, t("convolution.formula.blocks")), this.blocks),
      this.code.element);
    signal.addEventListener("abort", () => this.#stop());
  }

  draw(walk) {
    this.#walk = walk;
    this.code.update();
  }

  /** Another window: nothing is lit, and the indices are those of its first term. */
  step(step) {
    this.#stop();
    this.#step = step;
    this.#write(0);
    this.blocks.replaceChildren(blocks(this.#walk, step));
  }

  /** Light one term after the other, once through the window. */
  toggle() {
    if (this.#timer !== null) {
      this.#stop();
      return;
    }
    const count = this.#step.input_patch.length * this.#step.rows.length * this.#step.columns.length;
    this.play.textContent = t("convolution.formula.stop");
    const next = () => {
      if (this.#at + 1 >= count) return this.#stop();
      this.#at += 1;
      return this.#write(this.#at, true);
    };
    next();
    this.#timer = setInterval(next, LIGHT_EVERY);
  }

  light(index) {
    this.#write(index, index >= 0);
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = null;
    this.#at = -1;
    this.play.textContent = t("convolution.formula.play");
    this.onLight(null);
    if (this.#step) this.lit.replaceChildren();
  }

  #write(index, lit = false) {
    const { rows, columns, channels, output_cell: [filter, y, x] } = this.#step;
    const places = rows.length * columns.length;
    const [channel, row, column] = [Math.floor(index / places), Math.floor((index % places) / columns.length), index % columns.length];
    const term = lit ? { channel, row, column } : null;
    this.symbols.replaceChildren(...symbols(this.settings.get("operation")));
    this.onLight(term);
    if (!lit) return this.lit.replaceChildren();
    const [f, w] = [this.#step.input_patch[channel][row][column], this.#step.kernel[channel][row][column]];
    const from = channels[0] + channel;
    return this.lit.replaceChildren(
      h("span", {}, `c_in = ${from}, m = ${row}, n = ${column}: `),
      h("b", { class: "of-input" }, `f(${y}·s+${row}·d−p, ${x}·s+${column}·d−p, ${from})`), " · ", h("b", { class: "of-kernel" }, `w(${row}, ${column}, ${channel}, ${filter})`),
      ` = ${readable(f)} · ${readable(w)} = `, h("b", { class: "of-output" }, readable(f * w)));
  }
}

/** g(x, y, c_out) = Σ Σ f · w + b, in the colours of the page; a convolution reads the kernel turned. */
function symbols(operation) {
  const sum = (below) => h("span", { class: "big-sum" }, h("span", { class: "sigma" }, "Σ"), h("small", {}, below));
  const turned = operation !== "correlation";
  return [
    h("span", { class: "of-output" }, "g(x, y, ", sub("c", "out"), ")"), " = ", sum(sub("c", "in")), sum("m, n"), " ",
    h("b", { class: "of-input" }, turned ? "f(x − m, y − n, " : "f(x + m, y + n, ", sub("c", "in"), ")"), " · ",
    h("b", { class: "of-kernel" }, "w(m, n, ", sub("c", "in"), ", ", sub("c", "out"), ")"), " + ", h("b", { class: "of-bias" }, "b(", sub("c", "out"), ")"),
  ];
}

const sub = (letter, below) => [letter, h("sub", {}, below)];

/** Three blocks to scale: the input with the window in it, the kernel of the filter, the output with its cell. */
function blocks(walk, step) {
  const [C, H, W] = [walk.padded.length, walk.padded[0].length, walk.padded[0][0].length];
  const [O, OH, OW] = [walk.output.length, walk.output.length ? walk.output[0].length : 1, walk.output[0][0].length];
  const [kH, kW] = walk.kernel_size;
  const tall = step.rows.at(-1) - step.rows[0] + 1;
  const wide = step.columns.at(-1) - step.columns[0] + 1;
  const unit = Math.min(15, 240 / (W + kW + OW + 4), 130 / Math.max(H, OH));
  const deep = Math.min(unit, 10);
  const [filter, row, column] = step.output_cell;
  let x = 6;
  const parts = [];
  const add = (tone, [channels, height, width], inner) => {
    const down = 8 + channels * deep * 0.6;
    parts.push(block(tone, x, down, [channels, height, width], unit, deep), inner && block(`${tone} inner`, x + inner.column * unit + inner.channel * deep * 0.8, down + inner.row * unit - inner.channel * deep * 0.6, inner.size, unit, deep));
    parts.push(s("text", { x: x + (width * unit) / 2, y: down + height * unit + 18, "text-anchor": "middle" }, `${height}×${width}×${channels}`));
    x += width * unit + channels * deep * 0.8 + 34;
  };
  add("input", [C, H, W], { row: step.rows[0], column: step.columns[0], channel: step.channels[0], size: [step.channels[1] - step.channels[0], tall, wide] });
  add("kernel", [step.input_patch.length, kH, kW], null);
  add("output", [O, OH, OW], { row, column, channel: filter, size: [1, 1, 1] });
  const height = Math.max(H, OH, kH) * unit + Math.max(C, O) * deep * 0.6 + 34;
  return s("svg", { class: "block-drawing", viewBox: `0 0 ${x} ${height}`, width: x, height, role: "img", "aria-label": t("convolution.formula.blocks") }, parts.filter(Boolean));
}

function block(tone, x, y, [channels, height, width], unit, deep) {
  const [w, tall, dx, dy] = [width * unit, height * unit, channels * deep * 0.8, channels * deep * 0.6];
  return s("g", { class: `block of-${tone}` },
    s("polygon", { points: `${x},${y} ${x + dx},${y - dy} ${x + w + dx},${y - dy} ${x + w},${y}` }),
    s("polygon", { points: `${x + w},${y} ${x + w + dx},${y - dy} ${x + w + dx},${y - dy + tall} ${x + w},${y + tall}` }),
    s("rect", { x, y, width: w, height: tall }));
}

// argument of Conv2d -> where on the page it is set
const CONTROLS = {
  in_channels: "[data-stepper=channels]", out_channels: "[data-stepper=filters]", kernel_size: "[data-stepper=kernelRows]",
  stride: "input[name=stride]", padding: "input[name=padding]", dilation: "input[name=dilation]", groups: "[data-stepper=groups]", bias: "input[name=bias]",
  padding_mode: "select[name=mode]", output_padding: "input[name=output_padding]",
};

/** torch.nn.Conv2d(…) for these settings; each argument leads to its control. */
function codeLine(settings, signal) {
  const line = h("code", { class: "code-line" });
  const copy = button(t("convolution.formula.copy"), async () => {
    await navigator.clipboard.writeText(line.textContent);
    copy.textContent = t("controls.copied");
    setTimeout(() => (copy.textContent = t("convolution.formula.copy")), 1600);
  });
  const note = h("p", { class: "quiet-text" });
  const update = () => {
    const transposed = settings.get("operation") === "transposed";
    const given = arguments_(settings, transposed);
    line.replaceChildren(`torch.nn.${transposed ? "ConvTranspose2d" : "Conv2d"}(`, ...given.flatMap(([name, value], index) => [index ? ", " : "",
      h("button", { type: "button", class: "argument", "data-argument": name, "aria-label": t("convolution.formula.set", { name }), onclick: () => lead(CONTROLS[name]) }, `${name}=${value}`)]), ")");
    note.textContent = t(settings.get("operation") === "convolution" ? "convolution.formula.codeTurned" : "convolution.formula.codeText");
  };
  settings.on(["operation", "stride", "padding", "dilation", "mode", "output_padding", "input", "kernel", "filters", "groups", "bias"], update, signal);
  return { element: h("div", { class: "code-card" }, h("h2", {}, t("convolution.formula.code")), h("div", { class: "code-frame", tabindex: "0", role: "region", "aria-label": t("convolution.formula.code") }, line), note, copy), update };
}

function arguments_(settings, transposed) {
  const both = ([rows, columns]) => (rows === columns ? String(rows) : `(${rows}, ${columns})`);
  const kernel = settings.get("kernel")[0];
  const shared = [
    ["in_channels", settings.get("input").length], ["out_channels", settings.get("filters")], ["kernel_size", both([kernel.length, kernel[0].length])],
    ["stride", both(settings.get("stride"))], ["padding", both(settings.get("padding"))],
  ];
  const rest = [["dilation", both(settings.get("dilation"))], ["groups", settings.get("groups")], ["bias", settings.get("bias") === 0 ? "False" : "True"]];
  if (transposed) return [...shared, ["output_padding", both(settings.get("output_padding"))], ...rest];
  return settings.get("mode") === "zeros" ? [...shared, ...rest] : [...shared, ...rest, ["padding_mode", `'${settings.get("mode")}'`]];
}

function lead(selector) {
  const control = /** @type {HTMLElement} */ (document.querySelector(`.panel ${selector}`));
  const fold = control.closest("details");
  if (fold) fold.open = true;
  // where rows and columns are set apart, two sliders stand for the one that is hidden
  const visible = control.offsetParent === null ? [...control.parentElement.parentElement.querySelectorAll("input")].find((each) => each.offsetParent) ?? control : control;
  (visible.matches("input, select") ? visible : /** @type {HTMLElement} */ (visible.querySelector("button:not(:disabled)") ?? visible.querySelector("button"))).focus();
  const frame = control.closest(".control, .stepper") ?? control;
  frame.scrollIntoView({ block: "nearest" });
  frame.classList.add("led-to");
  setTimeout(() => frame.classList.remove("led-to"), 1800);
}
