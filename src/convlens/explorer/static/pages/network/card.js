// What is chosen in the graph: its cost, its weights in numbers and as histograms, and the ways to its maps and its field.

import { get, Newest } from "../../core/api.js";
import { button } from "../../core/controls.js";
import { h, s } from "../../core/dom.js";
import { localised } from "../../core/labels.js";
import { bytes, grouped, percent, readable, short } from "../../core/numbers.js";
import { t } from "../../core/text.js";

export function nodeCard({ signal, open }) {
  const body = h("div", { class: "node-body" }, h("p", { class: "quiet-text" }, t("network.choosePart")));
  const element = h("section", { class: "card node-card", "aria-live": "polite" }, h("h2", {}, t("network.part")), body);
  const newest = new Newest(signal);
  let now = "";
  const show = (side, node, graph) => {
    const key = node ? `${graph.name} ${node.id}` : "";
    if (key === now) return;
    now = key;
    if (!node) {
      body.replaceChildren(h("p", { class: "quiet-text" }, t("network.choosePart")));
      return;
    }
    const weights = h("div", { class: "weights" });
    const at = encodeURIComponent(node.id);
    body.replaceChildren(
      h("h3", {}, node.type === "input" ? t("network.input") : node.id),
      h("p", { class: "quiet-text" }, [localised(node.label), ...node.follows, node.times ? `×${node.times}` : ""].filter(Boolean).join(" · ")),
      h("dl", { class: "facts" }, facts(graph, node)),
      h("div", { class: "panel-end" },
        node.module ? button(t("network.openPart"), () => open(side, node.module)) : null,
        !graph.drawn_only && node.type !== "input" && node.type !== "module" ? h("a", { class: "plain", href: `/inside?network=${graph.name}&layer=${at}&open=yes&panel=unit` }, t("network.toMaps")) : null,
        !graph.drawn_only && node.type !== "input" ? h("a", { class: "plain", href: `/field?network=${graph.name}` }, t("network.toField")) : null),
      weights);
    const module = node.module ?? node.id.split("#")[0];
    if (!node.parameters) return;
    weights.replaceChildren(h("p", { class: "quiet-text" }, t("network.reading")));
    newest.run((ending) => get(`/networks/${encodeURIComponent(graph.name)}/weights`, { module }, ending), (found) => {
      weights.replaceChildren(h("h3", {}, t(found.trained ? "network.weights" : "network.weightsInitial")), ...found.weights.map(described));
    }).catch((error) => weights.replaceChildren(h("p", { class: "quiet-text" }, error.message)));
  };
  return { element, show };
}

/** A figure in its form, or that nobody knows it. */
export const known = (value, form) => (value === null ? t("network.unknown") : form(value));

function facts(graph, node) {
  const share = (value, total) => (value === null || !total ? "" : ` (${percent(value / total)})`);
  const pairs = [
    ["shape", node.shape.join("×")],
    ["parameters", known(node.parameters, grouped) + share(node.parameters, graph.totals.parameters)],
    ["macs", known(node.macs, short) + share(node.macs, graph.totals.macs)],
    ["memory", bytes(node.output_bytes)],
  ];
  return pairs.flatMap(([name, text]) => [h("dt", {}, t(`network.fact.${name}`)), h("dd", {}, text)]);
}

function described(each) {
  return h("div", { class: "weight" }, h("b", {}, each.name), h("span", { class: "quiet-text" }, ` ${each.shape.join("×")}`), histogram(each.histogram),
    h("p", { class: "quiet-text" }, t("network.weightText", { low: readable(each.min, 3), high: readable(each.max, 3), mean: readable(each.mean, 2), deviation: readable(each.deviation, 3), zeros: percent(each.zeros, 2) })));
}

function histogram(counts) {
  if (!counts.length) return null;
  const high = Math.max(...counts);
  return s("svg", { class: "histogram", viewBox: `0 0 ${counts.length * 8} 40`, preserveAspectRatio: "none", "aria-hidden": "true" }, counts.map((count, index) => s("rect", { x: index * 8, y: 40 - (38 * count) / high, width: 7, height: (38 * count) / high })));
}
