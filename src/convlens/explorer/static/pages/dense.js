// Page 5: why not fully connected. Parameters as the image grows, and what shifting the image does, measured.

import { get, Newest, post } from "../core/api.js";
import { button, copyLink, slider } from "../core/controls.js";
import { h } from "../core/dom.js";
import { bytes, day, grouped, percent, short } from "../core/numbers.js";
import { flag, integer } from "../core/settings.js";
import { t } from "../core/text.js";
import { Curves } from "../draw/curves.js";
import { unrollingCard } from "./dense/unrolling.js";

const ASK_EVERY = 700; // ms, while the experiment runs

export const settings = () => ({
  side: integer(224, { least: 1, most: 512 }),
  channels: integer(3, { least: 1, most: 4 }),
  filters: integer(64, { least: 1, most: 128 }),
  kernel: integer(7, { least: 1, most: 11 }),
  epochs: integer(15, { least: 1, most: 60 }),
  unrolled: flag(false),
  moved: integer(0, { least: 0, most: 2 }),
});

const LAYER = ["side", "channels", "filters", "kernel"];

export async function show(root, { settings, signal, notify }) {
  const growth = new Growth(settings);
  const experiment = new Shifts(settings, signal, notify);
  const unrolling = await unrollingCard(settings, signal);
  root.append(
    unrolling,
    h("section", { class: "card" }, h("h2", {}, t("dense.growth")), h("p", { class: "quiet-text" }, t("dense.growthText")),
      h("div", { class: "bar dense-bar" }, LAYER.map((name) => slider(settings, name, t(`dense.${name}`), { signal }))),
      growth.element,
      h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings))),
    experiment.element,
  );
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => post("/dense", Object.fromEntries(LAYER.map((name) => [name, settings.get(name)])), ending), (answer) => growth.draw(answer)).catch((error) => notify(error.message));
  settings.on(LAYER, update, signal);
  const resize = new ResizeObserver(() => [growth, experiment].forEach((each) => each.fit()));
  resize.observe(root);
  signal.addEventListener("abort", () => resize.disconnect());
  await Promise.all([update(), experiment.ask()]);
}

/** Both curves on logarithmic axes, and the numbers at the present size. */
class Growth {
  #answer = null;

  constructor(settings) {
    this.settings = settings;
    this.curves = new Curves({ label: t("dense.chart"), height: 330, margin: { top: 12, right: 18, bottom: 46, left: 62 } });
    this.numbers = h("div", { class: "dense-numbers", "aria-live": "polite" });
    this.element = h("div", {}, legend(), this.curves.element, this.numbers);
    const point = (event) => settings.set({ side: Math.round(Math.min(512, Math.max(1, this.curves.place(event)[0]))) });
    this.curves.svg.addEventListener("pointerdown", point);
    this.curves.svg.addEventListener("pointermove", (event) => event.buttons && point(event));
  }

  draw(answer) {
    this.#answer = answer;
    const { at } = answer;
    const line = (name) => h("tr", { "data-layer": name }, h("th", { scope: "row", class: TONES[name] }, t(`dense.layer.${name}`)),
      [grouped(at[name]), bytes(at[`${name}_bytes`]), short(at[`${name}_macs`])].map((text) => h("td", { class: "number" }, text)));
    const { side, channels, filters, kernel } = Object.fromEntries(LAYER.map((name) => [name, this.settings.get(name)]));
    this.numbers.replaceChildren(
      h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("dense.table") }, h("table", {}, h("thead", {}, h("tr", {}, ["layer.label", "parameters", "memory", "macs"].map((key) => h("th", { scope: "col" }, t(`dense.${key}`))))), h("tbody", {}, line("dense"), line("convolution")))),
      h("p", { class: "dense-formula" }, h("span", { class: TONES.dense }, t("dense.slide")), `: H·W·C·C_out = ${side}·${side}·${channels}·${filters} = `, h("b", {}, grouped(at.slide))),
      h("p", { class: "dense-formula" }, h("span", { class: TONES.dense }, t("dense.layer.dense")), `: (${side}·${side}·${channels} + 1) · ${side}·${side}·${filters} = `, h("b", {}, grouped(at.dense))),
      h("p", { class: "dense-formula" }, h("span", { class: TONES.convolution }, t("dense.layer.convolution")), `: (${kernel}·${kernel}·${channels} + 1) · ${filters} = `, h("b", {}, grouped(at.convolution))),
      h("p", {}, h("strong", { class: "dense-times" }, t("dense.times", { times: grouped(Math.round(at.dense / at.convolution)) }))));
    this.fit();
  }

  fit() {
    if (!this.#answer) return;
    const { sides, dense, convolution, at } = this.#answer;
    const high = Math.max(dense.at(-1), ...convolution) * 4;
    const low = Math.min(dense[0], convolution[0]) / 2;
    const powers = Array.from({ length: 16 }, (_, power) => 10 ** power).filter((_, index) => index % 2 === 0 || high / low < 1e6);
    this.curves.axes({ low: 1, high: 540, log: true, ticks: this.curves.element.clientWidth < 500 ? [1, 4, 16, 64, 224, 512] : [1, 4, 16, 32, 64, 128, 224, 512], text: (value) => `${value}` }, { low, high, log: true, ticks: powers, text: short });
    this.curves.lines([{ xs: sides, ys: dense, tone: "kernel" }, { xs: sides, ys: convolution, tone: "output" }]);
    this.curves.at(this.settings.get("side"), at.dense, "kernel");
  }
}

