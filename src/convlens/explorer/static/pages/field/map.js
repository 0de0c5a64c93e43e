// The map of a layer as a grid of units: one is chosen by pointer or arrow keys.

import { h, s } from "../../core/dom.js";
import { t } from "../../core/text.js";

const SIDE = 220;

export class UnitMap {
  #layer = null;

  constructor({ label, onPoint }) {
    this.label = label;
    this.onPoint = onPoint;
    this.svg = s("svg", { class: "unit-map", tabindex: "0", role: "group", "aria-label": label, viewBox: `0 0 ${SIDE} ${SIDE}` });
    this.element = h("div", { class: "unit-map-frame" }, this.svg);
    const point = (event) => {
      const box = this.svg.getBoundingClientRect();
      const [rows, columns] = this.#layer.map;
      this.#choose(Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns));
    };
    this.svg.addEventListener("pointerdown", point);
    this.svg.addEventListener("pointermove", (event) => event.buttons && point(event));
    this.svg.addEventListener("keydown", (event) => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      event.stopPropagation(); // elsewhere on the page arrows step through the layers
      this.#choose(this.#layer.unit[0] + move[0], this.#layer.unit[1] + move[1]);
    });
  }

  draw(layer) {
    this.#layer = layer;
    const [rows, columns] = layer.map;
    const [tall, wide] = [SIDE / rows, SIDE / columns];
    const lines = rows <= 60 && columns <= 60 ? [
      ...Array.from({ length: rows - 1 }, (_, row) => s("line", { x1: 0, x2: SIDE, y1: (row + 1) * tall, y2: (row + 1) * tall })),
      ...Array.from({ length: columns - 1 }, (_, column) => s("line", { y1: 0, y2: SIDE, x1: (column + 1) * wide, x2: (column + 1) * wide })),
    ] : [];
    const size = [Math.max(tall, 7), Math.max(wide, 7)];
    this.svg.replaceChildren(
      s("rect", { class: "unit-ground", width: SIDE, height: SIDE }),
      s("g", { class: "unit-lines" }, lines),
      s("rect", { class: "unit-now", x: (layer.unit[1] + 0.5) * wide - size[1] / 2, y: (layer.unit[0] + 0.5) * tall - size[0] / 2, width: size[1], height: size[0], rx: Math.min(4, tall / 4) }),
    );
    this.svg.setAttribute("aria-label", `${this.label}: ${t("field.unitAt", { row: layer.unit[0], column: layer.unit[1] })}`);
  }

  #choose(row, column) {
    const [rows, columns] = this.#layer.map;
    const place = [Math.min(rows - 1, Math.max(0, row)), Math.min(columns - 1, Math.max(0, column))];
    this.onPoint(Math.round(((place[1] + 0.5) / columns) * 10000) / 10000, Math.round(((place[0] + 0.5) / rows) * 10000) / 10000);
  }
}
