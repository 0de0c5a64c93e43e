// One map taken apart in its place: the maps that it reads with the window on each, the kernels, what each gives, their sum,
// + bias, and every step after it; at one position with its numbers, walked through by the player.

import { get, Newest } from "../../core/api.js";
import { button } from "../../core/controls.js";
import { h } from "../../core/dom.js";
import { fixed, readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";
import { colourTable, decoded, drawMap } from "../../draw/maps.js";
import { Player } from "../../draw/player.js";
import { subject } from "../inside.js";

const MAP = 58; // pixels of a map

export class Unfolded {
  #found = null;
  #marks = []; // functions that show a position

  constructor(context, { onClose }) {
    this.context = context;
    this.settings = context.settings;
    this.newest = new Newest(context.signal);
    this.title = h("h3", {});
    this.body = h("div", { class: "unfolded-body" });
    this.player = new Player(positions(this.settings, () => this.#width(), () => this.answer?.position), { signal: context.signal, name: "place", keys: false });
    this.element = h("section", { class: "unfolded", "aria-label": t("inside.unfolded") },
      h("div", { class: "unfolded-head" }, this.title, button("×", onClose, { class: "quiet", "aria-label": t("inside.fold") })), this.body, this.player.element);
    this.settings.on(["row", "column"], () => this.#step(), context.signal);
  }

  /** Ask for the chosen map and draw it; resolves when it is there. */
  update() {
    const query = { ...subject(this.settings), layer: this.settings.get("layer"), channel: this.settings.get("channel") };
    return this.newest.run((ending) => get("/inside/unfold", query, ending), (found) => {
      this.#found = found;
      this.#draw();
    }).catch((error) => this.context.notify(error.message));
  }

  /** The exact numbers of the unit, once they are known: what is too large to send with the maps. */
  unit(answer) {
    this.answer = answer;
    this.player.follow();
    this.#step();
  }

  #width() {
    return this.#found?.shape[2] ?? 1;
  }

  #draw() {
    const found = this.#found;
    this.#marks = [];
    this.title.textContent = t(found.shape.length === 3 ? "inside.unfoldedMap" : "inside.unfoldedUnit", { layer: found.place, channel: found.channel });
    const draw = { convolution: () => this.#convolution(found), linear: () => this.#linear() }[found.kind] ?? (() => this.#joined(found));
    this.body.replaceChildren(...[draw()].flat());
    const map = found.shape.length === 3 && found.shape[1] * found.shape[2] > 1;
    this.player.element.hidden = !map;
    this.player.count = map ? found.shape[1] * found.shape[2] : 1;
    this.#step();
  }

  #convolution(found) {
    const table = colourTable(found.inputs.low, found.inputs.high);
    const shareTable = colourTable(found.shares.low, found.shares.high);
    const [inputs, shares] = [planes(found.inputs), planes(found.shares)];
    const rows = found.sources.map((source, index) => {
      const total = h("b", { class: "part" });
      this.#marks.push(([row, column]) => (total.textContent = number(found.share_numbers[index]?.[row]?.[column] ?? this.#part(source.channel))));
      return h("div", { class: "unfolded-row" },
        this.#map(inputs[index], found.inputs, table, `${source.from} · ${source.channel}`, windowOf(found)),
        h("span", { class: "stage-sign", "aria-hidden": "true" }, "⋆"), kernel(found.kernels[index]),
        h("span", { class: "stage-sign", "aria-hidden": "true" }, "="),
        this.#map(shares[index], found.shares, shareTable, t("inside.shareMap.share"), cellOf), total);
    });
    const bias = found.offset === null ? null : h("p", { class: "unfolded-bias" }, "+ ", h("b", { class: "of-bias" }, readable(found.offset, 4)), ` ${t("inside.bias")}`);
    return [
      h("div", { class: "unfolded-rows" }, rows, found.left_out ? h("p", { class: "quiet-text" }, t("inside.leftOut", { count: found.left_out })) : null),
      h("div", { class: "unfolded-steps" }, this.#labelled("Σ", found.sum, null), bias, this.#steps(found)),
    ];
  }

  /** Pooling, addition, multiplication, concatenation: the maps that are read, and what comes of them. */
  #joined(found) {
    const sign = { add: "+", multiply: "·", concat: "", pool: "" }[found.kind] ?? "";
    const maps = found.sources.flatMap((source, index) => {
      const map = found.inputs[index];
      return [index && sign ? h("span", { class: "stage-sign", "aria-hidden": "true" }, sign) : null, this.#map(decoded(map.levels), map, colourTable(map.low, map.high), `${source.from} · ${source.channel}`, found.kind === "pool" && found.window ? windowOf({ ...found, kernel: found.window }) : cellOf)];
    });
    return [h("div", { class: "unfolded-rows joined" }, maps.filter(Boolean)), h("div", { class: "unfolded-steps" }, this.#steps(found), this.#written())];
  }

  /** A fully connected unit: the inputs that add most to it. */
  #linear() {
    const list = h("ol", { class: "unfolded-inputs" });
    this.#marks.push(() => {
      const stage = this.answer?.stages.find((each) => each.kind === "linear");
      if (!stage) return;
      const order = stage.parts.map((_, index) => index).sort((a, b) => Math.abs(stage.parts[b]) - Math.abs(stage.parts[a])).slice(0, 12);
      const reach = Math.abs(stage.parts[order[0]]) || 1;
      list.replaceChildren(...order.map((index) => h("li", {}, h("span", {}, place(stage, index)), h("span", { class: `share-bar ${stage.parts[index] < 0 ? "down" : "up"}`, vars: { "--part": Math.abs(stage.parts[index]) / reach } }), h("span", { class: "number" }, `${number(stage.patch[index][0][0])} · ${number(stage.kernel[index][0][0])} = ${number(stage.parts[index])}`))));
    });
    return [h("p", { class: "quiet-text" }, t("inside.linearText")), list, this.#written()];
  }

  /** The steps of the unit as numbers: sum, + bias, norm, activation. */
  #written() {
    const list = h("ol", { class: "unfolded-written" });
    this.#marks.push(() => {
      const stages = this.answer?.stages ?? [];
      list.replaceChildren(...stages.map((stage) => h("li", {}, h("span", {}, stage.name ?? t(`inside.stage.${stage.kind}`)), h("b", { class: "of-output" }, number(stage.result)))));
    });
    return list;
  }

  #steps(found) {
    // without a bias the convolution's own map is the sum that is there already
    return found.steps.filter((step) => step.name !== "convolution" || found.offset !== null).map((step) => this.#labelled(named(step.name), step, step.numbers));
  }

  #labelled(name, map, numbers) {
    const value = h("b", { class: "part of-output" });
    this.#marks.push(([row, column]) => (value.textContent = numbers ? number(numbers[row]?.[column]) : ""));
    return h("div", { class: "unfolded-step" }, h("span", { class: "step-name" }, name), this.#map(planes(map)[0], map, colourTable(map.low, map.high), name, cellOf), value);
  }

  /** A map with a frame on it that follows the position. */
  #map(bytes, { drawn, size }, table, label, frameOf) {
    const canvas = h("canvas", { role: "img", "aria-label": label, title: label });
    drawMap(canvas, bytes, ...drawn, table);
    const frame = h("span", { class: "frame" });
    this.#marks.push((position) => {
      const [top, left, tall, wide] = frameOf(position, size);
      for (const [name, value] of Object.entries({ "--top": top / size[0], "--left": left / size[1], "--tall": tall / size[0], "--wide": wide / size[1] })) frame.style.setProperty(name, value);
    });
    return h("span", { class: "framed", vars: { "--side": `${MAP}px` } }, canvas, frame);
  }

  #part(channel) {
    const stage = this.answer?.stages.find((each) => each.kind === "convolution");
    return stage?.parts[channel - (stage.first_channel ?? 0)];
  }

  #step() {
    if (!this.#found) return;
    const chosen = [this.settings.get("row"), this.settings.get("column")];
    const position = chosen[0] >= 0 ? chosen : (this.answer?.position?.slice(1) ?? [0, 0]);
    for (const mark of this.#marks) mark(position.length === 2 ? position : [0, 0]);
  }
}

