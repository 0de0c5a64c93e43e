// Page 10: how far a gradient gets. Plain and residual networks of the same depth, layer by layer: the signal forward, the
// gradient back. What was measured beforehand is shown at once; one press measures it here.

import { asQuery, get, post } from "../core/api.js";
import { button, copyLink, segments } from "../core/controls.js";
import { h } from "../core/dom.js";
import { day, readable, scientific } from "../core/numbers.js";
import { choice } from "../core/settings.js";
import { t } from "../core/text.js";
import { Curves } from "../draw/curves.js";

const ASK_EVERY = 600; // ms, while it runs
const TONES = { plain: "kernel", residual: "output" };

export const settings = () => ({
  pair: choice("plain34", ["plain34", "plain20"]),
  norm: choice("no", ["no", "yes"]),
  moment: choice("before", ["before", "after"]),
});

export async function show(root, { settings, signal, notify }) {
  const plots = ["gradient", "signal"].map((what) => new Plot(what));
  const sentence = h("p", { class: "gradient-sentence", role: "status" });
  const said = h("p", { class: "quiet-text" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": t("gradient.progress") });
  const start = button(t("gradient.start"), () => begin(), { class: "play" });
  const moment = segments(settings, "moment", t("gradient.moment.label"), { before: t("gradient.moment.before"), after: t("gradient.moment.after") }, { signal });
  root.append(
    h("section", { class: "card" },
      h("div", { class: "bar" },
        segments(settings, "pair", t("gradient.pair.label"), { plain34: "plain34 / resnet34", plain20: "plain20 / resnet20" }, { signal }),
        segments(settings, "norm", t("gradient.norm.label"), { no: t("gradient.norm.no"), yes: t("gradient.norm.yes") }, { signal }), moment),
      sentence,
      h("p", { class: "dense-legend" }, Object.entries(TONES).map(([kind, tone]) => h("span", { class: `of-${tone}` }, `— ${t(`gradient.kind.${kind}`)}`))),
      h("div", { class: "pair gradient-pair" }, plots.map((plot) => plot.element)),
      h("div", { class: "panel-end" }, start, bar, copyLink(settings)), said),
    h("section", { class: "card" }, h("h2", {}, t("gradient.why")), h("p", {}, t("gradient.whyText"))));
  const query = () => ({ pair: settings.get("pair"), norm: settings.get("norm") === "yes" });
  let timer = null;
  signal.addEventListener("abort", () => clearTimeout(timer));
  let answer = null;
  const draw = () => {
    const when = settings.get("pair") === "plain34" ? "before" : settings.get("moment");
    moment.hidden = settings.get("pair") === "plain34";
    const found = Object.fromEntries(Object.keys(TONES).map((kind) => [kind, answer.found[kind][when]]));
    for (const plot of plots) plot.draw(found);
    sentence.textContent = told(found);
    const running = answer.state === "running";
    start.disabled = running;
    bar.hidden = !running;
    bar.value = answer.progress ?? 0;
    said.textContent = running ? t("gradient.running") : answer.state === "failed" ? t("dense.failed", { error: answer.error }) : t(answer.state === "done" ? "gradient.done" : "gradient.known", { day: day(answer.measured), epochs: answer.epochs });
  };
  const ask = async () => {
    clearTimeout(timer);
    answer = await get("/gradient", query(), signal);
    draw();
    if (answer.state === "running") timer = setTimeout(() => ask().catch(() => {}), ASK_EVERY);
  };
  const begin = async () => {
    try {
      await post(`/gradient?${asQuery(query())}`, {}, signal);
      await ask();
    } catch (error) {
      if (error.name !== "AbortError") notify(error.message);
    }
  };
  settings.on(["pair", "norm"], () => ask().catch((error) => error.name === "AbortError" || notify(error.message)), signal);
  settings.on(["moment"], draw, signal);
  const resize = new ResizeObserver(() => answer && draw());
  resize.observe(root);
  signal.addEventListener("abort", () => resize.disconnect());
  await ask();
}

/** What the two curves say, in one sentence: the gradient at the first layer against that at the last. */
function told(found) {
  const share = (kind) => found[kind].gradient[0] / found[kind].gradient.at(-1);
  const [plain, residual] = [share("plain"), share("residual")];
  const key = plain < 0.1 && residual > 10 * plain ? "vanishes" : plain > 10 ? "grows" : "keeps";
  const shown = (value) => (value < 1e-3 || value >= 1e4 ? scientific(value, 2) : readable(value, 2));
  return t(`gradient.told.${key}`, { plain: shown(plain), residual: shown(residual), layers: found.plain.gradient.length });
}

class Plot {
  constructor(what) {
    this.what = what;
    this.curves = new Curves({ label: t(`gradient.${what}`), height: 300, margin: { top: 12, right: 14, bottom: 46, left: 62 } });
    this.element = h("figure", {}, h("h2", {}, t(`gradient.${what}`)), this.curves.element);
  }

  draw(found) {
    const values = Object.values(found).flatMap((each) => each[this.what]).filter((value) => value > 0);
    const [low, high] = [Math.floor(Math.log10(Math.min(...values))), Math.ceil(Math.log10(Math.max(...values)))];
    const step = Math.max(1, Math.ceil((high - low) / 7));
    const powers = Array.from({ length: Math.floor((high - low) / step) + 1 }, (_, index) => 10 ** (low + index * step));
    const count = found.plain[this.what].length;
    this.curves.axes({ low: 1, high: count, ticks: [1, Math.round(count / 4), Math.round(count / 2), Math.round((3 * count) / 4), count] }, { low: 10 ** low, high: 10 ** high * 1.01, log: true, ticks: powers, text: (value) => (value >= 0.01 && value <= 1000 ? readable(value) : scientific(value, 1).replace("1·", "")) });
    const layers = Array.from({ length: count }, (_, index) => index + 1);
    this.curves.lines(Object.entries(TONES).map(([kind, tone]) => ({ xs: layers, ys: found[kind][this.what].map((value) => Math.max(value, 10 ** low)), tone })));
  }
}
