// Curves over an axis: lines, areas under them, a dot, a moving line. An axis is {low, high, log, ticks, text}.

import { h, s } from "../core/dom.js";
import { readable } from "../core/numbers.js";

const MARGIN = { top: 12, right: 14, bottom: 28, left: 46 };

export class Curves {
  #paths = [];
  #dot = null;

  constructor(/** @type {{ label?: string, height?: number, margin?: typeof MARGIN, described?: boolean }} */ { label, height = 220, margin = MARGIN, described = true }) {
    this.height = height;
    this.margin = margin;
    this.svg = s("svg", described ? { class: "curves", role: "img", "aria-label": label } : { class: "curves", "aria-hidden": "true" });
    this.element = h("div", { class: "curves-frame" }, this.svg);
  }

  /** Lay out the axes; what was drawn is gone. */
  axes(x, y) {
    const width = Math.max(160, this.element.clientWidth || 720);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${this.height}`);
    const box = { left: this.margin.left, right: width - this.margin.right, top: this.margin.top, bottom: this.height - this.margin.bottom };
    this.x = scale(x, box.left, box.right);
    this.y = scale(y, box.bottom, box.top);
    this.box = box;
    const [ticksX, ticksY] = [x, y].map((axis) => (axis.ticks ?? []).filter((value) => value >= axis.low && value <= axis.high));
    this.marks = s("g");
    this.#paths = [];
    this.svg.replaceChildren(
      s("g", { class: "axis" },
        ticksY.map((value) => [s("line", { class: value === 0 ? "rule zero" : "rule", x1: box.left, x2: box.right, y1: this.y(value), y2: this.y(value) }), s("text", { x: box.left - 8, y: this.y(value) + 4, "text-anchor": "end" }, (y.text ?? readable)(value))]),
        ticksX.map((value) => [s("line", { class: "rule", x1: this.x(value), x2: this.x(value), y1: box.top, y2: box.bottom }), s("text", { x: this.x(value), y: box.bottom + 18, "text-anchor": "middle" }, (x.text ?? readable)(value))])),
      this.marks);
  }

  /** Draw curves: [{xs, ys, tone, area, faint}]; a curve that is there already only moves. */
  lines(curves) {
    if (this.#paths.length !== curves.length) {
      this.#paths = curves.map(() => s("path"));
      this.marks.replaceChildren(...this.#paths);
    }
    curves.forEach(({ xs, ys, tone, area, faint }, index) => {
      const path = this.#paths[index];
      path.setAttribute("class", `curve ${area ? "area" : "line"} of-${tone}${faint ? " faint" : ""}`);
      path.setAttribute("d", xs.length ? this.#path(xs, ys, area) : "");
    });
  }

  /** A dot at a place, and a vertical line through it. */
  at(x, y, tone) {
    this.#dot ??= [s("line", { class: "cursor" }), s("circle", { r: 6 })];
    const [line, circle] = this.#dot;
    if (!line.isConnected || line.parentNode !== this.svg) this.svg.append(line, circle);
    for (const [name, value] of Object.entries({ x1: this.x(x), x2: this.x(x), y1: this.box.top, y2: this.box.bottom })) line.setAttribute(name, value);
    circle.setAttribute("class", `dot-on of-${tone}`);
    circle.setAttribute("cx", this.x(x));
    circle.setAttribute("cy", this.y(y));
  }

  /** From a pointer to a place on the axes. */
  place(event) {
    const box = this.svg.getBoundingClientRect();
    const factor = this.svg.viewBox.baseVal.width / box.width;
    return [this.x.back((event.clientX - box.left) * factor), this.y.back((event.clientY - box.top) * factor)];
  }

  #path(xs, ys, area) {
    const points = xs.map((value, index) => `${this.x(value).toFixed(1)},${this.y(ys[index]).toFixed(1)}`);
    if (!area) return `M${points.join("L")}`;
    const ground = this.y(0).toFixed(1);
    return `M${this.x(xs[0]).toFixed(1)},${ground}L${points.join("L")}L${this.x(xs.at(-1)).toFixed(1)},${ground}Z`;
  }
}

function scale({ low, high, log }, from, to) {
  const [change, undo] = log ? [Math.log10, (value) => 10 ** value] : [(value) => value, (value) => value];
  const [first, last] = [change(low), change(high)];
  const place = (value) => from + ((change(value) - first) / (last - first)) * (to - from);
  place.back = (pixel) => undo(first + ((pixel - from) / (to - from)) * (last - first));
  return place;
}

/** Round numbers from `low` to `high`, about `count` of them. */
export function ticks(low, high, count = 5) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough * 0.999);
  const result = [];
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + 1e-9; index += 1) result.push(Number((index * step).toPrecision(6)));
  return result;
}

/** A range that holds all values and zero, a little wider. */
export function range(values) {
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const spare = (high - low || 1) * 0.08;
  return { low: low < 0 ? low - spare : 0, high: high > 0 || low === 0 ? high + spare : 0 };
}
