// A network at work on one screen: columns of maps, lines from what is read to what reads it. Pointing at a map lights what
// it reads; pressing it takes it apart in its place.

import { colour, h } from "../../core/dom.js";
import { localised } from "../../core/labels.js";
import { percent, readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";
import { colourTable, decoded, drawMap } from "../../draw/maps.js";

const WIDE = 68; // pixels that a column's maps may take
const tall = () => Math.max(300, Math.min(520, innerHeight - 400));
const GAP = 4;
const MOST_LINES = 900; // between two columns; of more, every second or third is drawn

export class Atlas {
  #columns = [];
  #by = new Map();
  #lit = null;
  #classes = null;

  /** onPick(layer, channel) hears a press; `unfolded` is an element that stands before the column of the chosen map. */
  constructor({ signal, onPick }) {
    this.onPick = onPick;
    this.lines = h("canvas", { class: "atlas-lines", "aria-hidden": "true" });
    this.veil = h("canvas", { class: "atlas-veil", "aria-hidden": "true" });
    this.row = h("div", { class: "atlas" });
    this.told = h("p", { class: "atlas-told", role: "status" });
    this.scroll = h("div", { class: "atlas-scroll", tabindex: "0", role: "region", "aria-label": t("inside.atlas") }, this.row);
    this.element = h("div", { class: "atlas-frame" }, this.scroll, this.told);
    const resize = new ResizeObserver(() => this.#wire());
    resize.observe(this.row);
    signal.addEventListener("abort", () => resize.disconnect());
  }

  /** answer: of /inside/atlas; best: classes with probabilities for the last column; flow: let the maps come one by one. */
  draw(answer, best, flow) {
    this.#classes = best;
    this.#columns = answer.columns.map((column, index) => this.#column(column, index));
    this.#by = new Map(this.#columns.map((column) => [column.id, column]));
    this.row.replaceChildren(this.lines, ...this.#columns.map((column) => column.element), this.#outputs(answer), this.veil);
    this.row.classList.toggle("flowing", flow);
    this.height = Math.max(...this.#columns.map((column) => column.down * (column.cell + GAP))) + GAP;
    this.#tell(null);
    this.#wire();
  }

  /** Stand an element before a column; null takes it away. */
  unfold(element, layer, channel) {
    this.row.querySelector(".unfolded")?.remove();
    for (const column of this.#columns) column.sprite.classList.toggle("chosen", Boolean(element) && column.id === layer);
    this.chosen = element ? { layer, channel } : null;
    const column = this.#by.get(layer);
    if (element && column) {
      column.element.before(element);
      element.scrollIntoView({ block: "nearest", inline: "center" });
    }
    this.#wire();
  }

  #column(found, index) {
    const one = found.drawn[0] * found.drawn[1] === 1;
    const count = found.shown.length;
    const { cell, down, across } = layout(count, one);
    const sprite = h("canvas", { class: "sprite", tabindex: "0", role: "img", "aria-label": t("inside.columnLabel", { layer: found.id, count: found.maps }) });
    const column = { ...found, index, one, cell, down, across, sprite, at: 0 };
    drawSprite(column);
    sprite.addEventListener("pointermove", (event) => this.#light(column, this.#under(column, event)));
    sprite.addEventListener("pointerleave", () => this.#light(null));
    sprite.addEventListener("click", (event) => {
      const map = this.#under(column, event);
      if (map !== null) this.onPick(column.id, column.shown[map]);
    });
    sprite.addEventListener("focus", () => sprite.matches(":focus-visible") && this.#light(column, column.at));
    sprite.addEventListener("blur", () => this.#light(null));
    sprite.addEventListener("keydown", (event) => this.#key(event, column));
    const more = found.maps > count ? h("span", { class: "column-more" }, t("inside.moreMaps", { shown: count, count: found.maps })) : null;
    column.element = h("div", { class: `column type-${found.type}`, vars: { "--delay": `${index * 110}ms` } },
      h("div", { class: "column-head" },
        h("b", {}, found.type === "input" ? t("network.input") : broken(found.id)),
        h("span", {}, [localised(found.label), ...found.follows].filter(Boolean).join(" · ")),
        h("span", { class: "column-shape" }, found.shape.join("×"))),
      sprite, range(found), more);
    return column;
  }

  /** The answers, beside the last layer, where the last stage is shown. */
  #outputs(answer) {
    if (answer.stages.at(-1) !== answer.stage) return "";
    return h("div", { class: "column outputs" }, h("div", { class: "column-head" }, h("b", {}, "softmax"), h("span", {}, t("inside.prediction"))),
      h("ol", {}, this.#classes.map(({ label, probability }) => h("li", {}, h("span", { class: "output-name" }, label), h("span", { class: "bar-track" }, h("span", { class: "bar-fill", vars: { "--part": probability } })), h("span", {}, percent(probability))))));
  }

  #under(column, event) {
    const box = column.sprite.getBoundingClientRect();
    const step = column.cell + GAP;
    const [x, y] = [Math.floor((event.clientX - box.left) / step), Math.floor((event.clientY - box.top) / step)];
    const map = x * column.down + y;
    return x >= 0 && y >= 0 && x < column.across && y < column.down && map < column.shown.length ? map : null;
  }

  #key(event, column) {
    const move = { ArrowDown: 1, ArrowUp: -1, ArrowRight: column.down, ArrowLeft: -column.down }[event.key];
    if (event.key === "Enter" || event.key === " ") this.onPick(column.id, column.shown[column.at]);
    else if (move && column.shown[column.at + move] !== undefined) this.#light(column, (column.at += move));
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** Light a map and what it reads; the rest fades. */
  #light(column, map = null) {
    const key = column && map !== null ? `${column.id} ${map}` : null;
    if (key === this.#lit) return;
    this.#lit = key;
    const context = this.veil.getContext("2d");
    context.clearRect(0, 0, this.veil.width, this.veil.height);
    if (key === null) return this.#tell(null);
    const read = this.#reads(column, column.shown[map]);
    context.fillStyle = colour("--card");
    context.globalAlpha = 0.78;
    context.fillRect(0, this.top, this.veil.width, this.height);
    context.globalAlpha = 1;
    const cells = [[column, map], ...read];
    for (const [each, index] of cells) {
      const box = this.#cell(each, index);
      context.clearRect(box.x - 1, box.y - 1, box.size + 2, box.size + 2);
      context.strokeStyle = colour(each === column ? "--kernel" : "--input");
      context.lineWidth = 2;
      context.strokeRect(box.x - 1, box.y - 1, box.size + 2, box.size + 2);
    }
    context.strokeStyle = colour("--input");
    context.lineWidth = 1.2;
    context.globalAlpha = 0.75;
    const to = this.#cell(column, map);
    for (const [each, index] of read) line(context, this.#cell(each, index), to);
    context.globalAlpha = 1;
    return this.#tell(column, map, read);
  }

  #tell(column, map, read) {
    if (!column) {
      this.told.textContent = t("inside.atlasText");
      return;
    }
    const from = column.wires.map((wire) => wire.from).join(", ");
    this.told.textContent = t(column.wires.length ? "inside.reads" : "inside.readsNothing", { layer: column.id, channel: column.shown[map], count: read.length, from });
  }

  /** The maps that a map reads, so far as they are drawn: [[column, index], …]. */
  #reads(column, channel) {
    return column.wires.flatMap((wire) => {
      const source = this.#by.get(wire.from);
      if (!source) return [];
      const read = (number) => wire.kind === "all" || (wire.kind === "same" ? number === channel - wire.offset : Math.floor(number / wire.reads) === Math.floor(channel / wire.gives));
      return source.shown.flatMap((number, index) => (read(number) ? [[source, index]] : []));
    });
  }

  /** Where a map is, in pixels of the row. */
  #cell(column, index) {
    const [x, y] = [Math.floor(index / column.down), index % column.down];
    return { x: column.sprite.offsetLeft + x * (column.cell + GAP), y: column.sprite.offsetTop + y * (column.cell + GAP), size: column.cell };
  }

  /** All lines, faint: once for each layout. */
  #wire() {
    if (!this.#columns.length) return;
    const [width, height] = [this.row.scrollWidth, this.row.clientHeight];
    for (const canvas of [this.lines, this.veil]) Object.assign(canvas, { width, height });
    this.top = Math.min(...this.#columns.map((column) => column.sprite.offsetTop)) - GAP;
    const context = this.lines.getContext("2d");
    for (const column of this.#columns) {
      for (const wire of column.wires) {
        const source = this.#by.get(wire.from);
        if (!source) continue;
        if (source.index < column.index - 1) this.#arc(context, source, column);
        else this.#strands(context, column, source);
      }
    }
  }

  #strands(context, column, source) {
    const strands = column.shown.flatMap((channel, index) => this.#reads(column, channel).filter(([each]) => each === source).map(([each, from]) => [this.#cell(each, from), this.#cell(column, index)]));
    const every = Math.ceil(strands.length / MOST_LINES);
    context.strokeStyle = colour("--line-strong");
    context.globalAlpha = Math.max(0.07, Math.min(0.5, 14 / Math.sqrt(strands.length) / 6));
    context.lineWidth = 0.8;
    strands.forEach(([from, to], index) => index % every === 0 && line(context, from, to));
    context.globalAlpha = 1;
  }

  /** What passes other columns goes over them. */
  #arc(context, source, column) {
    const [x1, x2, y] = [source.sprite.offsetLeft + source.sprite.offsetWidth / 2, column.sprite.offsetLeft + column.sprite.offsetWidth / 2, this.top - 4];
    context.strokeStyle = colour("--accent");
    context.lineWidth = 2;
    context.globalAlpha = 0.7;
    context.beginPath();
    context.moveTo(x1, y);
    context.bezierCurveTo(x1, y - 26, x2, y - 26, x2, y);
    context.stroke();
    context.globalAlpha = 1;
  }
}

/** A path may break behind its points. */
const broken = (path) => path.split(".").flatMap((part, index, parts) => (index < parts.length - 1 ? [`${part}.`, h("wbr")] : [part]));

/** The largest cells with which a column's maps have room. */
function layout(count, one) {
  for (let cell = one ? 15 : 60; cell > 6; cell -= 1) {
    const down = Math.min(count, Math.floor((tall() + GAP) / (cell + GAP)));
    const across = Math.ceil(count / down);
    if (across * (cell + GAP) - GAP <= WIDE) return { cell, down: Math.ceil(count / across), across };
  }
  return { cell: 6, down: Math.ceil(count / 6), across: 6 };
}

function drawSprite(column) {
  const { cell, down, across, drawn: [height, width], shown, sprite } = column;
  const dense = Math.min(3, Math.ceil(devicePixelRatio || 1));
  const [wide, tall] = [across * (cell + GAP) - GAP, down * (cell + GAP) - GAP];
  Object.assign(sprite, { width: wide * dense, height: tall * dense });
  sprite.style.setProperty("--wide", `${wide}px`);
  sprite.style.setProperty("--tall", `${tall}px`);
  const [bytes, table] = [decoded(column.levels), colourTable(column.low, column.high)];
  const context = sprite.getContext("2d");
  context.imageSmoothingEnabled = false;
  const map = h("canvas", {});
  shown.forEach((_, index) => {
    drawMap(map, bytes.subarray(index * height * width, (index + 1) * height * width), height, width, table);
    const [x, y] = [Math.floor(index / down) * (cell + GAP), (index % down) * (cell + GAP)];
    context.drawImage(map, x * dense, y * dense, cell * dense, cell * dense);
    context.strokeStyle = colour("--line-strong");
    context.globalAlpha = 0.5;
    context.strokeRect(x * dense + 0.5, y * dense + 0.5, cell * dense - 1, cell * dense - 1);
    context.globalAlpha = 1;
  });
}

/** The colours of a layer and the numbers that they stand for. */
function range(found) {
  const canvas = h("canvas", { class: "range", "aria-hidden": "true" });
  drawMap(canvas, Uint8Array.from({ length: 256 }, (_, level) => level), 1, 256, colourTable(found.low, found.high));
  return h("div", { class: "column-range" }, canvas, h("div", {}, h("span", {}, readable(found.low, 2)), h("span", {}, readable(found.high, 2))));
}

function line(context, from, to) {
  const [x1, y1, x2, y2] = [from.x + from.size + 1, from.y + from.size / 2, to.x - 1, to.y + to.size / 2];
  const bend = Math.max(10, (x2 - x1) / 2);
  context.beginPath();
  context.moveTo(x1, y1);
  context.bezierCurveTo(x1 + bend, y1, x2 - bend, y2, x2, y2);
  context.stroke();
}
