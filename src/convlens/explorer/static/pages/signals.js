// Page 3: one signal slid over another; the area under their product, lag by lag, is the correlation or convolution.

import { get, Newest, post } from "../core/api.js";
import { button, copyLink, segments, select } from "../core/controls.js";
import { h } from "../core/dom.js";
import { readable } from "../core/numbers.js";
import { choice, integer, row } from "../core/settings.js";
import { t } from "../core/text.js";
import { Curves, range, ticks } from "../draw/curves.js";
import { Player } from "../draw/player.js";
import { Sketch } from "./signals/sketch.js";

const OPERATIONS = ["convolution", "correlation", "autocorrelation"];
const SHAPES = ["box", "ramp", "triangle", "bell", "decay", "wave", "pulses", "edge"];

export const settings = () => ({
  operation: choice("convolution", OPERATIONS),
  f: choice("box", [...SHAPES, "own"]),
  g: choice("ramp", [...SHAPES, "own"]),
  // what was drawn by hand, in hundredths
  drawnF: row([0], { most: 41 }),
  drawnG: row([0], { most: 41 }),
  step: integer(33, { least: 0, most: 78 }),
});

export async function show(root, { settings, signal, notify }) {
  const known = await get("/signals", {}, signal);
  const samples = (name) => {
    if (settings.get(name) !== "own") return known.shapes[settings.get(name)];
    const drawn = settings.get(`drawn${name.toUpperCase()}`);
    return known.t.map((_, index) => (drawn[index] ?? 0) / 100);
  };
  const player = new Player(settings, { signal });
  const stage = new Stage(settings, player, known.t);
  const small = new Three(settings, signal);
  const sketches = ["f", "g"].map((name) => sketchCard(settings, signal, name, samples, known.t));
  root.append(
    h("section", { class: "card" },
      h("div", { class: "bar" }, segments(settings, "operation", t("signals.operation"), named("operations", OPERATIONS), { signal })),
      stage.element, player.element),
    h("section", { class: "card" }, h("h2", {}, t("signals.choose")), h("p", { class: "quiet-text" }, t("signals.chooseText")),
      h("div", { class: "pair signal-pair" }, sketches.map((each) => each.element)),
      h("div", { class: "panel-end" }, button(t("signals.swap"), () => swap(settings)), button(t("controls.reset"), () => settings.reset()), copyLink(settings))),
    h("section", { class: "card" }, h("h2", {}, t("signals.three")), h("p", { class: "quiet-text" }, t("signals.threeText")), small.element, h("p", { class: "quiet-text signal-lecture" }, t("signals.lecture"))),
  );
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => post("/signals", { f: samples("f"), g: samples("g"), operation: settings.get("operation") }, ending), (answer) => {
    stage.draw(answer, samples("f"));
    small.draw(answer);
  }).catch((error) => notify(error.message));
  const shapes = ["f", "g", "drawnF", "drawnG"];
  settings.on(["operation", ...shapes], update, signal);
  settings.on(shapes, () => sketches.forEach((each) => each.draw()), signal);
  settings.on(["step"], () => stage.step(), signal);
  const resize = new ResizeObserver(() => [stage, small, ...sketches].forEach((each) => each.fit()));
  resize.observe(root);
  signal.addEventListener("abort", () => resize.disconnect());
  await update();
}

const named = (group, keys) => Object.fromEntries(keys.map((key) => [key, t(`signals.${group}.${key}`)]));

function swap(settings) {
  settings.set({ f: settings.get("g"), g: settings.get("f"), drawnF: settings.get("drawnG"), drawnG: settings.get("drawnF") });
}

/** A signal: chosen from a list or drawn by hand. */
function sketchCard(settings, signal, name, samples, times) {
  const drawn = `drawn${name.toUpperCase()}`;
  const sketch = new Sketch({
    label: t("signals.sketch", { name }), tone: name === "f" ? "input" : "kernel", times,
    onDraw: (values) => settings.set({ [name]: "own", [drawn]: values.map((value) => Math.round(100 * value)) }),
  });
  const list = select(settings, name, t("signals.shape", { name }), named("shapes", [...SHAPES, "own"]), { signal });
  const draw = () => sketch.draw(samples(name));
  draw();
  return { element: h("div", {}, list, sketch.element), draw, fit: draw };
}

/** Above: what stays, what slides, and their product. Below: the result so far. */
class Stage {
  #answer = null;

