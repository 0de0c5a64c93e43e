// A signal to be drawn by hand: with the pointer, or with the keyboard, sample by sample.

import { readable } from "../../core/numbers.js";
import { t } from "../../core/text.js";
import { Curves } from "../../draw/curves.js";

const [LOW, HIGH, STEP] = [-1.2, 1.2, 0.1];

export class Sketch {
  #values = [];
  #at = 20;
  #last = null;

  /** onDraw(values) hears every change. */
  constructor({ label, tone, times, onDraw }) {
    this.tone = tone;
    this.times = times;
    this.onDraw = onDraw;
    this.curves = new Curves({ label, height: 190 });
    this.element = this.curves.element;
    const { svg } = this.curves;
    svg.classList.add("sketch");
    svg.setAttribute("role", "slider");
    svg.setAttribute("tabindex", "0");
    svg.setAttribute("aria-valuemin", LOW);
    svg.setAttribute("aria-valuemax", HIGH);
    svg.addEventListener("pointerdown", (event) => {
      svg.setPointerCapture(event.pointerId);
      this.#last = null;
      this.#pointer(event);
    });
    svg.addEventListener("pointermove", (event) => event.buttons && this.#pointer(event));
    svg.addEventListener("keydown", (event) => this.#key(event));
    svg.addEventListener("focus", () => this.#follow());
  }

  draw(values) {
    this.#values = [...values];
    this.curves.axes({ low: -1.05, high: 1.05, ticks: [-1, -0.5, 0, 0.5, 1] }, { low: LOW, high: HIGH, ticks: [-1, 0, 1] });
    this.curves.lines([{ xs: this.times, ys: this.#values, tone: this.tone, area: true }, { xs: this.times, ys: this.#values, tone: this.tone }]);
    this.#follow();
  }

  /** A quick stroke skips samples: those between are drawn too. */
  #pointer(event) {
    const [x, y] = this.curves.place(event);
    const width = this.times[1] - this.times[0];
    const index = within(Math.round((x - this.times[0]) / width), 0, this.times.length - 1);
    const value = within(Math.round(y * 100) / 100, LOW, HIGH);
    const from = this.#last ?? { index, value };
    const count = Math.max(1, Math.abs(index - from.index));
    const changed = [...this.#values];
    for (let part = 0; part <= count; part += 1) {
      const between = from.index + Math.round(((index - from.index) * part) / count);
      changed[between] = from.value + ((value - from.value) * part) / count;
    }
    this.#last = { index, value };
    this.#at = index;
    this.onDraw(changed);
  }

  #key(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    const change = { ArrowUp: STEP, ArrowDown: -STEP }[event.key];
    if (move === undefined && change === undefined) return;
    event.preventDefault();
    event.stopPropagation(); // the page uses arrows for stepping
    if (move !== undefined) this.#at = within(this.#at + move, 0, this.times.length - 1);
    if (change !== undefined) {
      const changed = [...this.#values];
      changed[this.#at] = within(changed[this.#at] + change, LOW, HIGH);
      this.onDraw(changed);
    }
    this.#follow();
  }

  #follow() {
    const value = this.#values[this.#at];
    this.curves.at(this.times[this.#at], value, this.tone);
    this.curves.svg.setAttribute("aria-valuenow", value);
    this.curves.svg.setAttribute("aria-valuetext", t("signals.sample", { t: readable(this.times[this.#at], 3), value: readable(value, 3) }));
  }
}

const within = (value, low, high) => Math.min(Math.max(value, low), high);
