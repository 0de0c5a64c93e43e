// A scatter of named points on two axes, with a line through each series and labels where there is room.
// Arrow keys go from point to point; what is chosen is told by `onPick(point)`.

import { h, s } from "../core/dom.js";

const MARGIN = { top: 18, right: 22, bottom: 54, left: 62 };

export class Scatter {
  #points = [];
  #chosen = null;

  constructor({ label, onPick }) {
    this.onPick = onPick;
    this.svg = s("svg", { class: "scatter", role: "group", "aria-label": label, tabindex: "0" });
    this.element = h("div", { class: "scatter-frame" }, this.svg);
    this.svg.addEventListener("pointermove", (event) => this.#hover(event));
    this.svg.addEventListener("pointerdown", (event) => this.#hover(event));
    this.svg.addEventListener("keydown", (event) => this.#key(event));
  }

  /** series: [{name, tone, points: [{x, y, label}]}]; x, y: {label, log, text(value)}. */
  draw({ series, x, y }) {
    const width = Math.max(300, this.element.clientWidth || 900);
    const height = Math.round(Math.min(580, Math.max(380, width * 0.56)));
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const all = series.flatMap((each) => each.points);
    this.#points = [];
    this.ring = null;
    this.svg.replaceChildren();
    if (!all.length) return;
    const across = scale(all.map((point) => point.x), x.log, MARGIN.left, width - MARGIN.right);
    const up = scale(all.map((point) => point.y), false, height - MARGIN.bottom, MARGIN.top);
    const box = { left: MARGIN.left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
    this.#points = series.flatMap((each) => each.points.map((point) => ({ ...point, tone: each.tone, at: [across.place(point.x), up.place(point.y)] })));
    this.#points.sort((a, b) => a.at[0] - b.at[0] || b.at[1] - a.at[1]);
    this.ring = s("circle", { class: "scatter-ring", r: 11, cx: -99, cy: -99 });
    this.svg.replaceChildren(
      s("g", { class: "axis", "aria-hidden": "true" }, axis(across, up, x, y, box)),
      ...series.map((each) => line(each, across, up)),
      s("g", {}, this.#points.map((point) => s("circle", { class: `dot ${point.tone}`, cx: point.at[0], cy: point.at[1], r: point.tone === "other" ? 5 : 6.5 }))),
      s("g", { class: "scatter-labels", "aria-hidden": "true" }, labels(this.#points, box)),
      this.ring,
    );
    this.choose(this.#chosen);
  }

  /** Mark the point with this label. */
  choose(label) {
    this.#chosen = label;
    const point = this.#points.find((each) => each.label === label);
    this.ring?.setAttribute("cx", point ? point.at[0] : -99);
    this.ring?.setAttribute("cy", point ? point.at[1] : -99);
    return point;
  }

  #pick(point) {
    if (!point || point.label === this.#chosen) return;
    this.choose(point.label);
    this.onPick(point);
  }

  #hover(event) {
    const box = this.svg.getBoundingClientRect();
    const factor = this.svg.viewBox.baseVal.width / box.width;
    const [px, py] = [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
    const near = this.#points.map((point) => [Math.hypot(point.at[0] - px, point.at[1] - py), point]).sort((a, b) => a[0] - b[0])[0];
    if (near && near[0] < 34) this.#pick(near[1]);
  }

  #key(event) {
    const step = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const now = this.#points.findIndex((point) => point.label === this.#chosen);
    this.#pick(this.#points[now < 0 ? 0 : Math.min(this.#points.length - 1, Math.max(0, now + step))]);
  }
}

/** place(value) in pixels, and round values for ticks. */
function scale(values, log, from, to) {
  const change = log ? Math.log10 : (value) => value;
  let [low, high] = [Math.min(...values), Math.max(...values)].map(change);
  const spare = (high - low || 1) * 0.07;
  [low, high] = [low - spare, high + spare];
  const place = (value) => from + ((change(value) - low) / (high - low)) * (to - from);
  return { place, ticks: log ? logTicks(low, high) : ticks(low, high) };
}

function ticks(low, high) {
  const rough = (high - low) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((each) => each >= rough);
  const result = [];
  for (let value = Math.ceil(low / step) * step; value <= high + 1e-9; value += step) result.push(Number(value.toPrecision(6)));
  return result;
}

function logTicks(low, high) {
  const result = [];
  for (let power = Math.floor(low); power <= high; power += 1) {
    for (const factor of [1, 2, 5]) {
      const value = factor * 10 ** power;
      if (Math.log10(value) >= low && Math.log10(value) <= high) result.push(value);
    }
  }
  return result;
}

function axis(across, up, x, y, box) {
  const acrossTicks = apart(across.ticks.map((value) => [across.place(value), x.text(value)]));
  const upTicks = up.ticks.map((value) => [up.place(value), y.text(value)]);
  return [
    upTicks.map(([place, text]) => [s("line", { class: "rule", x1: box.left, x2: box.right, y1: place, y2: place }), s("text", { x: box.left - 10, y: place + 4, "text-anchor": "end" }, text)]),
    acrossTicks.map(([place, text]) => [s("line", { class: "rule", x1: place, x2: place, y1: box.top, y2: box.bottom }), s("text", { x: place, y: box.bottom + 20, "text-anchor": "middle" }, text)]),
    s("text", { class: "axis-name", x: (box.left + box.right) / 2, y: box.bottom + 44, "text-anchor": "middle" }, x.label),
    s("text", { class: "axis-name", transform: `translate(14 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, y.label),
  ];
}

/** What has room beside the one before it: on a phone, not every value is written. */
function apart(ticks) {
  const kept = [];
  for (const [place, text] of ticks) {
    const [before, words] = kept.at(-1) ?? [-Infinity, ""];
    if (place - before > 4 * (text.length + words.length) + 6) kept.push([place, text]);
  }
  return kept;
}

function line(series, across, up) {
  const places = series.points.map((point) => [across.place(point.x), up.place(point.y)]).sort((a, b) => a[0] - b[0]);
  return s("polyline", { class: `series ${series.tone}`, points: places.map((place) => place.join()).join(" ") });
}

/** A label goes where it hides neither a point nor another label, or is left out: pointing at the point tells it. */
function labels(points, box) {
  const taken = points.map(({ at }) => [at[0] - 7, at[1] - 7, at[0] + 7, at[1] + 7]);
  return points.map((point) => {
    const [px, py] = point.at;
    const wide = point.label.length * 7.6;
    const places = [["start", px + 11, py + 4], ["end", px - 11, py + 4], ["middle", px, py - 13], ["middle", px, py + 21], ["start", px + 9, py - 9], ["end", px - 9, py - 9], ["start", px + 9, py + 17], ["end", px - 9, py + 17]];
    for (const [anchor, tx, ty] of places) {
      const left = { start: tx, middle: tx - wide / 2, end: tx - wide }[anchor];
      const area = [left, ty - 12, left + wide, ty + 4];
      const inside = area[0] > box.left && area[2] < box.right + MARGIN.right - 4 && area[1] > box.top - 12 && area[3] < box.bottom;
      if (!inside || taken.some((other) => area[0] < other[2] && area[2] > other[0] && area[1] < other[3] && area[3] > other[1])) continue;
      taken.push(area);
      return s("text", { class: point.tone, x: tx, y: ty, "text-anchor": anchor }, point.label);
    }
    return null;
  });
}
