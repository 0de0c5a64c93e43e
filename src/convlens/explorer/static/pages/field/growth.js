// The size of the receptive field at every layer, on a logarithmic scale, with the image's own side as a line.

import { h, s } from "../../core/dom.js";

const HEIGHT = 210;
const MARGIN = { top: 14, bottom: 14, left: 44, right: 10 };

export class Growth {
  #bars = [];

  constructor({ label, onPick }) {
    this.onPick = onPick;
    this.svg = s("svg", { class: "growth", role: "img", "aria-label": label });
    this.element = h("div", { class: "growth-frame", tabindex: "0", role: "region", "aria-label": label }, this.svg);
  }

  draw({ layers, image }) {
    const width = Math.max(640, Math.min(1100, layers.length * 16)) + MARGIN.left + MARGIN.right;
    const sizes = layers.map((layer) => Math.max(...((layer.local ?? layer).size ?? image)));
    const most = Math.log2(Math.max(...sizes, ...image) * 1.15);
    const y = (size) => MARGIN.top + (HEIGHT - MARGIN.top - MARGIN.bottom) * (1 - Math.log2(Math.max(1, size)) / most);
    const step = (width - MARGIN.left - MARGIN.right) / layers.length;
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    this.svg.style.minWidth = `${Math.min(width, 640)}px`;
    const ticks = [1, 4, 16, 64, 256, 1024].filter((size) => Math.log2(size) < most);
    this.#bars = layers.map((layer, index) => {
      const whole = layer.local && layer.global;
      const top = y(sizes[index]);
      return s("g", { class: `growth-bar type-${layer.type}`, onclick: () => this.onPick(index) },
        s("rect", { class: "growth-reach", x: MARGIN.left + index * step, y: 0, width: step, height: HEIGHT }),
        whole ? s("rect", { class: "growth-gate", x: MARGIN.left + index * step + step * 0.12, width: step * 0.76, y: y(Math.max(...image)), height: Math.max(0, HEIGHT - MARGIN.bottom - y(Math.max(...image))) }) : null,
        s("rect", { class: "growth-fill", x: MARGIN.left + index * step + step * 0.12, width: step * 0.76, y: top, height: HEIGHT - MARGIN.bottom - top, rx: 2 }),
        s("title", {}, `${layer.id}: ${sizes[index]}`));
    });
    this.svg.replaceChildren(
      s("g", { class: "axis" }, ticks.map((size) => [s("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(size), y2: y(size) }), s("text", { x: MARGIN.left - 8, y: y(size) + 4, "text-anchor": "end" }, size)])),
      ...this.#bars,
      s("line", { class: "image-side", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(Math.max(...image)), y2: y(Math.max(...image)) }),
      s("text", { class: "image-side-text", x: width - MARGIN.right, y: y(Math.max(...image)) - 5, "text-anchor": "end" }, Math.max(...image)),
    );
  }

  choose(index) {
    this.#bars.forEach((bar, each) => bar.classList.toggle("now", each === index));
  }
}
