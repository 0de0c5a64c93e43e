// The arithmetic of one unit, stage by stage, with the network's own numbers, and how closely it is reproduced.

import { get, Newest } from "../../core/api.js";
import { h, s } from "../../core/dom.js";
import { readable, scientific } from "../../core/numbers.js";
import { t } from "../../core/text.js";
import { NumberGrid } from "../../draw/grid.js";
import { colourTable, decoded, drawMap } from "../../draw/maps.js";
import { subject } from "../inside.js";

export function unitCard(context) {
  const { settings, signal } = context;
  const stages = h("ol", { class: "stages" });
  const title = h("h2", {}, t("inside.unit"));
  const verdict = h("p", { class: "verdict", role: "status" });
  const element = h("div", { class: "unit-card" }, title, h("p", { class: "quiet-text" }, t("inside.unitText")), stages, verdict);
  const newest = new Newest(signal);
  const update = () => {
    if (!context.layer) return null;
    const query = { ...subject(settings), layer: context.layer.id, channel: settings.get("channel"), row: settings.get("row"), column: settings.get("column") };
    return newest.run((ending) => get("/inside/unit", query, ending), (answer) => {
      const [channel, row, column] = answer.position;
      title.textContent = answer.shape.length === 3 ? t("inside.unitAt", { layer: context.layer.id, channel, row, column }) : t("inside.unitOf", { layer: context.layer.id, channel });
      stages.replaceChildren(...answer.stages.map((stage) => stageItem(stage, { context, channel })));
      const same = answer.difference <= answer.allowed;
      const written = answer.stages.every((stage) => stage.kind !== "other");
      verdict.classList.toggle("good", same && written);
      verdict.textContent = t(!written ? "inside.partly" : same ? "inside.same" : "inside.differs", { value: exact(answer.value), again: exact(answer.again), difference: scientific(answer.difference), allowed: scientific(answer.allowed) });
      context.placed?.(answer.position);
      context.heard?.(answer);
    }).catch((error) => context.notify(error.message));
  };
  return { element, update };
}

const exact = (value) => readable(value, 8);
function stageItem(stage, where) {
  const draw = { convolution: sum, linear: sum, norm, activation, add: pair, mul: pair, pool, mean, copy, other }[stage.kind];
  return h("li", { class: `stage-item stage-${stage.kind}` }, h("h3", {}, t(`inside.stage.${stage.kind}`)), draw(stage, where));
}

/** Every input channel's share as a bar; the patch and the kernel of the chosen one as numbers. */
function sum(stage, where) {
  const largest = stage.parts.reduce((best, part, index) => (Math.abs(part) > Math.abs(stage.parts[best]) ? index : best), 0);
  const detail = h("div", { class: "patch" });
  const planes = h("div", { class: "share-maps" });
  const bars = shares(stage.parts, (index) => show(index));
  const show = (index) => {
    bars.choose(index);
    const patch = new NumberGrid({ label: t("inside.patch"), tone: "input", digits: 2 });
    const kernel = new NumberGrid({ label: t("inside.kernel"), tone: "kernel", digits: 2 });
    patch.draw(stage.patch[index]);
    kernel.draw(stage.kernel[index]);
    detail.replaceChildren(h("span", { class: "patch-name" }, origin(stage, index)), patch.element, h("span", { class: "stage-sign" }, "⋆"), kernel.element, h("span", { class: "patch-result" }, "= ", h("b", { class: "of-output" }, exact(stage.parts[index]))));
    if (stage.kind === "convolution") showShare(planes, where, index);
  };
  show(largest);
  return [
    stage.parts.length > 1 ? h("div", { class: "shares-row" }, bars.element) : null,
    detail, planes,
    h("p", { class: "written" }, t(stage.parts.length > 1 ? "inside.sumOf" : "inside.sumOne", { count: stage.parts.length, sum: exact(stage.sum) }), stage.bias === null ? [] : [" + ", h("b", { class: "of-bias" }, bracketed(stage.bias)), ` (${t("inside.bias")})`], " = ", h("b", { class: "of-output" }, exact(stage.result))),
  ];
}

/** Which input a number comes from; behind a flattening, its place in the map. */
function origin(stage, index) {
  if (!stage.flattened) return t("inside.from", { number: (stage.first_channel ?? 0) + index });
  const [, height, width] = stage.flattened;
  return t("inside.fromMap", { index, channel: Math.floor(index / (height * width)), row: Math.floor(index / width) % height, column: index % width });
}