const TONES = { dense: "of-kernel", convolution: "of-output" };

const legend = () => h("p", { class: "dense-legend" }, Object.entries(TONES).map(([name, tone]) => h("span", { class: tone }, `— ${t(`dense.layer.${name}`)}`)));

/** Two networks that learnt digits that never moved, on digits that are shifted further and further. */
class Shifts {
  #networks = null;
  #timer = null;

  constructor(settings, signal, notify) {
    this.settings = settings;
    this.signal = signal;
    this.notify = notify;
    this.start = button(t("dense.start"), () => this.#begin(), { class: "plain dense-start" });
    this.bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": t("dense.progress") });
    this.said = h("p", { class: "quiet-text", role: "status" });
    this.curves = new Curves({ label: t("dense.shiftChart"), height: 260, margin: { top: 12, right: 18, bottom: 46, left: 54 } });
    this.result = h("div", { hidden: true }, legend(), this.curves.element, this.table = h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("dense.shiftTable") }));
    this.element = h("section", { class: "card" }, h("h2", {}, t("dense.shift")), h("p", { class: "quiet-text" }, t("dense.shiftText")),
      h("div", { class: "bar" }, slider(settings, "epochs", t("dense.epochs"), { signal }), this.start, this.bar), this.said, this.result);
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /** How far is it? Asks again while it runs. */
  async ask() {
    this.#show(await get("/dense/experiment", {}, this.signal));
  }

  async #begin() {
    try {
      this.#show(await post("/dense/experiment", { epochs: this.settings.get("epochs") }, this.signal));
    } catch (error) {
      if (error.name !== "AbortError") this.notify(error.message);
    }
  }

  #show(answer) {
    const running = answer.state === "running";
    this.start.disabled = running;
    this.bar.hidden = !running;
    this.bar.value = answer.progress ?? 0;
    this.said.textContent = { idle: answer.networks ? t("dense.before", { epochs: answer.epochs, day: day(answer.measured) }) : t("dense.idle"), running: t("dense.running"), failed: t("dense.failed", { error: answer.error }), done: t("dense.done", { epochs: answer.epochs }) }[answer.state];
    clearTimeout(this.#timer);
    if (running) this.#timer = setTimeout(() => this.ask().catch(() => {}), ASK_EVERY);
    this.result.hidden = !answer.networks;
    if (!answer.networks) return;
    this.#networks = answer.networks;
    const shifts = answer.networks[0].at_shifts.map((_, shift) => shift);
    this.table.replaceChildren(h("table", {},
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("dense.network")), h("th", { scope: "col" }, t("dense.parameters")), shifts.map((shift) => h("th", { scope: "col" }, t("dense.pixels", { count: shift }))))),
      h("tbody", {}, answer.networks.map((network) => h("tr", { "data-network": network.name }, h("th", { scope: "row", class: TONES[network.name] }, t(`dense.layer.${network.name}`)), h("td", { class: "number" }, grouped(network.parameters)), network.at_shifts.map((value) => h("td", { class: "number" }, percent(value))))))));
    this.fit();
  }

  fit() {
    if (!this.#networks || this.result.hidden) return;
    const shifts = this.#networks[0].at_shifts.map((_, shift) => shift);
    this.curves.axes({ low: 0, high: shifts.at(-1), ticks: shifts, text: (value) => t("dense.pixels", { count: value }) }, { low: 0, high: 1.02, ticks: [0, 0.25, 0.5, 0.75, 1], text: percent });
    this.curves.lines(this.#networks.map((network) => ({ xs: shifts, ys: network.at_shifts, tone: network.name === "dense" ? "kernel" : "output" })));
  }
}
