// Exercises: drawn from the seed in the address, checked, with a worked solution.

import { get, Newest, post } from "../core/api.js";
import { button, copyLink, segments } from "../core/controls.js";
import { h } from "../core/dom.js";
import { grouped } from "../core/numbers.js";
import { choice, integer } from "../core/settings.js";
import { t } from "../core/text.js";
import { NumberGrid } from "../draw/grid.js";

const KINDS = ["size", "cell", "parameters", "pool", "field"];

export const settings = () => ({
  kind: choice("size", KINDS),
  seed: integer(1, { least: 0, most: 999_999 }),
});

export async function show(root, { settings, signal, notify }) {
  const question = h("div", { class: "practice-question" });
  const input = h("input", { type: "text", inputmode: "numeric", id: "practice-answer", autocomplete: "off" });
  const verdict = h("div", { class: "practice-verdict", role: "status" });
  const check = (answer) => post("/practice", { kind: settings.get("kind"), seed: settings.get("seed"), answer }, signal).then((found) => verdict.replaceChildren(...told(found, answer, settings.get("kind")))).catch((error) => notify(error.message));
  const form = h("form", { class: "practice-form", onsubmit: (event) => {
    event.preventDefault();
    const value = Number(input.value.trim().replace("−", "-").replace(",", ".").replace(/\s/g, ""));
    if (input.value.trim() === "" || !Number.isFinite(value)) input.setAttribute("aria-invalid", "true");
    else {
      input.removeAttribute("aria-invalid");
      check(value);
    }
  } }, h("label", { for: "practice-answer" }, t("practice.answer")), input, h("button", { type: "submit", class: "play" }, t("practice.check")), button(t("practice.solution"), () => check(null)));
  root.append(
    h("section", { class: "card" }, h("div", { class: "bar" }, segments(settings, "kind", t("practice.kind"), Object.fromEntries(KINDS.map((kind) => [kind, t(`practice.kinds.${kind}`)])), { signal })), question, form, verdict,
      h("div", { class: "panel-end" }, button(t("practice.next"), () => settings.set({ seed: (settings.get("seed") + 1) % 1_000_000 })), copyLink(settings))));
  const newest = new Newest(signal);
  const update = () => newest.run((ending) => get("/practice", { kind: settings.get("kind"), seed: settings.get("seed") }, ending), (found) => {
    input.value = "";
    verdict.replaceChildren();
    question.replaceChildren(...asked(found));
  }).catch((error) => notify(error.message));
  settings.on(["kind", "seed"], update, signal);
  await update();
}

function asked({ kind, given, grids }) {
  const text = kind === "field" ? layersText(given) : t(`practice.asked.${kind}`, given);
  const planes = Object.entries(grids).map(([name, plane]) => {
    const grid = new NumberGrid({ label: t(`practice.grids.${name}`), tone: name });
    grid.draw(plane);
    return h("div", { class: "stage-part" }, h("h3", { class: `caption tone-${name}` }, t(`practice.grids.${name}`)), grid.element);
  });
  return [h("p", { class: "practice-text" }, text), planes.length ? h("div", { class: "practice-grids" }, planes) : null].filter(Boolean);
}

function layersText(given) {
  const count = Object.keys(given).length / 2;
  const layers = Array.from({ length: count }, (_, index) => t("practice.layer", { k: given[`k${index + 1}`], s: given[`s${index + 1}`] }));
  return t("practice.asked.field", { layers: layers.join(", ") });
}

function told(found, answer, kind) {
  const { solution } = found;
  const worked = {
    size: () => [t("practice.worked.size", solution)],
    cell: () => [t("practice.worked.cell", { ...solution })],
    parameters: () => [t("practice.worked.parameters", { ...solution, out: grouped(found.answer) })],
    pool: () => [t("practice.worked.pool", solution)],
    field: () => [t("practice.worked.fieldStart"), ...solution.steps.map((step) => t("practice.worked.field", { ...step, less: step.k - 1, before: step.field - (step.k - 1) * step.jump }))],
  }[kind]();
  const said = answer === null ? "" : t(found.right ? "practice.right" : "practice.wrong", { answer: grouped(answer) });
  return [h("p", { class: found.right ? "verdict good" : "verdict" }, said, said ? " " : "", t("practice.is", { answer: grouped(found.answer) })), h("ol", { class: "practice-worked" }, worked.map((line) => h("li", {}, line)))];
}