/** What a step is called: operators by what they do, activations by their own names. */
function named(step) {
  if (step === "convolution") return "Σ + b";
  const known = Object.entries({ norm: /^norm$/, add: /^add$/, mul: /^mul$/, pool: /pool/, mean: /^mean$/, copy: /^(cat|stack|slice|split)$/ }).find(([, pattern]) => pattern.test(step));
  return known ? t(`inside.stage.${known[0]}`) : step;
}

const number = (value) => (value === undefined || value === null ? "" : readable(value, 3));
const cellOf = ([row, column]) => [row, column, 1, 1];

/** The window of the input that a place reads. */
function windowOf(found) {
  const [kH, kW] = found.kernel ?? [found.kernels[0].length, found.kernels[0][0].length];
  const { stride = [1, 1], padding = [0, 0], dilation = [1, 1] } = found;
  const [s, p, d] = [stride ?? [1, 1], padding ?? [0, 0], dilation ?? [1, 1]];
  return ([row, column]) => [row * s[0] - p[0], column * s.at(-1) - p.at(-1), (kH - 1) * d[0] + 1, (kW - 1) * d.at(-1) + 1];
}

function planes({ levels, drawn: [height, width] }) {
  const bytes = decoded(levels);
  return Array.from({ length: bytes.length / (height * width) }, (_, index) => bytes.subarray(index * height * width, (index + 1) * height * width));
}

/** The weights as colours, with their numbers where they have room. */
function kernel(weights) {
  const reach = Math.max(...weights.flat().map(Math.abs), 1e-12);
  const small = weights.length <= 3;
  return h("span", { class: `unfolded-kernel${small ? " small" : ""}`, vars: { "--columns": weights[0].length, "--side": `${MAP}px` } },
    weights.flat().map((weight) => h("span", { class: weight < 0 ? "down" : "up", vars: { "--part": Math.abs(weight) / reach }, title: readable(weight) }, small ? fixed(weight, 1) : "")));
}

function place(stage, index) {
  if (!stage.flattened) return `${index}`;
  const [, height, width] = stage.flattened;
  return `${Math.floor(index / (height * width))} (${Math.floor(index / width) % height}, ${index % width})`;
}

/** Row and column of a map as one number, for the player. */
function positions(settings, width, strongest) {
  const now = () => (settings.get("row") >= 0 ? [settings.get("row"), settings.get("column")] : (strongest()?.slice(1) ?? []));
  return {
    get: () => Math.max(0, now()[0] ?? 0) * width() + Math.max(0, now()[1] ?? 0),
    set: ({ place: at }) => settings.set({ row: Math.floor(at / width()), column: at % width() }),
    on: (_, hear, signal) => settings.on(["row", "column"], hear, signal),
  };
}