  constructor(settings, player, times) {
    this.settings = settings;
    this.player = player;
    this.times = times;
    this.upper = new Curves({ label: t("signals.upper"), height: 250 });
    this.lower = new Curves({ label: t("signals.lower"), height: 200 });
    this.sum = h("div", { class: "sum", role: "region", tabindex: "0", "aria-label": t("signals.area") });
    this.legend = h("p", { class: "signal-legend" });
    this.element = h("div", { class: "signal-stage" }, this.legend, this.upper.element, h("h2", { class: "caption tone-output" }, t("signals.result")), this.lower.element, this.sum);
    this.lower.svg.addEventListener("pointerdown", (event) => this.#pick(event));
    this.lower.svg.addEventListener("pointermove", (event) => event.buttons && this.#pick(event));
  }

  draw(answer, f) {
    this.#answer = answer;
    this.f = f;
    this.player.count = answer.lags.length;
    const second = this.settings.get("operation") === "autocorrelation" ? "f" : "g";
    const argument = this.settings.get("operation") === "convolution" ? "t − τ" : "τ − t";
    this.legend.replaceChildren(
      h("span", { class: "of-input" }, "f(τ)"), " ", t("signals.stays"), " · ", h("span", { class: "of-kernel" }, `${second}(${argument})`), " ",
      t(this.settings.get("operation") === "convolution" ? "signals.slidesFlipped" : "signals.slides"), " · ", h("span", { class: "of-output" }, t("signals.product")));
    this.formula = [`∫ f(τ) ${second}(${argument}) dτ`];
    this.fit();
  }

  fit() {
    if (!this.#answer) return;
    const { sliding, lags, results } = this.#answer;
    const products = lags.flatMap((lag) => lag.products);
    const across = { low: -3, high: 3, ticks: [-3, -2, -1, 0, 1, 2, 3] };
    const up = range([...this.f, ...sliding, ...products]);
    this.upper.axes(across, { ...up, ticks: ticks(up.low, up.high, 4) });
    const result = results[this.settings.get("operation")];
    const below = range(result);
    this.lower.axes(across, { ...below, ticks: ticks(below.low, below.high, 4) });
    this.step();
  }

  step() {
    if (!this.#answer) return;
    const { sliding, lags, results, t: times } = this.#answer;
    const lag = lags[this.player.step];
    const width = this.times[1] - this.times[0];
    const place = (index) => this.times[0] + width * index;
    const [start, end] = lag.overlap;
    this.upper.lines([
      { xs: Array.from({ length: end - start }, (_, index) => place(start + index)), ys: lag.products, tone: "output", area: true },
      { xs: this.times, ys: this.f, tone: "input" },
      { xs: sliding.map((_, index) => place(lag.first + index)), ys: sliding, tone: "kernel" },
    ]);
    const result = results[this.settings.get("operation")];
    this.lower.lines([
      { xs: times, ys: result, tone: "output", faint: true },
      { xs: times.slice(0, lag.index + 1), ys: result.slice(0, lag.index + 1), tone: "output" },
    ]);
    const now = times[lag.index];
    this.lower.at(now, result[lag.index], "output");
    this.sum.replaceChildren(h("span", {}, ...this.formula), " = ", t("signals.areaAt", { t: readable(now, 3) }), " = ", h("strong", { class: "of-output" }, readable(lag.sum, 4)));
  }

  #pick(event) {
    const [x] = this.lower.place(event);
    const times = this.#answer.t;
    this.player.go(Math.round((x - times[0]) / (times[1] - times[0])));
  }
}

/** The three results side by side; one is chosen. */
class Three {
  #answer = null;

  constructor(settings, signal) {
    this.settings = settings;
    this.plots = Object.fromEntries(OPERATIONS.map((name) => [name, new Curves({ height: 130, described: false, margin: { top: 8, right: 8, bottom: 22, left: 34 } })]));
    this.buttons = OPERATIONS.map((name) => h("button", { type: "button", class: "signal-choice", value: name, onclick: () => settings.set({ operation: name }) },
      h("b", {}, t(`signals.operations.${name}`)), h("span", { class: "quiet-text" }, t(`signals.formula.${name}`)), this.plots[name].element));
    this.element = h("div", { class: "triple signal-three" }, this.buttons);
    const follow = () => this.buttons.forEach((each) => each.setAttribute("aria-pressed", String(each.value === settings.get("operation"))));
    settings.on(["operation"], follow, signal);
    follow();
  }

  draw(answer) {
    this.#answer = answer;
    this.fit();
  }

  fit() {
    if (!this.#answer) return;
    const up = range(Object.values(this.#answer.results).flat());
    for (const [name, plot] of Object.entries(this.plots)) {
      plot.axes({ low: -2, high: 2, ticks: [-2, -1, 0, 1, 2] }, { ...up, ticks: ticks(up.low, up.high, 3) });
      plot.lines([{ xs: this.#answer.t, ys: this.#answer.results[name], tone: "output", area: true }, { xs: this.#answer.t, ys: this.#answer.results[name], tone: "output" }]);
    }
  }
}