/** The whole input channel and what the kernel makes of it, as the two maps that the numbers above are taken from. */
async function showShare(planes, { context, channel }, source) {
  planes.dataset.source = source;
  const found = await get("/inside/share", { ...subject(context.settings), layer: context.layer.id, channel, source }, context.signal);
  if (planes.dataset.source !== String(source)) return;
  const figure = (name) => {
    const canvas = h("canvas", { class: "share-map", role: "img", "aria-label": t(`inside.shareMap.${name}`) });
    drawMap(canvas, decoded(found[name].levels), ...found[name].drawn, colourTable(found[name].low, found[name].high));
    return h("figure", {}, canvas, h("figcaption", {}, t(`inside.shareMap.${name}`)));
  };
  planes.replaceChildren(figure("input"), h("span", { class: "stage-sign", "aria-hidden": "true" }, "→"), figure("share"));
}

function shares(parts, choose) {
  const [width, height] = [Math.max(240, Math.min(760, parts.length * 9)), 72];
  const reach = Math.max(...parts.map(Math.abs), 1e-12);
  const step = width / parts.length;
  const bars = parts.map((part, index) => {
    const tall = (Math.abs(part) / reach) * (height / 2 - 2);
    return s("rect", { class: part < 0 ? "share down" : "share up", x: index * step, width: Math.max(0.8, step - Math.min(2, step * 0.2)), y: part < 0 ? height / 2 : height / 2 - tall, height: Math.max(0.6, tall) });
  });
  const svg = s("svg", { class: "shares", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "xMinYMid", role: "slider", tabindex: "0", "aria-label": t("inside.shares"), "aria-valuemin": 0, "aria-valuemax": parts.length - 1 }, s("line", { class: "rule", x1: 0, x2: width, y1: height / 2, y2: height / 2 }), bars);
  let now = 0;
  const at = (event) => {
    const box = svg.getBoundingClientRect();
    choose(Math.min(parts.length - 1, Math.max(0, Math.floor(((event.clientX - box.left) / box.width) * parts.length))));
  };
  svg.addEventListener("pointerdown", at);
  svg.addEventListener("pointermove", (event) => event.buttons && at(event));
  svg.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!move) return;
    event.preventDefault();
    choose(Math.min(parts.length - 1, Math.max(0, now + move)));
  });
  return {
    element: svg,
    choose(index) {
      bars[now].classList.remove("now");
      now = index;
      bars[now].classList.add("now");
      svg.setAttribute("aria-valuenow", index);
      svg.setAttribute("aria-valuetext", `${index}: ${readable(parts[index])}`);
    },
  };
}

const bracketed = (value) => (value < 0 ? `(${exact(value)})` : exact(value));
const result = (stage) => [" = ", h("b", { class: "of-output" }, exact(stage.result))];

function norm(stage) {
  return h("p", { class: "written" }, "(", h("b", { class: "of-input" }, bracketed(stage.input)), " − ", bracketed(stage.mean), ") / √(", exact(stage.variance), " + ", exact(stage.epsilon), ") · ", h("b", { class: "of-kernel" }, bracketed(stage.gamma)), " + ", h("b", { class: "of-bias" }, bracketed(stage.beta)), result(stage));
}

const activation = (stage) => h("p", { class: "written" }, stage.name, "(", h("b", { class: "of-input" }, exact(stage.input)), ")", result(stage));
const pair = (stage) => h("p", { class: "written" }, h("b", { class: "of-input" }, bracketed(stage.inputs[0])), stage.kind === "add" ? " + " : " · ", h("b", { class: "of-input" }, bracketed(stage.inputs[1])), result(stage));
const mean = (stage) => h("p", { class: "written" }, t("inside.meanOf", { count: stage.count }), result(stage));
const copy = (stage) => h("p", { class: "written" }, t("inside.copied"), result(stage));
const other = (stage) => h("p", { class: "written" }, t("inside.notWritten", { name: stage.name }), result(stage));

function pool(stage) {
  const grid = new NumberGrid({ label: t("inside.patch"), tone: "input", digits: 2 });
  grid.draw(stage.patch[0]);
  if (stage.how === "max") {
    const flat = stage.patch[0].flat();
    const best = flat.indexOf(Math.max(...flat));
    grid.mark([{ row: Math.floor(best / stage.patch[0][0].length), column: best % stage.patch[0][0].length, kind: "tap" }]);
  }
  return h("div", { class: "patch" }, h("span", { class: "patch-name" }, t(`inside.${stage.how}Of`)), grid.element, h("span", { class: "patch-result" }, result(stage)));
}
