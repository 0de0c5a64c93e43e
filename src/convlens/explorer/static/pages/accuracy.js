// Page 9: how much accuracy the networks of the literature have for their size.

import { get } from "../core/api.js";
import { button, copyLink, segments, toggle } from "../core/controls.js";
import { h } from "../core/dom.js";
import { percent, short } from "../core/numbers.js";
import { choice, flag, word } from "../core/settings.js";
import { language, t } from "../core/text.js";
import { Scatter } from "../draw/scatter.js";

export const settings = () => ({
  set: choice("figure", ["figure", "papers", "weights", "study"]),
  x: choice("parameters", ["parameters", "macs"]),
  y: choice("top1", ["top1", "top5"]),
  log: flag(true),
  at: word(""),
});

// the figure that the lecture ends with compares what one paper compares, as that paper states it
const IN_FIGURE = (row) => row.source.startsWith("Tan 2019");
const note = (row) => (language() === "ru" ? row.note_ru : row.note);
const TONES = ["efficientnet", "resnet", "vgg"];

export async function show(root, { settings, signal }) {
  const rows = await get("/accuracy", {}, signal);
  // a study is among them where the explorer was opened with one
  const sets = ["figure", "papers", "weights", "study"].filter((key) => key !== "study" || rows.some((row) => row.set === "study"));
  const told = h("p", { class: "told", role: "status" });
  const scatter = new Scatter({ label: t("accuracy.chart"), onPick: (point) => settings.set({ at: point.label }) });
  const body = h("tbody");
  const options = (name, keys) => Object.fromEntries(keys.map((key) => [key, t(`accuracy.${name}.${key}`)]));
  root.append(
    h("section", { class: "card" },
      h("div", { class: "bar" },
        segments(settings, "set", t("accuracy.set.label"), options("set", sets), { signal }),
        segments(settings, "x", t("accuracy.x.label"), options("x", ["parameters", "macs"]), { signal }),
        segments(settings, "y", t("accuracy.y.label"), options("y", ["top1", "top5"]), { signal }),
        toggle(settings, "log", t("accuracy.log"), { signal })),
      scatter.element, told,
      h("div", { class: "panel-end" }, button(t("controls.reset"), () => settings.reset()), copyLink(settings))),
    h("section", { class: "card" }, h("h2", {}, t("accuracy.table")), h("p", { class: "quiet-text" }, t("accuracy.sources")),
      h("div", { class: "table-scroll", tabindex: "0", role: "region", "aria-label": t("accuracy.table") }, h("table", { class: "wide-last" }, head(), body))),
  );
  const chosen = () => rows.filter((row) => ({ figure: IN_FIGURE, papers: (each) => each.set === "paper", weights: (each) => each.set === "weights", study: (each) => each.set === "study" })[settings.get("set")](row));
  const draw = () => {
    scatter.draw({ series: series(chosen(), settings.get("x"), settings.get("y")), x: { label: t(`accuracy.x.${settings.get("x")}`), log: settings.get("log"), text: short }, y: { label: t(settings.get("set") === "study" ? "accuracy.y.study" : `accuracy.y.${settings.get("y")}`), text: (value) => percent(value / 100, 4) } });
    body.replaceChildren(...chosen().map(line));
    tell();
  };
  const tell = () => {
    const point = scatter.choose(settings.get("at"));
    const any = chosen().some((row) => row[settings.get("x")] !== null && row[settings.get("y")] !== null);
    told.textContent = point ? sentence(point.row) : t(any ? "accuracy.point" : "accuracy.none");
  };
  settings.on(["set", "x", "y", "log"], draw, signal);
  settings.on(["at"], tell, signal);
  const resize = new ResizeObserver(draw);
  resize.observe(scatter.element);
  signal.addEventListener("abort", () => resize.disconnect());
  draw();
}

/** One series for each family in each source; what lacks a number is in the table only. */
function series(rows, x, y) {
  const found = new Map();
  for (const row of rows.filter((each) => each[x] !== null && each[y] !== null)) {
    const better = row.network.endsWith(" v2") || row.network.endsWith(" BN") ? row.network.slice(-2) : "";
    const key = `${row.source} ${row.family} ${better}`;
    if (!found.has(key)) found.set(key, { name: key, tone: TONES.includes(row.family) ? row.family : "other", points: [] });
    found.get(key).points.push({ x: row[x], y: row[y], label: row.network, row });
  }
  const all = [...found.values()];
  // the same name in two papers: say which
  const names = all.flatMap((each) => each.points.map((point) => point.label));
  for (const point of all.flatMap((each) => each.points)) if (names.filter((name) => name === point.row.network).length > 1) point.label = `${point.row.network} (${point.row.source.split(" ")[0]})`;
  return all;
}

function sentence(row) {
  return t("accuracy.sentence", {
    network: row.network, source: row.source, note: note(row),
    parameters: row.parameters === null ? "–" : short(row.parameters), macs: row.macs === null ? "–" : short(row.macs),
    top1: share(row.top1), top5: share(row.top5),
  });
}

const share = (value) => (value === null ? "–" : percent(value / 100, 4));

function head() {
  return h("thead", {}, h("tr", {}, ["network", "parameters", "macs", "top1", "top5", "source", "note"].map((key) => h("th", { scope: "col" }, t(`accuracy.column.${key}`)))));
}

function line(row) {
  return h("tr", {}, h("th", { scope: "row" }, row.network), [row.parameters === null ? "–" : short(row.parameters), row.macs === null ? "–" : short(row.macs), share(row.top1), share(row.top5)].map((text) => h("td", { class: "number" }, text)), h("td", {}, row.source), h("td", {}, note(row)));
}
